// SPDX-License-Identifier: GPL-3.0-or-later
/* Feeds the encoder: see feeder.h. */
#include "encoder/feeder.h"

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

int feeder_init(struct feeder *feeder, const struct options *opt, struct drops *drops,
	struct keeper *keeper, struct mailbox *mailbox)
{
	*feeder = (struct feeder){ .opt = opt,
		.drops = drops,
		.keeper = keeper,
		.mailbox = mailbox,
		.lead_ns = READY_NS };
	return picture_converter_create(&feeder->converter);
}

void feeder_finish(struct feeder *feeder)
{
	feeder_rest(feeder);
	still_finish(&feeder->still);
	picture_converter_destroy(feeder->converter);
}

void feeder_rest(struct feeder *feeder)
{
	frame_unref(feeder->held);
	frame_unref(feeder->slate);
	feeder->held = feeder->slate = NULL;
	still_reset(&feeder->still);
	feeder->cadence.at_ns = 0;
	atomic_store(&feeder->damaged_ns, 0);
}

/* ---- what to ask of an encoder */

struct encoder_tuning feeder_wish(const struct options *opt)
{
	return (struct encoder_tuning){ .bitrate_kbps = (unsigned)opt->h264_bitrate_kbps,
		.gop = (unsigned)opt->h264_gop,
		.fps = (unsigned)opt->desired_fps,
		.min_qp = (unsigned)opt->h264_min_qp,
		.max_qp = (unsigned)opt->h264_max_qp };
}

static struct encoder_tuning effective_tuning(const struct feeder *feeder)
{
	struct encoder_tuning tuning = feeder_wish(feeder->opt);
	unsigned fps = feeder->cadence.fps ? feeder->cadence.fps : DEFAULT_FPS;

	tuning.fps = tuning.fps ? MIN(tuning.fps, fps) : fps;
	if (feeder->limit.fps)
		tuning.fps = MIN(tuning.fps, feeder->limit.fps);
	if (feeder->limit.bitrate_kbps)
		tuning.bitrate_kbps = MIN(tuning.bitrate_kbps, feeder->limit.bitrate_kbps);
	return tuning;
}

void feeder_obey(struct feeder *feeder)
{
	struct encoder_tuning tuning = effective_tuning(feeder);

	keeper_tune(feeder->keeper, &tuning);
}

void feeder_limit(struct feeder *feeder, const struct encoder_limit *limit)
{
	feeder->limit = *limit;
	feeder_obey(feeder);
}

/*
 * The encoder's input is chosen after what it will be fed with: the frame at hand, but for the
 * slate the format that the device is going to be asked for.
 */
