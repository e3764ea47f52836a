/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Waits that end by the test's clock. Those without an end are the kernel's. */
#include "real.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
	size_t size);

/* ---- sleeping */

static int sleep_until(int64_t due_ns)
{
	int64_t slice;

	while ((slice = clock_slice(due_ns)) > 0) {
		const struct timespec ts = to_timespec(slice);

		if (REAL(nanosleep)(&ts, NULL))
			return errno;
	}
	return 0;
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *want, struct timespec *rest)
{
	const bool absolute = flags & TIMER_ABSTIME;
	int64_t due_ns;
	int res;

	if (!clock_is_ours())
		return REAL(clock_nanosleep)(id, flags, want, rest);
	if (want->tv_sec < 0 || want->tv_nsec < 0 || want->tv_nsec >= NS_PER_S)
		return EINVAL;
	due_ns = absolute ? clock_from(want) : clock_ns() + to_ns(want);
	res = sleep_until(due_ns);
	if (res && rest && !absolute)
		*rest = to_timespec(due_ns > clock_ns() ? due_ns - clock_ns() : 0);
	return res;
}

int nanosleep(const struct timespec *want, struct timespec *rest)
{
	if (!clock_is_ours())
		return REAL(nanosleep)(want, rest);
	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, want, rest);
	return errno ? -1 : 0;
}

int usleep(useconds_t us)
{
	const struct timespec ts = to_timespec(us * INT64_C(1000));

	return nanosleep(&ts, NULL);
}

unsigned sleep(unsigned seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	return nanosleep(&ts, &ts) ? (unsigned)ts.tv_sec + (ts.tv_nsec > 0) : 0;
}

/* ---- descriptors */

int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	int64_t due_ns;
	int res;

	if (!clock_is_ours() || !timeout || timeout->tv_sec < 0 || timeout->tv_nsec < 0 ||
		timeout->tv_nsec >= NS_PER_S || !to_ns(timeout))
		return REAL(ppoll)(fds, n, timeout, mask);
	due_ns = clock_ns() + to_ns(timeout);
	for (;;) {
		const int64_t slice = clock_slice(due_ns);
		const struct timespec ts = to_timespec(slice);

		res = REAL(ppoll)(fds, n, &ts, mask);
		if (res || !slice)
			return res;
	}
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	const struct timespec ts = to_timespec(timeout * INT64_C(1000000));

	if (!clock_is_ours() || timeout <= 0)
		return REAL(poll)(fds, n, timeout);
	return ppoll(fds, n, &ts, NULL);
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

struct sets {
	fd_set in, out, pri;
};

static void copy(struct sets *to, const fd_set *in, const fd_set *out, const fd_set *pri)
{
	if (in)
		to->in = *in;
	if (out)
		to->out = *out;
	if (pri)
		to->pri = *pri;
}

int pselect(int n, fd_set *in, fd_set *out, fd_set *pri, const struct timespec *timeout,
	const sigset_t *mask)
{
	struct sets wanted = { 0 };
	int64_t due_ns;
	int res;

	if (!clock_is_ours() || !timeout || !to_ns(timeout))
		return REAL(pselect)(n, in, out, pri, timeout, mask);
	copy(&wanted, in, out, pri);
	due_ns = clock_ns() + to_ns(timeout);
	for (;;) {
		const int64_t slice = clock_slice(due_ns);
		const struct timespec ts = to_timespec(slice);
		struct sets seen = wanted;

		res = REAL(pselect)(n, in ? &seen.in : NULL, out ? &seen.out : NULL,
			pri ? &seen.pri : NULL, &ts, mask);
		if (!res && slice)
			continue;
		if (in)
			*in = seen.in;
		if (out)
			*out = seen.out;
		if (pri)
			*pri = seen.pri;
		return res;
	}
}

int select(int n, fd_set *in, fd_set *out, fd_set *pri, struct timeval *timeout)
{
	const struct timespec ts = timeout ? (struct timespec){ timeout->tv_sec,
		timeout->tv_usec * 1000 }
					   : (struct timespec){ 0 };
	int64_t due_ns, left;
	int res;

	if (!clock_is_ours() || !timeout)
		return REAL(select)(n, in, out, pri, timeout);
	due_ns = clock_ns() + to_ns(&ts);
	res = pselect(n, in, out, pri, &ts, NULL);
	left = due_ns - clock_ns();
	left = left > 0 ? left : 0;
	*timeout = (struct timeval){ left / NS_PER_S, left % NS_PER_S / 1000 };
	return res;
}

