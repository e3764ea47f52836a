/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long things take, as counts in fixed buckets from 1 ms to 5 s. No lock and no allocation: any
 * thread adds and any reads. Who reads meanwhile sees each number as of some moment a little apart.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* The last one has no upper bound. */
#define HISTOGRAM_BUCKETS 20

/* Zeroed memory is an empty one. */
struct histogram {
	atomic_uint_least64_t count[HISTOGRAM_BUCKETS];
	atomic_uint_least64_t sum_ns;
};

/* What was read of one. */
struct histogram_view {
	uint64_t count[HISTOGRAM_BUCKETS]; /* each of its bucket alone */
	uint64_t total;                    /* all of them */
	uint64_t sum_ns;
};

/* Negative times, of clocks that disagree, count as 0. */
void histogram_add(struct histogram *histogram, int64_t ns);

void histogram_read(const struct histogram *histogram, struct histogram_view *out);

/* The longest time of the bucket, in microseconds; 0: any. */
unsigned histogram_bound_us(unsigned bucket);

/*
 * What so many of a thousand times do not exceed, evenly spread within a bucket; 0: nothing was
 * counted. Beyond the last bound it is that bound.
 */
int64_t histogram_quantile_ns(const struct histogram_view *view, unsigned permille);

#endif
