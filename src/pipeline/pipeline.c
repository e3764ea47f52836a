// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Keeps the source alive: open, read, and after any error close, say why, wait and open
 * again. Expected states are logged here, when they change and only then.
 */
#include "pipeline/pipeline.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/rate.h"
#include "base/wait.h"
#include "capture/source.h"
#include "convert/jpegcheck.h"
#include "convert/jpegfix.h"
#include "encoder/jpeg.h"
#include "media/pixel_format.h"
#include "pipeline/source_state.h"
#include "slate/slate.h"

#define LOG_TOPIC "capture"
#include "base/log.h"

/* Grabbers may take three seconds to send their first frame after STREAMON. */
#define FIRST_FRAME_NS (5 * NS_PER_S)
#define SLATE_NS       NS_PER_S

struct pipeline {
	const struct options *opt; /* set at creation, as all of this block */
	const struct source_ops *ops;
	struct source_config config;
	struct source_memory memory; /* capture thread only */
	struct outlet *raw;
	struct jpeg_encoder *jpeg;
	struct h264_encoder *h264;
	int stop_fd;   /* eventfd: readable from pipeline_stop() on */
	int wake_fd;   /* eventfd: written when there is something to obey() */
	int change_fd; /* eventfd: written by the capture thread */
	struct device_controls *controls;
	struct drops drops;
	struct latency latency[MEDIA];

	pthread_t thread; /* set by pipeline_start() */
	bool started;

	struct options now; /* capture thread only, as all of this block: as asked for */
	int opened_fps;     /* what the source was opened for */
	struct limiter limiter;
	struct frame *slate; /* what is shown while there is no picture */
	int64_t slate_due_ns;
	struct option_size believed; /* see believe_size() */

	struct rate rate;               /* ticked by the capture thread */
	atomic_int_least64_t alive_ns;  /* written by the capture thread */
	atomic_uint_least64_t captured; /* the same */
	atomic_uint_least64_t skipped;  /* the same */

	pthread_mutex_t lock;
	struct pipeline_status status; /* under lock; its counters are filled in by the getter */
	struct options wish;           /* under lock: what `now` is to be */
	bool wished;                   /* under lock: that is new */
};

int pipeline_create(struct pipeline **out, const struct options *opt)
{
	struct pipeline *pipe = xcalloc(1, sizeof(*pipe));
	const struct source_state *starting = source_state_find(1);
	int res;

	pipe->opt = opt;
	pipe->now = pipe->wish = *opt;
	pipe->ops = source_find(opt->source);
	pipe->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pipe->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pipe->change_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pipe->config = (struct source_config){ .opt = &pipe->now,
		.drops = &pipe->drops,
		.stop_fd = pipe->stop_fd,
		.wake_fd = pipe->wake_fd,
		.memory = &pipe->memory };
	pipe->status = (struct pipeline_status){ .error = 1,
		.state = starting->name,
		.text = starting->text,
		.hint = starting->hint,
		.width = opt->resolution.width,
		.height = opt->resolution.height };
	pthread_mutex_init(&pipe->lock, NULL);
	pipe->alive_ns = now_ns();
	limiter_init(&pipe->limiter, opt->desired_fps);
	pipe->raw = outlet_create(NULL, NULL);
	if (pipe->stop_fd < 0 || pipe->wake_fd < 0 || pipe->change_fd < 0)
		res = -EMFILE;
	else
		res = device_controls_create(&pipe->controls, pipe->wake_fd);
	if (res == 0)
		res = jpeg_encoder_create(&pipe->jpeg, opt, pipe->raw, &pipe->drops);
	if (res == 0)
		res = h264_encoder_create(&pipe->h264, opt, pipe->raw, &pipe->drops);
	if (res < 0) {
		pipeline_destroy(pipe);
		return res;
	}
	outlet_measure(pipe->raw, &pipe->latency[MEDIUM_RAW]);
	outlet_measure(pipeline_jpeg(pipe), &pipe->latency[MEDIUM_JPEG]);
	outlet_measure(pipeline_h264(pipe), &pipe->latency[MEDIUM_H264]);
	*out = pipe;
	return 0;
}

void pipeline_destroy(struct pipeline *pipe)
{
	if (!pipe)
		return;
	h264_encoder_destroy(pipe->h264);
	jpeg_encoder_destroy(pipe->jpeg);
	outlet_destroy(pipe->raw);
	device_controls_destroy(pipe->controls);
	frame_unref(pipe->slate);
	close_fd(&pipe->stop_fd);
	close_fd(&pipe->wake_fd);
	close_fd(&pipe->change_fd);
	pthread_mutex_destroy(&pipe->lock);
	free(pipe);
}

