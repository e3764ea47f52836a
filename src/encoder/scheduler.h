/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The scheduler hands frames to the encoder that the supervisor has running: the newest one, as soon as
 * there is room for it, in the encoder's own memory. Pictures that stand still are left out. One
 * thread only.
 *
 * One frame is encoded at a time. The next is prepared just in time: so that it is ready when the
 * encoder is, and no earlier, for until then a newer one may come. So preparing overlaps with
 * encoding where the source is faster than both in a row, and nothing waits in between.
 */
#ifndef ENCODER_SCHEDULER_H
#define ENCODER_SCHEDULER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rate.h"
#include "convert/picture.h"
#include "encoder/change_detector.h"
#include "encoder/supervisor.h"
#include "media/drops.h"
#include "settings/options.h"

/* The owner may read all of it; only asked_ns and damaged_ns on other threads. */
struct scheduler {
	const struct options
		*opt; /* set by scheduler_init(), as all of this block; the owner may change
				      what it points to */
	struct drops *drops;
	struct supervisor *supervisor;
	struct mailbox *mailbox;
	struct picture_converter *converter;

	atomic_int_least64_t asked_ns; /* set by anyone: when a key frame was asked for last */
	atomic_int_least64_t
		damaged_ns; /* since when all JPEGs were damaged; 0: the last was not */

	struct encoder_limit limit; /* to what the options ask for, and what the encoder is given */
	struct cadence cadence;
	struct frame *held;  /* waits for an encoder to open */
	struct frame *slate; /* the newest frame, if it may be kept: encoded again for newcomers */
	struct change_detector detector;
	bool is_first; /* nothing was handed to this encoder yet */
	uint64_t fed;  /* which encoder the last frame went to: supervisor->opened */
	enum frame_range range;
	enum frame_matrix matrix; /* what the samples of the last frame meant */
	int64_t changed_ns;       /* when the picture was another one than before */
	unsigned small;           /* small access units in a row since then */
	uint64_t judged;          /* how many there were when the last was judged */
	int64_t submitted_ns;     /* when the last frame was handed over */
	int64_t convert_ns;       /* what preparing a frame takes, smoothed */
	int64_t lead_ns;          /* how much sooner than just in time preparing begins */
	uint64_t in_time;         /* 0, or access units at which we know whether that was right */
	uint64_t keys_due;      /* key frames that have come out when the last one asked for has */
	int64_t key_sent_ns;    /* when that was handed over */
	unsigned keys_lost;     /* as of the last view */
	struct limiter limiter; /* to what the encoder may be given */
	unsigned limit_fps;     /* what that is set to */
	uint64_t same;          /* frames left out, since they were like the one before */
	uint64_t surplus;       /* frames left out, since the encoder may not be given so many */
};

/* All arguments but `scheduler` are borrowed until scheduler_finish(). 0 or -ENOMEM. */
int scheduler_init(struct scheduler *scheduler, const struct options *opt, struct drops *drops,
	struct supervisor *supervisor, struct mailbox *mailbox);
void scheduler_finish(struct scheduler *scheduler);

/*
 * Takes a frame if there is one and room for it; has the supervisor look for an encoder if need be.
 * now, here and below: one look at the clock for each turn of the thread.
 */
void scheduler_feed(struct scheduler *scheduler, int64_t now);
/* Whether a frame in the mailbox could be used now. */
bool scheduler_has_room(const struct scheduler *scheduler, int64_t now);
/* When to feed again although nothing happened, later than `now`; INT64_MAX: not. */
int64_t scheduler_due_ns(const struct scheduler *scheduler, int64_t now);
/* Somebody needed a key frame at that time: a later request is not forgotten for it. Any thread. */
void scheduler_ask_key(struct scheduler *scheduler, int64_t at_ns);
/* Nobody watches: lets go of all frames. */
void scheduler_rest(struct scheduler *scheduler);
/* The options are others now: they hold from the next frame on. */
void scheduler_obey(struct scheduler *scheduler);
/* On top of them: the lower one holds. */
void scheduler_limit(struct scheduler *scheduler, const struct encoder_limit *limit);
/* What the options ask for; fps 0: as fast as the source is. */
struct encoder_tuning scheduler_wish(const struct options *opt);

#endif
