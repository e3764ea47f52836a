// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The H.264 encoder: see h264.h. Its thread takes the newest frame, asks the scheduler what to do
 * with it, prepares it in the memory of the encoder that the supervisor has running, and hands it
 * over; it never waits for a driver.
 *
 * Lock order: our outlet, the raw outlet, a mailbox; `lock` is held over no other.
 */
#include "encoder/h264.h"

#include <sys/eventfd.h>

#include "base/rate.h"
#include "base/thread.h"
#include "base/util.h"
#include "base/wait.h"
#include "encoder/change_detector.h"
#include "encoder/prepare.h"
#include "encoder/scheduler.h"
#include "encoder/supervisor.h"

#define LOG_TOPIC "h264"
#include "base/log.h"

/* Encoders that nobody watches are kept that long: then their memory is of more use to others. */
#define IDLE_NS   (60 * NS_PER_S)
#define FINISH_MS 300 /* how long a closing driver is waited for at the end */

struct h264_encoder {
	struct outlet *raw; /* set before start, as all of this block */
	struct outlet *outlet;
	struct mailbox *mailbox; /* attached to raw while the outlet is wanted */
	int wake_fd;             /* eventfd: anything below has changed, or a session's view */
	pthread_t thread;
	bool started;

	atomic_bool wanted, stop;
	struct rate rate; /* ticked by our thread */

	struct options opt; /* our thread only, as all of this block: as they are now */
	struct supervisor supervisor;
	struct supervisor_view view; /* as of this turn */
	struct scheduler scheduler;  /* but for scheduler_ask_key() */
	struct prepare prepare;
	struct change_detector detector;
	bool is_waiting;     /* a frame is in the mailbox, and there is no room for it yet */
	struct frame *held;  /* waits for an encoder to open, or for room */
	struct frame *slate; /* the newest frame, if it may be kept: it comes once a second only */
	uint64_t fed;        /* which encoder the last frame went to: view.opened */
	uint64_t same, surplus; /* left out: like the one before; more than may be given */
	int64_t idle_ns;        /* since when nobody watches; 0: somebody does */
	uint64_t ticked;        /* access units that `rate` knows of */

	pthread_mutex_t lock;
	struct options wish; /* under lock, as all of this block: as they are to be */
	struct encoder_limit limit;
	bool is_asked; /* one of these is new */
	struct h264_status status;
};

/*
 * The first reader came, or the last one went. What waits then would be old for the next one.
 * Our outlet's lock makes these calls exclusive.
 */
static struct frame *on_wanted(void *arg, bool wanted)
{
	struct h264_encoder *encoder = arg;
	struct frame *waiting = NULL;

	if (wanted) {
		outlet_attach(encoder->raw, encoder->mailbox);
	} else {
		outlet_detach(encoder->raw, encoder->mailbox);
		waiting = mailbox_take(encoder->mailbox);
	}
	atomic_store(&encoder->wanted, wanted);
	wake(encoder->wake_fd);
	return waiting;
}

static void on_need_key(void *arg)
{
	struct h264_encoder *encoder = arg;

	scheduler_ask_key(&encoder->scheduler, now_ns());
	wake(encoder->wake_fd);
}

static const struct outlet_events outlet_events = { on_wanted, on_need_key };

/* ---- what is asked for */

static struct encoder_tuning tuning_of(const struct options *opt)
{
	return (struct encoder_tuning){ .bitrate_kbps = (unsigned)opt->h264_bitrate_kbps,
		.gop = (unsigned)opt->h264_gop,
		.fps = (unsigned)opt->desired_fps,
		.min_qp = (unsigned)opt->h264_min_qp,
		.max_qp = (unsigned)opt->h264_max_qp };
}

static void set_wish(struct h264_encoder *encoder)
{
	encoder->scheduler.wish = (struct scheduler_wish){ tuning_of(&encoder->opt),
		(unsigned)encoder->opt.h264_static_fps };
	encoder->prepare.allow_truncated = encoder->opt.allow_truncated_frames;
}

