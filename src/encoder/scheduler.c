// SPDX-License-Identifier: GPL-3.0-or-later
/* Feeds the encoder: see scheduler.h. */
#include "encoder/scheduler.h"

#include "base/util.h"

#define LOG_TOPIC "h264"
#include "base/log.h"

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

int scheduler_init(struct scheduler *scheduler, const struct options *opt, struct drops *drops,
	struct supervisor *supervisor, struct mailbox *mailbox)
{
	*scheduler = (struct scheduler){ .opt = opt,
		.drops = drops,
		.supervisor = supervisor,
		.mailbox = mailbox,
		.lead_ns = READY_NS };
	return picture_converter_create(&scheduler->converter);
}

void scheduler_finish(struct scheduler *scheduler)
{
	scheduler_rest(scheduler);
	change_detector_finish(&scheduler->detector);
	picture_converter_destroy(scheduler->converter);
}

void scheduler_rest(struct scheduler *scheduler)
{
	frame_unref(scheduler->held);
	frame_unref(scheduler->slate);
	scheduler->held = scheduler->slate = NULL;
	change_detector_reset(&scheduler->detector);
	scheduler->cadence.at_ns = 0;
	atomic_store(&scheduler->damaged_ns, 0);
}

/* ---- what to ask of an encoder */

struct encoder_tuning scheduler_wish(const struct options *opt)
{
	return (struct encoder_tuning){ .bitrate_kbps = (unsigned)opt->h264_bitrate_kbps,
		.gop = (unsigned)opt->h264_gop,
		.fps = (unsigned)opt->desired_fps,
		.min_qp = (unsigned)opt->h264_min_qp,
		.max_qp = (unsigned)opt->h264_max_qp };
}

static struct encoder_tuning effective_tuning(const struct scheduler *scheduler)
{
	struct encoder_tuning tuning = scheduler_wish(scheduler->opt);
	unsigned fps = scheduler->cadence.fps ? scheduler->cadence.fps : DEFAULT_FPS;

	tuning.fps = tuning.fps ? MIN(tuning.fps, fps) : fps;
	if (scheduler->limit.fps)
		tuning.fps = MIN(tuning.fps, scheduler->limit.fps);
	if (scheduler->limit.bitrate_kbps)
		tuning.bitrate_kbps = MIN(tuning.bitrate_kbps, scheduler->limit.bitrate_kbps);
	return tuning;
}

void scheduler_obey(struct scheduler *scheduler)
{
	struct encoder_tuning tuning = effective_tuning(scheduler);

	supervisor_tune(scheduler->supervisor, &tuning);
}

void scheduler_limit(struct scheduler *scheduler, const struct encoder_limit *limit)
{
	scheduler->limit = *limit;
	scheduler_obey(scheduler);
}

/*
 * The encoder's input is chosen after what it will be fed with: the frame at hand, but for the
 * slate the format that the device is going to be asked for.
 */
static void want_encoder(struct scheduler *scheduler, const struct frame *frame, int64_t now)
{
	const struct options *opt = scheduler->opt;
	struct encoder_config config = { .width = frame->width,
		.height = frame->height,
		.tuning = effective_tuning(scheduler),
		.profile = opt->h264_profile,
		.boost = opt->h264_boost,
		.device = opt->h264_m2m_device };
	struct frame *like = &config.like;

	like->format = frame->online ? frame->format : opt->format;
	like->width = frame->width;
	like->height = frame->height;
	like->range = frame->range;
	like->matrix = frame->matrix;
	like->dmabuf.id = frame->dmabuf.id;
	for (unsigned i = 0; i < FRAME_PLANES && frame->online; i++) {
		like->plane[i].stride = frame->plane[i].stride;
		like->plane[i].size = frame->plane[i].size;
	}
	supervisor_want(scheduler->supervisor, &config, now);
}

/*
 * Whether the encoder has nothing to add to a picture that stands still: text has to become sharp.
 * One small access unit says little, for rate control makes them in between.
 */