/* Whether this is not what /state says already. The capture thread alone writes the status. */
static bool is_news(const struct pipeline *pipe, const struct source_state *state,
	const struct frame *frame)
{
	const struct pipeline_status *status = &pipe->status;

	return status->state != state->name ||
	       (frame && (status->width != frame->width || status->height != frame->height ||
				 status->format != frame->format));
}

/* Logged before it can be read from /state, so that nobody sees a state without its line. */
static void set_status(struct pipeline *pipe, const struct source_state *state,
	const struct frame *frame)
{
	struct pipeline_status *status = &pipe->status;

	if (frame)
		log_info("%s: %ux%u %.4s", state->text, frame->width, frame->height,
			(const char *)&frame->format);
	else
		log_info("%s: %s", state->text, state->hint);
	pthread_mutex_lock(&pipe->lock);
	status->online = state->error == 0;
	status->error = state->error;
	status->state = state->name;
	status->text = state->text;
	status->hint = state->hint;
	if (frame) {
		status->width = frame->width;
		status->height = frame->height;
		status->format = frame->format;
	}
	pthread_mutex_unlock(&pipe->lock);
	wake(pipe->change_fd);
}

static void draw_slate(struct pipeline *pipe, const struct source_state *state)
{
	char detail[256], when[32];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %Z", localtime_r(&now, &tm));
	snprintf(detail, sizeof(detail), "%s, since %s", pipe->opt->device, when);
	frame_unref(pipe->slate);
	pipe->slate = NULL;
	if (slate_draw(&pipe->slate, pipe->status.width, pipe->status.height, state->text,
		    state->hint, detail) < 0)
		drops_add(&pipe->drops, DROP_NO_MEMORY, "no memory for the no-signal picture");
	pipe->slate_due_ns = 0;
}

/* Publishes the slate when it is due: at once when new, then once a second. */
static void show_slate(struct pipeline *pipe, int64_t now)
{
	struct frame *slate;

	atomic_store(&pipe->alive_ns, now);
	if (!pipe->slate || now < pipe->slate_due_ns)
		return;
	pipe->slate_due_ns = now + SLATE_NS;
	slate = slate_repeat(pipe->slate);
	outlet_publish(pipe->raw, slate);
	frame_unref(slate);
}

static void report(struct pipeline *pipe, int error, int64_t now)
{
	const struct source_state *state = source_state_find(error);

	if (is_news(pipe, state, NULL)) {
		set_status(pipe, state, NULL);
		draw_slate(pipe, state);
	}
	show_slate(pipe, now);
}

/*
 * A JPEG says itself how large it is, and a grabber may change that without a word. A size that
 * is not the device's mode is believed once a picture of it turned out to be whole.
 */
static bool believe_size(struct pipeline *pipe, const struct frame *frame, struct option_size size)
{
	const struct frame_plane *plane = &frame->plane[0];

	if ((size.width == frame->width && size.height == frame->height) ||
		(size.width == pipe->believed.width && size.height == pipe->believed.height))
		return true;
	if (!jpegcheck_is_whole(plane->data, plane->size))
		return false;
	pipe->believed = size;
	return true;
}

/* False: it is dropped and counted. */
static bool check_jpeg(struct pipeline *pipe, struct frame *frame)
{
	const struct frame_plane *plane = &frame->plane[0];
	enum drop_reason why;
	struct jpegfix fix;

	if (jpegfix_parse(&fix, plane->data, plane->size, pipe->opt->allow_truncated_frames, &why) <
		0) {
		drops_add(&pipe->drops, why, "JPEG of %zu bytes", plane->size);
		return false;
	}
	if (!believe_size(pipe, frame, (struct option_size){ fix.width, fix.height })) {
		drops_add(&pipe->drops, DROP_LYING, "JPEG that is not the %ux%u it claims to be",
			fix.width, fix.height);
		return false;
	}
	frame->width = fix.width;
	frame->height = fix.height;
	return true;
}

/* Takes the reference. */
static void publish(struct pipeline *pipe, struct frame *frame, int64_t now)
{
	atomic_store(&pipe->alive_ns, now);
	atomic_fetch_add(&pipe->captured, 1);
	rate_tick(&pipe->rate, now);
	if (is_news(pipe, source_state_find(0), frame))
		set_status(pipe, source_state_find(0), frame);
	frame_unref(pipe->slate);
	pipe->slate = NULL;
	pipe->memory.said = 0;
	if (limiter_pass(&pipe->limiter, frame->captured_ns))
		outlet_publish(pipe->raw, frame);
	else
		atomic_fetch_add(&pipe->skipped, 1);
	frame_unref(frame);
}

