/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small facts about a sequence of frames: how many a second there are, how fast its source is,
 * and which of them a limiter lets through. No locks: one thread ticks, any may read.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Events per second: the count of the last whole second. Zeroed memory is a fresh meter. */
struct rate {
	atomic_int_least64_t second; /* which second of CLOCK_MONOTONIC is being counted */
	atomic_uint now, last;       /* events in that second, and in the one before */
};

void rate_tick(struct rate *rate, int64_t at_ns);
unsigned rate_get(const struct rate *rate, int64_t at_ns);

/*
 * How fast a source is by its own numbers and times, frames counted that we never saw. Zeroed
 * memory is a fresh one. One thread only.
 */
struct cadence {
	uint64_t sequence; /* of the frame that the count began with */
	int64_t at_ns;     /* and its time; 0: there is none yet */
	unsigned fps;      /* 0: not known yet */
};

/* True when the rate is another one now, by an eighth or more. */
bool cadence_measure(struct cadence *cadence, uint64_t sequence, int64_t at_ns);

/*
 * Lets through `fps` frames a second of any faster source, by time: those nearest to an even
 * grid. A source at or below the limit passes whole. One thread only.
 */
struct limiter {
	int64_t interval_ns; /* 0: everything passes */
	int64_t due_ns;      /* the next point of the grid */
	int64_t previous_ns; /* the last frame seen */
	int64_t spacing_ns;  /* smoothed distance of the source's frames */
};

void limiter_init(struct limiter *limiter, unsigned fps);
bool limiter_pass(struct limiter *limiter, int64_t at_ns);

#endif
