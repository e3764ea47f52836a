/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs under LD_PRELOAD of the library it tests. What it says of a stopped clock needs no luck. */
#include "own.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <cmocka.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

static struct own_clock own;
static const struct timespec ten_s = { 10, 0 };

static int64_t ns_of(struct timespec ts)
{
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ns_of(ts);
}

static struct timespec in_ten_s(clockid_t id)
{
	const int64_t ns = now(id) + 10 * NS_PER_S;

	return (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
}

/* Of the machine, whatever the clock does. */
static void rest_ms(long ms)
{
	const struct timespec ts = { 0, ms * NS_PER_MS };

	syscall(SYS_nanosleep, &ts, NULL);
}

static int stop(void **state)
{
	(void)state;
	own_set(&own, 0, 0, 1);
	return 0;
}

static int go(void **state)
{
	(void)state;
	own_set(&own, 0, 1, 1);
	return 0;
}

static void a_stopped_clock_stands_still(void **state)
{
	const int64_t mono = now(CLOCK_MONOTONIC), wall = now(CLOCK_REALTIME);
	struct timeval tv;

	(void)state;
	rest_ms(20);
	assert_int_equal(now(CLOCK_MONOTONIC), mono);
	assert_int_equal(now(CLOCK_MONOTONIC_COARSE), mono);
	assert_int_equal(now(CLOCK_BOOTTIME), mono);
	assert_int_equal(now(CLOCK_REALTIME), wall);
	gettimeofday(&tv, NULL);
	assert_int_equal(tv.tv_sec * 1000000 + tv.tv_usec, wall / 1000);
	assert_int_equal(time(NULL), wall / NS_PER_S);
}

static void a_step_moves_all_clocks_by_the_same(void **state)
{
	const int64_t mono = now(CLOCK_MONOTONIC), wall = now(CLOCK_REALTIME);

	(void)state;
	own_step(&own, 5 * NS_PER_S);
	assert_int_equal(now(CLOCK_MONOTONIC), mono + 5 * NS_PER_S);
	assert_int_equal(now(CLOCK_REALTIME), wall + 5 * NS_PER_S);
}

static void cpu_time_is_the_machines(void **state)
{
	const int64_t began = now(CLOCK_THREAD_CPUTIME_ID);

	(void)state;
	while (now(CLOCK_THREAD_CPUTIME_ID) < began + NS_PER_MS)
		;
}

/* ---- ways to wait for ten seconds; those on a descriptor, condition or word wait in vain */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wall_cond = PTHREAD_COND_INITIALIZER, cond;
static sem_t sem;
static uint32_t word;
static int pipe_fd[2], epoll_fd;
static bool flag;

static void by_nanosleep(void)
{
	nanosleep(&ten_s, NULL);
}

static void by_usleep(void)
{
	usleep(10000000);
}

static void by_sleep(void)
{
	sleep(10);
}

static void by_clock_nanosleep(void)
{
	const struct timespec until = in_ten_s(CLOCK_REALTIME);

	clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL);
}

static void by_poll(void)
{
	struct pollfd on = { .fd = pipe_fd[0], .events = POLLIN };

	poll(&on, 1, 10000);
}

static void by_ppoll(void)
{
	struct pollfd on = { .fd = pipe_fd[0], .events = POLLIN };

	ppoll(&on, 1, &ten_s, NULL);
}

static void by_select(void)
{
	struct timeval limit = { 10, 0 };
	fd_set in;

	FD_ZERO(&in);
	FD_SET(pipe_fd[0], &in);
	select(pipe_fd[0] + 1, &in, NULL, NULL, &limit);
}

static void by_epoll(void)
{
	struct epoll_event event;

	epoll_wait(epoll_fd, &event, 1, 10000);
}

static void by_condition(void)
{
	const struct timespec until = in_ten_s(CLOCK_MONOTONIC);

	pthread_mutex_lock(&lock);
	while (!flag && pthread_cond_timedwait(&cond, &lock, &until) == 0)
		;
	pthread_mutex_unlock(&lock);
}

static void by_condition_of_the_wall_clock(void)
{
	const struct timespec until = in_ten_s(CLOCK_REALTIME);

	pthread_mutex_lock(&lock);
	while (!flag && pthread_cond_timedwait(&wall_cond, &lock, &until) == 0)
		;
	pthread_mutex_unlock(&lock);
}

