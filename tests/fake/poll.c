/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * poll and select with fake and real descriptors mixed. A fake one is watched through its two
 * eventfds, whose levels agree with what poll must report: waiting never spins.
 */
#include "device.h"
#include "real.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct mix {
	struct pollfd *fds; /* the client's */
	nfds_t n;
	struct handle **handles; /* n of them, NULL where real */
	struct pollfd *watch;    /* 3 n: what the kernel sees */
};

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
	size_t size);

static bool mix_init(struct mix *mix, struct pollfd *fds, nfds_t n)
{
	bool any = false;

	*mix = (struct mix){ .fds = fds, .n = n };
	for (nfds_t i = 0; i < n && !any; i++) {
		struct handle *h = handle_get(fds[i].fd);

		any = h;
		if (h)
			handle_put(h);
	}
	if (!any)
		return false;
	mix->handles = calloc(n, sizeof(struct handle *));
	mix->watch = calloc(3 * n, sizeof(struct pollfd));
	if (!mix->handles || !mix->watch)
		abort();
	for (nfds_t i = 0; i < n; i++)
		mix->handles[i] = handle_get(fds[i].fd);
	return true;
}

static void mix_finish(struct mix *mix)
{
	for (nfds_t i = 0; i < mix->n; i++)
		if (mix->handles[i])
			handle_put(mix->handles[i]);
	free(mix->handles);
	free(mix->watch);
}

static void mix_watch(struct mix *mix)
{
	for (nfds_t i = 0; i < mix->n; i++) {
		struct handle *h = mix->handles[i];
		short events = mix->fds[i].events;

		mix->watch[i] = mix->fds[i];
		mix->watch[mix->n + i] = (struct pollfd){ .fd = -1 };
		mix->watch[2 * mix->n + i] = (struct pollfd){ .fd = -1 };
		if (!h)
			continue;
		handle_poll_begin(h);
		mix->watch[i].events = POLLIN;
		if (!(events & (POLLIN | POLLRDNORM)))
			mix->watch[i].fd = -1;
		if (events & (POLLOUT | POLLWRNORM))
			mix->watch[2 * mix->n + i] = (struct pollfd){ h->out_fd, POLLIN, 0 };
		if (events & POLLPRI)
			mix->watch[mix->n + i] = (struct pollfd){ h->pri_fd, POLLIN, 0 };
	}
}

/* Fills the client's revents of the fake ones; how many are set. */
static int mix_look(struct mix *mix)
{
	int ready = 0;

	for (nfds_t i = 0; i < mix->n; i++) {
		if (!mix->handles[i])
			continue;
		mix->fds[i].revents = handle_revents(mix->handles[i], mix->fds[i].events);
		ready += mix->fds[i].revents != 0;
	}
	return ready;
}

static int mix_take_real(struct mix *mix)
{
	int ready = 0;

	for (nfds_t i = 0; i < mix->n; i++) {
		if (mix->handles[i])
			continue;
		mix->fds[i].revents = mix->watch[i].revents;
		ready += mix->fds[i].revents != 0;
	}
	return ready;
}

static struct timespec left_until(int64_t deadline)
{
	int64_t left = deadline - now_ns();

	if (left < 0)
		left = 0;
	return (struct timespec){ .tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S };
}

/* deadline < 0 waits for ever. */
static int mix_wait(struct mix *mix, int64_t deadline, const sigset_t *mask)
{
	int ready;

	mix_watch(mix);
	do {
		struct timespec left = left_until(deadline);

		if (real()->ppoll(mix->watch, 3 * mix->n, deadline < 0 ? NULL : &left, mask) < 0)
			return -1;
		ready = mix_take_real(mix) + mix_look(mix);
	} while (!ready && (deadline < 0 || now_ns() < deadline));
	return ready;
}

static int64_t deadline_of(const struct timespec *timeout)
{
	return timeout ? now_ns() + timeout->tv_sec * NS_PER_S + timeout->tv_nsec : -1;
}

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct mix mix;
	int ready;

	if (!mix_init(&mix, fds, n))
		return real()->ppoll(fds, n, timeout, mask);
	ready = mix_wait(&mix, deadline_of(timeout), mask);
	mix_finish(&mix);
	return ready;
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct mix mix;
	int ready;

	if (!mix_init(&mix, fds, n))
		return real()->poll(fds, n, timeout);
	ready = mix_wait(&mix, timeout < 0 ? -1 : now_ns() + timeout * NS_PER_MS, NULL);
	mix_finish(&mix);
	return ready;
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size)
{
	if (size / sizeof(*fds) < n)
		abort();
	return poll(fds, n, timeout);
}

int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
	size_t size)
{
	if (size / sizeof(*fds) < n)
		abort();
	return ppoll(fds, n, timeout, mask);
}

static bool is_in(const fd_set *set, int fd)
{
	return set && FD_ISSET(fd, set);
}

static nfds_t collect(struct pollfd *fds, int n, const fd_set *in, const fd_set *out,
	const fd_set *pri)
{
	nfds_t count = 0;

	for (int fd = 0; fd < n; fd++) {
		short events = (is_in(in, fd) ? POLLIN : 0) | (is_in(out, fd) ? POLLOUT : 0) |
			       (is_in(pri, fd) ? POLLPRI : 0);

		if (events)
			fds[count++] = (struct pollfd){ .fd = fd, .events = events };
	}
	return count;
}

static int deliver(const struct pollfd *fds, nfds_t count, fd_set *set, short ask, short mean)
{
	int bits = 0;

	if (!set)
		return 0;
	for (nfds_t i = 0; i < count; i++) {
		if (!(fds[i].events & ask))
			continue;
		if (fds[i].revents & mean)
			bits++;
		else
			FD_CLR(fds[i].fd, set);
	}
	return bits;
}

static bool any_fake(const struct pollfd *fds, nfds_t count)
{
	for (nfds_t i = 0; i < count; i++) {
		struct handle *h = handle_get(fds[i].fd);

		if (h)
			handle_put(h);
		if (h)
			return true;
	}
	return false;
}

int pselect(int n, fd_set *in, fd_set *out, fd_set *pri, const struct timespec *timeout,
	const sigset_t *mask)
{
	struct pollfd fds[FD_SETSIZE];
	nfds_t count = collect(fds, n < FD_SETSIZE ? n : FD_SETSIZE, in, out, pri);

	if (!any_fake(fds, count))
		return real()->pselect(n, in, out, pri, timeout, mask);
	if (ppoll(fds, count, timeout, mask) < 0)
		return -1;
	return deliver(fds, count, in, POLLIN, POLLIN | POLLHUP | POLLERR) +
	       deliver(fds, count, out, POLLOUT, POLLOUT | POLLERR) +
	       deliver(fds, count, pri, POLLPRI, POLLPRI);
}

int select(int n, fd_set *in, fd_set *out, fd_set *pri, struct timeval *timeout)
{
	struct timespec ts = { 0 }, left;
	int64_t deadline;
	int res;

	if (timeout)
		ts = (struct timespec){ timeout->tv_sec, timeout->tv_usec * 1000 };
	deadline = deadline_of(&ts);
	res = pselect(n, in, out, pri, timeout ? &ts : NULL, NULL);
	if (timeout) {
		left = left_until(deadline);
		*timeout = (struct timeval){ left.tv_sec, left.tv_nsec / 1000 };
	}
	return res;
}
