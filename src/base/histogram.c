// SPDX-License-Identifier: GPL-3.0-or-later
/* Histograms of times: see histogram.h. */
#include "base/histogram.h"

#include "base/util.h"

/* Narrow around the frame intervals of video, 8 to 40 ms. */
static const unsigned bound_us[HISTOGRAM_BUCKETS - 1] = { 1000, 2000, 3000, 5000, 7500, 10000,
	15000, 20000, 25000, 30000, 40000, 50000, 75000, 100000, 200000, 500000, 1000000, 2000000,
	5000000 };

void histogram_add(struct histogram *histogram, int64_t ns)
{
	unsigned bucket = 0;

	ns = MAX(ns, 0);
	while (bucket < ARRAY_SIZE(bound_us) && ns > bound_us[bucket] * NS_PER_US)
		bucket++;
	atomic_fetch_add_explicit(&histogram->count[bucket], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_ns, (uint64_t)ns, memory_order_relaxed);
}

void histogram_read(const struct histogram *histogram, struct histogram_view *out)
{
	out->total = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		out->count[i] = atomic_load_explicit(&histogram->count[i], memory_order_relaxed);
		out->total += out->count[i];
	}
	out->sum_ns = atomic_load_explicit(&histogram->sum_ns, memory_order_relaxed);
}

unsigned histogram_bound_us(unsigned bucket)
{
	return bucket < ARRAY_SIZE(bound_us) ? bound_us[bucket] : 0;
}

int64_t histogram_quantile_ns(const struct histogram_view *view, unsigned permille)
{
	uint64_t rank = (view->total * permille + 999) / 1000, below = 0;
	int64_t from_ns = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(bound_us) && view->total; i++) {
		int64_t to_ns = bound_us[i] * NS_PER_US;

		if (below + view->count[i] >= rank)
			return from_ns + (int64_t)((uint64_t)(to_ns - from_ns) * (rank - below) /
						   MAX(view->count[i], 1));
		below += view->count[i];
		from_ns = to_ns;
	}
	return from_ns;
}
