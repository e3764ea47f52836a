// SPDX-License-Identifier: GPL-3.0-or-later
/* Limits the encoder to what lines take: see throttle.h. */
#include "http/throttle.h"

#include "base/util.h"
#include "http/adapt.h"

#define LOG_TOPIC "http"
#include "base/log.h"

struct throttle {
	struct pipeline *pipeline;
	struct video *video;
	struct sinks *sinks;
	const struct options *opt;
	struct event *look_due;
	struct adapt adapt;
};

static bool have_others(const struct throttle *throttle)
{
	struct sink_status status;

	for (int kind = 0; throttle->sinks && kind < SINKS_KINDS; kind++) {
		if (sinks_get_status(throttle->sinks, kind, MEDIUM_H264, &status) &&
			status.view.readers)
			return true;
	}
	return false;
}

static void apply(const struct throttle *throttle, const struct adapt_look *look)
{
	const struct adapt *adapt = &throttle->adapt;
	struct encoder_limit limit = { .bitrate_kbps = adapt->kbps, .fps = adapt->fps };

	pipeline_limit_h264(throttle->pipeline, &limit);
	log_verbose("H.264 limited to %u kbit/s and %u fps (0: not), %u of %u lines are busy, the "
		    "fastest of them takes %u kbit/s",
		limit.bitrate_kbps, limit.fps, look->congested, look->viewers, look->line_kbps);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct throttle *throttle = arg;
	struct adapt_look look = { .now_ns = now_ns(), .others = have_others(throttle) };
	struct h264_status status;
	struct video_load load;

	(void)fd, (void)what;
	pipeline_get_h264_status(throttle->pipeline, &status);
	video_measure(throttle->video, &load);
	look.wanted_kbps = status.wanted.bitrate_kbps;
	look.fps = status.tuning.fps;
	look.viewers = load.viewers;
	look.congested = load.congested;
	look.line_kbps = load.line_kbps;
	look.stream_kbps = load.stream_kbps;
	if (adapt_step(&throttle->adapt, &look))
		apply(throttle, &look);
	if (!video_viewers(throttle->video) && !throttle->adapt.kbps && !throttle->adapt.fps)
		event_del(throttle->look_due);
}

struct throttle *throttle_create(struct event_base *base, struct pipeline *pipeline,
	struct video *video, const struct options *opt)
{
	struct throttle *throttle = xcalloc(1, sizeof(*throttle));

	throttle->pipeline = pipeline;
	throttle->video = video;
	throttle->opt = opt;
	throttle->adapt.least_kbps = (unsigned)opt->h264_min_bitrate_kbps;
	throttle->adapt.least_fps = (unsigned)opt->h264_min_fps;
	throttle->look_due = event_new(base, -1, EV_PERSIST, on_look, throttle);
	if (!throttle->look_due)
		abort(); /* as xcalloc() */
	return throttle;
}

void throttle_destroy(struct throttle *throttle)
{
	if (!throttle)
		return;
	event_free(throttle->look_due);
	free(throttle);
}

void throttle_set_sinks(struct throttle *throttle, struct sinks *sinks)
{
	throttle->sinks = sinks;
}

void throttle_wake(struct throttle *throttle)
{
	static const struct timeval period = { .tv_usec = ADAPT_PERIOD_MS * 1000 };

	if (throttle->opt->h264_adaptive && !event_pending(throttle->look_due, EV_TIMEOUT, NULL))
		event_add(throttle->look_due, &period);
}

json_t *throttle_describe(const struct throttle *throttle)
{
	const struct adapt *adapt = &throttle->adapt;
	const char *reason = adapt->fps    ? "fewer bits are not enough for any viewer's line"
			     : adapt->kbps ? "every viewer's line is slower than the stream"
					   : "";

	return json_pack("{s:b, s:b, s:i, s:i, s:s}", "enabled", throttle->opt->h264_adaptive,
		"active", adapt->kbps || adapt->fps, "bitrate", (int)adapt->kbps, "fps",
		(int)adapt->fps, "reason", reason);
}
