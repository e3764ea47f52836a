/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A clock of the test's own for all of its program: include it in one file. It stands still but for
 * a microsecond a reading, so that nothing takes no time, and what the test adds.
 */
#ifndef TESTS_CLOCK_H
#define TESTS_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

static atomic_int_least64_t clock_ns = 1000000000000;
static atomic_int_least64_t clock_step_ns = 1000;

/* Instead of libc's. */
int clock_gettime(clockid_t which, struct timespec *out)
{
	int64_t step = atomic_load(&clock_step_ns), now = atomic_fetch_add(&clock_ns, step) + step;

	(void)which;
	*out = (struct timespec){ now / 1000000000, now % 1000000000 };
	return 0;
}

static inline void clock_pass(int64_t ns)
{
	atomic_fetch_add(&clock_ns, ns);
}

#endif
