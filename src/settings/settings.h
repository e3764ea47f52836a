/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The options as they are now, of which some change while the program runs. There is one copy of
 * them, the network thread's; every thread that uses one of them has its own, and is told of
 * changes by pipeline_set_options(). Network thread only.
 *
 * Precedence: what was changed and kept (--state-dir), then the command line, then the defaults.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include <jansson.h>

#include "settings/options.h"

struct settings;

/* Why changes are refused. */
struct settings_fault {
	const char *field; /* NULL: none in particular; lives as long as the changes */
	char text[512];
};

/*
 * opt is what the command line says; what was kept from an earlier run is put into it. What is
 * wrong with that is logged, and the rest used.
 */
void settings_create(struct settings **out, struct options *opt);
/* Waits until the last change is kept. NULL is fine. */
void settings_destroy(struct settings *settings);

/* Always the same struct, whose live options change in settings_commit(). */
const struct options *settings_now(const struct settings *settings);
/* {"h264-bitrate": {"type": "int", "value": 5000, "default": …}, …}, but for image controls. */
json_t *settings_describe(const struct settings *settings);

/* Parses what a client sent. NULL: it is no JSON object. */
json_t *settings_parse(const char *text, size_t size, struct settings_fault *fault);
/* What would hold after these changes: all of them, or false and why not. */
bool settings_plan(const struct settings *settings, json_t *changes, struct options *next,
	struct settings_fault *fault);
/* The image controls among the changes; false: there are none. */
bool settings_list_controls(json_t *changes, const struct options *next,
	struct option_control wish[CONTROLS]);
/* That holds from now on, here; everybody else has to be told. It is kept, soon. */
void settings_commit(struct settings *settings, const struct options *next);

#endif
