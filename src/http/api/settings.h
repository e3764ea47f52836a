/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A change of settings that waits for the capture device. Network thread only. */
#ifndef HTTP_API_SETTINGS_H
#define HTTP_API_SETTINGS_H

struct server;
struct settings_change;

/* Borrows the server, whose base and pipeline are set. -ENOMEM: no memory, or no descriptor. */
int settings_change_create(struct settings_change **out, struct server *server);
/* No connection is left. NULL is fine. */
void settings_change_destroy(struct settings_change *change);

#endif
