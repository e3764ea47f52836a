// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /metrics: numbers for Prometheus, in its text format 0.0.4: counters that only grow, gauges, and
 * histograms in seconds. Label values are our own constants, so that none needs to be escaped.
 */
#include "http/endpoint.h"

#include <unistd.h>

#include "http/reply.h"

static const char *const stream_names[STREAM_KINDS] = {
	[STREAM_MJPEG] = "mjpeg",
	[STREAM_MP4] = "mp4",
	[STREAM_AVC] = "avc",
	[STREAM_H264] = "h264",
};

/* What comes before the samples of one name. */
static void describe(struct evbuffer *out, const char *name, const char *type, const char *help)
{
	evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_one(struct evbuffer *out, const char *name, const char *type, const char *help,
	double value)
{
	describe(out, name, type, help);
	evbuffer_add_printf(out, "%s %.16g\n", name, value);
}

/* ---- the source, and what became of its frames */

static void add_source(struct evbuffer *out, const struct pipeline_status *status)
{
	add_one(out, "hdmicast_source_online", "gauge", "Whether the source gives pictures.",
		status->online);
	describe(out, "hdmicast_source_state_info", "gauge",
		"Why there is a picture or none, as in /state.");
	evbuffer_add_printf(out, "hdmicast_source_state_info{state=\"%s\"} 1\n", status->state);
	add_one(out, "hdmicast_source_reopens_total", "counter",
		"How often the source was opened again.", (double)status->restarts);
	add_one(out, "hdmicast_frames_captured_total", "counter", "Frames that the source gave.",
		(double)status->captured);
	add_one(out, "hdmicast_frames_skipped_total", "counter",
		"Captured frames left out on purpose, by --desired-fps.", (double)status->skipped);
}

static void add_drops(struct evbuffer *out, struct drops *drops)
{
	static const char name[] = "hdmicast_frames_dropped_total";

	describe(out, name, "counter", "Frames thrown away because something was wrong with them.");
	for (int reason = 0; reason < DROP_REASONS; reason++)
		evbuffer_add_printf(out, "%s{reason=\"%s\"} %llu\n", name, drops_name(reason),
			(unsigned long long)drops_get(drops, reason));
}

/* ---- the encoders */

static void add_encoded(struct evbuffer *out, struct pipeline *pipe)
{
	static const char name[] = "hdmicast_frames_published_total";

	describe(out, name, "counter", "Frames given to readers: as captured, and encoded.");
	for (unsigned i = 0; i < MEDIA; i++)
		evbuffer_add_printf(out, "%s{medium=\"%s\"} %llu\n", name, medium_name(i),
			(unsigned long long)atomic_load(&pipeline_latency(pipe, i)->frames));
}

static void add_h264(struct evbuffer *out, const struct h264_status *h264)
{
	static const char *const states[] = { "off", "idle", "starting", "running", "fallback",
		"failed" };
	static const char name[] = "hdmicast_h264_encoder_state";

	add_one(out, "hdmicast_h264_key_frames_total", "counter",
		"Access units that decode by themselves.", (double)h264->keys);
	add_one(out, "hdmicast_h264_frames_same_total", "counter",
		"Frames left out because they were like those before.", (double)h264->same);
	add_one(out, "hdmicast_h264_frames_late_total", "counter",
		"Frames left out because the encoder had no time.", (double)h264->late);
	add_one(out, "hdmicast_h264_frames_lost_total", "counter",
		"Frames that the encoder itself dropped.", (double)h264->lost);
	add_one(out, "hdmicast_h264_encoder_opens_total", "counter",
		"How often an encoder was opened.", (double)h264->opened);
	add_one(out, "hdmicast_h264_encoder_failures_total", "counter",
		"How often an encoder failed or hung.", (double)h264->failures);
	add_one(out, "hdmicast_h264_bitrate_bits_per_second", "gauge",
		"What the encoder is told to keep to.", h264->tuning.bitrate_kbps * 1000.0);
	describe(out, name, "gauge", "The encoder's state: 1 for the one that holds.");
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++)
		evbuffer_add_printf(out, "%s{state=\"%s\"} %d\n", name, states[i],
			strcmp(states[i], h264->state) == 0);
	describe(out, "hdmicast_h264_encoder_info", "gauge", "Which encoder is at work.");
	evbuffer_add_printf(out, "hdmicast_h264_encoder_info{encoder=\"%s\",profile=\"%s\"} 1\n",
		h264->encoder, h264->profile);
}

