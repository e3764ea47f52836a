// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Keeps the source alive: open, read, and after any error close, say why, wait and open
 * again. Expected states are logged here, when they change and only then.
 */
#include "pipeline/pipeline.h"

#include <sys/eventfd.h>

#include "base/rate.h"
#include "base/thread.h"
#include "base/wait.h"
#include "capture/source.h"
#include "encoder/jpeg.h"
#include "media/pixel_format.h"
#include "pipeline/jpeg_check.h"
#include "pipeline/patience.h"
#include "pipeline/source_state.h"
#include "slate/show.h"

#define LOG_TOPIC "capture"
#include "base/log.h"

struct pipeline {
	const struct options *opt; /* set at creation, as all of this block */
	const struct source_ops *ops;
	struct source_config config;
	struct source_memory memory; /* capture thread only */
	struct outlet *raw;
	struct jpeg_encoder *jpeg;
	struct h264_encoder *h264;
	int stop_fd;   /* eventfd: readable from pipeline_stop() on */
	int wake_fd;   /* eventfd: written when there is something to heed() */
	int change_fd; /* eventfd: written by the capture thread */
	struct device_controls *controls;
	struct drops drops;
	struct latency latency[MEDIA];

	pthread_t thread; /* set by pipeline_start() */
	bool started;

	struct options now; /* capture thread only, as all of this block: as asked for */
	int opened_fps;     /* what the source was opened for */
	struct limiter limiter;
	struct slate_show slate; /* while there is no picture */
	struct jpeg_check jpeg_check;

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
	pipe->jpeg_check = (struct jpeg_check){ .drops = &pipe->drops, .opt = opt };
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
	slate_show_end(&pipe->slate);
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
	const struct pipeline_status *status = &pipe->status;

	if (slate_show_draw(&pipe->slate, status->width, status->height, state->text, state->hint,
		    pipe->opt->device) < 0)
		drops_add(&pipe->drops, DROP_NO_MEMORY, "no memory for the no-signal picture");
}

static void show_slate(struct pipeline *pipe, int64_t now)
{
	struct frame *slate = slate_show_take(&pipe->slate, now);

	atomic_store(&pipe->alive_ns, now);
	if (slate)
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

/* Takes the reference. */
static void publish(struct pipeline *pipe, struct frame *frame, int64_t now)
{
	atomic_store(&pipe->alive_ns, now);
	atomic_fetch_add(&pipe->captured, 1);
	rate_tick(&pipe->rate, now);
	if (is_news(pipe, source_state_find(0), frame))
		set_status(pipe, source_state_find(0), frame);
	slate_show_end(&pipe->slate);
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
static bool heed(struct pipeline *pipe, struct source *source)
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

/* As the source's next(), for pictures that can be shown; until the slate is due at most. */
static int next_frame(struct pipeline *pipe, struct source *source, int64_t until_ns,
	struct frame **out)
{
	int res = pipe->ops->next(source, out, MIN(until_ns, slate_show_due_ns(&pipe->slate)));

	if (res == 0 && pixel_format_is_jpeg((*out)->format) &&
		!jpeg_check(&pipe->jpeg_check, *out)) {
		frame_unref(*out);
		return -EAGAIN;
	}
	return res;
}

/* Reads until the source must be closed; returns why. */
static int read_frames(struct pipeline *pipe, struct source *source)
{
	struct patience patience;
	int64_t now = now_ns();
	struct frame *frame;
	int res;

	patience_begin(&patience, pipe->now.device_timeout_s, pipe->now.desired_fps, now);
	do {
		res = patience_judge(&patience, h264_encoder_damaged_ns(pipe->h264), now);
		if (res < 0)
			return res;
		if (heed(pipe, source)) {
			int64_t took_ns = now_ns() - now; /* that is no silence */

			now += took_ns;
			patience_add(&patience, took_ns);
		}
		if (is_too_slow(pipe))
			return -ERESTART;
		if (patience_is_silent(&patience, now))
			report(pipe, patience_reason(&patience, now), now);
		show_slate(pipe, now);
		res = next_frame(pipe, source, patience_wake_ns(&patience, now), &frame);
		now = now_ns();
		if (res == 0) {
			publish(pipe, frame, now);
			patience_note_frame(&patience, now);
		} else if (res == -EAGAIN) {
			patience_note_damage(&patience, now);
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
		wait_for_events(on, ARRAY_SIZE(on), MIN(until, now + SLATE_SHOW_NS));
		if (on[0].revents)
			return false;
		now = now_ns();
		heed(pipe, NULL);
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
	int res = thread_start(&pipe->thread, capture_main, pipe);

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

void pipeline_set_options(struct pipeline *pipe, const struct options *now)
{
	pthread_mutex_lock(&pipe->lock);
	pipe->wish = *now;
	pipe->wished = true;
	pthread_mutex_unlock(&pipe->lock);
	wake(pipe->wake_fd);
	jpeg_encoder_set_quality(pipe->jpeg, now->quality);
	h264_encoder_set_options(pipe->h264, now);
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