static bool is_settled(struct scheduler *scheduler, size_t budget, int64_t now)
{
	const struct session_view *view = &scheduler->supervisor->view;

	if (view->units != scheduler->judged && !view->in_flight) {
		scheduler->judged = view->units;
		scheduler->small = view->last_size > budget / SMALL_PART ? 0 : scheduler->small + 1;
	}
	return scheduler->small >= SETTLED_UNITS || now - scheduler->changed_ns >= SETTLE_NS;
}

/* Whether the picture may be left out because it is the one before, and sharp. */
static bool is_left_out(struct scheduler *scheduler, const struct frame *frame, int64_t now)
{
	const struct encoder_tuning *tuning = &scheduler->supervisor->config.tuning;
	int fps = scheduler->opt->h264_static_fps;
	size_t budget = tuning->bitrate_kbps * 125UL / MAX(tuning->fps, 1);

	if (!fps)
		return false;
	if (!change_detector_is_same(&scheduler->detector, frame)) {
		scheduler->changed_ns = now;
		scheduler->small = 0;
		return false;
	}
	if (!is_settled(scheduler, budget, now))
		return false;
	/* Half a frame early is nearer to the rate than half a frame late. */
	return now - scheduler->submitted_ns <
	       NS_PER_S / fps - NS_PER_S / (2 * MAX(tuning->fps, 1));
}

static void note_damage(struct scheduler *scheduler, bool damaged)
{
	int64_t none = 0;

	if (!damaged)
		atomic_store(&scheduler->damaged_ns, 0);
	else
		atomic_compare_exchange_strong(&scheduler->damaged_ns, &none, now_ns());
}

static void count_drop(struct scheduler *scheduler, const struct frame *frame, int error,
	const char *why)
{
	const char *format = (const char *)&frame->format;

	if (error == -EBADMSG)
		drops_add(scheduler->drops, DROP_CORRUPT, "JPEG of %zu bytes: %s",
			frame->plane[0].size, why);
	else if (error == -ENOMEM)
		drops_add(scheduler->drops, DROP_NO_MEMORY, "no memory to convert %ux%u",
			frame->width, frame->height);
	else if (error == -EINVAL)
		drops_add(scheduler->drops, DROP_SHORT, "%.4s: %s", format, why);
	else
		drops_add(scheduler->drops, DROP_ENCODER, "%.4s: %s", format, why);
	note_damage(scheduler, error == -EBADMSG);
}

/* Puts the frame into an input and says in *origin what its samples mean there. */
static int convert(struct scheduler *scheduler, const struct encoder *to, const struct frame *frame,
	struct frame *origin)
{
	int input = __builtin_ctz(scheduler->supervisor->view.free_inputs);
	struct picture picture = to->input[input];
	int64_t begin = now_ns(), took;
	const char *why;
	int res = picture_convert(scheduler->converter, &picture, frame,
		scheduler->opt->allow_truncated_frames, &why);

	if (res < 0) {
		count_drop(scheduler, frame, res, why);
		return res;
	}
	note_damage(scheduler, false);
	took = now_ns() - begin;
	scheduler->convert_ns += scheduler->convert_ns ? (took - scheduler->convert_ns) / 8 : took;
	origin->range = picture.range;
	origin->matrix = picture.matrix;
	origin->convert_begin_ns = begin;
	return input;
}

void scheduler_ask_key(struct scheduler *scheduler, int64_t at_ns)
{
	int64_t last_ns = atomic_load(&scheduler->asked_ns);

	while (last_ns < at_ns &&
		!atomic_compare_exchange_weak(&scheduler->asked_ns, &last_ns, at_ns)) {
	}
}

/* Whether someone waits for a key frame that was not handed over since. */
static bool wants_key(const struct scheduler *scheduler, int64_t now)
{
	const struct session_view *view = &scheduler->supervisor->view;
	bool on_its_way = view->in_flight && view->keys < scheduler->keys_due &&
			  now - scheduler->key_sent_ns < KEY_LOST_NS;

	return !on_its_way && atomic_load(&scheduler->asked_ns) > view->last_key_ns;
}

