// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Anything a peer may send as a request. What the parser accepts must keep the promises of
 * request.h; the rest must be refused with an error status. What may change settings changes all
 * that it names, within the table's ranges, or nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "http/origin.h"
#include "http/request.h"
#include "http/static.h"
#include "net/auth.h"
#include "settings/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text)
{
	for (; *text; text++)
		demand(((unsigned char)*text >= ' ' || *text == '\t') && *text != 0x7f);
}

static void check_accepted(const struct request *req)
{
	static const char *const params[] = { "key", "action", "extra_headers", "" };
	off_t size;
	int fd;

	demand(req->path && req->path[0] == '/');
	demand(req->n_headers <= REQUEST_MAX_HEADERS);
	demand(!req->content_length || req->method & (METHOD_POST | METHOD_DELETE | METHOD_PATCH));
	check_text(req->query);
	for (unsigned i = 0; i < req->n_headers; i++) {
		demand(req->header[i].name[0] != '\0');
		check_text(req->header[i].name);
		check_text(req->header[i].value);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(params); i++) {
		free(request_param(req, params[i]));
		request_flag(req, params[i]);
	}
	auth_accepts(request_header(req, "Authorization"), "dXNlcjpwYXNz");
	demand(static_type(req->path) != NULL);
	/* A directory that holds links to files of all kinds, and nothing else. */
	fd = static_open("/proc/self/ns", req->path, &size);
	demand(fd < 0);
}

static struct settings *get_settings(void)
{
	static struct options opt;
	static struct settings *settings;
	char name[] = "hdmicast", *argv[] = { name, NULL };

	if (!settings) {
		demand(options_parse(&opt, 1, argv) == OPTIONS_RUN);
		settings_create(&settings, &opt);
	}
	return settings;
}

/* Numbers in range, words of the table, and no contradiction. */
static void check_options(const struct options *opt)
{
	struct option_live option;
	const char *why;

	for (int n = options_next_live(-1); n >= 0; n = options_next_live(n)) {
		options_describe_live(n, &option);
		if (option.is_choice)
			demand(options_get_word(opt, n) != NULL);
		else if (option.control < 0)
			demand(options_get_number(opt, n) >= option.min &&
				options_get_number(opt, n) <= option.max);
	}
	demand(!options_contradiction(opt, &why));
}

static void check_body(const char *body, size_t size)
{
	struct option_control wish[CONTROLS];
	struct settings_fault fault = { NULL, "" };
	struct settings *settings = get_settings();
	struct options next;
	json_t *changes = settings_parse(body, size, &fault);

	if (changes && settings_plan(settings, changes, &next, &fault)) {
		check_options(&next);
		settings_list_controls(changes, &next, wish);
		settings_commit(settings, &next);
	} else {
		demand(*fault.text != '\0');
		check_options(settings_now(settings));
	}
	json_decref(changes);
	json_decref(settings_describe(settings));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ssize_t length = request_measure((const char *)data, size);
	static struct request req; /* not zeroed: parse must not rely on it */
	int status;

	demand(length <= (ssize_t)MIN(size, REQUEST_MAX_HEAD));
	status = request_parse(&req, (const char *)data, length > 0 ? (size_t)length : size);
	demand(status == 0 || (status >= 400 && status < 600));
	if (status == 0)
		check_accepted(&req);
	/* What follows the head of a PATCH is its body, whatever its length was said to be. */
	if (status == 0 && req.method == METHOD_PATCH && length > 0) {
		const char *why;

		origin_judge(settings_now(get_settings()), &req, 16384, &why);
		check_body((const char *)data + length, size - (size_t)length);
	}
	request_finish(&req);
	return 0;
}