static void want_encoder(struct feeder *feeder, const struct frame *frame, int64_t now)
{
	const struct options *opt = feeder->opt;
	struct encoder_config config = { .width = frame->width,
		.height = frame->height,
		.tuning = effective_tuning(feeder),
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
	keeper_want(feeder->keeper, &config, now);
}

/*
 * Whether the encoder has nothing to add to a picture that stands still: text has to become sharp.
 * One small access unit says little, for rate control makes them in between.
 */
static bool is_settled(struct feeder *feeder, size_t budget, int64_t now)
{
	const struct session_view *view = &feeder->keeper->view;

	if (view->units != feeder->judged && !view->in_flight) {
		feeder->judged = view->units;
		feeder->small = view->last_size > budget / SMALL_PART ? 0 : feeder->small + 1;
	}
	return feeder->small >= SETTLED_UNITS || now - feeder->changed_ns >= SETTLE_NS;
}

/* Whether the picture may be left out because it is the one before, and sharp. */
static bool is_left_out(struct feeder *feeder, const struct frame *frame, int64_t now)
{
	const struct encoder_tuning *tuning = &feeder->keeper->config.tuning;
	int fps = feeder->opt->h264_static_fps;
	size_t budget = tuning->bitrate_kbps * 125UL / MAX(tuning->fps, 1);

	if (!fps)
		return false;
	if (!still_is_same(&feeder->still, frame)) {
		feeder->changed_ns = now;
		feeder->small = 0;
		return false;
	}
	if (!is_settled(feeder, budget, now))
		return false;
	/* Half a frame early is nearer to the rate than half a frame late. */
	return now - feeder->submitted_ns < NS_PER_S / fps - NS_PER_S / (2 * MAX(tuning->fps, 1));
}

static void note_damage(struct feeder *feeder, bool damaged)
{
	int64_t none = 0;

	if (!damaged)
		atomic_store(&feeder->damaged_ns, 0);
	else
		atomic_compare_exchange_strong(&feeder->damaged_ns, &none, now_ns());
}

static void count_drop(struct feeder *feeder, const struct frame *frame, int error, const char *why)
{
	const char *format = (const char *)&frame->format;

	if (error == -EBADMSG)
		drops_add(feeder->drops, DROP_CORRUPT, "JPEG of %zu bytes: %s",
			frame->plane[0].size, why);
	else if (error == -ENOMEM)
		drops_add(feeder->drops, DROP_NO_MEMORY, "no memory to convert %ux%u", frame->width,
			frame->height);
	else if (error == -EINVAL)
		drops_add(feeder->drops, DROP_SHORT, "%.4s: %s", format, why);
	else
		drops_add(feeder->drops, DROP_ENCODER, "%.4s: %s", format, why);
	note_damage(feeder, error == -EBADMSG);
}

/* Puts the frame into an input and says in *origin what its samples mean there. */
static int convert(struct feeder *feeder, const struct encoder *to, const struct frame *frame,
	struct frame *origin)
{
	int input = __builtin_ctz(feeder->keeper->view.free_inputs);
	struct picture picture = to->input[input];
	int64_t begin = now_ns(), took;
	const char *why;
	int res = picture_convert(feeder->converter, &picture, frame,
		feeder->opt->allow_truncated_frames, &why);

	if (res < 0) {
		count_drop(feeder, frame, res, why);
		return res;
	}
	note_damage(feeder, false);
	took = now_ns() - begin;
	feeder->convert_ns += feeder->convert_ns ? (took - feeder->convert_ns) / 8 : took;
	origin->range = picture.range;
	origin->matrix = picture.matrix;
	origin->convert_begin_ns = begin;
	return input;
}

void feeder_ask_key(struct feeder *feeder, int64_t at_ns)
{
	int64_t last_ns = atomic_load(&feeder->asked_ns);

	while (last_ns < at_ns &&
		!atomic_compare_exchange_weak(&feeder->asked_ns, &last_ns, at_ns)) {
	}
}

/* Whether someone waits for a key frame that was not handed over since. */
static bool wants_key(const struct feeder *feeder, int64_t now)
{
	const struct session_view *view = &feeder->keeper->view;
	bool on_its_way = view->in_flight && view->keys < feeder->keys_due &&
			  now - feeder->key_sent_ns < KEY_LOST_NS;

	return !on_its_way && atomic_load(&feeder->asked_ns) > view->last_key_ns;
}

/* When the next key frame may be asked for. */
static int64_t key_ns(const struct feeder *feeder)
{
	int64_t last_ns = feeder->keeper->view.last_key_ns;

	return last_ns ? last_ns + KEY_SPACING_NS : 0;
}

/* Only a key frame can say so, in its parameter set. */
static bool is_other_meaning(struct feeder *feeder, const struct frame *origin)
{
	bool other = origin->range != feeder->range || origin->matrix != feeder->matrix;

	feeder->range = origin->range;
	feeder->matrix = origin->matrix;
	return other;
}

/* Borrows the frame, which has the encoder's size. */
static void encode(struct feeder *feeder, struct frame *frame, bool direct, int64_t now)
{
	const struct encoder *to = session_encoder(feeder->keeper->session);
	struct frame origin = { .range = frame->range, .matrix = frame->matrix };
	struct encoder_submission in = { .input = -1, .origin = &origin };

	frame_copy_origin(&origin, frame);
	if (direct)
		in.frame = frame;
	else
		in.input = convert(feeder, to, frame, &origin);
	if (!direct && in.input < 0)
		return;
	feeder->submitted_ns = now_ns(); /* preparing took time */
	feeder->in_time = feeder->keeper->view.in_flight ? feeder->keeper->view.units + 1 : 0;
	in.want_key = is_other_meaning(feeder, &origin) ||
		      (wants_key(feeder, now) && now >= key_ns(feeder));
	if (in.want_key || feeder->is_first) {
		feeder->keys_due = feeder->keeper->view.keys + 1;
		feeder->key_sent_ns = feeder->submitted_ns;
	}
	feeder->is_first = false;
	session_submit(feeder->keeper->session, &in);
}

/* Frames that can be kept are, for newcomers: the slate comes once a second only. */
static void keep_card(struct feeder *feeder, struct frame *frame)
{
	frame_ref(frame);
	frame_unref(feeder->slate);
	feeder->slate = frame->still ? frame : NULL;
	if (!frame->still)
		frame_unref(frame);
}

/*
 * A rate that the encoder's level does not allow was lowered, but hardware that is given more than
 * was declared spends more bits than agreed, and time. A slower source passes any limit whole.
 */
static bool is_surplus(struct feeder *feeder, const struct frame *frame)
{
	unsigned allowed = feeder->keeper->view.fps;
	unsigned fps = feeder->keeper->config.tuning.fps > allowed ? allowed : feeder->limit.fps;

	if (fps != feeder->limit_fps)
		limiter_init(&feeder->limiter, fps);
	feeder->limit_fps = fps;
	return fps && !limiter_pass(&feeder->limiter, frame->captured_ns);
}

/* The next frame is an encoder's first. */
static void begin(struct feeder *feeder)
{
	feeder->fed = feeder->keeper->opened;
	feeder->is_first = true;
	feeder->keys_due = feeder->in_time = 0;
	still_reset(&feeder->still);
}

/* Takes the reference of a frame that there is room for now. */
static void handle(struct feeder *feeder, struct frame *frame, int64_t now)
{
	struct keeper *keeper = feeder->keeper;
	const struct encoder *to = session_encoder(keeper->session);
	bool direct = to->ops->takes(to, frame);

	if (!direct && !keeper->view.free_inputs) {
		feeder->held = frame;
		return;
	}
	if (feeder->fed != keeper->opened)
		begin(feeder);
	keep_card(feeder, frame);
	if (frame->online && cadence_measure(&feeder->cadence, frame->sequence, frame->captured_ns))
		feeder_obey(feeder);
	if (is_left_out(feeder, frame, now) && !wants_key(feeder, now))
		feeder->same++;
	else if (is_surplus(feeder, frame))
		feeder->surplus++;
	else
		encode(feeder, frame, direct, now);
	frame_unref(frame);
}

/* When there is room for one more frame; INT64_MAX: when one has come out. */
static int64_t room_ns(const struct feeder *feeder)
{
	const struct session_view *view = &feeder->keeper->view;
	int64_t begin_ns = view->begin_ns ? view->begin_ns : view->waiting_ns;

	if (view->in_flight == 0)
		return 0;
	if (view->in_flight > 1 || !view->encode_ns)
		return INT64_MAX;
	return begin_ns + view->encode_ns - feeder->convert_ns - feeder->lead_ns;
}

/*
 * Whether the last frame lay ready too long or came too late is known when the one before it has
 * come out.
 */
static void learn_lead(struct feeder *feeder)
{
	const struct session_view *view = &feeder->keeper->view;
	int64_t ready_ns = view->ended_ns - feeder->submitted_ns;

	if (!feeder->in_time || view->units < feeder->in_time)
		return;
	if (view->units == feeder->in_time)
		feeder->lead_ns = CLAMP(feeder->lead_ns + (READY_NS - ready_ns) / 8, 0,
			view->encode_ns / 2);
	feeder->in_time = 0;
}

static bool wants_card_again(const struct feeder *feeder, int64_t now)
{
	return feeder->slate && wants_key(feeder, now);
}

/* The newest frame, or NULL. The caller owns it. */
static struct frame *take_newest(struct feeder *feeder, int64_t now)
{
	struct frame *newest = mailbox_take(feeder->mailbox), *held = feeder->held;

	feeder->held = NULL;
	if (newest) {
		frame_unref(held);
		return newest;
	}
	if (!held && wants_card_again(feeder, now) && now >= key_ns(feeder))
		return frame_ref(feeder->slate);
	return held;
}

/* Whether the encoder in use is for this frame and for what is asked for; else another is needed. */
static bool suits(const struct feeder *feeder, const struct frame *frame)
{
	const struct encoder_config *config = &feeder->keeper->config;

	return config->width == frame->width && config->height == frame->height &&
	       config->profile == feeder->opt->h264_profile;
}

bool feeder_has_room(const struct feeder *feeder, int64_t now)
{
	const struct keeper *keeper = feeder->keeper;

	if (keeper_is_running(keeper))
		return room_ns(feeder) <= now;
	return !keeper->session && !feeder->held;
}

void feeder_feed(struct feeder *feeder, int64_t now)
{
	struct keeper *keeper = feeder->keeper;
	struct frame *frame;

	learn_lead(feeder);
	if (keeper->view.keys_lost != feeder->keys_lost)
		feeder_ask_key(feeder, now);
	feeder->keys_lost = keeper->view.keys_lost;
	if (keeper->session && !feeder_has_room(feeder, now))
		return;
	frame = take_newest(feeder, now);
	if (!frame)
		return;
	if (keeper_is_running(keeper) && suits(feeder, frame)) {
		handle(feeder, frame, now);
		return;
	}
	/* Its level is picked once, so the rate has to be right from the start. */
	if (frame->fps)
		feeder->cadence.fps = frame->fps;
	want_encoder(feeder, frame, now);
	keeper_tend(keeper, now);
	/* It is kept while an encoder opens, unless a newer one comes. */
	if (keeper->session || keeper_due_ns(keeper) <= now + NS_PER_S) {
		feeder->held = frame;
	} else {
		frame_unref(frame);
		atomic_store(&feeder->damaged_ns, 0); /* nobody looks any more */
	}
}

int64_t feeder_due_ns(const struct feeder *feeder, int64_t now)
{
	int64_t due = INT64_MAX;

	if (!keeper_is_running(feeder->keeper))
		return due;
	if (feeder->keeper->view.in_flight == 1)
		due = room_ns(feeder);
	else if (feeder->keeper->view.in_flight == 0 && wants_card_again(feeder, now))
		due = key_ns(feeder);
	/* What is past has been seen to: from there on a frame or an access unit wakes us. */
	return due > now ? due : INT64_MAX;
}
