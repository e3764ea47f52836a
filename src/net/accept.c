// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Accepting: see accept.h. When there is no room, whoever holds a connection without asking for
 * anything gives it up first, so that half-open connections cannot lock viewers out.
 */
#include "net/accept.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>

#include <event2/listener.h>

#define LOG_TOPIC "http"
#include "base/log.h"

#define PAUSE_S 1

#define MAX_PROTOCOLS 4

/* Accepted at a time: more would keep the pictures of those who are in waiting. */
#define MAX_BURST 16

struct acceptor {
	struct connection_set *set;
	struct evconnlistener *listener;
	struct event *resume;    /* ends a pause */
	struct event *next_turn; /* ends a burst */
	unsigned burst;
	const struct protocol *protocol[MAX_PROTOCOLS];
	unsigned n_protocols;
	const char *busy;
};

/* A connection of which nobody knows yet what is spoken on it. */
struct stranger {
	struct acceptor *acceptor;
	struct connection *conn;
};

static void name_peer(char *name, const struct sockaddr *peer)
{
	char host[INET6_ADDRSTRLEN];

	if (peer->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)peer;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(name, CONNECTION_NAME_SIZE, "%s:%u", host, ntohs(in->sin_port));
	} else if (peer->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;

		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		snprintf(name, CONNECTION_NAME_SIZE, "[%s]:%u", host, ntohs(in6->sin6_port));
	} else {
		snprintf(name, CONNECTION_NAME_SIZE, "a local client");
	}
}

/* In one go and without a connection: there is no place for one. */
static void send_away(int fd, const char *busy)
{
	char trash[8 * 1024];

	send(fd, busy, strlen(busy), MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	/* Unread input would turn the close into a reset, and that eats the reply. */
	recv(fd, trash, sizeof(trash), MSG_DONTWAIT);
	close(fd);
}

/* ---- what is spoken */

static void hand_over(struct connection *conn, const struct protocol *protocol)
{
	connection_set_idle(conn, false);
	connection_expire(conn, 0);
	protocol->begin(protocol->arg, conn);
}

static void on_first_bytes(void *arg)
{
	const struct stranger *stranger = arg;
	const struct acceptor *acceptor = stranger->acceptor;
	struct connection *conn = stranger->conn;
	uint8_t bytes[PROTOCOL_BYTES];
	ev_ssize_t size = evbuffer_copyout(connection_input(conn), bytes, sizeof(bytes));

	for (unsigned i = 0; size > 0 && i < acceptor->n_protocols; i++) {
		const struct protocol *protocol = acceptor->protocol[i];

		enum protocol_guess guess = protocol->knows ? protocol->knows(bytes, (size_t)size)
							    : PROTOCOL_IS;

		if (guess == PROTOCOL_IS)
			return hand_over(conn, protocol);
		if (guess == PROTOCOL_MAY_BE && size < PROTOCOL_BYTES)
			return;
	}
	if (size > 0)
		connection_close(conn, "nobody knows what it speaks");
}

static void on_silence(void *arg)
{
	connection_close(((struct stranger *)arg)->conn, "not a byte came");
}

static void on_closed(void *arg)
{
	(void)arg; /* its memory goes with the connection's */
}

static const struct connection_owner owner = {
	.input = on_first_bytes, .expired = on_silence, .closed = on_closed
};

/* Where one protocol is all there is, its own deadline holds from the start. */
static void begin(struct acceptor *acceptor, struct connection *conn)
{
	struct stranger *stranger;

	if (!acceptor->protocol[0]->knows)
		return acceptor->protocol[0]->begin(acceptor->protocol[0]->arg, conn);
	stranger = xcalloc(1, sizeof(*stranger));
	*stranger = (struct stranger){ acceptor, conn };
	connection_own(conn, &owner, stranger, stranger);
	connection_set_idle(conn, true);
	connection_expire(conn, connection_set_timeout_ms(acceptor->set));
	connection_read(conn, PROTOCOL_BYTES);
}

void acceptor_register(struct acceptor *acceptor, const struct protocol *protocol)
{
	assert(acceptor->n_protocols < MAX_PROTOCOLS);
	acceptor->protocol[acceptor->n_protocols++] = protocol;
	acceptor->busy = protocol->busy ? protocol->busy : acceptor->busy;
}

/* ---- accepting */

static void admit(struct acceptor *acceptor, int fd, const struct sockaddr *peer)
{
	char name[CONNECTION_NAME_SIZE];

	if (connection_set_is_full(acceptor->set) && !connection_set_shed(acceptor->set, 0))
		return send_away(fd, acceptor->busy);
	name_peer(name, peer);
	begin(acceptor, connection_set_add(acceptor->set, fd, name));
}

/* The listener goes on for as long as there is somebody: in a flood, for ever. */
static void on_peer(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
	int size, void *arg)
{
	struct acceptor *acceptor = arg;

	(void)size;
	admit(acceptor, fd, peer);
	if (++acceptor->burst < MAX_BURST)
		return;
	acceptor->burst = 0;
	evconnlistener_disable(listener);
	event_active(acceptor->next_turn, EV_TIMEOUT, 0);
}

static void on_next_turn(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *acceptor = arg;

	(void)fd;
	(void)what;
	if (!event_pending(acceptor->resume, EV_TIMEOUT, NULL))
		evconnlistener_enable(acceptor->listener);
}

/* Out of descriptors or memory: the socket stays readable, and the loop would spin. */
static void on_error(struct evconnlistener *listener, void *arg)
{
	struct timeval pause = { .tv_sec = PAUSE_S };
	struct acceptor *acceptor = arg;
	int error = errno;

	log_warn("cannot accept connections: %s; trying again in %d s", strerror(error), PAUSE_S);
	evconnlistener_disable(listener);
	event_add(acceptor->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *acceptor = arg;

	(void)fd;
	(void)what;
	while (connection_set_shed(acceptor->set, PAUSE_S * NS_PER_S))
		;
	evconnlistener_enable(acceptor->listener);
}

int acceptor_create(struct acceptor **out, struct event_base *base, int fd,
	struct connection_set *set)
{
	struct acceptor *acceptor = xcalloc(1, sizeof(*acceptor));

	acceptor->set = set;
	acceptor->busy = "";
	acceptor->resume = evtimer_new(base, on_resume, acceptor);
	acceptor->next_turn = evtimer_new(base, on_next_turn, acceptor);
	acceptor->listener = evconnlistener_new(base, on_peer, acceptor, LEV_OPT_CLOSE_ON_EXEC, 0,
		fd);
	if (!acceptor->listener || !acceptor->resume || !acceptor->next_turn) {
		acceptor_destroy(acceptor);
		return -EMFILE;
	}
	evconnlistener_set_error_cb(acceptor->listener, on_error);
	*out = acceptor;
	return 0;
}

void acceptor_destroy(struct acceptor *acceptor)
{
	if (!acceptor)
		return;
	if (acceptor->listener)
		evconnlistener_free(acceptor->listener);
	if (acceptor->resume)
		event_free(acceptor->resume);
	if (acceptor->next_turn)
		event_free(acceptor->next_turn);
	free(acceptor);
}
