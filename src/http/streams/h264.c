// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /stream.mp4, /stream.avc, /stream.h264: access units one after the other, without end: in MP4 with
 * a fragment for each, with our own head before each, and as a plain byte stream (Annex B).
 *
 * Whoever asks is answered when the first key frame is there, so that a status other than 200 can
 * still say why there is none. An encoder that fails later does not end the stream: it is tried
 * again, and then goes on with a key frame.
 */
#include "http/endpoint.h"
#include "http/reply.h"
#include "http/streams/framing.h"

#define LOG_TOPIC "http"
#include "base/log.h"

#define WAIT_MS       4000 /* for the first key frame */
#define LOOK_AGAIN_MS 500  /* meanwhile: whether the encoder has failed */
#define RETRY_AFTER_S 5

/* One of the ways in which it is sent. */
struct format {
	struct viewer_ops ops;
	int (*make)(struct framing *framing, struct chunk_writer *out, struct frame *packed);
	enum stream_kind kind;
	const char *type;
	bool has_codecs; /* the type says which */
	bool is_bare;    /* without chunks: the body ends with the connection, as that of /stream */
};

struct h264_viewer {
	struct viewer viewer;
	struct latency_sending sending;
	struct exchange *exchange;
	struct server *server;
	const struct format *format;
	int64_t asked_ns;
	struct framing framing;
};

static const struct exchange_holder holder; /* below */

static void on_drained(void *arg)
{
	struct h264_viewer *self = arg;

	latency_note_sent(pipeline_latency(self->server->pipeline, MEDIUM_H264), &self->sending);
	fanout_go_on(&self->viewer); /* may be its end */
}

static void on_closed(void *arg)
{
	struct h264_viewer *self = arg;

	fanout_unwatch(&self->viewer);
	log_verbose("H.264 viewer left after %llu access units, %llu skipped, %u viewers now",
		(unsigned long long)self->viewer.sent, (unsigned long long)self->viewer.skipped,
		fanout_viewers(self->server->h264));
	self->server->traffic[self->format->kind].clients--;
	framing_finish(&self->framing);
	free(self);
}

static bool has(const struct h264_status *status, const char *state)
{
	return strcmp(status->state, state) == 0;
}

static void refuse(struct exchange *exchange, const struct h264_status *status)
{
	char text[320];

	if (has(status, "off") || has(status, "failed"))
		snprintf(text, sizeof(text), "No H.264: %s", status->text);
	else
		snprintf(text, sizeof(text), "No H.264 in %d s, the encoder is %s. %s",
			WAIT_MS / 1000, status->state, status->text);
	if (has(status, "off"))
		reply_text(exchange, 503, text);
	else
		reply_retry(exchange, RETRY_AFTER_S, text);
}

/* Looks whether it is worth while to wait on. */
static void on_expired(void *arg)
{
	struct h264_viewer *self = arg;
	struct exchange *exchange = self->exchange;
	struct h264_status status;

	pipeline_get_h264_status(self->server->pipeline, &status);
	if (!has(&status, "failed") && now_ns() - self->asked_ns < WAIT_MS * NS_PER_MS)
		return exchange_hold(exchange, &holder, self, LOOK_AGAIN_MS);
	exchange_release(exchange);
	on_closed(self);
	refuse(exchange, &status);
}

static const struct exchange_holder holder = { on_drained, on_expired, on_closed };

/* ---- the reply */

static void write_headers(struct exchange *exchange, const struct format *format, bool is_chunked,
	const char *codec)
{
	struct evbuffer *out = exchange_output(exchange);

	/* 1.0 where readers and proxies have always seen that. */
	evbuffer_add_printf(out, "HTTP/1.%d 200 OK\r\n%s" REPLY_NO_CACHE, !format->is_bare,
		exchange_headers(exchange));
	evbuffer_add_printf(out,
		"X-Hdmicast-Codecs: %s\r\nAccess-Control-Expose-Headers: X-Hdmicast-Codecs\r\n",
		codec);
	evbuffer_add_printf(out, "%s\r\nContent-Type: %s",
		is_chunked ? "Transfer-Encoding: chunked" : "Connection: close", format->type);
	if (format->has_codecs)
		evbuffer_add_printf(out, "; codecs=\"%s\"", codec);
	evbuffer_add_printf(out, "\r\n\r\n");
}

static void stream(struct h264_viewer *self, struct exchange *exchange)
{
	connection_count(exchange_connection(exchange),
		&self->server->traffic[self->format->kind].bytes);
	exchange_stream(exchange, &holder, self);
}

/* False: that was all this viewer wanted, and it is gone. */
static bool begin(struct h264_viewer *self, const struct frame *packed)
{
	struct exchange *exchange = self->exchange;
	bool head_only = exchange_wants_head(exchange);
	char codec[H264_CODEC_SIZE] = "";
	struct h264_nal sps;

	if (framing_find_sps(packed, &sps))
		h264_name_codec(codec, &sps);
	if (head_only)
		exchange_release(exchange);
	else
		stream(self, exchange);
	write_headers(exchange, self->format, self->framing.chunked, codec);
	if (!head_only)
		return true;
	on_closed(self);
	exchange_finish(exchange);
	return false;
}

