/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections: sockets, buffers, deadlines and limits; nothing in here knows what is spoken.
 *
 * libevent's loop, buffers and listener are used, evhttp's connections are not: evhttp has no
 * deadline for a complete head, no cap on connections and no pause when descriptors run out, and
 * streams need the socket itself.
 *
 * A connection ends in connection_close() only, with a reason. Its memory stays until the next
 * turn of the loop, so any function here may be called on one that was closed a moment ago: it
 * does nothing then. Network thread only.
 */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include <stdbool.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/util.h"
#include "net/chunk_writer.h"

struct connection;
struct connection_set;

#define CONNECTION_NAME_SIZE 64

struct connection_limits {
	unsigned connections; /* at once */
	int timeout_s;        /* for the first bytes, and for progress of what we send */
};

/* Who keeps a connection. Any but `closed` may be NULL, `expired` where nothing may expire. */
struct connection_owner {
	void (*input)(void *arg);   /* more of it has come */
	void (*drained)(void *arg); /* the kernel took all output */
	void (*expired)(void *arg); /* the time is over: connection_expire() */
	void (*closed)(void *arg);  /* the connection is gone, but for its memory */
};

struct connection_set *connection_set_create(struct event_base *base,
	const struct connection_limits *limits);
/* Closes every connection. NULL is fine. */
void connection_set_destroy(struct connection_set *set);
unsigned connection_set_count(const struct connection_set *set);
/* Sent on all connections, but for what connection_count() put elsewhere. */
uint64_t connection_set_bytes(const struct connection_set *set);
int connection_set_timeout_ms(const struct connection_set *set);
bool connection_set_is_full(const struct connection_set *set);
/* Closes the one that has been idle longest, if for this long; false: there is none. */
bool connection_set_shed(struct connection_set *set, int64_t idle_ns);
/*
 * Takes the descriptor, a socket that does not block. The name is for the log. Somebody has to
 * own the connection before the loop goes on.
 */
struct connection *connection_set_add(struct connection_set *set, int fd, const char *name);

/*
 * memory: the owner's own, from malloc, which is freed together with the connection; or NULL, as
 * before.
 */
void connection_own(struct connection *conn, const struct connection_owner *owner, void *arg,
	void *memory);
/* Bytes that the kernel takes from now on are added to it, not to the set's. Borrowed. */
void connection_count(struct connection *conn, uint64_t *bytes);
/* Who it is, for the log. */
const char *connection_name(const struct connection *conn);
/* Idle: it waits for what its peer may want, and may be closed to make room for another. */
void connection_set_idle(struct connection *conn, bool is_idle);

/* ---- input */

/* Up to `room` bytes of it are read; what is there already is told of by way of the loop. */
void connection_read(struct connection *conn, size_t room);
/* Nothing is read until connection_read(). */
void connection_pause(struct connection *conn);
struct evbuffer *connection_input(struct connection *conn);

/* ---- output */

/* Empty again once the kernel has everything. */
struct evbuffer *connection_output(struct connection *conn);
/* Writes what the socket takes now, and the rest as soon as it can. */
void connection_flush(struct connection *conn);
/*
 * Adds to the output and flushes. What the socket takes at once does not go by the output, and is
 * not copied; the frame is borrowed, and kept as long as any of it has to wait.
 */
void connection_send(struct connection *conn, const struct chunk_writer *chunk);
/*
 * Output goes on until somebody closes: little of it waits in the kernel, and input is thrown
 * away. A peer that takes nothing for limits.timeout_s is closed.
 */
void connection_stream(struct connection *conn);
/*
 * Whether the line has taken what was written: nothing is left here, and little on its way. What is
 * written now is not held up by it.
 */
bool connection_is_clear(struct connection *conn);
/* Bytes that the peer has of all we sent; 0 on a UNIX socket, where nobody knows. */
uint64_t connection_acked(const struct connection *conn);

/* ---- deadlines: one at a time */

/* owner->expired() is called after so many ms; 0: it is not. */
void connection_expire(struct connection *conn, int ms);
/* From now on a peer that takes nothing of our output for limits.timeout_s is closed. */
void connection_guard(struct connection *conn);

/* ---- the end */

/* All is sent: waits a moment for the peer to close, lest a reset eat what it has not read. */
void connection_linger(struct connection *conn);
void connection_close(struct connection *conn, const char *reason, ...) PRINTF(2, 3);

#endif