static void by_semaphore(void)
{
	const struct timespec until = in_ten_s(CLOCK_REALTIME);

	sem_timedwait(&sem, &until);
}

static void by_futex(void)
{
	syscall(SYS_futex, &word, FUTEX_WAIT, 0, &ten_s, NULL, 0);
}

static void by_futex_until(void)
{
	const struct timespec until = in_ten_s(CLOCK_MONOTONIC);

	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &until, NULL, 1);
}

static void by_timerfd(int flags, struct timespec when)
{
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	const struct itimerspec timer = { .it_value = when };
	uint64_t count = 0;

	timerfd_settime(fd, flags, &timer, NULL);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 1);
	close(fd);
}

static void by_timerfd_later(void)
{
	by_timerfd(0, ten_s);
}

static void by_timerfd_until(void)
{
	by_timerfd(TFD_TIMER_ABSTIME, in_ten_s(CLOCK_MONOTONIC));
}

static sigset_t block_alarms(bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(on ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
	return set;
}

static void by_alarm(void)
{
	const sigset_t set = block_alarms(true);
	int number;

	alarm(10);
	sigwait(&set, &number);
}

static const struct way {
	const char *name;
	void (*wait)(void);
	bool in_vain; /* nothing else ends it */
} ways[] = {
	{ "nanosleep", by_nanosleep, true },
	{ "usleep", by_usleep, true },
	{ "sleep", by_sleep, true },
	{ "clock_nanosleep", by_clock_nanosleep, true },
	{ "poll", by_poll, false },
	{ "ppoll", by_ppoll, false },
	{ "select", by_select, false },
	{ "epoll_wait", by_epoll, false },
	{ "pthread_cond_timedwait", by_condition, false },
	{ "pthread_cond_timedwait, wall clock", by_condition_of_the_wall_clock, false },
	{ "sem_timedwait", by_semaphore, false },
	{ "FUTEX_WAIT", by_futex, false },
	{ "FUTEX_WAIT_BITSET", by_futex_until, false },
	{ "timerfd", by_timerfd_later, true },
	{ "timerfd, absolute", by_timerfd_until, true },
	{ "alarm", by_alarm, true },
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

static bool begun[WAYS], over[WAYS];
static pthread_t threads[WAYS];

static bool is(const bool *what)
{
	return __atomic_load_n(what, __ATOMIC_SEQ_CST);
}

static void *wait_by(void *arg)
{
	const struct way *way = arg;

	__atomic_store_n(&begun[way - ways], true, __ATOMIC_SEQ_CST);
	way->wait();
	__atomic_store_n(&over[way - ways], true, __ATOMIC_SEQ_CST);
	return NULL;
}

static void begin(size_t i)
{
	begun[i] = over[i] = false;
	assert_int_equal(pthread_create(&threads[i], NULL, wait_by, (void *)&ways[i]), 0);
	while (!is(&begun[i]))
		rest_ms(1);
}

static void waits_end_when_the_clock_is_stepped_past_their_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < WAYS; i++)
		begin(i);
	rest_ms(50); /* until they sleep; who is slower ends by a later step */
	own_step(&own, 9 * NS_PER_S);
	rest_ms(50);
	for (size_t i = 0; i < WAYS; i++)
		if (is(&over[i]))
			fail_msg("%s ended a second early", ways[i].name);
	for (size_t i = 0; i < WAYS; i++) {
		while (!is(&over[i])) {
			own_step(&own, 2 * NS_PER_S);
			rest_ms(5);
		}
		pthread_join(threads[i], NULL);
	}
}

static void give_events(void)
{
	assert_int_equal(write(pipe_fd[1], "x", 1), 1);
	pthread_mutex_lock(&lock);
	flag = true;
	pthread_cond_broadcast(&cond);
	pthread_cond_broadcast(&wall_cond);
	pthread_mutex_unlock(&lock);
	sem_post(&sem);
	__atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &word, FUTEX_WAKE, 9, NULL, NULL, 0);
}

static void take_events(void)
{
	char byte;

	assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
	flag = false;
	word = 0;
}

static void what_is_waited_for_ends_a_wait_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < WAYS; i++)
		if (!ways[i].in_vain)
			begin(i);
	rest_ms(20);
	give_events();
	for (size_t i = 0; i < WAYS; i++)
		if (!ways[i].in_vain)
			pthread_join(threads[i], NULL);
	take_events();
}