/* Takes what was asked for since the last turn. */
static void heed(struct h264_encoder *encoder)
{
	struct encoder_tuning tuning;
	bool is_new;

	pthread_mutex_lock(&encoder->lock);
	is_new = encoder->is_asked;
	if (is_new) {
		encoder->opt = encoder->wish;
		encoder->scheduler.limit = encoder->limit;
	}
	encoder->is_asked = false;
	pthread_mutex_unlock(&encoder->lock);
	if (!is_new)
		return;
	set_wish(encoder);
	tuning = scheduler_tuning(&encoder->scheduler);
	supervisor_tune(&encoder->supervisor, &tuning);
}

/*
 * The encoder's input is chosen after what it will be fed with: the frame at hand, but for the
 * slate the format that the device is going to be asked for.
 */
static void want_encoder(struct h264_encoder *encoder, const struct frame *frame, int64_t now)
{
	const struct options *opt = &encoder->opt;
	struct encoder_config config = { .width = frame->width,
		.height = frame->height,
		.tuning = scheduler_tuning(&encoder->scheduler),
		.most_fps = scheduler_most_fps(&encoder->scheduler),
		.profile = opt->h264_profile,
		.boost = opt->h264_boost,
		.device = opt->h264_m2m_device };

	frame_copy_shape(&config.like, frame);
	if (!frame->online) {
		config.like.format = opt->format;
		memset(config.like.plane, 0, sizeof(config.like.plane));
	}
	supervisor_want(&encoder->supervisor, &config, now);
}

/* ---- frames */

static void let_go(struct h264_encoder *encoder)
{
	frame_unref(encoder->held);
	frame_unref(encoder->slate);
	encoder->held = encoder->slate = NULL;
	change_detector_reset(&encoder->detector);
	scheduler_rest(&encoder->scheduler);
	prepare_forget(&encoder->prepare);
}

/* Borrows the frame, which has the encoder's size. input: where it goes; -1: it is read in place. */
static void encode(struct h264_encoder *encoder, struct frame *frame, int input,
	struct picture *picture, int64_t now)
{
	struct frame origin = { .range = frame->range, .matrix = frame->matrix };
	struct encoder_submission in = {
		.input = input, .frame = input < 0 ? frame : NULL, .origin = &origin
	};

	frame_copy_origin(&origin, frame);
	if (input >= 0 && prepare(&encoder->prepare, frame, picture, &origin) < 0)
		return;
	encoder->scheduler.convert_ns = encoder->prepare.took_ns;
	in.want_key = scheduler_hand_over(&encoder->scheduler, &encoder->view.encoder, &origin, now,
		now_ns());
	supervisor_submit(&encoder->supervisor, &in);
}

/* Takes the reference of a frame that there is room for now. */
static void handle(struct h264_encoder *encoder, struct frame *frame, int64_t now)
{
	struct picture picture;
	bool direct = supervisor_takes(&encoder->supervisor, frame), same;
	int input = direct ? -1 : supervisor_input(&encoder->supervisor, &picture);

	if (!direct && input < 0) {
		encoder->held = frame;
		return;
	}
	if (encoder->fed != encoder->view.opened) {
		encoder->fed = encoder->view.opened;
		scheduler_begin(&encoder->scheduler);
		change_detector_reset(&encoder->detector);
	}
	frame_unref(encoder->slate);
	encoder->slate = frame->keepable ? frame_ref(frame) : NULL;
	same = scheduler_compares(&encoder->scheduler) &&
	       change_detector_is_same(&encoder->detector, frame);
	switch (scheduler_judge(&encoder->scheduler, &encoder->view.encoder, frame, same, now)) {
	case VERDICT_SAME: encoder->same++; break;
	case VERDICT_SURPLUS: encoder->surplus++; break;
	case VERDICT_ENCODE: encode(encoder, frame, input, &picture, now); break;
	}
	frame_unref(frame);
}

/* The newest frame, or NULL. The caller owns it. */
static struct frame *take_newest(struct h264_encoder *encoder, int64_t now)
{
	struct frame *newest = mailbox_take(encoder->mailbox), *held = encoder->held;

