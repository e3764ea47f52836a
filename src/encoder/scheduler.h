/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which frames are encoded, when, and which of them as key frames. Decisions only: no threads, no
 * devices, no pictures; the clock is the caller's. One thread only, but for scheduler_ask_key().
 *
 * One frame is encoded at a time. The next is prepared just in time: so that it is ready when the
 * encoder is, and no earlier, for until then a newer one may come. So preparing overlaps with
 * encoding where the source is faster than both in a row, and nothing waits in between. Pictures
 * that stand still are left out once they are sharp.
 *
 * The whole life of a request for a key frame is here: it holds until a key frame came out after
 * it; a session says when one was lost.
 */
#ifndef ENCODER_SCHEDULER_H
#define ENCODER_SCHEDULER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rate.h"
#include "encoder/encoder.h"
#include "encoder/session.h"

/* What is asked for. */
struct scheduler_wish {
	struct encoder_tuning tuning; /* fps 0: as fast as the source is */
	unsigned static_fps;          /* of a picture that stands still; 0: as any other */
};

enum verdict {
	VERDICT_ENCODE,
	VERDICT_SAME,   /* leave it out: it is like the one before, which is sharp */
	VERDICT_SURPLUS /* leave it out: the encoder may not be given so many */
};

struct scheduler {
	struct scheduler_wish wish;
	struct encoder_limit limit; /* to that */
	struct cadence cadence;     /* of the source */
	unsigned said_fps;          /* what the source last said of itself */

	atomic_int_least64_t asked_ns; /* when a key frame was asked for last; any thread */
	uint64_t keys_due;             /* that have come out when the last one asked for has */
	int64_t key_sent_ns;           /* when that was handed over */
	unsigned keys_lost;            /* as of the last view */

	bool is_first; /* nothing was handed to this encoder yet */
	enum frame_range range;
	enum frame_matrix matrix; /* what the samples of the last frame meant */
	int64_t submitted_ns;     /* when the last frame was handed over */
	int64_t changed_ns;       /* when the picture was another one than before */
	unsigned small;           /* small access units in a row since then */
	uint64_t judged;          /* how many there were when the last was judged */

	int64_t convert_ns;     /* what preparing a frame takes; set by the owner */
	int64_t lead_ns;        /* how much sooner than just in time preparing begins */
	uint64_t in_time;       /* 0, or access units at which we know whether that was right */
	struct limiter limiter; /* to what the encoder may be given */
	unsigned limit_fps;     /* what that is set to */
};

void scheduler_init(struct scheduler *scheduler);
/* Nobody watches: what comes next is new to those who come later. */
void scheduler_rest(struct scheduler *scheduler);
/* The next frame is an encoder's first. */
void scheduler_begin(struct scheduler *scheduler);

/* What holds of wish and limit: the lower one, and no more fps than the source has. */
struct encoder_tuning scheduler_tuning(const struct scheduler *scheduler);
/* What fps may become, for limits go and sources speed up: the rate to choose a level for. */
unsigned scheduler_most_fps(const struct scheduler *scheduler);
/* A source says how fast it is; 0: it does not. */
void scheduler_note_rate(struct scheduler *scheduler, unsigned fps);

/* Once a turn, before anything else is asked. view, here and below: of the encoder in use. */
void scheduler_look(struct scheduler *scheduler, const struct session_view *view, int64_t now);
/* Whether one more frame could be used now. */
bool scheduler_has_room(const struct scheduler *scheduler, const struct session_view *view,
	int64_t now);
/* Whether a key frame is wanted so much that a picture of before is to be encoded again, and when. */
bool scheduler_repeats(const struct scheduler *scheduler, const struct session_view *view,
	int64_t now);
int64_t scheduler_repeat_ns(const struct session_view *view);
/* When there will be room although nothing happened, later than `now`; INT64_MAX: not. */
int64_t scheduler_due_ns(const struct scheduler *scheduler, const struct session_view *view,
	bool can_repeat, int64_t now);

/* Whether is_same matters to scheduler_judge(). */
bool scheduler_compares(const struct scheduler *scheduler);
/* What to do with a frame that there is room for. is_same: its picture is the one before. */
enum verdict scheduler_judge(struct scheduler *scheduler, const struct session_view *view,
	const struct frame *frame, bool is_same, int64_t now);
/*
 * A frame with samples of that meaning is handed over at submitted_ns. True: as a key frame. now: of
 * the turn, which preparing made longer.
 */
bool scheduler_hand_over(struct scheduler *scheduler, const struct session_view *view,
	const struct frame *meaning, int64_t now, int64_t submitted_ns);

/* Somebody needed a key frame at that time: a later request is not forgotten for it. Any thread. */
void scheduler_ask_key(struct scheduler *scheduler, int64_t at_ns);

#endif
