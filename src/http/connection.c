// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Connections: see connection.h. One that waits for a request is also in the `waiting` list,
 * oldest first; all of those have the same deadline, counted from the accept or from the end of
 * the reply before, never from the last byte, so that trickling bytes gains nothing.
 *
 * Why not evhttp: it has no deadline for a whole request head, no cap on connections, and no pause
 * of accepting when descriptors run out; and streams need the socket itself. libevent gives the
 * loop, buffers and URI coding.
 */
#include "http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "net/tcp_info.h"

#define LOG_TOPIC "http"
#include "base/log.h"

#define MAX_DISCARDED (64 * 1024) /* bytes that a peer may send while nobody listens to it */
#define LINGER_MS     1000

/* … and while the last reply is on its way to it: a body that we refused, most of the time. */
#define MAX_LINGERED (16 * 1024 * 1024)

/*
 * What may wait unsent in the kernel before a stream's socket counts as full. Otherwise the send
 * buffer grows to megabytes and a slow line shows pictures that are many seconds old. A larger
 * value would not make fast lines cheaper (50 viewers of 200 KB pictures on loopback: measured).
 */
#define STREAM_UNSENT_BYTES (16 * 1024)

/* What may be on its way on a line that still counts as clear: nobody sees that much. */
#define CLEAR_NS (30 * NS_PER_MS)

enum state {
	READING,   /* waits for a complete request; in the waiting list */
	HELD,      /* the server is making the reply */
	REPLYING,  /* sends the complete reply, then goes on */
	STREAMING, /* sends until closed; input is thrown away */
	LINGERING, /* has sent the last; waits for the peer to close, lest a reset eat the reply */
	CLOSED     /* waits to be freed */
};

struct connection {
	TAILQ_ENTRY(connection) link; /* set->open or set->dead */
	TAILQ_ENTRY(connection) wait; /* set->waiting, in READING */
	struct connection_set *set;
	int fd;
	enum state state;
	bool keep_alive; /* another request may follow the reply */
	bool head;       /* the reply has no body */
	bool refused;    /* the peer may still be sending what we do not read */
	size_t discarded;
	size_t wanted; /* in READING: bytes of a request whose body is still to come; 0: not known */
	int64_t waits_since_ns; /* in READING */
	int64_t progress_ns;    /* when output last began or moved */
	char *headers;
	uint64_t *bytes; /* counts what was sent */
	const struct connection_holder *holder;
	void *holder_arg;
	struct evbuffer *in, *out;
	struct event read, write, timer;
	char name[CONNECTION_NAME_SIZE];
};

TAILQ_HEAD(connection_list, connection);

struct connection_set {
	struct event_base *base;
	struct connection_limits limits;
	const struct connection_server *server;
	void *arg;
	unsigned count; /* in `open` */
	uint64_t bytes; /* see connection_set_bytes() */
	struct connection_list open, waiting, dead;
	struct event *reaper; /* frees `dead` on the next turn of the loop */
};

static void start_timer(struct connection *conn, int64_t ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(&conn->timer, &after);
}

static void reap(evutil_socket_t fd, short what, void *arg)
{
	struct connection_set *set = arg;
	struct connection *conn;

	(void)fd;
	(void)what;
	while ((conn = TAILQ_FIRST(&set->dead))) {
		TAILQ_REMOVE(&set->dead, conn, link);
		evbuffer_free(conn->in);
		evbuffer_free(conn->out);
		free(conn->headers);
		free(conn);
	}
}

static void set_state(struct connection *conn, enum state state)
{
	if (conn->state == READING)
		TAILQ_REMOVE(&conn->set->waiting, conn, wait);
	if (state == READING)
		TAILQ_INSERT_TAIL(&conn->set->waiting, conn, wait);
	conn->state = state;
}

void connection_close(struct connection *conn, const char *reason, ...)
{
	struct connection_set *set = conn->set;
	char text[128];
	va_list args;

	if (conn->state == CLOSED)
		return;
	va_start(args, reason);
	vsnprintf(text, sizeof(text), reason, args);
	va_end(args);
	log_debug("%s: closed: %s", conn->name, text);

	set_state(conn, CLOSED);
	TAILQ_REMOVE(&set->open, conn, link);
	TAILQ_INSERT_TAIL(&set->dead, conn, link);
	set->count--;
	event_active(set->reaper, EV_TIMEOUT, 0);

	event_del(&conn->read);
	event_del(&conn->write);
	event_del(&conn->timer);
	close(conn->fd);
	evbuffer_drain(conn->out, evbuffer_get_length(conn->out)); /* gives frames back now */
	if (conn->holder)
		conn->holder->closed(conn->holder_arg);
}

