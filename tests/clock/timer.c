/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Timers that the kernel would run: timerfds, alarm() and setitimer(ITIMER_REAL). A thread looks at
 * them and has the kernel end those that are due. Closed descriptors are found when they are used.
 */
#include "real.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { TIMERS = 64, ALARM = -1 };

struct timer {
	int64_t due_ns, every_ns; /* due 0: none */
	int fd;                   /* ALARM: a signal */
};

static struct timer timers[TIMERS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool running, is_child;

static void fire(struct timer *timer)
{
	static const struct itimerspec now = { .it_value.tv_nsec = 1 };

	if (timer->fd == ALARM)
		kill(getpid(), SIGALRM);
	else
		REAL(timerfd_settime)(timer->fd, 0, &now, NULL);
	timer->due_ns = timer->every_ns ? timer->due_ns + timer->every_ns : 0;
	if (timer->every_ns && timer->due_ns < clock_ns())
		timer->due_ns = clock_ns();
}

static void *run(void *arg)
{
	const struct timespec rest = to_timespec(SLICE_NS / 2);

	pthread_setname_np(pthread_self(), "fake-timers");
	for (;;) {
		pthread_mutex_lock(&lock);
		for (struct timer *timer = timers; timer < timers + TIMERS; timer++)
			if (timer->due_ns && timer->due_ns <= clock_ns())
				fire(timer);
		pthread_mutex_unlock(&lock);
		REAL(nanosleep)(&rest, NULL);
	}
	return arg;
}

/*
 * A child has neither our thread nor an alarm, and must not find the lock held by the thread. Its
 * own alarm is the kernel's: thread sanitizers do not let it have threads.
 */
static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	running = false;
	is_child = true;
	pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

static void start_thread(void)
{
	sigset_t all, old;
	pthread_t thread;

	if (running)
		return;
	running = true;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (pthread_create(&thread, NULL, run, NULL) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* Of this descriptor, or a free one, with the lock; NULL: there are too many. */
static struct timer *find(int fd)
{
	struct timer *unused = NULL;

	for (struct timer *timer = timers; timer < timers + TIMERS; timer++) {
		if (timer->due_ns && timer->fd == fd)
			return timer;
		if (!timer->due_ns)
			unused = timer;
	}
	if (unused)
		*unused = (struct timer){ .fd = fd };
	return unused;
}

static struct itimerspec told(const struct timer *timer)
{
	const int64_t left = timer->due_ns - clock_ns();

	if (!timer->due_ns)
		return (struct itimerspec){ 0 };
	return (struct itimerspec){ to_timespec(timer->every_ns),
		to_timespec(left > 0 ? left : 1) };
}

/* due 0 disarms. */
static int set(int fd, int64_t due_ns, int64_t every_ns, struct itimerspec *old)
{
	struct timer *timer;

	pthread_mutex_lock(&lock);
	timer = find(fd);
	if (timer && old)
		*old = told(timer);
	if (timer)
		*timer = (struct timer){ due_ns, every_ns, fd };
	if (due_ns)
		start_thread();
	pthread_mutex_unlock(&lock);
	errno = ENOMEM;
	return timer ? 0 : -1;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *want, struct itimerspec *old)
{
	static const struct itimerspec never = { 0 };
	int64_t due_ns;

	if (!clock_is_ours())
		return REAL(timerfd_settime)(fd, flags, want, old);
	if (REAL(timerfd_settime)(fd, 0, &never, NULL)) /* forgets what was due, and checks it */
		return -1;
	due_ns = to_ns(&want->it_value);
	if (due_ns)
		due_ns = flags & TFD_TIMER_ABSTIME ? clock_from(&want->it_value)
						   : clock_ns() + due_ns;
	return set(fd, due_ns, to_ns(&want->it_interval), old);
}

int timerfd_gettime(int fd, struct itimerspec *out)
{
	if (!clock_is_ours())
		return REAL(timerfd_gettime)(fd, out);
	pthread_mutex_lock(&lock);
	*out = (struct itimerspec){ 0 };
	for (struct timer *timer = timers; timer < timers + TIMERS; timer++)
		if (timer->due_ns && timer->fd == fd)
			*out = told(timer);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* One that was closed while it ran would set off this one. */
int timerfd_create(clockid_t id, int flags)
{
	const int fd = REAL(timerfd_create)(id, flags);

	if (fd >= 0 && clock_is_ours())
		set(fd, 0, 0, NULL);
	return fd;
}

static int64_t of_timeval(const struct timeval *tv)
{
	return tv->tv_sec * NS_PER_S + tv->tv_usec * INT64_C(1000);
}

int setitimer(__itimer_which_t which, const struct itimerval *restrict want,
	struct itimerval *restrict old)
{
	struct itimerspec was = { 0 };
	int64_t ns;

	if (!clock_is_ours() || is_child || which != ITIMER_REAL)
		return REAL(setitimer)(which, want, old);
	ns = of_timeval(&want->it_value);
	set(ALARM, ns ? clock_ns() + ns : 0, of_timeval(&want->it_interval), &was);
	if (old)
		*old = (struct itimerval){
			{ was.it_interval.tv_sec, was.it_interval.tv_nsec / 1000 },
			{ was.it_value.tv_sec, was.it_value.tv_nsec / 1000 },
		};
	return 0;
}

unsigned alarm(unsigned seconds)
{
	const struct itimerval want = { .it_value.tv_sec = seconds };
	struct itimerval old = { 0 };

	if (!clock_is_ours() || is_child)
		return REAL(alarm)(seconds);
	setitimer(ITIMER_REAL, &want, &old);
	return (unsigned)old.it_value.tv_sec + (old.it_value.tv_usec > 0);
}
