// SPDX-License-Identifier: GPL-3.0-or-later
/* Who is woken by whom: shm/bell.h, and the library's ring_wait_for_bell() on the other side. */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "base/util.h"
#include "shm/futex_wake.h"
#include "shm/ring_attach.h"

#define SLEEPERS  16
#define ROUNDS    20
#define PERIOD_NS (16 * NS_PER_MS)
#define LONG_NS   (60 * NS_PER_S) /* of sleep: who is not woken fails by time */

static uint32_t word;
static int64_t now; /* as the bell is told, so that a slow machine is none to it */
static pthread_t thread[SLEEPERS];

/* Everybody queued at the word: to move them to where they are already counts them. */
static unsigned count_asleep(void)
{
	return (unsigned)syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE, 0, (long)INT_MAX, &word,
		__atomic_load_n(&word, __ATOMIC_RELAXED));
}

static void await_asleep(unsigned count)
{
	const int64_t until = now_ns() + 60 * NS_PER_S;

	while (count_asleep() != count) {
		assert_true(now_ns() < until);
		sched_yield();
	}
}

/* As the library's readers sleep. */
static void *sleep_and_pass_on(void *arg)
{
	ring_wait_for_bell(&word, __atomic_load_n(&word, __ATOMIC_RELAXED), LONG_NS);
	return arg;
}

/* As if it were killed when it was woken. */
static void *sleep_and_wake_nobody(void *arg)
{
	const uint32_t seen = __atomic_load_n(&word, __ATOMIC_RELAXED);

	syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, seen, NULL, NULL, 1u << seen % 32);
	return arg;
}

/* As a simple program does. */
static void *sleep_simply(void *arg)
{
	syscall(SYS_futex, &word, FUTEX_WAIT, __atomic_load_n(&word, __ATOMIC_RELAXED), NULL, NULL,
		0);
	return arg;
}

/* One after the other, so that the queue has that order. */
static void start(unsigned first, unsigned count, void *(*sleep)(void *))
{
	for (unsigned i = first; i < first + count; i++) {
		assert_int_equal(pthread_create(&thread[i], NULL, sleep, NULL), 0);
		await_asleep(i + 1);
	}
}

static void join(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		pthread_join(thread[i], NULL);
}

static unsigned ring_soon(struct futex_wake *bell)
{
	return futex_wake_frame(bell, now += PERIOD_NS);
}

/* A bell that was rung a moment ago. */
static struct futex_wake new_bell(void)
{
	return (struct futex_wake){ .word = &word, .rung_ns = now += 3600 * NS_PER_S };
}

static void readers_wake_each_other(void **state)
{
	struct futex_wake bell = new_bell();

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		start(0, SLEEPERS, sleep_and_pass_on);
		assert_int_equal(ring_soon(&bell), 1);
		join(0, SLEEPERS);
	}
}

static void nobody_asleep_is_nobody_woken(void **state)
{
	struct futex_wake bell = new_bell();

	(void)state;
	assert_int_equal(ring_soon(&bell), 0);
	assert_int_equal(ring_soon(&bell), 0);
}

static void a_reader_that_wakes_nobody_delays_others_once(void **state)
{
	struct futex_wake bell = new_bell();

	(void)state;
	start(0, 1, sleep_and_wake_nobody);
	start(1, 3, sleep_and_pass_on);
	assert_int_equal(ring_soon(&bell), 1);
	join(0, 1);
	assert_int_equal(count_asleep(), 3);
	assert_int_equal(ring_soon(&bell), 3);
	join(1, 3);
	for (unsigned i = 0; i < ROUNDS; i++) {
		start(0, 1, sleep_and_wake_nobody);
		start(1, 3, sleep_and_pass_on);
		assert_int_equal(ring_soon(&bell), 4);
		join(0, 4);
	}
}

static void mistrust_ends(void **state)
{
	struct futex_wake bell = new_bell();

	(void)state;
	start(0, 1, sleep_and_wake_nobody);
	start(1, 1, sleep_and_pass_on);
	ring_soon(&bell);
	ring_soon(&bell);
	join(0, 2);
	for (unsigned i = 0; i < 1000; i++)
		ring_soon(&bell);
	start(0, 4, sleep_and_pass_on);
	assert_int_equal(ring_soon(&bell), 1);
	join(0, 4);
}

static void simple_readers_are_never_late(void **state)
{
	struct futex_wake bell = new_bell();

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		start(0, 2, sleep_and_pass_on);
		start(2, 2, sleep_simply);
		start(4, 2, sleep_and_pass_on);
		assert_in_range(ring_soon(&bell), 3, 6);
		join(0, 6);
	}
}

static void rare_rings_wake_all_from_here(void **state)
{
	struct futex_wake bell = new_bell();

	(void)state;
	start(0, 1, sleep_and_wake_nobody);
	start(1, 3, sleep_and_pass_on);
	assert_int_equal(futex_wake_frame(&bell, now += 50 * NS_PER_MS), 4);
	join(0, 4);
}

static void the_end_wakes_all_from_here(void **state)
{
	(void)state;
	start(0, 2, sleep_and_wake_nobody);
	start(2, 3, sleep_and_pass_on);
	futex_wake_all(&word);
	join(0, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_wake_each_other),
		cmocka_unit_test(nobody_asleep_is_nobody_woken),
		cmocka_unit_test(a_reader_that_wakes_nobody_delays_others_once),
		cmocka_unit_test(mistrust_ends),
		cmocka_unit_test(simple_readers_are_never_late),
		cmocka_unit_test(rare_rings_wake_all_from_here),
		cmocka_unit_test(the_end_wakes_all_from_here),
	};

	alarm(600);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
