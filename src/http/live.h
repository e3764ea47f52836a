/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options as they are now, of which some change while the program runs. There is one copy of
 * them, the network thread's; every thread that uses one of them has its own, and is told of
 * changes by pipeline_obey(). Network thread only.
 *
 * Precedence: what was changed and kept (--state-dir), then the command line, then the defaults.
 */
#ifndef HTTP_LIVE_H
#define HTTP_LIVE_H

#include <jansson.h>

#include "options.h"

struct live;

/* Why changes are refused. */
struct live_fault {
	const char *field; /* NULL: none in particular; lives as long as the changes */
	char text[512];
};

/*
 * opt is what the command line says; what was kept from an earlier run is put into it. What is
 * wrong with that is logged, and the rest used.
 */
void live_create(struct live **out, struct options *opt);
/* Waits until the last change is kept. NULL is fine. */
void live_destroy(struct live *live);

/* Always the same struct, whose live options change in live_commit(). */
const struct options *live_now(const struct live *live);
/* {"h264-bitrate": {"type": "int", "value": 5000, "default": …}, …}, but for image controls. */
json_t *live_describe(const struct live *live);

/* Parses what a client sent. NULL: it is no JSON object. */
json_t *live_parse(const char *text, size_t size, struct live_fault *fault);
/* What would hold after these changes: all of them, or false and why not. */
bool live_plan(const struct live *live, json_t *changes, struct options *next,
	struct live_fault *fault);
/* The image controls among the changes; false: there are none. */
bool live_list_controls(json_t *changes, const struct options *next,
	struct option_control wish[CONTROLS]);
/* That holds from now on, here; everybody else has to be told. It is kept, soon. */
void live_commit(struct live *live, const struct options *next);

#endif
