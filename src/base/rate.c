// SPDX-License-Identifier: GPL-3.0-or-later
/* Meters and limiters of frame rates: see rate.h. */
#include "base/rate.h"

#include "base/util.h"

void rate_tick(struct rate *rate, int64_t at_ns)
{
	int64_t second = at_ns / NS_PER_S, counted = atomic_load(&rate->second);

	if (second != counted) {
		atomic_store(&rate->last, second == counted + 1 ? atomic_load(&rate->now) : 0);
		atomic_store(&rate->now, 0);
		atomic_store(&rate->second, second);
	}
	atomic_fetch_add(&rate->now, 1);
}

unsigned rate_get(const struct rate *rate, int64_t at_ns)
{
	int64_t age = at_ns / NS_PER_S - atomic_load(&rate->second);

	if (age <= 0)
		return atomic_load(&rate->last);
	return age == 1 ? atomic_load(&rate->now) : 0;
}

bool cadence_measure(struct cadence *cadence, uint64_t sequence, int64_t at_ns)
{
	int64_t passed = at_ns - cadence->at_ns;
	uint64_t frames = sequence - cadence->sequence;
	bool fresh = !cadence->at_ns || passed < 0 || passed > 3 * NS_PER_S || frames > 1000;
	unsigned fps;

	if (!fresh && passed < NS_PER_S)
		return false;
	cadence->sequence = sequence;
	cadence->at_ns = at_ns;
	if (fresh)
		return false;
	fps = (unsigned)((frames * NS_PER_S + passed / 2) / passed);
	if (fps == 0 || (fps * 8 > cadence->fps * 7 && fps * 7 < cadence->fps * 8))
		return false;
	cadence->fps = fps;
	return true;
}

void limiter_init(struct limiter *limiter, unsigned fps)
{
	*limiter = (struct limiter){ .interval_ns = fps ? NS_PER_S / fps : 0 };
}

bool limiter_pass(struct limiter *limiter, int64_t at_ns)
{
	int64_t spacing = at_ns - limiter->previous_ns;

	if (!limiter->interval_ns)
		return true;
	if (!limiter->previous_ns || spacing > 4 * limiter->interval_ns || spacing < 0) {
		/* The first frame, or the first after a pause: the grid starts anew here. */
		limiter->spacing_ns = 0;
		limiter->due_ns = at_ns;
	} else {
		limiter->spacing_ns += (spacing - limiter->spacing_ns) / 8;
	}
	limiter->previous_ns = at_ns;

	/* Nearer to this point of the grid than the next frame will be? */
	if (at_ns + limiter->spacing_ns / 2 < limiter->due_ns)
		return false;
	limiter->due_ns += limiter->interval_ns;
	if (limiter->due_ns < at_ns)
		limiter->due_ns = at_ns; /* a slower source: no debt to catch up with */
	return true;
}
