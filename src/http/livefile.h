/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was changed while the program ran, in DIR/settings.json. The file is replaced as a whole, so
 * that a loss of power leaves the old one or the new one; that is done on a thread of its own,
 * since a memory card may take seconds for it.
 */
#ifndef HTTP_LIVEFILE_H
#define HTTP_LIVEFILE_H

#include <jansson.h>

struct livefile;

/* The name of the file in DIR, for the log. */
#define LIVEFILE_NAME "settings.json"

/*
 * The object in the file, or NULL when there is none. A file that cannot be used is set aside, and
 * one line says so.
 */
json_t *livefile_load(const char *dir);

/* dir is borrowed. -errno: nothing can be kept there; logged. */
int livefile_create(struct livefile **out, const char *dir);
/* Waits until what was put is written. NULL is fine. */
void livefile_destroy(struct livefile *file);
/* Takes malloc'd text, which replaces what the file says and what waits to be written. */
void livefile_put(struct livefile *file, char *text);

#endif
