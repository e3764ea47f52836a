// SPDX-License-Identifier: GPL-3.0-or-later
/* How far the stream is to be limited: see adaptation.h. */
#include "fanout/adaptation.h"

#include "base/util.h"

#define CERTAIN     2               /* looks in a row: one may be a hiccup, or a line's start */
#define SETTLE_NS   NS_PER_S        /* until a lower limit shows */
#define RAISE_NS    (2 * NS_PER_S)  /* between steps up */
#define REMEMBER_NS (30 * NS_PER_S) /* what was too much */
#define FORGET_NS   (10 * NS_PER_S) /* everything, without viewers */

/* Of a hundred. */
#define USED      85  /* of what a line took: the rest lets what waits drain */
#define ABOVE     115 /* of that, for a line that had to wait for key frames took less than it can */
#define STEP      125 /* up, far from what was too much */
#define NEAR      80  /* of that: from here on … */
#define NEAR_STEP 105 /* … in such steps, … */
#define CLOSEST   92  /* … and no nearer for a while */
#define BESIDE    150 /* up, while another line is free */
#define TOO_MUCH  125 /* of the limit: the encoder cannot make it smaller */

static unsigned percent(unsigned value, unsigned of)
{
	return (unsigned)((uint64_t)value * of / 100);
}

static bool lower_fps(struct adaptation *adapt, const struct adaptation_look *look)
{
	unsigned fps = adapt->fps ? adapt->fps : look->fps;
	unsigned lower = MAX(fps * 2 / 3, adapt->least_fps);

	if (lower >= fps)
		return false;
	if (!adapt->fps)
		adapt->full_fps = look->fps;
	adapt->bad_fps = fps;
	adapt->bad_fps_ns = look->now_ns;
	adapt->fps = lower;
	return true;
}

static bool lower(struct adaptation *adapt, const struct adaptation_look *look, unsigned now_kbps)
{
	unsigned least = MIN(adapt->least_kbps, now_kbps);
	unsigned target = look->line_kbps ? percent(look->line_kbps, USED) : now_kbps / 2;
	bool is_stuck = adapt->kbps && look->stream_kbps > percent(adapt->kbps, TOO_MUCH);

	adapt->bad_kbps = now_kbps;
	if (look->line_kbps)
		adapt->bad_kbps = MIN(now_kbps, percent(look->line_kbps, ABOVE));
	adapt->bad_ns = look->now_ns;
	if (is_stuck || now_kbps <= least)
		return lower_fps(adapt, look);
	/* One look may be wrong, but something has to change. */
	adapt->kbps = MAX(CLAMP(target, now_kbps / 8, now_kbps * 9 / 10), least);
	return true;
}

static unsigned next_kbps(struct adaptation *adapt, const struct adaptation_look *look)
{
	unsigned step = look->congested || look->others ? BESIDE : STEP, next;
	bool is_recent = look->now_ns - adapt->bad_ns < REMEMBER_NS;

	if (adapt->kbps > adapt->bad_kbps || look->others)
		adapt->bad_kbps = 0; /* it is not too much any more */
	if (adapt->bad_kbps && percent(adapt->kbps, STEP) > percent(adapt->bad_kbps, NEAR))
		step = NEAR_STEP;
	next = percent(adapt->kbps, step) + 1;
	if (adapt->bad_kbps && is_recent && next > percent(adapt->bad_kbps, CLOSEST))
		return adapt->kbps;
	return next;
}

/* What was too much is tried again now and then, for each try makes the line late. */
static bool raise_fps(struct adaptation *adapt, const struct adaptation_look *look)
{
	unsigned next = MIN(adapt->fps * 3 / 2 + 1, adapt->full_fps);

	if (!look->others && adapt->bad_fps && next >= adapt->bad_fps &&
		look->now_ns - adapt->bad_fps_ns < REMEMBER_NS)
		return false;
	adapt->fps = next == adapt->full_fps ? 0 : next;
	return true;
}

static bool raise_limits(struct adaptation *adapt, const struct adaptation_look *look)
{
	unsigned kbps = adapt->kbps;

	if (adapt->fps)
		return raise_fps(adapt, look);
	if (!kbps || (!look->others && look->stream_kbps < kbps / 2))
		return false;
	adapt->kbps = next_kbps(adapt, look);
	if (adapt->kbps >= look->wanted_kbps)
		adapt->kbps = 0;
	return adapt->kbps != kbps;
}

static bool forget(struct adaptation *adapt, const struct adaptation_look *look)
{
	bool was_limited = adapt->kbps || adapt->fps;

	if (look->now_ns - adapt->seen_ns < FORGET_NS)
		return false;
	*adapt = (struct adaptation){ .least_kbps = adapt->least_kbps,
		.least_fps = adapt->least_fps };
	return was_limited;
}

bool adaptation_step(struct adaptation *adapt, const struct adaptation_look *look)
{
	unsigned now_kbps = adapt->kbps ? MIN(adapt->kbps, look->wanted_kbps) : look->wanted_kbps;
	int64_t since_ns = look->now_ns - adapt->changed_ns;
	bool are_all = look->viewers && look->congested == look->viewers && !look->others;
	bool is_other = false;

	if (!look->viewers && !look->others)
		return forget(adapt, look);
	adapt->seen_ns = look->now_ns;
	if (look->viewers > adapt->viewers)
		adapt->bad_kbps = adapt->bad_fps = 0; /* who came may have a better line */
	adapt->viewers = look->viewers;
	adapt->in_a_row = are_all ? adapt->in_a_row + 1 : 0;
	if (are_all && adapt->in_a_row >= CERTAIN && since_ns >= SETTLE_NS)
		is_other = lower(adapt, look, now_kbps);
	else if (!are_all && since_ns >= (look->congested || look->others ? SETTLE_NS : RAISE_NS))
		is_other = raise_limits(adapt, look);
	if (is_other)
		adapt->changed_ns = look->now_ns;
	return is_other;
}