/* ---- times */

static void add_histogram(struct evbuffer *out, const char *name, const char *labels,
	const struct histogram *histogram)
{
	struct histogram_view view;
	uint64_t sum = 0;

	histogram_read(histogram, &view);
	for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		sum += view.count[i];
		evbuffer_add_printf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels,
			histogram_bound_us(i) / 1e6, (unsigned long long)sum);
	}
	evbuffer_add_printf(out,
		"%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} %.9f\n%s_count{%s} %llu\n", name,
		labels, (unsigned long long)view.total, name, labels, (double)view.sum_ns / 1e9,
		name, labels, (unsigned long long)view.total);
}

/* Raw pictures are neither encoded nor sent. */
static bool has_stage(enum medium medium, enum latency_stage stage)
{
	if (medium == MEDIUM_RAW)
		return stage == STAGE_GRAB || stage == STAGE_PUBLISH;
	return medium == MEDIUM_H264 || stage != STAGE_CONVERT;
}

static void add_stages(struct evbuffer *out, struct pipeline *pipe)
{
	static const char name[] = "hdmicast_stage_seconds";
	char labels[64];

	describe(out, name, "histogram", "How long frames are in each stage, from first to last.");
	for (unsigned i = 0; i < MEDIA * STAGES; i++) {
		enum medium medium = i / STAGES;
		enum latency_stage stage = i % STAGES;

		if (!has_stage(medium, stage))
			continue;
		snprintf(labels, sizeof(labels), "medium=\"%s\",stage=\"%s\"", medium_name(medium),
			latency_name(stage));
		add_histogram(out, name, labels, &pipeline_latency(pipe, medium)->stage[stage]);
	}
}

static void add_ages(struct evbuffer *out, struct pipeline *pipe)
{
	static const char name[] = "hdmicast_frame_age_seconds";
	char labels[64];

	describe(out, name, "histogram",
		"Age of frames since capture when published, and when the kernel had them for a "
		"client.");
	for (unsigned i = 0; i < MEDIA; i++) {
		const struct latency *latency = pipeline_latency(pipe, i);

		snprintf(labels, sizeof(labels), "medium=\"%s\",at=\"published\"", medium_name(i));
		add_histogram(out, name, labels, &latency->published);
		if (i == MEDIUM_RAW)
			continue;
		snprintf(labels, sizeof(labels), "medium=\"%s\",at=\"sent\"", medium_name(i));
		add_histogram(out, name, labels, &latency->sent);
	}
}

/* ---- who takes them */

static void add_clients(struct evbuffer *out, const struct server *server)
{
	static const char clients[] = "hdmicast_clients", bytes[] = "hdmicast_sent_bytes_total";

	describe(out, clients, "gauge", "Viewers of streams at this moment.");
	for (unsigned i = 0; i < STREAM_KINDS; i++)
		evbuffer_add_printf(out, "%s{kind=\"%s\"} %u\n", clients, stream_names[i],
			server->traffic[i].clients);
	describe(out, bytes, "counter", "Bytes that the kernel took to be sent.");
	for (unsigned i = 0; i < STREAM_KINDS; i++)
		evbuffer_add_printf(out, "%s{kind=\"%s\"} %llu\n", bytes, stream_names[i],
			(unsigned long long)server->traffic[i].bytes);
	evbuffer_add_printf(out, "%s{kind=\"other\"} %llu\n", bytes,
		(unsigned long long)connection_set_bytes(server->connections));
	add_one(out, "hdmicast_connections", "gauge", "Connections to the HTTP server.",
		connection_set_count(server->connections));
	describe(out, "hdmicast_frames_unsent_total", "counter",
		"Pictures that viewers did not get because their lines were too slow.");
	evbuffer_add_printf(out,
		"hdmicast_frames_unsent_total{medium=\"jpeg\"} %llu\n"
		"hdmicast_frames_unsent_total{medium=\"h264\"} %llu\n",
		(unsigned long long)fanout_skipped(server->jpeg),
		(unsigned long long)fanout_skipped(server->h264));
}

