// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /stream.h264: access units one after the other, as a byte stream (Annex B), without end.
 *
 * Whoever asks is answered when the first key frame is there, so that a status other than 200 can
 * still say why there is none. An encoder that fails later does not end the stream: it is tried
 * again, and then goes on with a key frame.
 */
#include "http/endpoint.h"
#include "http/reply.h"

#define LOG_TOPIC "http"
#include "log.h"

#define WAIT_MS       4000 /* for the first key frame */
#define LOOK_AGAIN_MS 500  /* meanwhile: whether the encoder has failed */
#define RETRY_AFTER_S 5

struct h264_viewer {
	struct video_viewer viewer;
	struct server *server;
	int64_t asked_ns;
};

static const struct connection_holder holder; /* below */

static void on_drained(void *arg)
{
	struct h264_viewer *self = arg;

	video_go_on(&self->viewer); /* may be its end */
}

static void on_closed(void *arg)
{
	struct h264_viewer *self = arg;

	video_unwatch(&self->viewer);
	log_verbose("H.264 viewer left after %llu access units, %llu skipped, %u viewers now",
		(unsigned long long)self->viewer.sent, (unsigned long long)self->viewer.skipped,
		video_viewers(self->server->video));
	free(self);
}

static bool has(const struct h264_status *status, const char *state)
{
	return strcmp(status->state, state) == 0;
}

static void refuse(struct connection *conn, const struct h264_status *status)
{
	char text[320];

	if (has(status, "off") || has(status, "failed"))
		snprintf(text, sizeof(text), "No H.264: %s", status->text);
	else
		snprintf(text, sizeof(text), "No H.264 in %d s, the encoder is %s. %s",
			WAIT_MS / 1000, status->state, status->text);
	if (has(status, "off"))
		reply_text(conn, 503, text);
	else
		reply_retry(conn, RETRY_AFTER_S, text);
}

/* Looks whether it is worth while to wait on. */
static void on_expired(void *arg)
{
	struct h264_viewer *self = arg;
	struct connection *conn = self->viewer.conn;
	struct h264_status status;

	pipeline_get_h264_status(self->server->pipeline, &status);
	if (!has(&status, "failed") && now_ns() - self->asked_ns < WAIT_MS * NS_PER_MS)
		return connection_hold(conn, &holder, self, LOOK_AGAIN_MS);
	connection_release(conn);
	on_closed(self);
	refuse(conn, &status);
}

static const struct connection_holder holder = { on_drained, on_expired, on_closed };

/* 1.0, for the body ends with the connection, as that of /stream does. */
static void begin(struct video_viewer *viewer)
{
	connection_stream(viewer->conn, &holder, container_of(viewer, struct h264_viewer, viewer));
	evbuffer_add_printf(connection_output(viewer->conn),
		"HTTP/1.0 200 OK\r\n%s" REPLY_NO_CACHE "Content-Type: video/h264\r\n\r\n",
		connection_headers(viewer->conn));
}

static int add(struct video_viewer *viewer, struct evbuffer *out, struct frame *unit)
{
	(void)viewer;
	return multipart_add_frame(out, unit);
}

static const struct video_framing annex_b = { begin, add };

/* Whether there is no point in waiting. Without viewers, a failed encoder may not know better. */
static bool is_hopeless(const struct server *server, const struct h264_status *status)
{
	return has(status, "off") || (has(status, "failed") && video_viewers(server->video));
}

static void handle(struct server *server, struct connection *conn, const struct request *req)
{
	struct h264_status status;
	struct h264_viewer *self;

	(void)req;
	pipeline_get_h264_status(server->pipeline, &status);
	if (is_hopeless(server, &status))
		return refuse(conn, &status);
	if (connection_wants_head(conn))
		return reply_head(conn);
	self = xcalloc(1, sizeof(*self));
	self->server = server;
	self->asked_ns = now_ns();
	connection_hold(conn, &holder, self, LOOK_AGAIN_MS);
	video_watch(server->video, &self->viewer, conn, &annex_b);
	log_verbose("H.264 viewer came from %s, %u now", connection_name(conn),
		video_viewers(server->video));
}

const struct endpoint endpoint_h264 = {
	.path = "/stream.h264",
	.methods = METHOD_GET | METHOD_HEAD,
	.handle = handle,
	.help = "H.264 as a byte stream (Annex B), for players",
};
