// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /state: all there is to know, as JSON. The names are uStreamer's; what we add to them is under
 * names it does not use, so that its readers take this for its own.
 */
#include "http/endpoint.h"

#include "http/reply.h"

static json_t *describe_encoder(const struct server *server)
{
	const char *type = pipeline_encoder_type(server->pipeline);

	/* Quality 0: the device decides. */
	return json_pack("{s:s, s:i}", "type", type, "quality",
		strcmp(type, "HW") == 0 ? 0 : server->opt->quality);
}

static json_t *describe_source(const struct server *server, const struct pipeline_status *status)
{
	const struct option_size *fake = &server->opt->fake_resolution;
	char format[5] = { status->format, status->format >> 8, status->format >> 16,
		status->format >> 24, '\0' };
	bool is_fake = fake->width && fake->height;

	return json_pack("{s:{s:i, s:i}, s:b, s:i, s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I}",
		"resolution", "width", (int)(is_fake ? fake->width : status->width), "height",
		(int)(is_fake ? fake->height : status->height), "online", status->online,
		"desired_fps", server->opt->desired_fps, "captured_fps", (int)status->captured_fps,
		"state", status->state, "text", status->text, "hint", status->hint, "format",
		format, "captured", (json_int_t)status->captured, "skipped",
		(json_int_t)status->skipped, "restarts", (json_int_t)status->restarts);
}

static json_t *describe_stream(const struct server *server)
{
	json_t *clients = json_object();
	const struct mjpeg_viewer *viewer;

	TAILQ_FOREACH(viewer, &server->mjpeg_viewers, link)
	{
		const struct multipart_wishes *wishes = &viewer->session.wishes;

		json_object_set_new(clients, viewer->session.id,
			json_pack("{s:i, s:b, s:b, s:b, s:b, s:s}", "fps",
				(int)rate_get(&viewer->rate, now_ns()), "extra_headers",
				wishes->extra_headers, "advance_headers", wishes->advance_headers,
				"dual_final_frames", wishes->dual_final_frames, "zero_data",
				wishes->zero_data, "key", viewer->session.key));
	}
	return json_pack("{s:i, s:i, s:o}", "queued_fps", (int)fanout_fps(server->jpeg), "clients",
		(int)server->traffic[STREAM_MJPEG].clients, "clients_stat", clients);
}

/* As people write it: "4.0"; "" when there is none yet. */
static const char *name_level(char name[static 8], unsigned level)
{
	if (level == 9)
		return "1b";
	snprintf(name, 8, "%u.%u", level / 10 % 100, level % 10);
	return level ? name : "";
}

/* What the encoder is. The first four names are uStreamer's: what was asked for. */
static json_t *describe_h264_encoder(const struct h264_status *status)
{
	char level[8];

	return json_pack("{s:i, s:i, s:b, s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i}",
		"bitrate", (int)status->wanted.bitrate_kbps, "gop", (int)status->wanted.gop,
		"online", status->online, "fps", (int)status->fps, "state", status->state,
		"encoder", status->encoder, "device", status->device, "text", status->text,
		"profile", status->profile, "level", name_level(level, status->level), "width",
		(int)status->width, "height", (int)status->height, "bitrate_in_force",
		(int)status->tuning.bitrate_kbps, "gop_in_force", (int)status->tuning.gop);
}

/* What it has done. */
static json_t *count_h264(const struct server *server, const struct h264_status *status)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:i, s:I}", "encoded",
		(json_int_t)status->encoded, "keys", (json_int_t)status->keys, "same",
		(json_int_t)status->same, "late", (json_int_t)status->late, "lost",
		(json_int_t)status->lost, "opened", (json_int_t)status->opened, "failures",
		(json_int_t)status->failures, "encode_ms", status->encode_ns / 1e6, "convert_ms",
		status->convert_ns / 1e6, "clients", (int)fanout_viewers(server->h264),
		"skipped_frames", (json_int_t)fanout_skipped(server->h264));
}

static json_t *describe_limit(const struct server *server)
{
	struct arbiter_view view;

	arbiter_get_view(server->arbiter, &view);
	return json_pack("{s:b, s:b, s:i, s:i, s:s}", "enabled", view.enabled, "active",
		view.limit.bitrate_kbps || view.limit.fps, "bitrate", (int)view.limit.bitrate_kbps,
		"fps", (int)view.limit.fps, "reason", view.reason);
}

static json_t *describe_h264(const struct server *server)
{
	struct h264_status status;
	json_t *result, *counts;

	pipeline_get_h264_status(server->pipeline, &status);
	result = describe_h264_encoder(&status);
	counts = count_h264(server, &status);
	json_object_update(result, counts);
	json_object_set_new(result, "codec", json_string(fanout_codec(server->h264)));
	json_object_set_new(result, "adaptive", describe_limit(server));
	json_decref(counts);
	return result;
}

