/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What HTTP makes of a connection: one request after the other, and a reply to each. A reply is
 * whole, or comes later, or is a stream without an end.
 *
 * An exchange is there as long as its connection: see connection.h for what may be called on one
 * that was closed a moment ago. Network thread only.
 */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include <stdbool.h>

#include "http/request.h"
#include "net/accept.h"
#include "net/connection.h"

struct exchange;

/*
 * What the server does with requests. request() and refuse() end in exchange_finish(),
 * exchange_hold(), exchange_stream() or connection_close().
 */
struct exchange_server {
	/*
	 * How large a body is read for this request, whose head has come. One that is larger is not
	 * read: the request is handled without it, and the connection closed after the reply.
	 */
	size_t (*body_room)(void *arg, const struct request *req);
	void (*request)(void *arg, struct exchange *exchange, const struct request *req);
	void (*refuse)(void *arg, struct exchange *exchange, int status);
	void *arg;
	int timeout_s; /* for a complete request */
};

/* Who keeps an exchange beyond its request. `arg` is what was passed with the holder. */
struct exchange_holder {
	void (*drained)(void *arg); /* stream: the kernel took all output; or NULL */
	void (*expired)(void *arg); /* hold: the time is over */
	void (*closed)(void *arg);  /* the connection is gone; not called after release */
};

/* HTTP, for all connections that are of no other protocol. Borrows the server. */
struct protocol exchange_protocol(struct exchange_server *server);

/* Never NULL. */
struct connection *exchange_connection(struct exchange *exchange);
/* Where replies are written: the connection's output. */
struct evbuffer *exchange_output(struct exchange *exchange);
/* Header lines for the reply to the current request (CORS); "" when there are none. */
const char *exchange_headers(const struct exchange *exchange);
/* Takes malloc'd text, or NULL. */
void exchange_set_headers(struct exchange *exchange, char *lines);
/* Whether another request may follow on this connection. */
bool exchange_keeps_alive(const struct exchange *exchange);
/* The request was HEAD: no reply to it, not even an error, has a body. */
bool exchange_wants_head(const struct exchange *exchange);

/* The reply is complete in the output: sends it, then goes on to the next request. */
void exchange_finish(struct exchange *exchange);
/* The reply will come later; expired() is called after timeout_ms without release. */
void exchange_hold(struct exchange *exchange, const struct exchange_holder *holder, void *arg,
	int timeout_ms);
/* The holder gives a held exchange back and finishes it next. */
void exchange_release(struct exchange *exchange);
/*
 * Output goes on until somebody closes: see connection_stream(). Call connection_flush() whenever
 * output was added.
 */
void exchange_stream(struct exchange *exchange, const struct exchange_holder *holder, void *arg);

#endif