/* When the next key frame may be asked for. */
static int64_t key_ns(const struct scheduler *scheduler)
{
	int64_t last_ns = scheduler->supervisor->view.last_key_ns;

	return last_ns ? last_ns + KEY_SPACING_NS : 0;
}

/* Only a key frame can say so, in its parameter set. */
static bool is_other_meaning(struct scheduler *scheduler, const struct frame *origin)
{
	bool other = origin->range != scheduler->range || origin->matrix != scheduler->matrix;

	scheduler->range = origin->range;
	scheduler->matrix = origin->matrix;
	return other;
}

/* Borrows the frame, which has the encoder's size. */
static void encode(struct scheduler *scheduler, struct frame *frame, bool direct, int64_t now)
{
	const struct encoder *to = session_encoder(scheduler->supervisor->session);
	struct frame origin = { .range = frame->range, .matrix = frame->matrix };
	struct encoder_submission in = { .input = -1, .origin = &origin };

	frame_copy_origin(&origin, frame);
	if (direct)
		in.frame = frame;
	else
		in.input = convert(scheduler, to, frame, &origin);
	if (!direct && in.input < 0)
		return;
	scheduler->submitted_ns = now_ns(); /* preparing took time */
	scheduler->in_time = scheduler->supervisor->view.in_flight
				     ? scheduler->supervisor->view.units + 1
				     : 0;
	in.want_key = is_other_meaning(scheduler, &origin) ||
		      (wants_key(scheduler, now) && now >= key_ns(scheduler));
	if (in.want_key || scheduler->is_first) {
		scheduler->keys_due = scheduler->supervisor->view.keys + 1;
		scheduler->key_sent_ns = scheduler->submitted_ns;
	}
	scheduler->is_first = false;
	session_submit(scheduler->supervisor->session, &in);
}

/* Frames that can be kept are, for newcomers: the slate comes once a second only. */
static void keep_slate(struct scheduler *scheduler, struct frame *frame)
{
	frame_ref(frame);
	frame_unref(scheduler->slate);
	scheduler->slate = frame->keepable ? frame : NULL;
	if (!frame->keepable)
		frame_unref(frame);
}

/*
 * A rate that the encoder's level does not allow was lowered, but hardware that is given more than
 * was declared spends more bits than agreed, and time. A slower source passes any limit whole.
 */
static bool is_surplus(struct scheduler *scheduler, const struct frame *frame)
{
	unsigned allowed = scheduler->supervisor->view.fps;
	unsigned fps = scheduler->supervisor->config.tuning.fps > allowed ? allowed
									  : scheduler->limit.fps;

	if (fps != scheduler->limit_fps)
		limiter_init(&scheduler->limiter, fps);
	scheduler->limit_fps = fps;
	return fps && !limiter_pass(&scheduler->limiter, frame->captured_ns);
}

/* The next frame is an encoder's first. */
static void begin(struct scheduler *scheduler)
{
	scheduler->fed = scheduler->supervisor->opened;
	scheduler->is_first = true;
	scheduler->keys_due = scheduler->in_time = 0;
	change_detector_reset(&scheduler->detector);
}

/* Takes the reference of a frame that there is room for now. */
static void handle(struct scheduler *scheduler, struct frame *frame, int64_t now)
{
	struct supervisor *supervisor = scheduler->supervisor;
	const struct encoder *to = session_encoder(supervisor->session);
	bool direct = to->ops->takes(to, frame);

	if (!direct && !supervisor->view.free_inputs) {
		scheduler->held = frame;
		return;
	}
	if (scheduler->fed != supervisor->opened)
		begin(scheduler);
	keep_slate(scheduler, frame);
	if (frame->online &&
		cadence_measure(&scheduler->cadence, frame->sequence, frame->captured_ns))
		scheduler_obey(scheduler);
	if (is_left_out(scheduler, frame, now) && !wants_key(scheduler, now))
		scheduler->same++;
	else if (is_surplus(scheduler, frame))
		scheduler->surplus++;
	else
		encode(scheduler, frame, direct, now);
	frame_unref(frame);
}