static json_t *describe_drops(const struct server *server)
{
	struct drops *drops = pipeline_drops(server->pipeline);
	json_t *list = json_object();

	for (int reason = 0; reason < DROP_REASONS; reason++)
		json_object_set_new(list, drops_name(reason),
			json_integer(drops_get(drops, reason)));
	return list;
}

/* Of the last ten seconds, from capture until readers could have the frame; null without frames. */
static json_t *describe_ages(const struct window_view *latency)
{
	const double ms = NS_PER_MS;

	if (!latency->count)
		return json_null();
	return json_pack("{s:f, s:f, s:f}", "p50", (double)latency->p50 / ms, "p95",
		(double)latency->p95 / ms, "p99", (double)latency->p99 / ms);
}

/* The names in it are uStreamer's where it has one. */
static json_t *describe_sink(const struct sink_status *status)
{
	return json_pack("{s:b, s:o, s:I, s:I, s:I}", "has_clients", status->view.readers > 0,
		"latency_ms", describe_ages(&status->latency), "written",
		(json_int_t)status->written, "skipped", (json_int_t)status->skipped, "dropped",
		(json_int_t)status->dropped);
}

static json_t *describe_ring(const struct sink_status *status)
{
	const struct backend_view *view = &status->view;
	const json_int_t skipped = (json_int_t)status->skipped + (json_int_t)status->late;

	return json_pack("{s:s, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", status->name,
		"bytes", (json_int_t)status->capacity, "readers", (int)view->readers, "lost",
		(json_int_t)view->lost, "laps", (json_int_t)view->laps, "wakes",
		(json_int_t)view->wakes, "published", (json_int_t)status->written, "skipped",
		skipped, "dropped", (json_int_t)status->dropped, "latency_ms",
		describe_ages(&status->latency));
}

/* Only what was asked for: readers take the presence of a sink for a promise. */
static void add_sinks(json_t *result, struct sinks *sinks, enum sinks_kind kind)
{
	json_t *list = json_object();
	struct sink_status status;

	for (unsigned i = 0; i < MEDIA; i++) {
		/* uStreamer's own list never has the raw one. */
		if ((kind == SINKS_MEMSINK && i == MEDIUM_RAW) ||
			!sinks_get_status(sinks, kind, i, &status))
			continue;
		json_object_set_new(list, medium_name(i),
			kind == SINKS_RING ? describe_ring(&status) : describe_sink(&status));
	}
	if (json_object_size(list))
		json_object_set(result, kind == SINKS_RING ? "rings" : "sinks", list);
	json_decref(list);
}

static json_t *describe_times(const struct histogram *histogram)
{
	struct histogram_view view;

	histogram_read(histogram, &view);
	return json_pack("{s:I, s:f, s:f, s:f}", "count", (json_int_t)view.total, "p50_ms",
		histogram_quantile_ns(&view, 500) / 1e6, "p95_ms",
		histogram_quantile_ns(&view, 950) / 1e6, "p99_ms",
		histogram_quantile_ns(&view, 990) / 1e6);
}

/* How old frames are, since the start; what is between is in /metrics. */
static json_t *describe_latency(const struct server *server)
{
	json_t *result = json_object();

	for (unsigned i = 0; i < MEDIA; i++) {
		const struct latency *latency = pipeline_latency(server->pipeline, i);

		json_object_set_new(result, medium_name(i),
			json_pack("{s:o, s:o}", "published", describe_times(&latency->published),
				"sent", describe_times(&latency->sent)));
	}
	return result;
}

static json_t *describe(const struct server *server)
{
	json_t *result = json_object();
	struct pipeline_status status;

	pipeline_get_status(server->pipeline, &status);
	json_object_set_new(result, "instance_id", json_string(server->opt->instance_id));
	json_object_set_new(result, "encoder", describe_encoder(server));
	add_sinks(result, server->sinks, SINKS_MEMSINK);
	add_sinks(result, server->sinks, SINKS_RING);
	json_object_set_new(result, "h264", describe_h264(server));
	json_object_set_new(result, "source", describe_source(server, &status));
	json_object_set_new(result, "stream", describe_stream(server));
	json_object_set_new(result, "drops", describe_drops(server));
	json_object_set_new(result, "latency", describe_latency(server));
	json_object_set_new(result, "http",
		json_pack("{s:i, s:I}", "connections",
			(int)connection_set_count(server->connections), "skipped_frames",
			(json_int_t)fanout_skipped(server->jpeg)));
	return json_pack("{s:b, s:o}", "ok", 1, "result", result);
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	(void)req;
	reply_json(exchange, 200, describe(server));
}

const struct endpoint endpoint_state = {
	.path = "/state",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "the state of everything, as JSON",
};