/* Waits for a request, beginning with what is in the buffer already. */
static void start_reading(struct connection *conn)
{
	set_state(conn, READING);
	conn->wanted = 0;
	conn->waits_since_ns = now_ns();
	event_add(&conn->read, NULL);
	start_timer(conn, conn->set->limits.timeout_s * 1000LL);
	/* By way of the loop: a pipelined request must not be handled inside its forerunner. */
	if (evbuffer_get_length(conn->in))
		event_active(&conn->read, EV_READ, 0);
}

static void start_lingering(struct connection *conn)
{
	shutdown(conn->fd, SHUT_WR);
	evbuffer_drain(conn->in, evbuffer_get_length(conn->in));
	set_state(conn, LINGERING);
	event_add(&conn->read, NULL);
	start_timer(conn, LINGER_MS);
}

static void output_is_sent(struct connection *conn)
{
	if (conn->state == READING)
		return; /* "100 Continue": the request is not complete yet */
	if (conn->state == STREAMING) {
		if (conn->holder->drained)
			conn->holder->drained(conn->holder_arg);
	} else if (conn->keep_alive) {
		start_reading(conn);
	} else if (conn->refused) {
		start_lingering(conn);
	} else {
		connection_close(conn, "done");
	}
}

static void note_progress(struct connection *conn, size_t sent)
{
	conn->progress_ns = now_ns();
	*conn->bytes += sent;
}

/* One system call: whatever it leaves is a sign that the socket is full, or a file to be sent. */
static void write_some(struct connection *conn)
{
	int sent;

	errno = 0;
	sent = evbuffer_write(conn->out, conn->fd);
	if (sent <= 0 && errno != EAGAIN && errno != EINTR)
		return connection_close(conn, "%s", errno ? strerror(errno) : "file got shorter");
	if (sent > 0)
		note_progress(conn, (size_t)sent);
	if (!evbuffer_get_length(conn->out)) {
		event_del(&conn->write);
		return output_is_sent(conn);
	}
	event_add(&conn->write, NULL);
	if (conn->state == REPLYING)
		event_del(&conn->read); /* the next request can wait */
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	write_some(arg);
}

void connection_flush(struct connection *conn)
{
	if (conn->state == CLOSED || event_pending(&conn->write, EV_WRITE, NULL))
		return;
	if (evbuffer_get_length(conn->out))
		write_some(conn);
}

void connection_send(struct connection *conn, const struct chunk_writer *chunk)
{
	bool is_first = !evbuffer_get_length(conn->out);
	ssize_t sent = 0;

	if (conn->state == CLOSED)
		return;
	if (is_first)
		sent = chunk_writer_write(chunk, conn->fd);
	if (sent < 0 && sent != -EAGAIN && sent != -EINTR)
		return connection_close(conn, "%s", strerror((int)-sent));
	sent = MAX(sent, 0);
	if (sent)
		note_progress(conn, (size_t)sent);
	if ((size_t)sent == chunk_writer_size(chunk))
		return output_is_sent(conn);
	if (chunk_writer_queue(chunk, conn->out, (size_t)sent) < 0)
		return connection_close(conn, "out of memory");
	if (is_first)
		event_add(&conn->write, NULL);
	else
		connection_flush(conn);
}

uint64_t connection_acked(const struct connection *conn)
{
	struct tcp_progress line;

	tcp_info_look(&line, conn->fd);
	return line.acked;
}

bool connection_is_clear(struct connection *conn)
{
	struct tcp_progress line;

	if (evbuffer_get_length(conn->out))
		return false;
	if (tcp_info_is_empty(conn->fd))
		return true;
	tcp_info_look(&line, conn->fd);
	return line.lag_ns <= CLEAR_NS;
}