	encoder->held = NULL;
	encoder->is_waiting = false;
	if (newest)
		frame_unref(held);
	else if (!held && encoder->slate &&
		 scheduler_repeats(&encoder->scheduler, &encoder->view.encoder, now))
		held = frame_ref(encoder->slate);
	return newest ? newest : held;
}

/* Whether a frame in the mailbox could be used now. */
static bool has_room(const struct h264_encoder *encoder, int64_t now)
{
	if (encoder->view.running)
		return scheduler_has_room(&encoder->scheduler, &encoder->view.encoder, now);
	return !encoder->view.in_use && !encoder->held;
}

static void look(struct h264_encoder *encoder, int64_t now)
{
	supervisor_get_view(&encoder->supervisor, &encoder->view);
	scheduler_look(&encoder->scheduler, &encoder->view.encoder, now);
}

/* Takes a frame if there is one and room for it; has the supervisor look for an encoder if need be. */
static void feed(struct h264_encoder *encoder, int64_t now)
{
	struct frame *frame;

	if (encoder->view.in_use && !has_room(encoder, now))
		return;
	frame = take_newest(encoder, now);
	if (!frame)
		return;
	if (frame->online)
		scheduler_note_rate(&encoder->scheduler, frame->fps);
	want_encoder(encoder, frame, now);
	look(encoder, now);
	if (encoder->view.running) {
		handle(encoder, frame, now);
	} else if (encoder->view.in_use ||
		   supervisor_due_ns(&encoder->supervisor) <= now + NS_PER_S) {
		encoder->held = frame; /* while an encoder opens, unless a newer one comes */
	} else {
		frame_unref(frame);
		prepare_forget(&encoder->prepare); /* nobody looks any more */
	}
}

static void tend_idleness(struct h264_encoder *encoder, int64_t now)
{
	if (atomic_load(&encoder->wanted)) {
		encoder->idle_ns = 0;
		return;
	}
	if (!encoder->idle_ns) {
		encoder->idle_ns = now;
		let_go(encoder);
	}
	if (now - encoder->idle_ns >= IDLE_NS)
		supervisor_rest(&encoder->supervisor, now);
}

/* ---- what is told */

static void update_status(struct h264_encoder *encoder, int64_t now)
{
	struct h264_status status = { .same = encoder->same,
		.late = mailbox_dropped(encoder->mailbox) + encoder->surplus,
		.convert_ns = encoder->prepare.took_ns };

	supervisor_describe(&encoder->supervisor, atomic_load(&encoder->wanted), now, &status);
	for (; encoder->ticked < status.encoded; encoder->ticked++)
		rate_tick(&encoder->rate, now);
	pthread_mutex_lock(&encoder->lock);
	encoder->status = status;
	pthread_mutex_unlock(&encoder->lock);
}

/* When to look again although nothing happened: what was due at `now` has been seen to. */
static int64_t due_ns(const struct h264_encoder *encoder, int64_t now)
{
	const struct supervisor_view *view = &encoder->view;
	int64_t due = supervisor_due_ns(&encoder->supervisor);

	if (view->running)
		due = MIN(due,
			scheduler_due_ns(&encoder->scheduler, &view->encoder, encoder->slate, now));
	if (encoder->idle_ns && view->in_use)
		due = MIN(due, encoder->idle_ns + IDLE_NS);
	return due;
}

/*
 * A frame that there is no room for stays in the mailbox; only then it matters when there will be. now:
 * of the turn that ends here, so that nothing becomes due between doing and waiting.
 */
static void wait_for_work(struct h264_encoder *encoder, int64_t now)
{
	bool deaf = encoder->is_waiting && !has_room(encoder, now);
	struct pollfd on[] = { { .fd = encoder->wake_fd, .events = POLLIN },
		{ .fd = deaf ? -1 : mailbox_fd(encoder->mailbox), .events = POLLIN } };
	eventfd_t count;

	wait_for_events(on, ARRAY_SIZE(on), due_ns(encoder, now));
	if (on[0].revents)
		eventfd_read(encoder->wake_fd, &count);
	encoder->is_waiting |= on[1].revents;
}

