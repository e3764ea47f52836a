/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was measured in the last ten seconds: how much there was, and its percentiles. Of more than
 * WINDOW_SAMPLES, the newest. Zeroed memory is a fresh one. No locks: one thread at a time.
 */
#ifndef BASE_WINDOW_H
#define BASE_WINDOW_H

#include <stdint.h>

#define WINDOW_NS      (10 * INT64_C(1000000000))
#define WINDOW_SAMPLES 2048U /* ten seconds of 200 a second */

struct window {
	unsigned count; /* since it was fresh, modulo 2^32 */
	struct window_sample {
		int64_t at_ns, value;
	} sample[WINDOW_SAMPLES];
};

struct window_view {
	unsigned count; /* 0: all else is 0, too */
	int64_t sum, p50, p95, p99;
};

/* at_ns: never before the one before. */
void window_add(struct window *window, int64_t at_ns, int64_t value);
void window_get(const struct window *window, int64_t now_ns, struct window_view *out);

#endif