/* Whether all of a request that has a body we want is there. */
static bool await_body(struct connection *conn, const struct request *req, size_t head)
{
	struct connection_set *set = conn->set;

	if (!req->content_length || conn->wanted ||
		req->content_length > set->server->body_room(set->arg, req))
		return true;
	conn->wanted = head + req->content_length;
	if (evbuffer_get_length(conn->in) >= conn->wanted)
		return true;
	if (req->expects_continue) {
		evbuffer_add_printf(conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
		connection_flush(conn);
	}
	return false;
}

/* Takes head and body out of the input. The body is to be freed; NULL: it was not wanted. */
static char *take_body(struct connection *conn, const struct request *req, size_t head)
{
	char *body;

	evbuffer_drain(conn->in, head);
	if (!conn->wanted && req->content_length)
		return NULL;
	body = xcalloc(1, req->content_length + 1);
	evbuffer_remove(conn->in, body, req->content_length);
	return body;
}

static void handle_request(struct connection *conn, struct request *req, size_t head)
{
	struct connection_set *set = conn->set;
	AUTO(auto_free) char *body = take_body(conn, req, head);

	req->body = body;
	set_state(conn, HELD);
	conn->head = req->method == METHOD_HEAD;
	event_del(&conn->timer);
	free(conn->headers);
	conn->headers = NULL;
	/* Behind a body that was not read, the next request begins somewhere. */
	conn->keep_alive = req->keep_alive && body;
	conn->refused = !body;
	set->server->request(set->arg, conn, req);
}

static void refuse(struct connection *conn, int status)
{
	set_state(conn, HELD);
	event_del(&conn->timer);
	free(conn->headers);
	conn->headers = NULL;
	conn->head = false;
	conn->keep_alive = false;
	conn->refused = true;
	conn->set->server->refuse(conn->set->arg, conn, status);
}

static void handle_head(struct connection *conn, const char *head, size_t size)
{
	struct request req;
	int status = request_parse(&req, head, size);

	if (status)
		refuse(conn, status);
	else if (await_body(conn, &req, size))
		handle_request(conn, &req, size);
	request_finish(&req);
}

static void handle_input(struct connection *conn)
{
	size_t size = evbuffer_get_length(conn->in);
	const char *head;
	ssize_t length;

	if (conn->state != READING || !size || size < conn->wanted)
		return;
	head = (const char *)evbuffer_pullup(conn->in, -1);
	length = request_measure(head, size);
	if (length > 0)
		handle_head(conn, head, length);
	else if (length < 0)
		refuse(conn, length == -EMSGSIZE ? 431 : 400);
}

static void discard_input(struct connection *conn)
{
	static char trash[16 * 1024];
	size_t most = conn->state == LINGERING ? MAX_LINGERED : MAX_DISCARDED;
	ssize_t got = read(conn->fd, trash, sizeof(trash));

	if (got == 0)
		connection_close(conn, "closed by the peer");
	else if (got < 0 && errno != EAGAIN && errno != EINTR)
		connection_close(conn, "%m");
	else if (got > 0 && (conn->discarded += got) > most)
		connection_close(conn, "it sends what nobody asked for");
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *conn = arg;
	size_t most = MAX(REQUEST_MAX_HEAD, conn->wanted), used = evbuffer_get_length(conn->in);
	size_t room = most > used ? most - used : 0;

	(void)what;
	if (conn->state == STREAMING || conn->state == LINGERING)
		return discard_input(conn);
	if (room) {
		int got = evbuffer_read(conn->in, fd, room);

		if (got == 0)
			return connection_close(conn, "closed by the peer");
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return connection_close(conn, "%m");
	} else if (conn->state == HELD) {
		event_del(&conn->read);
	}
	handle_input(conn);
}

/* A peer may be slow, but it must take something now and then. */
static void check_progress(struct connection *conn)
{
	int64_t limit_ms = conn->set->limits.timeout_s * 1000LL;
	int64_t idle_ms = (now_ns() - conn->progress_ns) / NS_PER_MS;

	if (!evbuffer_get_length(conn->out))
		start_timer(conn, limit_ms);
	else if (idle_ms >= limit_ms)
		connection_close(conn, "took nothing for %d s", conn->set->limits.timeout_s);
	else
		start_timer(conn, limit_ms - idle_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct connection *conn = arg;

	(void)fd;
	(void)what;
	switch (conn->state) {
	case READING:
		connection_close(conn, "no request in %d s", conn->set->limits.timeout_s);
		break;
	case HELD: conn->holder->expired(conn->holder_arg); break;
	case REPLYING:
	case STREAMING: check_progress(conn); break;
	case LINGERING: connection_close(conn, "done, but the peer did not close"); break;
	case CLOSED: break;
	}
}

void connection_finish(struct connection *conn)
{
	if (conn->state == CLOSED)
		return;
	set_state(conn, REPLYING);
	conn->progress_ns = now_ns();
	start_timer(conn, conn->set->limits.timeout_s * 1000LL);
	connection_flush(conn);
}

void connection_hold(struct connection *conn, const struct connection_holder *holder, void *arg,
	int timeout_ms)
{
	conn->holder = holder;
	conn->holder_arg = arg;
	start_timer(conn, timeout_ms);
}

void connection_release(struct connection *conn)
{
	conn->holder = NULL;
	event_del(&conn->timer);
}

void connection_stream(struct connection *conn, const struct connection_holder *holder, void *arg)
{
	unsigned timeout_ms = conn->set->limits.timeout_s * 1000;
	int unsent = STREAM_UNSENT_BYTES;

	if (conn->state == CLOSED)
		return;
	conn->holder = holder;
	conn->holder_arg = arg;
	evbuffer_drain(conn->in, evbuffer_get_length(conn->in));
	set_state(conn, STREAMING);
	event_add(&conn->read, NULL);
	conn->progress_ns = now_ns();
	start_timer(conn, timeout_ms);
	/* Both fail on a UNIX socket, whose small buffer needs neither. */
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	/* A peer that vanished without a word, while the kernel's buffer still takes our output. */
	setsockopt(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

bool connection_set_shed(struct connection_set *set, int64_t waited_ns)
{
	struct connection *oldest = TAILQ_FIRST(&set->waiting);

	if (!oldest || now_ns() - oldest->waits_since_ns < waited_ns)
		return false;
	connection_close(oldest, "made room for another");
	return true;
}

uint64_t connection_set_bytes(const struct connection_set *set)
{
	return set->bytes;
}

bool connection_set_is_full(const struct connection_set *set)
{
	return set->count >= set->limits.connections;
}

void connection_set_add(struct connection_set *set, int fd, const char *name)
{
	struct connection *conn;

	conn = xcalloc(1, sizeof(*conn));
	conn->set = set;
	conn->fd = fd;
	conn->bytes = &set->bytes;
	conn->in = evbuffer_new();
	conn->out = evbuffer_new();
	if (!conn->in || !conn->out)
		abort(); /* as xcalloc() */
	/* Lets files go by sendfile(2). */
	evbuffer_set_flags(conn->out, EVBUFFER_FLAG_DRAINS_TO_FD);
	snprintf(conn->name, sizeof(conn->name), "%s", name);
	event_assign(&conn->read, set->base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->write, set->base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
	event_assign(&conn->timer, set->base, -1, 0, on_timer, conn);

	TAILQ_INSERT_TAIL(&set->open, conn, link);
	set->count++;
	conn->state = HELD;
	start_reading(conn);
}

struct connection_set *connection_set_create(struct event_base *base,
	const struct connection_limits *limits, const struct connection_server *server, void *arg)
{
	struct connection_set *set = xcalloc(1, sizeof(*set));

	set->base = base;
	set->limits = *limits;
	set->server = server;
	set->arg = arg;
	TAILQ_INIT(&set->open);
	TAILQ_INIT(&set->waiting);
	TAILQ_INIT(&set->dead);
	set->reaper = event_new(base, -1, 0, reap, set);
	if (!set->reaper)
		abort(); /* as xcalloc() */
	return set;
}

void connection_set_destroy(struct connection_set *set)
{
	if (!set)
		return;
	while (!TAILQ_EMPTY(&set->open))
		connection_close(TAILQ_FIRST(&set->open), "the server stops");
	reap(-1, 0, set);
	event_free(set->reaper);
	free(set);
}

unsigned connection_set_count(const struct connection_set *set)
{
	return set->count;
}

void connection_count(struct connection *conn, uint64_t *bytes)
{
	conn->bytes = bytes;
}

struct evbuffer *connection_output(struct connection *conn)
{
	return conn->out;
}

const char *connection_name(const struct connection *conn)
{
	return conn->name;
}

const char *connection_headers(const struct connection *conn)
{
	return conn->headers ? conn->headers : "";
}

void connection_set_headers(struct connection *conn, char *lines)
{
	free(conn->headers);
	conn->headers = lines;
}

bool connection_keeps_alive(const struct connection *conn)
{
	return conn->keep_alive;
}

bool connection_wants_head(const struct connection *conn)
{
	return conn->head;
}
