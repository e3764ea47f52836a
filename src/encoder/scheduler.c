// SPDX-License-Identifier: GPL-3.0-or-later
/* What is encoded, and when: see scheduler.h. */
#include "encoder/scheduler.h"

#include "base/util.h"

/* A storm of requests for key frames costs no more than this. */
#define KEY_SPACING_NS (100 * NS_PER_MS)

/* A key frame that did not come out by then was dropped by the encoder. */
#define KEY_LOST_NS (500 * NS_PER_MS)

/* The next frame should lie ready that long before the encoder is: a wake-up more or less. */
#define READY_NS NS_PER_MS

/* A picture that stands still is encoded on until so many access units in a row were small … */
#define SETTLED_UNITS 8
/* … which is not much of what the bitrate has for one, and at most that long. */
#define SMALL_PART 16
#define SETTLE_NS  (2 * NS_PER_S)

#define DEFAULT_FPS 30

void scheduler_init(struct scheduler *scheduler)
{
	*scheduler = (struct scheduler){ .lead_ns = READY_NS };
}

void scheduler_rest(struct scheduler *scheduler)
{
	scheduler->cadence.at_ns = 0;
}

void scheduler_begin(struct scheduler *scheduler)
{
	scheduler->is_first = true;
	scheduler->keys_due = scheduler->in_time = 0;
}

/* ---- what to ask of an encoder */

static unsigned wish_of(const struct scheduler *scheduler, unsigned source_fps)
{
	unsigned wish = scheduler->wish.tuning.fps, fps = source_fps ? source_fps : DEFAULT_FPS;

	return wish ? MIN(wish, fps) : fps;
}

unsigned scheduler_most_fps(const struct scheduler *scheduler)
{
	return wish_of(scheduler, MAX(scheduler->cadence.fps, scheduler->said_fps));
}

struct encoder_tuning scheduler_tuning(const struct scheduler *scheduler)
{
	struct encoder_tuning tuning = scheduler->wish.tuning;

	tuning.fps = wish_of(scheduler, scheduler->cadence.fps);
	if (scheduler->limit.fps)
		tuning.fps = MIN(tuning.fps, scheduler->limit.fps);
	if (scheduler->limit.bitrate_kbps)
		tuning.bitrate_kbps = MIN(tuning.bitrate_kbps, scheduler->limit.bitrate_kbps);
	return tuning;
}

/* Its word counts when it is new; what is measured afterwards counts more. */
void scheduler_note_rate(struct scheduler *scheduler, unsigned fps)
{
	if (!fps || fps == scheduler->said_fps)
		return;
	scheduler->said_fps = scheduler->cadence.fps = fps;
	scheduler->cadence.at_ns = 0;
}

/* ---- key frames */

void scheduler_ask_key(struct scheduler *scheduler, int64_t at_ns)
{
	int64_t last_ns = atomic_load(&scheduler->asked_ns);

	while (last_ns < at_ns &&
		!atomic_compare_exchange_weak(&scheduler->asked_ns, &last_ns, at_ns)) {
	}
}

/* Whether someone waits for a key frame that was not handed over since. */
static bool wants_key(const struct scheduler *scheduler, const struct session_view *view,
	int64_t now)
{
	bool on_its_way = view->in_flight && view->keys < scheduler->keys_due &&
			  now - scheduler->key_sent_ns < KEY_LOST_NS;

	return !on_its_way && atomic_load(&scheduler->asked_ns) > view->last_key_ns;
}

/* When the next key frame may be asked for. */
int64_t scheduler_repeat_ns(const struct session_view *view)
{
	return view->last_key_ns ? view->last_key_ns + KEY_SPACING_NS : 0;
}

bool scheduler_repeats(const struct scheduler *scheduler, const struct session_view *view,
	int64_t now)
{
	return wants_key(scheduler, view, now) && now >= scheduler_repeat_ns(view);
}

/* Only a key frame can say so, in its parameter set. */
static bool is_other_meaning(struct scheduler *scheduler, const struct frame *meaning)
{
	bool other = meaning->range != scheduler->range || meaning->matrix != scheduler->matrix;

	scheduler->range = meaning->range;
	scheduler->matrix = meaning->matrix;
	return other;
}

bool scheduler_hand_over(struct scheduler *scheduler, const struct session_view *view,
	const struct frame *meaning, int64_t now, int64_t submitted_ns)
{
	bool as_key = is_other_meaning(scheduler, meaning) ||
		      scheduler_repeats(scheduler, view, now);

	scheduler->submitted_ns = submitted_ns;
	scheduler->in_time = view->in_flight ? view->units + 1 : 0;
	if (as_key || scheduler->is_first) {
		scheduler->keys_due = view->keys + 1;
		scheduler->key_sent_ns = submitted_ns;
	}
	scheduler->is_first = false;
	return as_key;
}

/* ---- stillness and surplus */

bool scheduler_compares(const struct scheduler *scheduler)
{
	return scheduler->wish.static_fps != 0;
}