/* Whether only a source that is opened again can give as many frames as are asked for now. */
static bool is_too_slow(const struct pipeline *pipe)
{
	int fps = pipe->now.desired_fps;

	return pipe->opened_fps && (!fps || fps > pipe->opened_fps);
}

/*
 * Does what was asked for meanwhile. source: NULL while none is open. True: its driver was talked
 * to, which may have taken seconds.
 */
static bool obey(struct pipeline *pipe, struct source *source)
{
	int fps = pipe->now.desired_fps;
	eventfd_t count;
	bool talked;

	eventfd_read(pipe->wake_fd, &count);
	pthread_mutex_lock(&pipe->lock);
	if (pipe->wished)
		pipe->now = pipe->wish;
	pipe->wished = false;
	pthread_mutex_unlock(&pipe->lock);
	if (pipe->now.desired_fps != fps)
		limiter_init(&pipe->limiter, pipe->now.desired_fps);
	talked = device_controls_serve(pipe->controls, source);
	if (source && source->controls_changed) {
		device_controls_show(pipe->controls, source);
		talked = true;
	}
	return talked;
}

/* Three frames at the rate that was asked for, if that is slower than --device-timeout. */
static int64_t frame_timeout_ns(const struct options *opt)
{
	int64_t timeout_ns = opt->device_timeout_s * NS_PER_S;

	return opt->desired_fps ? MAX(timeout_ns, 3 * NS_PER_S / opt->desired_fps) : timeout_ns;
}

/*
 * Whether nothing but damaged JPEGs came for so long that the device has to be opened again. That
 * is known only while somebody has them decoded, for H.264.
 */
static bool is_damaged(const struct pipeline *pipe, int64_t now, int64_t opened_ns,
	int64_t timeout_ns)
{
	int64_t since_ns = h264_encoder_damaged_ns(pipe->h264);

	return since_ns && now - MAX(since_ns, opened_ns) >= timeout_ns;
}

/* As the source's next(), for pictures that can be shown; until the slate is due at most. */
static int next_frame(struct pipeline *pipe, struct source *source, int64_t until_ns,
	struct frame **out)
{
	int res;

	if (pipe->slate)
		until_ns = MIN(until_ns, pipe->slate_due_ns);
	res = pipe->ops->next(source, out, until_ns);
	if (res == 0 && pixel_format_is_jpeg((*out)->format) && !check_jpeg(pipe, *out)) {
		frame_unref(*out);
		return -EAGAIN;
	}
	return res;
}

/* Reads until the source must be closed; returns why. */
static int read_frames(struct pipeline *pipe, struct source *source)
{
	const int64_t timeout_ns = frame_timeout_ns(&pipe->now);
	int64_t opened_ns = now_ns(), now = opened_ns, frame_ns = now;
	int64_t deadline_ns = now + MAX(FIRST_FRAME_NS, timeout_ns);
	int64_t damaged_ns = 0; /* when the last frame came that had to be dropped */
	struct frame *frame;
	int res;

	do {
		int64_t wake_ns;
		int silence = now - damaged_ns < timeout_ns / 2 ? -EBADMSG : -ETIMEDOUT;

		if (now >= deadline_ns)
			return silence;
		if (is_damaged(pipe, now, opened_ns, timeout_ns))
			return -EBADMSG;
		if (obey(pipe, source)) {
			int64_t took_ns = now_ns() - now; /* that is no silence */

			now += took_ns;
			opened_ns += took_ns;
			frame_ns += took_ns;
			deadline_ns += took_ns;
		}
		if (is_too_slow(pipe))
			return -ERESTART;
		wake_ns = MIN(deadline_ns, now + NS_PER_S); /* to be seen alive */
		if (now >= frame_ns + timeout_ns)
			report(pipe, silence, now);
		else
			wake_ns = MIN(wake_ns, frame_ns + timeout_ns);
		show_slate(pipe, now);
		res = next_frame(pipe, source, wake_ns, &frame);
		now = now_ns();
		if (res == 0) {
			publish(pipe, frame, now);
			frame_ns = now;
			deadline_ns = now + timeout_ns;
		} else if (res == -EAGAIN) {
			damaged_ns = now;
		}
	} while (res == 0 || res == -ETIMEDOUT || res == -EAGAIN);
	return res;
}

