// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Accepting: see accept.h. When there is no room, whoever holds a connection without asking for
 * anything gives it up first, so that half-open connections cannot lock viewers out.
 */
#include "http/accept.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <event2/listener.h>

#define LOG_TOPIC "http"
#include "base/log.h"

#define PAUSE_S 1

/* Accepted at a time: more would keep the pictures of those who are in waiting. */
#define MAX_BURST 16

struct acceptor {
	struct connection_set *set;
	struct evconnlistener *listener;
	struct event *resume;    /* ends a pause */
	struct event *next_turn; /* ends a burst */
	unsigned burst;
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
static void send_away(int fd)
{
	static const char reply[] = "HTTP/1.1 503 Service Unavailable\r\n"
				    "Content-Type: text/plain\r\n"
				    "Content-Length: 22\r\n"
				    "Retry-After: 1\r\n"
				    "Connection: close\r\n"
				    "\r\n"
				    "Too many connections.\n";
	char trash[REQUEST_MAX_HEAD];

	send(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	/* Unread input would turn the close into a reset, and that eats the reply. */
	recv(fd, trash, sizeof(trash), MSG_DONTWAIT);
	close(fd);
}

static void admit(struct acceptor *acceptor, int fd, const struct sockaddr *peer)
{
	char name[CONNECTION_NAME_SIZE];

	if (connection_set_is_full(acceptor->set) && !connection_set_shed(acceptor->set, 0))
		return send_away(fd);
	name_peer(name, peer);
	connection_set_add(acceptor->set, fd, name);
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
