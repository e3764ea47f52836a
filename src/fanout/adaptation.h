/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How far the H.264 stream is to be limited for its viewers' lines: decisions only, on whatever clock
 * the caller has.
 *
 * It is limited when every viewer's line is too slow for it, to what the fastest of them took; first
 * in bits, and in frames only when that is not enough. As long as one line is fast enough, no other
 * lowers anything. The way back is slow, and slower still near what was too much before; it is gone
 * only while the stream makes use of what it has, as nothing is learned otherwise.
 */
#ifndef FANOUT_ADAPTATION_H
#define FANOUT_ADAPTATION_H

#include <stdbool.h>
#include <stdint.h>

#define ADAPTATION_PERIOD_MS 500 /* from look to look */

/* What was seen since the look before. */
struct adaptation_look {
	int64_t now_ns;
	unsigned wanted_kbps, fps; /* what was asked for; what is in force */
	unsigned viewers;          /* that have pictures */
	unsigned congested;        /* of them: their lines did not keep up */
	bool others;               /* somebody reads who has no line at all */
	unsigned line_kbps;        /* what the fastest of the congested lines took; 0: not known */
	unsigned stream_kbps;      /* what the stream was */
};

/* Zeroed but for the first block: no limit. The owner may read all of it. */
struct adaptation {
	unsigned least_kbps, least_fps; /* never lower */

	unsigned kbps, fps; /* the limits; 0: none */
	unsigned full_fps;  /* what it was before it was limited */
	unsigned in_a_row;  /* looks at which all were congested */
	unsigned viewers;
	unsigned bad_kbps, bad_fps; /* what was too much lately; 0: not known */
	int64_t bad_ns, bad_fps_ns, changed_ns, seen_ns;
};

/* True when the limits are others now. */
bool adaptation_step(struct adaptation *adapt, const struct adaptation_look *look);

#endif