/* When there is room for one more frame; INT64_MAX: when one has come out. */
static int64_t room_ns(const struct scheduler *scheduler)
{
	const struct session_view *view = &scheduler->supervisor->view;
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
static void learn_lead(struct scheduler *scheduler)
{
	const struct session_view *view = &scheduler->supervisor->view;
	int64_t ready_ns = view->ended_ns - scheduler->submitted_ns;

	if (!scheduler->in_time || view->units < scheduler->in_time)
		return;
	if (view->units == scheduler->in_time)
		scheduler->lead_ns = CLAMP(scheduler->lead_ns + (READY_NS - ready_ns) / 8, 0,
			view->encode_ns / 2);
	scheduler->in_time = 0;
}

static bool wants_slate_again(const struct scheduler *scheduler, int64_t now)
{
	return scheduler->slate && wants_key(scheduler, now);
}

/* The newest frame, or NULL. The caller owns it. */
static struct frame *take_newest(struct scheduler *scheduler, int64_t now)
{
	struct frame *newest = mailbox_take(scheduler->mailbox), *held = scheduler->held;

	scheduler->held = NULL;
	if (newest) {
		frame_unref(held);
		return newest;
	}
	if (!held && wants_slate_again(scheduler, now) && now >= key_ns(scheduler))
		return frame_ref(scheduler->slate);
	return held;
}

/* Whether the encoder in use is for this frame and for what is asked for; else another is needed. */
static bool suits(const struct scheduler *scheduler, const struct frame *frame)
{
	const struct encoder_config *config = &scheduler->supervisor->config;

	return config->width == frame->width && config->height == frame->height &&
	       config->profile == scheduler->opt->h264_profile;
}

bool scheduler_has_room(const struct scheduler *scheduler, int64_t now)
{
	const struct supervisor *supervisor = scheduler->supervisor;

	if (supervisor_is_running(supervisor))
		return room_ns(scheduler) <= now;
	return !supervisor->session && !scheduler->held;
}

void scheduler_feed(struct scheduler *scheduler, int64_t now)
{
	struct supervisor *supervisor = scheduler->supervisor;
	struct frame *frame;

	learn_lead(scheduler);
	if (supervisor->view.keys_lost != scheduler->keys_lost)
		scheduler_ask_key(scheduler, now);
	scheduler->keys_lost = supervisor->view.keys_lost;
	if (supervisor->session && !scheduler_has_room(scheduler, now))
		return;
	frame = take_newest(scheduler, now);
	if (!frame)
		return;
	if (supervisor_is_running(supervisor) && suits(scheduler, frame)) {
		handle(scheduler, frame, now);
		return;
	}
	/* Its level is picked once, so the rate has to be right from the start. */
	if (frame->fps)
		scheduler->cadence.fps = frame->fps;
	want_encoder(scheduler, frame, now);
	supervisor_tend(supervisor, now);
	/* It is kept while an encoder opens, unless a newer one comes. */
	if (supervisor->session || supervisor_due_ns(supervisor) <= now + NS_PER_S) {
		scheduler->held = frame;
	} else {
		frame_unref(frame);
		atomic_store(&scheduler->damaged_ns, 0); /* nobody looks any more */
	}
}

int64_t scheduler_due_ns(const struct scheduler *scheduler, int64_t now)
{
	int64_t due = INT64_MAX;

	if (!supervisor_is_running(scheduler->supervisor))
		return due;
	if (scheduler->supervisor->view.in_flight == 1)
		due = room_ns(scheduler);
	else if (scheduler->supervisor->view.in_flight == 0 && wants_slate_again(scheduler, now))
		due = key_ns(scheduler);
	/* What is past has been seen to: from there on a frame or an access unit wakes us. */
	return due > now ? due : INT64_MAX;
}
