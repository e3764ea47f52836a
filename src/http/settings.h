/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A change of settings that waits for the capture device. Network thread only. */
#ifndef HTTP_SETTINGS_H
#define HTTP_SETTINGS_H

struct server;
struct settings;

/* Borrows the server, whose base and pipeline are set. -ENOMEM: no memory, or no descriptor. */
int settings_create(struct settings **out, struct server *server);
/* No connection is left. NULL is fine. */
void settings_destroy(struct settings *settings);

#endif
