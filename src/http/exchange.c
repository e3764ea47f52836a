// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Requests and replies: see exchange.h. The deadline for a request is counted from the accept or
 * from the end of the reply before, never from the last byte, so that trickling bytes gains nothing.
 */
#include "http/exchange.h"

#define LOG_TOPIC "http"
#include "base/log.h"

enum state {
	READING,   /* waits for a complete request */
	HELD,      /* the server is making the reply */
	REPLYING,  /* sends the complete reply, then goes on */
	STREAMING, /* sends until closed */
	ENDED      /* lingering, or closed */
};

struct exchange {
	struct connection *conn;
	const struct exchange_server *server;
	enum state state;
	bool keep_alive; /* another request may follow the reply */
	bool head;       /* the reply has no body */
	bool refused;    /* the peer may still be sending what we do not read */
	size_t wanted; /* in READING: bytes of a request whose body is still to come; 0: not known */
	char *headers;
	const struct exchange_holder *holder;
	void *holder_arg;
};

static void set_state(struct exchange *exchange, enum state state)
{
	exchange->state = state;
	connection_set_idle(exchange->conn, state == READING);
}

/* Waits for a request, beginning with what is there already. */
static void start_reading(struct exchange *exchange)
{
	set_state(exchange, READING);
	exchange->wanted = 0;
	connection_expire(exchange->conn, exchange->server->timeout_s * 1000);
	connection_read(exchange->conn, REQUEST_MAX_HEAD);
}

/* ---- requests */

/* Whether all of a request that has a body we want is there. */
static bool await_body(struct exchange *exchange, const struct request *req, size_t head)
{
	const struct exchange_server *server = exchange->server;
	struct connection *conn = exchange->conn;

	if (!req->content_length || exchange->wanted ||
		req->content_length > server->body_room(server->arg, req))
		return true;
	exchange->wanted = head + req->content_length;
	if (evbuffer_get_length(connection_input(conn)) >= exchange->wanted)
		return true;
	connection_read(conn, MAX(REQUEST_MAX_HEAD, exchange->wanted));
	if (req->expects_continue) {
		evbuffer_add_printf(connection_output(conn), "HTTP/1.1 100 Continue\r\n\r\n");
		connection_flush(conn);
	}
	return false;
}

/* Takes head and body out of the input. The body is to be freed; NULL: it was not wanted. */
static char *take_body(struct exchange *exchange, const struct request *req, size_t head)
{
	struct evbuffer *in = connection_input(exchange->conn);
	char *body;

	evbuffer_drain(in, head);
	if (!exchange->wanted && req->content_length)
		return NULL;
	body = xcalloc(1, req->content_length + 1);
	evbuffer_remove(in, body, req->content_length);
	return body;
}

/* The server is to reply. */
static void begin_reply(struct exchange *exchange, bool head, bool keep_alive, bool refused)
{
	set_state(exchange, HELD);
	connection_expire(exchange->conn, 0);
	exchange->head = head;
	exchange->keep_alive = keep_alive;
	exchange->refused = refused;
	exchange_set_headers(exchange, NULL);
}

static void handle_request(struct exchange *exchange, struct request *req, size_t head)
{
	AUTO(auto_free) char *body = take_body(exchange, req, head);

	req->body = body;
	/* Behind a body that was not read, the next request begins somewhere. */
	begin_reply(exchange, req->method == METHOD_HEAD, req->keep_alive && body, !body);
	exchange->server->request(exchange->server->arg, exchange, req);
}

static void refuse(struct exchange *exchange, int status)
{
	begin_reply(exchange, false, false, true);
	exchange->server->refuse(exchange->server->arg, exchange, status);
}

static void handle_head(struct exchange *exchange, const char *head, size_t size)
{
	struct request req;
	int status = request_parse(&req, head, size);

	if (status)
		refuse(exchange, status);
	else if (await_body(exchange, &req, size))
		handle_request(exchange, &req, size);
	request_finish(&req);
}