static void *run(void *arg)
{
	struct h264_encoder *encoder = arg;

	log_name_thread("h264");
	while (!atomic_load(&encoder->stop)) {
		const int64_t now = now_ns();

		tend_idleness(encoder, now);
		supervisor_tend(&encoder->supervisor, now);
		heed(encoder);
		look(encoder, now);
		if (atomic_load(&encoder->wanted))
			feed(encoder, now);
		supervisor_get_view(&encoder->supervisor, &encoder->view);
		update_status(encoder, now);
		wait_for_work(encoder, now);
	}
	supervisor_finish(&encoder->supervisor, FINISH_MS);
	return NULL;
}

/* ---- for everyone */

static int start(struct h264_encoder *encoder, struct drops *drops)
{
	int res;

	encoder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (encoder->wake_fd < 0)
		return -errno;
	supervisor_init(&encoder->supervisor, encoder->opt.h264_encoder,
		encoder->opt.h264_m2m_device, encoder->outlet, encoder->wake_fd);
	scheduler_init(&encoder->scheduler);
	if ((res = mailbox_create(&encoder->mailbox, 1)) < 0 ||
		(res = prepare_init(&encoder->prepare, drops)) < 0)
		return res;
	set_wish(encoder);
	update_status(encoder, now_ns());
	res = thread_start(&encoder->thread, run, encoder);
	encoder->started = res == 0;
	return res;
}

int h264_encoder_create(struct h264_encoder **out, const struct options *opt, struct outlet *raw,
	struct drops *drops)
{
	struct h264_encoder *encoder = xcalloc(1, sizeof(*encoder));
	bool off = opt->h264_encoder == H264_ENCODER_OFF;
	int res = 0;

	encoder->opt = encoder->wish = *opt;
	encoder->raw = raw;
	encoder->wake_fd = -1;
	encoder->status = (struct h264_status){ .state = "off",
		.encoder = "none",
		.profile = "",
		.text = "switched off by --h264-encoder off" };
	pthread_mutex_init(&encoder->lock, NULL);
	encoder->outlet = outlet_create(off ? NULL : &outlet_events, encoder);
	if (!off)
		res = start(encoder, drops);
	if (res < 0) {
		h264_encoder_destroy(encoder);
		return res;
	}
	*out = encoder;
	return 0;
}

void h264_encoder_destroy(struct h264_encoder *encoder)
{
	if (!encoder)
		return;
	if (encoder->started) {
		atomic_store(&encoder->stop, true);
		wake(encoder->wake_fd);
		pthread_join(encoder->thread, NULL);
	}
	let_go(encoder);
	change_detector_finish(&encoder->detector);
	prepare_finish(&encoder->prepare);
	mailbox_destroy(encoder->mailbox);
	outlet_destroy(encoder->outlet);
	close_fd(&encoder->wake_fd);
	pthread_mutex_destroy(&encoder->lock);
	free(encoder);
}

struct outlet *h264_encoder_outlet(struct h264_encoder *encoder)
{
	return encoder->outlet;
}

void h264_encoder_set_options(struct h264_encoder *encoder, const struct options *now)
{
	pthread_mutex_lock(&encoder->lock);
	encoder->wish = *now;
	encoder->is_asked = true;
	pthread_mutex_unlock(&encoder->lock);
	wake(encoder->wake_fd);
}

void h264_encoder_limit(struct h264_encoder *encoder, const struct encoder_limit *limit)
{
	pthread_mutex_lock(&encoder->lock);
	encoder->limit = *limit;
	encoder->is_asked = true;
	pthread_mutex_unlock(&encoder->lock);
	wake(encoder->wake_fd);
}

void h264_encoder_get_status(struct h264_encoder *encoder, struct h264_status *out)
{
	pthread_mutex_lock(&encoder->lock);
	*out = encoder->status;
	out->wanted = tuning_of(&encoder->wish);
	pthread_mutex_unlock(&encoder->lock);
	out->fps = rate_get(&encoder->rate, now_ns());
}

int64_t h264_encoder_damaged_ns(struct h264_encoder *encoder)
{
	return atomic_load(&encoder->prepare.damaged_ns);
}
