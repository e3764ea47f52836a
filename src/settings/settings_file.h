/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was changed while the program ran, in DIR/settings.json. The file is replaced as a whole, so
 * that a loss of power leaves the old one or the new one; that is done on a thread of its own,
 * since a memory card may take seconds for it.
 */
#ifndef SETTINGS_SETTINGS_FILE_H
#define SETTINGS_SETTINGS_FILE_H

#include <jansson.h>

struct settings_file;

/* The name of the file in DIR, for the log. */
#define SETTINGS_FILE_NAME "settings.json"

/*
 * The object in the file, or NULL when there is none. A file that cannot be used is set aside, and
 * one line says so.
 */
json_t *settings_file_load(const char *dir);

/* dir is borrowed. -errno: nothing can be kept there; logged. */
int settings_file_create(struct settings_file **out, const char *dir);
/* Waits until what was put is written. NULL is fine. */
void settings_file_destroy(struct settings_file *file);
/* Takes malloc'd text, which replaces what the file says and what waits to be written. */
void settings_file_put(struct settings_file *file, char *text);

#endif