static void a_stretched_clock_goes_slower_and_a_compressed_one_faster(void **state)
{
	const int64_t began = now(CLOCK_MONOTONIC), real = own_real_ns(CLOCK_MONOTONIC);
	int64_t took;

	(void)state;
	own_set(&own, 0, 1, 10);
	usleep(5000);
	took = own_real_ns(CLOCK_MONOTONIC) - real;
	assert_true(now(CLOCK_MONOTONIC) - began >= 5 * NS_PER_MS);
	assert_true(took >= 50 * NS_PER_MS);
	own_set(&own, 0, 10000, 1);
	sleep(600); /* a test that hangs here is seen by its runner */
}

static void a_periodic_timer_comes_again(void **state)
{
	const struct itimerspec timer = { { 1, 0 }, { 1, 0 } }, never = { 0 };
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec old;
	uint64_t count;

	(void)state;
	assert_int_equal(timerfd_settime(fd, 0, &timer, NULL), 0);
	for (int i = 0; i < 3; i++) {
		own_step(&own, NS_PER_S);
		assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	}
	assert_int_equal(timerfd_settime(fd, 0, &never, &old), 0);
	assert_int_equal(ns_of(old.it_interval), NS_PER_S);
	close(fd);
}

static void a_sleep_that_is_interrupted_tells_what_is_left(void **state)
{
	const struct itimerval often = { { 4, 0 }, { 4, 0 } }, never = { 0 };
	struct timespec left;

	(void)state;
	own_set(&own, 0, 1000, 1);
	block_alarms(false);
	setitimer(ITIMER_REAL, &often, NULL);
	assert_int_equal(nanosleep(&(struct timespec){ 500000, 0 }, &left), -1);
	assert_int_equal(errno, EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	block_alarms(true);
	assert_in_range(left.tv_sec, 1, 500000 - 1);
}

/* Two processes with one clock, and one without. */
static void one_file_is_one_clock(void **state)
{
	const pid_t pid = fork();
	int status = -1;

	(void)state;
	if (!pid)
		_exit(now(CLOCK_MONOTONIC) != own_now_ns(&own));
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static void without_a_file_time_is_the_machines(void **state)
{
	const pid_t pid = fork();
	int status = -1;

	(void)state;
	if (!pid) {
		unsetenv("HDMICAST_TEST_CLOCK");
		execl("/proc/self/exe", "selftest", "without", NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static int look_without(void)
{
	const int64_t before = own_real_ns(CLOCK_MONOTONIC), seen = now(CLOCK_MONOTONIC);
	const struct timespec soon = { 0, 1000 };
	struct timespec until;
	pthread_condattr_t attr;
	int res;

	if (seen < before || seen > own_real_ns(CLOCK_MONOTONIC))
		return 1;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cond, &attr);
	clock_gettime(CLOCK_MONOTONIC, &until);
	pthread_mutex_lock(&lock);
	res = pthread_cond_timedwait(&cond, &lock, &until);
	pthread_mutex_unlock(&lock);
	return res != ETIMEDOUT || nanosleep(&soon, NULL) || ppoll(NULL, 0, &soon, NULL);
}

static void on_alarm(int number)
{
	(void)number;
}

static void set_up(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	pthread_condattr_t attr;

	signal(SIGALRM, on_alarm);
	block_alarms(true);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&cond, &attr);
	sem_init(&sem, 0, 0);
	if (pipe(pipe_fd))
		abort();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_fd[0], &event);
}

#define STOPPED(test) cmocka_unit_test_setup_teardown(test, stop, go)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		STOPPED(a_stopped_clock_stands_still),
		STOPPED(a_step_moves_all_clocks_by_the_same),
		STOPPED(cpu_time_is_the_machines),
		STOPPED(waits_end_when_the_clock_is_stepped_past_their_end),
		STOPPED(what_is_waited_for_ends_a_wait_at_once),
		STOPPED(a_stretched_clock_goes_slower_and_a_compressed_one_faster),
		STOPPED(a_periodic_timer_comes_again),
		STOPPED(a_sleep_that_is_interrupted_tells_what_is_left),
		STOPPED(one_file_is_one_clock),
		cmocka_unit_test(without_a_file_time_is_the_machines),
	};
	int failed;

	(void)argv;
	if (argc > 1)
		return look_without();
	if (!own_create(&own))
		return 2;
	set_up();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	own_remove(&own);
	return failed;
}
