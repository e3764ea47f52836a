/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Connections: sockets, buffers, deadlines and limits; nothing in here knows what is served.
 *
 * libevent's loop, buffers and listener are used, evhttp's connections are not: evhttp has no
 * deadline for a complete head, no cap on connections and no pause when descriptors run out, and
 * /stream needs the socket itself.
 *
 * A connection ends in connection_close() only, with a reason. Its memory stays until the next
 * turn of the loop, so any function here may be called on one that was closed a moment ago: it
 * does nothing then. Network thread only.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <stdbool.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "base/util.h"
#include "http/request.h"
#include "net/chunk_writer.h"

struct connection;
struct connection_set;

#define CONNECTION_NAME_SIZE 64

struct connection_limits {
	unsigned connections; /* at once */
	int timeout_s;        /* for a complete request, and for progress of what we send */
};

/*
 * What the server does with input. Each call but the first ends in connection_finish(),
 * connection_hold(), connection_stream() or connection_close().
 */
struct connection_server {
	/*
	 * How large a body is read for this request, whose head has come. One that is larger is not
	 * read: the request is handled without it, and the connection closed after the reply.
	 */
	size_t (*body_room)(void *arg, const struct request *req);
	void (*request)(void *arg, struct connection *conn, const struct request *req);
	void (*refuse)(void *arg, struct connection *conn, int status);
};

/* Who keeps a connection beyond its request. `arg` is what was passed with the holder. */
struct connection_holder {
	void (*drained)(void *arg); /* stream: the kernel took all output; or NULL */
	void (*expired)(void *arg); /* hold: the time is over */
	void (*closed)(void *arg);  /* the connection is gone; not called after release */
};

struct connection_set *connection_set_create(struct event_base *base,
	const struct connection_limits *limits, const struct connection_server *server, void *arg);
/* Closes every connection. NULL is fine. */
void connection_set_destroy(struct connection_set *set);
unsigned connection_set_count(const struct connection_set *set);
/* Sent on all connections, but for what connection_count() put elsewhere. */
uint64_t connection_set_bytes(const struct connection_set *set);
bool connection_set_is_full(const struct connection_set *set);
/* Closes the one whose request has been awaited longest, if for this long; false: there is none. */
bool connection_set_shed(struct connection_set *set, int64_t waited_ns);
/* Takes the descriptor, a socket that does not block. The name is for the log. */
void connection_set_add(struct connection_set *set, int fd, const char *name);

/* Bytes that the kernel takes from now on are added to it, not to the set's. Borrowed. */
void connection_count(struct connection *conn, uint64_t *bytes);

/* Where replies are written. Empty again once the kernel has everything. */
struct evbuffer *connection_output(struct connection *conn);
/* Who it is, for the log. */
const char *connection_name(const struct connection *conn);

/* Header lines for the reply to the current request (CORS); "" when there are none. */
const char *connection_headers(const struct connection *conn);
/* Takes malloc'd text, or NULL. */
void connection_set_headers(struct connection *conn, char *lines);
/* Whether another request may follow on this connection. */
bool connection_keeps_alive(const struct connection *conn);
/* The request was HEAD: no reply to it, not even an error, has a body. */
bool connection_wants_head(const struct connection *conn);

/* The reply is complete in the output: sends it, then goes on to the next request. */
void connection_finish(struct connection *conn);
/* The reply will come later; expired() is called after timeout_ms without release. */
void connection_hold(struct connection *conn, const struct connection_holder *holder, void *arg,
	int timeout_ms);
/* The holder gives a held connection back and finishes it next. */
void connection_release(struct connection *conn);
/*
 * Output goes on until somebody closes; input is thrown away. Call connection_flush() whenever
 * output was added. A peer that takes nothing for limits.timeout_s is closed.
 */
void connection_stream(struct connection *conn, const struct connection_holder *holder, void *arg);
/* Writes what the socket takes now, and the rest as soon as it can. */
void connection_flush(struct connection *conn);
/*
 * Adds to a stream and flushes. What the socket takes at once does not go by the output, and is not
 * copied; the frame is borrowed, and kept as long as any of it has to wait.
 */
void connection_send(struct connection *conn, const struct chunk_writer *chunk);

/*
 * Whether the line has taken what was written: nothing is left here, and little on its way. What is
 * written now is not held up by it.
 */
bool connection_is_clear(struct connection *conn);
/* Bytes that the peer has of all we sent; 0 on a UNIX socket, where nobody knows. */
uint64_t connection_acked(const struct connection *conn);

void connection_close(struct connection *conn, const char *reason, ...) PRINTF(2, 3);

#endif