static void on_input(void *arg)
{
	struct exchange *exchange = arg;
	struct evbuffer *in = connection_input(exchange->conn);
	size_t size = evbuffer_get_length(in);
	const char *head;
	ssize_t length;

	if (exchange->state != READING || !size || size < exchange->wanted)
		return;
	head = (const char *)evbuffer_pullup(in, -1);
	length = request_measure(head, size);
	if (length > 0)
		handle_head(exchange, head, length);
	else if (length < 0)
		refuse(exchange, length == -EMSGSIZE ? 431 : 400);
}

/* ---- what happens to the connection */

static void on_drained(void *arg)
{
	struct exchange *exchange = arg;

	if (exchange->state == STREAMING && exchange->holder->drained) {
		exchange->holder->drained(exchange->holder_arg);
	} else if (exchange->state == REPLYING && exchange->keep_alive) {
		start_reading(exchange);
	} else if (exchange->state == REPLYING && exchange->refused) {
		set_state(exchange, ENDED);
		connection_linger(exchange->conn);
	} else if (exchange->state == REPLYING) {
		connection_close(exchange->conn, "done");
	}
}

static void on_expired(void *arg)
{
	struct exchange *exchange = arg;

	if (exchange->state == READING)
		connection_close(exchange->conn, "no request in %d s", exchange->server->timeout_s);
	else if (exchange->holder)
		exchange->holder->expired(exchange->holder_arg);
}

/* The memory stays as long as the connection's. */
static void on_closed(void *arg)
{
	struct exchange *exchange = arg;

	exchange->state = ENDED;
	exchange_set_headers(exchange, NULL);
	if (exchange->holder)
		exchange->holder->closed(exchange->holder_arg);
}

static const struct connection_owner owner = { on_input, on_drained, on_expired, on_closed };

static void begin(void *arg, struct connection *conn)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));

	exchange->conn = conn;
	exchange->server = arg;
	connection_own(conn, &owner, exchange, exchange);
	start_reading(exchange);
}

struct protocol exchange_protocol(struct exchange_server *server)
{
	return (struct protocol){ .begin = begin,
		.arg = server,
		.busy = "HTTP/1.1 503 Service Unavailable\r\n"
			"Content-Type: text/plain\r\n"
			"Content-Length: 22\r\n"
			"Retry-After: 1\r\n"
			"Connection: close\r\n"
			"\r\n"
			"Too many connections.\n" };
}

/* ---- replies */

void exchange_finish(struct exchange *exchange)
{
	struct connection *conn = exchange->conn;

	if (exchange->state == ENDED)
		return;
	set_state(exchange, REPLYING);
	connection_guard(conn);
	connection_flush(conn);
	if (exchange->state == REPLYING)
		connection_pause(conn); /* the next request can wait */
}

void exchange_hold(struct exchange *exchange, const struct exchange_holder *holder, void *arg,
	int timeout_ms)
{
	exchange->holder = holder;
	exchange->holder_arg = arg;
	connection_expire(exchange->conn, timeout_ms);
}

void exchange_release(struct exchange *exchange)
{
	exchange->holder = NULL;
	connection_expire(exchange->conn, 0);
}

void exchange_stream(struct exchange *exchange, const struct exchange_holder *holder, void *arg)
{
	if (exchange->state == ENDED)
		return;
	exchange->holder = holder;
	exchange->holder_arg = arg;
	set_state(exchange, STREAMING);
	connection_stream(exchange->conn);
}

struct connection *exchange_connection(struct exchange *exchange)
{
	return exchange->conn;
}

struct evbuffer *exchange_output(struct exchange *exchange)
{
	return connection_output(exchange->conn);
}

const char *exchange_headers(const struct exchange *exchange)
{
	return exchange->headers ? exchange->headers : "";
}

void exchange_set_headers(struct exchange *exchange, char *lines)
{
	free(exchange->headers);
	exchange->headers = lines;
}

bool exchange_keeps_alive(const struct exchange *exchange)
{
	return exchange->keep_alive;
}

bool exchange_wants_head(const struct exchange *exchange)
{
	return exchange->head;
}
