// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Command lines, one argument a line. Whatever is given: parsing ends, and what it accepts is in
 * the ranges that the rest of the program relies on.
 */
#include <assert.h>
#include <fcntl.h>

#include "base/util.h"
#include "settings/options.h"

#define MAX_ARGS 64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --help and complaints would drown the fuzzer's own lines. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	stdout = stderr = fopen("/dev/null", "w");
	return 0;
}

static void check_ranges(const struct options *opt)
{
	assert(opt->port >= 1 && opt->port <= 65535);
	assert(opt->quality >= 1 && opt->quality <= 100);
	assert(opt->desired_fps >= 0 && opt->desired_fps <= 120);
	assert(opt->buffers >= 1 && opt->buffers <= 32);
	assert(opt->workers >= 1 && opt->workers <= opt->buffers);
	assert(opt->resolution.width >= 160 && opt->resolution.width <= 15360);
	assert(opt->resolution.height >= 120 && opt->resolution.height <= 8640);
	assert(opt->unix_mode >= 0 && opt->unix_mode <= 0777);
	assert(opt->server_timeout_s >= 1 && opt->max_clients >= 1);
	assert(strlen(opt->unix_path) <= 107 && !strpbrk(opt->allow_origin, "\r\n"));
	assert(opt->source && opt->device && opt->host && opt->user && opt->passwd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *text = malloc(size + 1);
	char *argv[MAX_ARGS + 2] = { (char[]){ "hdmicast" } }, *rest = text, *word;
	struct options opt;
	int argc = 1;

	memcpy(text, data, size);
	text[size] = '\0';
	while (argc <= MAX_ARGS && (word = strsep(&rest, "\n")))
		argv[argc++] = word;
	if (options_parse(&opt, argc, argv) == OPTIONS_RUN) {
		check_ranges(&opt);
		options_log_notices();
	}
	return 0;
}
