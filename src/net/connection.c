// SPDX-License-Identifier: GPL-3.0-or-later
/* Connections: see connection.h. */
#include "net/connection.h"

#include <stdarg.h>
#include <sys/queue.h>

#include <event2/event_struct.h>

#include "net/tcp_info.h"

#define LOG_TOPIC "http"
#include "base/log.h"

#define MAX_DISCARDED (64 * 1024) /* bytes that a peer may send while nobody listens to it */
#define LINGER_MS     1000

/* … and while the last of our output is on its way to it: something we refused, most of the time. */
#define MAX_LINGERED (16 * 1024 * 1024)

struct connection {
	TAILQ_ENTRY(connection) link;  /* set->open or set->dead */
	TAILQ_ENTRY(connection) place; /* set->idle, if is_idle */
	struct connection_set *set;
	int fd;
	bool closed;                   /* waits to be freed */
	bool is_idle;                  /* oldest first, since idle_ns */
	bool is_guarded;               /* the timer looks after output */
	bool is_lingering;             /* … or for the peer to close */
	size_t room;                   /* for input; 0: none is read */
	size_t may_discard, discarded; /* bytes of input; may_discard 0: it is read */
	int64_t idle_ns;
	int64_t progress_ns; /* when output last began or moved */
	uint64_t *bytes;     /* counts what was sent */
	const struct connection_owner *owner;
	void *arg, *memory;
	struct evbuffer *in, *out;
	struct event read, write, timer;
	char name[CONNECTION_NAME_SIZE];
};

TAILQ_HEAD(connection_list, connection);

struct connection_set {
	struct event_base *base;
	struct connection_limits limits;
	unsigned count; /* in `open` */
	uint64_t bytes; /* see connection_set_bytes() */
	struct connection_list open, idle, dead;
	struct event *reaper; /* frees `dead` on the next turn of the loop */
};

/* ---- the end */

static void reap(evutil_socket_t fd, short what, void *arg)
{
	struct connection_set *set = arg;
	struct connection *conn;

	(void)fd, (void)what;
	while ((conn = TAILQ_FIRST(&set->dead))) {
		TAILQ_REMOVE(&set->dead, conn, link);
		evbuffer_free(conn->in);
		evbuffer_free(conn->out);
		free(conn->memory);
		free(conn);
	}
}

void connection_close(struct connection *conn, const char *reason, ...)
{
	struct connection_set *set = conn->set;
	char text[128];
	va_list args;

	if (conn->closed)
		return;
	va_start(args, reason);
	vsnprintf(text, sizeof(text), reason, args);
	va_end(args);
	log_debug("%s: closed: %s", conn->name, text);

	connection_set_idle(conn, false);
	conn->closed = true;
	TAILQ_REMOVE(&set->open, conn, link);
	TAILQ_INSERT_TAIL(&set->dead, conn, link);
	set->count--;
	event_active(set->reaper, EV_TIMEOUT, 0);

	event_del(&conn->read);
	event_del(&conn->write);
	event_del(&conn->timer);
	close(conn->fd);
	evbuffer_drain(conn->out, evbuffer_get_length(conn->out)); /* gives frames back now */
	conn->owner->closed(conn->arg);
}

static void start_timer(struct connection *conn, int64_t ms)
{
	struct timeval after = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(&conn->timer, &after);
}

static void discard(struct connection *conn, size_t most)
{
	evbuffer_drain(conn->in, evbuffer_get_length(conn->in));
	conn->may_discard = most;
	event_add(&conn->read, NULL);
}

void connection_linger(struct connection *conn)
{
	if (conn->closed)
		return;
	shutdown(conn->fd, SHUT_WR);
	discard(conn, MAX_LINGERED);
	conn->is_guarded = false;
	conn->is_lingering = true;
	start_timer(conn, LINGER_MS);
}

/* ---- deadlines */

void connection_expire(struct connection *conn, int ms)
{
	if (conn->closed)
		return;
	conn->is_guarded = false;
	event_del(&conn->timer);
	if (ms)
		start_timer(conn, ms);
}

void connection_guard(struct connection *conn)
{
	if (conn->closed)
		return;
	conn->is_guarded = true;
	conn->progress_ns = now_ns();
	start_timer(conn, connection_set_timeout_ms(conn->set));
}

/* A peer may be slow, but it must take something now and then. */
static void check_progress(struct connection *conn)
{
	int limit_ms = connection_set_timeout_ms(conn->set);
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

	(void)fd, (void)what;
	if (conn->is_lingering)
		connection_close(conn, "done, but the peer did not close");
	else if (conn->is_guarded)
		check_progress(conn);
	else
		conn->owner->expired(conn->arg);
}

