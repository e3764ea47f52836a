// SPDX-License-Identifier: GPL-3.0-or-later
/* Limits the encoder to what lines take: see arbiter.h. */
#include "fanout/arbiter.h"

#include "base/util.h"
#include "fanout/adaptation.h"

#define LOG_TOPIC "http"
#include "base/log.h"

struct arbiter {
	struct pipeline *pipeline;
	struct fanout *h264;
	struct sinks *sinks;
	const struct options *opt;
	struct event *look_due;
	struct adaptation adapt;
};

static bool have_others(const struct arbiter *arbiter)
{
	struct sink_status status;

	for (int kind = 0; arbiter->sinks && kind < SINKS_KINDS; kind++) {
		if (sinks_get_status(arbiter->sinks, kind, MEDIUM_H264, &status) &&
			status.view.readers)
			return true;
	}
	return false;
}

static void apply(const struct arbiter *arbiter, const struct adaptation_look *look)
{
	const struct adaptation *adapt = &arbiter->adapt;
	struct encoder_limit limit = { .bitrate_kbps = adapt->kbps, .fps = adapt->fps };

	pipeline_limit_h264(arbiter->pipeline, &limit);
	log_verbose("H.264 limited to %u kbit/s and %u fps (0: not), %u of %u lines are busy, the "
		    "fastest of them takes %u kbit/s",
		limit.bitrate_kbps, limit.fps, look->congested, look->viewers, look->line_kbps);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct arbiter *arbiter = arg;
	struct adaptation_look look = { .now_ns = now_ns(), .others = have_others(arbiter) };
	struct h264_status status;
	struct fanout_load load;

	(void)fd, (void)what;
	pipeline_get_h264_status(arbiter->pipeline, &status);
	fanout_measure(arbiter->h264, &load);
	look.wanted_kbps = status.wanted.bitrate_kbps;
	look.fps = status.tuning.fps;
	look.viewers = load.viewers;
	look.congested = load.congested;
	look.line_kbps = load.line_kbps;
	look.stream_kbps = load.stream_kbps;
	if (adaptation_step(&arbiter->adapt, &look))
		apply(arbiter, &look);
	if (!fanout_viewers(arbiter->h264) && !arbiter->adapt.kbps && !arbiter->adapt.fps)
		event_del(arbiter->look_due);
}

struct arbiter *arbiter_create(struct event_base *base, struct pipeline *pipeline,
	struct fanout *h264, const struct options *opt)
{
	struct arbiter *arbiter = xcalloc(1, sizeof(*arbiter));

	arbiter->pipeline = pipeline;
	arbiter->h264 = h264;
	arbiter->opt = opt;
	arbiter->adapt.least_kbps = (unsigned)opt->h264_min_bitrate_kbps;
	arbiter->adapt.least_fps = (unsigned)opt->h264_min_fps;
	arbiter->look_due = event_new(base, -1, EV_PERSIST, on_look, arbiter);
	if (!arbiter->look_due)
		abort(); /* as xcalloc() */
	return arbiter;
}

void arbiter_destroy(struct arbiter *arbiter)
{
	if (!arbiter)
		return;
	event_free(arbiter->look_due);
	free(arbiter);
}

void arbiter_set_sinks(struct arbiter *arbiter, struct sinks *sinks)
{
	arbiter->sinks = sinks;
}

void arbiter_wake(struct arbiter *arbiter)
{
	static const struct timeval period = { .tv_usec = ADAPTATION_PERIOD_MS * 1000 };

	if (arbiter->opt->h264_adaptive && !event_pending(arbiter->look_due, EV_TIMEOUT, NULL))
		event_add(arbiter->look_due, &period);
}

void arbiter_get_view(const struct arbiter *arbiter, struct arbiter_view *out)
{
	const struct adaptation *adapt = &arbiter->adapt;

	*out = (struct arbiter_view){ .enabled = arbiter->opt->h264_adaptive,
		.limit = { adapt->kbps, adapt->fps },
		.reason = adapt->fps    ? "fewer bits are not enough for any viewer's line"
			  : adapt->kbps ? "every viewer's line is slower than the stream"
					: "" };
}