int epoll_pwait2(int fd, struct epoll_event *events, int most, const struct timespec *timeout,
	const sigset_t *mask)
{
	int64_t due_ns;
	int res;

	if (!clock_is_ours() || !timeout || !to_ns(timeout))
		return REAL(epoll_pwait2)(fd, events, most, timeout, mask);
	due_ns = clock_ns() + to_ns(timeout);
	for (;;) {
		const int64_t slice = clock_slice(due_ns);

		/* Milliseconds, for kernels before 5.11; early, never late. */
		res = REAL(epoll_pwait)(fd, events, most, (int)(slice / 1000000), mask);
		if (res || !slice)
			return res;
		if (slice < 1000000)
			sleep_until(due_ns);
	}
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
	const struct timespec ts = to_timespec(timeout * INT64_C(1000000));

	if (!clock_is_ours() || timeout <= 0)
		return REAL(epoll_pwait)(fd, events, most, timeout, mask);
	return epoll_pwait2(fd, events, most, &ts, mask);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
	if (!clock_is_ours() || timeout <= 0)
		return REAL(epoll_wait)(fd, events, most, timeout);
	return epoll_pwait(fd, events, most, timeout, NULL);
}

/* ---- locks */

/*
 * One real wait. A condition that was signalled between two of ours would be missed, so each is
 * one for the caller: woken too early it looks for itself.
 */
static int wait_piece(pthread_cond_t *cond, pthread_mutex_t *mutex, const struct timespec *until)
{
	const int64_t due_ns = clock_from(until), slice = clock_slice(due_ns);
	const struct timespec ts = to_timespec(real_ns(CLOCK_MONOTONIC) + slice);
	int res = REAL(pthread_cond_clockwait)(cond, mutex, CLOCK_MONOTONIC, &ts);

	return res == ETIMEDOUT && clock_slice(due_ns) > 0 ? 0 : res;
}

int pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
	const struct timespec *until)
{
	if (!clock_is_ours()) {
		/* dlsym() would find the oldest of them, which takes another structure. */
		static __typeof__(&pthread_cond_timedwait) real;

		if (!real)
			real = (__typeof__(real))dlvsym(RTLD_NEXT, "pthread_cond_timedwait",
				"GLIBC_2.3.2");
		if (!real)
			real = REAL(pthread_cond_timedwait);
		return real(cond, mutex, until);
	}
	return wait_piece(cond, mutex, until);
}

int pthread_cond_clockwait(pthread_cond_t *cond, pthread_mutex_t *mutex, clockid_t id,
	const struct timespec *until)
{
	if (!clock_is_ours())
		return REAL(pthread_cond_clockwait)(cond, mutex, id, until);
	return wait_piece(cond, mutex, until);
}

static int sem_wait_until(sem_t *sem, const struct timespec *until)
{
	for (;;) {
		const int64_t slice = clock_slice(clock_from(until));
		const struct timespec ts = to_timespec(real_ns(CLOCK_REALTIME) + slice);

		if (REAL(sem_timedwait)(sem, &ts) == 0)
			return 0;
		if (errno != ETIMEDOUT || !slice)
			return -1;
	}
}

int sem_timedwait(sem_t *sem, const struct timespec *until)
{
	return clock_is_ours() ? sem_wait_until(sem, until) : REAL(sem_timedwait)(sem, until);
}

int sem_clockwait(sem_t *sem, clockid_t id, const struct timespec *until)
{
	return clock_is_ours() ? sem_wait_until(sem, until) : REAL(sem_clockwait)(sem, id, until);
}

/*
 * A word that changed between two pieces is seen by the next. Two longs are what SYS_futex takes,
 * whatever struct timespec has.
 */
static long futex_wait(const long arg[6])
{
	const long *timeout = (const long *)arg[3];
	const int64_t ns = timeout[0] * NS_PER_S + timeout[1];
	const struct timespec given = to_timespec(ns);
	const bool absolute = (arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET;
	const int64_t due_ns = absolute ? clock_from(&given) : clock_ns() + ns;
	const long command = (arg[1] & ~(long)FUTEX_CLOCK_REALTIME);

	for (;;) {
		const int64_t slice = clock_slice(due_ns);
		const int64_t end = slice + (absolute ? real_ns(CLOCK_MONOTONIC) : 0);
		const long piece[2] = { (long)(end / NS_PER_S), (long)(end % NS_PER_S) };
		long res = REAL(syscall)(SYS_futex, arg[0], command, arg[2], piece, arg[4], arg[5]);

		if (!res || errno != ETIMEDOUT || !slice)
			return res;
	}
}

/* As libc's own, which hands on six registers, whether they were arguments or not. */
long syscall(long number, ...)
{
	long arg[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_futex && clock_is_ours() && arg[3] &&
		((arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT ||
			(arg[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET))
		return futex_wait(arg);
	return REAL(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}
