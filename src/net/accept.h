/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes connections from the listening socket, as many as there is room for, and hands each to the
 * protocol that is spoken on it. Protocols are registered; none is known here.
 */
#ifndef NET_ACCEPT_H
#define NET_ACCEPT_H

#include "net/connection.h"

struct acceptor;

enum protocol_guess { PROTOCOL_IS_NOT, PROTOCOL_IS, PROTOCOL_MAY_BE /* with more bytes */ };

#define PROTOCOL_BYTES 64 /* at most are looked at */

/* What is spoken on connections. Borrowed until the acceptor is destroyed. */
struct protocol {
	/*
	 * Whether a connection that begins with these bytes, one at least, is of this protocol. NULL:
	 * each that is of no other.
	 */
	enum protocol_guess (*knows)(const uint8_t *bytes, size_t size);
	/* The connection is the protocol's from here on: it calls connection_own(). */
	void (*begin)(void *arg, struct connection *conn);
	void *arg;
	const char *busy; /* what is sent to whom there is no room for; of the last that has it */
};

/* fd: a listening socket; borrowed. -errno when it cannot be watched. */
int acceptor_create(struct acceptor **out, struct event_base *base, int fd,
	struct connection_set *set);
/* Before the loop begins. The one that takes all others comes last. */
void acceptor_register(struct acceptor *acceptor, const struct protocol *protocol);
/* NULL is fine. */
void acceptor_destroy(struct acceptor *acceptor);

#endif