static struct h264_viewer *viewer_of(struct viewer *viewer)
{
	return container_of(viewer, struct h264_viewer, viewer);
}

/* The kernel is not asked about who has got nothing. */
static bool is_clear(struct viewer *viewer)
{
	return viewer->is_new ||
	       connection_is_clear(exchange_connection(viewer_of(viewer)->exchange));
}

static uint64_t acked(struct viewer *viewer)
{
	return connection_acked(exchange_connection(viewer_of(viewer)->exchange));
}

static void send_unit(struct viewer *viewer, const struct delivery *delivery)
{
	struct h264_viewer *self = viewer_of(viewer);
	struct connection *conn = exchange_connection(self->exchange);
	struct chunk_writer chunk;
	int res;

	if (delivery->is_first && !begin(self, delivery->packed))
		return;
	chunk_writer_init(&chunk);
	res = self->format->make(&self->framing, &chunk, delivery->packed);
	if (res < 0)
		return connection_close(conn, "cannot be sent: %s", strerror(-res));
	latency_begin_sending(&self->sending, delivery->packed);
	connection_send(conn, &chunk); /* and the next one after it, by on_drained() */
}

static const struct format format_mp4 = {
	.ops = { framing_pack_mp4, is_clear, send_unit, acked },
	.make = framing_make_mp4,
	.kind = STREAM_MP4,
	.type = "video/mp4",
	.has_codecs = true,
};

static const struct format format_avc = {
	.ops = { NULL, is_clear, send_unit, acked },
	.make = framing_make_avc,
	.kind = STREAM_AVC,
	.type = "application/x-hdmicast-avc",
};

static const struct format format_h264 = {
	.ops = { NULL, is_clear, send_unit, acked },
	.make = framing_make_h264,
	.kind = STREAM_H264,
	.type = "video/h264",
	.is_bare = true,
};

/* Whether there is no point in waiting. Without viewers, a failed encoder may not know better. */
static bool is_hopeless(const struct server *server, const struct h264_status *status)
{
	return has(status, "off") || (has(status, "failed") && fanout_viewers(server->h264));
}

/* HEAD while others watch is no reason to give all of them a key frame: the codec is known. */
static void reply_head_now(const struct server *server, struct exchange *exchange,
	const struct format *format, bool is_chunked)
{
	write_headers(exchange, format, is_chunked, fanout_codec(server->h264));
	exchange_finish(exchange);
}

static void watch(struct server *server, struct exchange *exchange, const struct request *req,
	const struct format *format)
{
	bool is_chunked = req->is_1_1 && !format->is_bare;
	struct h264_status status;
	struct h264_viewer *self;

	pipeline_get_h264_status(server->pipeline, &status);
	if (is_hopeless(server, &status))
		return refuse(exchange, &status);
	if (exchange_wants_head(exchange) && format->is_bare)
		return reply_head(exchange);
	if (exchange_wants_head(exchange) && fanout_viewers(server->h264) &&
		*fanout_codec(server->h264))
		return reply_head_now(server, exchange, format, is_chunked);
	self = xcalloc(1, sizeof(*self));
	self->exchange = exchange;
	self->server = server;
	self->format = format;
	self->framing.chunked = is_chunked;
	self->asked_ns = now_ns();
	server->traffic[format->kind].clients++;
	exchange_hold(exchange, &holder, self, LOOK_AGAIN_MS);
	fanout_watch(server->h264, &self->viewer, &format->ops);
	arbiter_wake(server->arbiter);
	log_verbose("H.264 viewer came from %s, %u now",
		connection_name(exchange_connection(exchange)), fanout_viewers(server->h264));
}

static void handle_mp4(struct server *server, struct exchange *exchange, const struct request *req)
{
	AUTO(auto_free) char *format = request_param(req, "format");

	if (!format || strcmp(format, "mp4") == 0)
		watch(server, exchange, req, &format_mp4);
	else if (strcmp(format, "annexb") == 0)
		watch(server, exchange, req, &format_avc);
	else
		reply_text(exchange, 400, "There is format=mp4 and format=annexb.");
}

static void handle_avc(struct server *server, struct exchange *exchange, const struct request *req)
{
	watch(server, exchange, req, &format_avc);
}

static void handle_h264(struct server *server, struct exchange *exchange, const struct request *req)
{
	watch(server, exchange, req, &format_h264);
}

const struct endpoint endpoint_mp4 = {
	.path = "/stream.mp4",
	.methods = METHOD_GET | METHOD_HEAD,
	.handle = handle_mp4,
	.help = "H.264 in fragmented MP4, for browsers and players",
};

const struct endpoint endpoint_avc = {
	.path = "/stream.avc",
	.methods = METHOD_GET | METHOD_HEAD,
	.handle = handle_avc,
	.help = "H.264 with size and times before each frame, for WebCodecs",
};

const struct endpoint endpoint_h264 = {
	.path = "/stream.h264",
	.methods = METHOD_GET | METHOD_HEAD,
	.handle = handle_h264,
	.help = "H.264 as a byte stream (Annex B), for players",
};