void connection_set_idle(struct connection *conn, bool is_idle)
{
	if (conn->closed)
		return;
	if (conn->is_idle)
		TAILQ_REMOVE(&conn->set->idle, conn, place);
	if (is_idle) {
		conn->idle_ns = now_ns();
		TAILQ_INSERT_TAIL(&conn->set->idle, conn, place);
	}
	conn->is_idle = is_idle;
}

/* ---- output */

static void note_progress(struct connection *conn, size_t sent)
{
	conn->progress_ns = now_ns();
	*conn->bytes += sent;
}

static void output_is_sent(struct connection *conn)
{
	if (conn->owner->drained)
		conn->owner->drained(conn->arg);
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
	if (evbuffer_get_length(conn->out)) {
		event_add(&conn->write, NULL);
		return;
	}
	event_del(&conn->write);
	output_is_sent(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	write_some(arg);
}

struct evbuffer *connection_output(struct connection *conn)
{
	return conn->out;
}

void connection_flush(struct connection *conn)
{
	if (conn->closed || event_pending(&conn->write, EV_WRITE, NULL))
		return;
	if (evbuffer_get_length(conn->out))
		write_some(conn);
}

void connection_send(struct connection *conn, const struct chunk_writer *chunk)
{
	bool is_first = !evbuffer_get_length(conn->out);
	ssize_t sent = 0;

	if (conn->closed)
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

void connection_stream(struct connection *conn)
{
	if (conn->closed)
		return;
	discard(conn, MAX_DISCARDED);
	connection_guard(conn);
	tcp_info_set_stream(conn->fd, connection_set_timeout_ms(conn->set));
}

uint64_t connection_acked(const struct connection *conn)
{
	struct tcp_progress line;

	tcp_info_look(&line, conn->fd);
	return line.acked;
}

bool connection_is_clear(struct connection *conn)
{
	return !evbuffer_get_length(conn->out) && tcp_info_is_clear(conn->fd);
}

/* ---- input */

static void discard_input(struct connection *conn)
{
	static char trash[16 * 1024];
	ssize_t got = read(conn->fd, trash, sizeof(trash));

	if (got == 0)
		connection_close(conn, "closed by the peer");
	else if (got < 0 && errno != EAGAIN && errno != EINTR)
		connection_close(conn, "%m");
	else if (got > 0 && (conn->discarded += got) > conn->may_discard)
		connection_close(conn, "it sends what nobody asked for");
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *conn = arg;
	size_t used = evbuffer_get_length(conn->in);

	(void)what;
	if (conn->may_discard)
		return discard_input(conn);
	if (used < conn->room) {
		int got = evbuffer_read(conn->in, fd, (int)(conn->room - used));

		if (got == 0)
			return connection_close(conn, "closed by the peer");
		if (got < 0 && errno != EAGAIN && errno != EINTR)
			return connection_close(conn, "%m");
	} else {
		event_del(&conn->read);
	}
	if (conn->owner->input)
		conn->owner->input(conn->arg);
}

struct evbuffer *connection_input(struct connection *conn)
{
	return conn->in;
}

void connection_read(struct connection *conn, size_t room)
{
	if (conn->closed)
		return;
	conn->room = room;
	event_add(&conn->read, NULL);
	/* By way of the loop: what follows must not be handled inside its forerunner. */
	if (evbuffer_get_length(conn->in))
		event_active(&conn->read, EV_READ, 0);
}

void connection_pause(struct connection *conn)
{
	if (!conn->closed)
		event_del(&conn->read);
}

/* ---- all of them */

void connection_own(struct connection *conn, const struct connection_owner *owner, void *arg,
	void *memory)
{
	conn->owner = owner;
	conn->arg = arg;
	if (memory) {
		free(conn->memory);
		conn->memory = memory;
	}
}

void connection_count(struct connection *conn, uint64_t *bytes)
{
	conn->bytes = bytes;
}

const char *connection_name(const struct connection *conn)
{
	return conn->name;
}

bool connection_set_shed(struct connection_set *set, int64_t idle_ns)
{
	struct connection *oldest = TAILQ_FIRST(&set->idle);

	if (!oldest || now_ns() - oldest->idle_ns < idle_ns)
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

int connection_set_timeout_ms(const struct connection_set *set)
{
	return set->limits.timeout_s * 1000;
}

unsigned connection_set_count(const struct connection_set *set)
{
	return set->count;
}

struct connection *connection_set_add(struct connection_set *set, int fd, const char *name)
{
	struct connection *conn = xcalloc(1, sizeof(*conn));

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
	return conn;
}

struct connection_set *connection_set_create(struct event_base *base,
	const struct connection_limits *limits)
{
	struct connection_set *set = xcalloc(1, sizeof(*set));

	set->base = base;
	set->limits = *limits;
	TAILQ_INIT(&set->open);
	TAILQ_INIT(&set->idle);
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
