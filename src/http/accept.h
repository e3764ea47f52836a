/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Takes connections from the listening socket, as many as there is room for. */
#ifndef HTTP_ACCEPT_H
#define HTTP_ACCEPT_H

#include "http/connection.h"

struct acceptor;

/* fd: a listening socket; borrowed. -errno when it cannot be watched. */
int acceptor_create(struct acceptor **out, struct event_base *base, int fd,
	struct connection_set *set);
/* NULL is fine. */
void acceptor_destroy(struct acceptor *acceptor);

#endif