static void add_shm(struct evbuffer *out, struct sinks *sinks, const char *name, const char *type,
	const char *help, uint64_t (*value)(const struct sink_status *status))
{
	static const char *const kinds[SINKS_KINDS] = {
		[SINKS_MEMSINK] = "sink", [SINKS_RING] = "ring"
	};
	struct sink_status status;

	describe(out, name, type, help);
	for (unsigned i = 0; i < SINKS_KINDS * MEDIA; i++) {
		if (sinks_get_status(sinks, i / MEDIA, i % MEDIA, &status))
			evbuffer_add_printf(out, "%s{kind=\"%s\",medium=\"%s\"} %llu\n", name,
				kinds[i / MEDIA], medium_name(i % MEDIA),
				(unsigned long long)value(&status));
	}
}

static uint64_t shm_readers(const struct sink_status *status)
{
	return status->view.readers;
}

static uint64_t shm_written(const struct sink_status *status)
{
	return status->written;
}

static uint64_t shm_skipped(const struct sink_status *status)
{
	return status->skipped + status->late;
}

static void add_sinks(struct evbuffer *out, struct sinks *sinks)
{
	add_shm(out, sinks, "hdmicast_shm_readers", "gauge",
		"Readers of shared memory; of a sink it is only known whether there are any.",
		shm_readers);
	add_shm(out, sinks, "hdmicast_shm_frames_written_total", "counter",
		"Frames written to shared memory.", shm_written);
	add_shm(out, sinks, "hdmicast_shm_frames_skipped_total", "counter",
		"Frames left out of shared memory because we or a reader had no time.",
		shm_skipped);
}

/* ---- the process, under the names that Prometheus's own libraries use */

static double resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void add_process(struct evbuffer *out, const struct server *server)
{
	struct timespec cpu = { 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	add_one(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
		resident_bytes());
	add_one(out, "process_cpu_seconds_total", "counter", "User and system CPU time spent.",
		(double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
	add_one(out, "process_start_time_seconds", "gauge",
		"When the process started, in seconds since 1970.",
		(double)server->started_us / 1e6);
	describe(out, "hdmicast_build_info", "gauge", "Which version this is.");
	evbuffer_add_printf(out, "hdmicast_build_info{version=\"%s\"} 1\n", VERSION);
}

static void write_all(struct evbuffer *out, const struct server *server)
{
	struct pipeline *pipe = server->pipeline;
	struct pipeline_status status;
	struct h264_status h264;

	pipeline_get_status(pipe, &status);
	pipeline_get_h264_status(pipe, &h264);
	add_source(out, &status);
	add_drops(out, pipeline_drops(pipe));
	add_encoded(out, pipe);
	add_h264(out, &h264);
	add_stages(out, pipe);
	add_ages(out, pipe);
	add_clients(out, server);
	add_sinks(out, server->sinks);
	add_process(out, server);
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	struct evbuffer *body = evbuffer_new();

	(void)req;
	if (!body)
		return reply_text(exchange, 500, "Out of memory.");
	write_all(body, server);
	evbuffer_add_printf(reply_begin(exchange, 200), REPLY_NO_CACHE);
	reply_end(exchange, "text/plain; version=0.0.4; charset=utf-8", body);
	evbuffer_free(body);
}

const struct endpoint endpoint_metrics = {
	.path = "/metrics",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "counters and times, for Prometheus",
};