/*
 * Whether the encoder has nothing to add to a picture that stands still: text has to become sharp.
 * One small access unit says little, for rate control makes them in between.
 */
static bool is_settled(struct scheduler *scheduler, const struct session_view *view, size_t budget,
	int64_t now)
{
	if (view->units != scheduler->judged && !view->in_flight) {
		scheduler->judged = view->units;
		scheduler->small = view->last_size > budget / SMALL_PART ? 0 : scheduler->small + 1;
	}
	return scheduler->small >= SETTLED_UNITS || now - scheduler->changed_ns >= SETTLE_NS;
}

/* Whether the picture may be left out because it is the one before, and sharp. */
static bool is_left_out(struct scheduler *scheduler, const struct session_view *view, bool is_same,
	int64_t now)
{
	const struct encoder_tuning tuning = scheduler_tuning(scheduler);
	size_t budget = tuning.bitrate_kbps * 125UL / MAX(tuning.fps, 1);
	unsigned fps = scheduler->wish.static_fps;

	if (!fps)
		return false;
	if (!is_same) {
		scheduler->changed_ns = now;
		scheduler->small = 0;
		return false;
	}
	if (!is_settled(scheduler, view, budget, now))
		return false;
	/* Half a frame early is nearer to the rate than half a frame late. */
	return now - scheduler->submitted_ns < NS_PER_S / fps - NS_PER_S / (2 * MAX(tuning.fps, 1));
}

/*
 * A rate that the encoder's level does not allow was lowered, but hardware that is given more than
 * was declared spends more bits than agreed, and time. A slower source passes any limit whole.
 */
static bool is_surplus(struct scheduler *scheduler, const struct session_view *view,
	int64_t captured_ns)
{
	unsigned fps = scheduler_tuning(scheduler).fps > view->fps ? view->fps
								   : scheduler->limit.fps;

	if (fps != scheduler->limit_fps)
		limiter_init(&scheduler->limiter, fps);
	scheduler->limit_fps = fps;
	return fps && !limiter_pass(&scheduler->limiter, captured_ns);
}

enum verdict scheduler_judge(struct scheduler *scheduler, const struct session_view *view,
	const struct frame *frame, bool is_same, int64_t now)
{
	if (frame->online)
		cadence_measure(&scheduler->cadence, frame->sequence, frame->captured_ns);
	if (is_left_out(scheduler, view, is_same, now) && !wants_key(scheduler, view, now))
		return VERDICT_SAME;
	/* What is repeated for a newcomer has the time that it had before. */
	if (is_surplus(scheduler, view, frame->captured_ns) &&
		!scheduler_repeats(scheduler, view, now))
		return VERDICT_SURPLUS;
	return VERDICT_ENCODE;
}

/* ---- just in time */

/* When there is room for one more frame; INT64_MAX: when one has come out. */
static int64_t room_ns(const struct scheduler *scheduler, const struct session_view *view)
{
	int64_t begin_ns = view->begin_ns ? view->begin_ns : view->waiting_ns;

	if (view->in_flight == 0)
		return 0;
	if (view->in_flight > 1 || !view->encode_ns)
		return INT64_MAX;
	return begin_ns + view->encode_ns - scheduler->convert_ns - scheduler->lead_ns;
}

/*
 * Whether the last frame lay ready too long or came too late is known when the one before it has
 * come out.
 */
static void learn_lead(struct scheduler *scheduler, const struct session_view *view)
{
	int64_t ready_ns = view->ended_ns - scheduler->submitted_ns;

	if (!scheduler->in_time || view->units < scheduler->in_time)
		return;
	if (view->units == scheduler->in_time)
		scheduler->lead_ns = CLAMP(scheduler->lead_ns + (READY_NS - ready_ns) / 8, 0,
			view->encode_ns / 2);
	scheduler->in_time = 0;
}

void scheduler_look(struct scheduler *scheduler, const struct session_view *view, int64_t now)
{
	learn_lead(scheduler, view);
	if (view->keys_lost > scheduler->keys_lost) {
		scheduler->keys_due = 0; /* it is not on its way any more */
		scheduler_ask_key(scheduler, now);
	}
	scheduler->keys_lost = view->keys_lost;
}

bool scheduler_has_room(const struct scheduler *scheduler, const struct session_view *view,
	int64_t now)
{
	return room_ns(scheduler, view) <= now;
}

int64_t scheduler_due_ns(const struct scheduler *scheduler, const struct session_view *view,
	bool can_repeat, int64_t now)
{
	int64_t due = INT64_MAX;

	if (view->in_flight == 1)
		due = room_ns(scheduler, view);
	else if (view->in_flight == 0 && can_repeat && wants_key(scheduler, view, now))
		due = scheduler_repeat_ns(view);
	/* What is past has been seen to: from there on a frame or an access unit wakes us. */
	return due > now ? due : INT64_MAX;
}
