/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Time that a test owns, for every process that preloads libtestclock.so.
 *
 * HDMICAST_TEST_CLOCK names a file of one struct test_clock; without it, or while its generation
 * is 0, time is the machine's. One writer sets rates: a slot that nobody reads is filled, and then
 * named by the next generation, so that a writer may die at any point.
 *
 *   now = virtual_ns + (CLOCK_MONOTONIC - real_ns) * rate / per      rate 0: time stands still
 *
 * All clocks but those of CPU time follow; the wall clock is wall_ns before this one, always.
 * Sleeps, poll, select, epoll, conditions, futexes, timerfds, alarms and setitimer(ITIMER_REAL)
 * end by this time. What the kernel counts by itself does not: time-outs of sockets, CPU time.
 * Expirations of a periodic timerfd are not counted: it becomes readable, once each time.
 * Waits on conditions end early now and then, as POSIX allows.
 */
#ifndef TEST_CLOCK_H
#define TEST_CLOCK_H

#include <stdint.h>

struct test_clock_slot {
	int64_t real_ns, virtual_ns, rate, per;
};

struct test_clock {
	uint64_t generation; /* slot[generation & 1] is in force */
	int64_t wall_ns;     /* CLOCK_REALTIME - CLOCK_MONOTONIC, once and for all */
	struct test_clock_slot slot[2];
};

#endif
