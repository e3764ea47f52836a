/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The HTTP server: one libevent base, one thread, everything in it is touched by that thread
 * only. Pictures reach it through one mailbox on the JPEG outlet and one on the H.264 outlet, each
 * attached while someone watches.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <event2/event.h>

#include "pipeline/pipeline.h"
#include "settings/options.h"
#include "settings/settings.h"
#include "shm/sinks.h"

struct server;

/*
 * Listens (TCP, UNIX or the socket that systemd passed) before it returns. Borrows everything
 * until it is destroyed. On failure logs one line with the remedy and returns -errno.
 */
int server_create(struct server **out, struct event_base *base, struct pipeline *pipeline,
	const struct options *opt);
/* Borrows the sinks that /state tells about, until the server is destroyed; NULL: there are none. */
void server_set_sinks(struct server *server, struct sinks *sinks);
/* Borrows what /settings changes; opt of server_create() is settings_now() then. NULL: nothing. */
void server_set_settings(struct server *server, struct settings *settings);
/* Closes every connection at once. NULL is fine. */
void server_destroy(struct server *server);

/* Where people find the page: "http://127.0.0.1:8080/" or "unix:/run/…". */
const char *server_url(const struct server *server);
/* Viewers of all streams at this moment. */
unsigned server_clients(const struct server *server);

#endif