/* False when the program stops. The slate goes on meanwhile. */
static bool wait_to_retry(struct pipeline *pipe, int delay_ms)
{
	struct pollfd on[] = { { .fd = pipe->stop_fd, .events = POLLIN },
		{ .fd = pipe->wake_fd, .events = POLLIN } };
	int64_t now = now_ns();
	const int64_t until = now + delay_ms * NS_PER_MS;

	do {
		wait_for_events(on, ARRAY_SIZE(on), MIN(until, now + SLATE_NS));
		if (on[0].revents)
			return false;
		now = now_ns();
		obey(pipe, NULL);
		show_slate(pipe, now);
	} while (now < until);
	return true;
}

static int retry_ms(const struct pipeline *pipe, const struct source_state *state)
{
	return state->retry_ms < 0 ? pipe->opt->device_error_delay_s * 1000 : state->retry_ms;
}

static void *capture_main(void *arg)
{
	struct pipeline *pipe = arg;
	int delay_ms = 0;

	log_name_thread("capture");
	while (wait_to_retry(pipe, delay_ms)) {
		struct source *source;
		int res;

		pipe->opened_fps = pipe->now.desired_fps;
		res = pipe->ops->open(&source, &pipe->config);
		if (res == 0) {
			res = read_frames(pipe, source);
			device_controls_show(pipe->controls, NULL);
			pipe->ops->close(source);
		}
		if (res == -ECANCELED)
			break;
		delay_ms = 0;
		if (res == -ERESTART)
			continue;
		report(pipe, res, now_ns());
		delay_ms = retry_ms(pipe, source_state_find(res));
		pthread_mutex_lock(&pipe->lock);
		pipe->status.restarts++;
		pthread_mutex_unlock(&pipe->lock);
	}
	return NULL;
}

int pipeline_start(struct pipeline *pipe)
{
	sigset_t all, old;
	int res;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	res = -pthread_create(&pipe->thread, NULL, capture_main, pipe);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pipe->started = res == 0;
	return res;
}

void pipeline_stop(struct pipeline *pipe)
{
	if (!pipe->started)
		return;
	wake(pipe->stop_fd);
	pthread_join(pipe->thread, NULL);
	pipe->started = false;
}

struct outlet *pipeline_jpeg(struct pipeline *pipe)
{
	return jpeg_encoder_outlet(pipe->jpeg);
}

struct outlet *pipeline_h264(struct pipeline *pipe)
{
	return h264_encoder_outlet(pipe->h264);
}

struct outlet *pipeline_raw(struct pipeline *pipe)
{
	return pipe->raw;
}

void pipeline_get_h264_status(struct pipeline *pipe, struct h264_status *out)
{
	h264_encoder_get_status(pipe->h264, out);
}

void pipeline_obey(struct pipeline *pipe, const struct options *now)
{
	pthread_mutex_lock(&pipe->lock);
	pipe->wish = *now;
	pipe->wished = true;
	pthread_mutex_unlock(&pipe->lock);
	wake(pipe->wake_fd);
	jpeg_encoder_set_quality(pipe->jpeg, now->quality);
	h264_encoder_obey(pipe->h264, now);
}

void pipeline_limit_h264(struct pipeline *pipe, const struct encoder_limit *limit)
{
	h264_encoder_limit(pipe->h264, limit);
}

void pipeline_get_status(struct pipeline *pipe, struct pipeline_status *out)
{
	pthread_mutex_lock(&pipe->lock);
	*out = pipe->status;
	pthread_mutex_unlock(&pipe->lock);
	out->captured_fps = rate_get(&pipe->rate, now_ns());
	out->captured = atomic_load(&pipe->captured);
	out->skipped = atomic_load(&pipe->skipped);
}

struct device_controls *pipeline_device_controls(struct pipeline *pipe)
{
	return pipe->controls;
}

struct drops *pipeline_drops(struct pipeline *pipe)
{
	return &pipe->drops;
}

struct latency *pipeline_latency(struct pipeline *pipe, enum medium medium)
{
	return &pipe->latency[medium];
}

const char *pipeline_encoder_type(struct pipeline *pipe)
{
	struct pipeline_status status;

	pipeline_get_status(pipe, &status);
	return pixel_format_is_jpeg(status.format) ? "HW" : "CPU";
}

int pipeline_change_fd(struct pipeline *pipe)
{
	return pipe->change_fd;
}

int64_t pipeline_alive_ns(struct pipeline *pipe)
{
	return atomic_load(&pipe->alive_ns);
}
