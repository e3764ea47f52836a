/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of libtestclock.so share: the next library's functions, and the time. */
#ifndef TEST_CLOCK_REAL_H
#define TEST_CLOCK_REAL_H

#include "clock.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <sys/time.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define SLICE_NS INT64_C(2000000) /* how long a wait may sleep before it looks again */

/* The function of that name behind ours. */
#define REAL(name)                                                                    \
	({                                                                            \
		static __typeof__(&(name)) found_;                                    \
		__typeof__(&(name)) it_ = __atomic_load_n(&found_, __ATOMIC_RELAXED); \
		if (!it_) {                                                           \
			it_ = (__typeof__(&(name)))dlsym(RTLD_NEXT, #name);           \
			__atomic_store_n(&found_, it_, __ATOMIC_RELAXED);             \
		}                                                                     \
		it_;                                                                  \
	})

/* What is longer than a century is a century, so that sums stay sums. */
static inline int64_t to_ns(const struct timespec *ts)
{
	const int64_t most = INT64_C(100) * 366 * 86400;

	return (ts->tv_sec < most ? ts->tv_sec : most) * NS_PER_S + ts->tv_nsec;
}

static inline struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

/* Whether a test owns the time of this process; the rest is for then. */
bool clock_is_ours(void);

int64_t clock_ns(void);
int64_t clock_wall_ns(void);

/* A moment, of whichever clock, in ns of clock_ns(). */
int64_t clock_from(const struct timespec *when);

/* How many real ns a wait until then may sleep now; 0: it is over. */
int64_t clock_slice(int64_t due_ns);

int64_t real_ns(clockid_t id);

#endif
