/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line of hdmicast-dump. One table in options.c is the parser and the text of --help;
 * a gate compares it with the manual page. Names and letters are ustreamer-dump's where it has them.
 */
#ifndef DUMP_OPTIONS_H
#define DUMP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/layout.h"

enum dump_medium { DUMP_ANY, DUMP_H264, DUMP_JPEG, DUMP_RAW };

struct dump_options {
	const char *name; /* of the ring or sink */
	bool is_sink;
	enum dump_medium medium;     /* what a ring must hold */
	const struct layout *layout; /* of a sink; NULL: it tells */
	int timeout_s;
	const char *output; /* a path, "-", or "": frames go nowhere */
	bool json, no_data;
	int count; /* 0: no end */
	int64_t interval_ns;
	bool key_required;
	bool stats;
	int log_level;
	bool force_log_colors, no_log_colors;
};

enum dump_action {
	DUMP_RUN,
	DUMP_EXIT,  /* --help or --version: printed */
	DUMP_WRONG, /* said on stderr in one line */
};

/* Fills *out; strings live as long as argv. */
enum dump_action dump_options_parse(struct dump_options *out, int argc, char *argv[]);

#endif
