// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /stream: MJPEG without end.
 *
 * Latency is bounded by keeping at most one picture in user space and next to nothing unsent in
 * the kernel: while a viewer's line is busy it is skipped, and when the line is free again it gets
 * the newest picture. A slow line lowers the frame rate and not the freshness.
 */
#include "http/endpoint.h"

#include <sys/random.h>

#include <event2/http.h>

#include "http/reply.h"

#define LOG_TOPIC "http"
#include "base/log.h"

#define MAX_KEY 256 /* characters, before encoding: it is listed in /state */

static struct mjpeg_viewer *viewer_of(struct viewer *viewer)
{
	return container_of(viewer, struct mjpeg_viewer, viewer);
}

/* A picture of which the line took nothing may be replaced: what comes is fresher. */
static bool is_clear(struct viewer *viewer)
{
	struct mjpeg_viewer *self = viewer_of(viewer);
	size_t pending = evbuffer_get_length(connection_output(self->conn));

	return !pending || pending == self->untouched;
}

static void send_picture(struct viewer *viewer, const struct delivery *delivery)
{
	struct mjpeg_viewer *self = viewer_of(viewer);
	struct evbuffer *out = connection_output(self->conn);
	size_t pending = evbuffer_get_length(out);
	int64_t now = now_ns();

	if (pending) {
		evbuffer_drain(out, pending);
		viewer_count_skipped(viewer, 1);
	} else {
		rate_tick(&self->rate, now);
	}
	if (multipart_add_part(out, &self->session, delivery, rate_get(&self->rate, now)) < 0)
		return connection_close(self->conn, "out of memory");
	latency_begin_sending(&self->sending, delivery->packed);
	viewer->wants_same = self->session.wishes.dual_final_frames && !delivery->is_same;
	self->untouched = evbuffer_get_length(out);
	connection_flush(self->conn); /* may be the end of the viewer */
}

static const struct viewer_ops ops = { .is_clear = is_clear, .send = send_picture };

static void on_drained(void *arg)
{
	struct mjpeg_viewer *self = arg;

	latency_note_sent(pipeline_latency(self->server->pipeline, MEDIUM_JPEG), &self->sending);
	fanout_go_on(&self->viewer);
}

static void on_closed(void *arg)
{
	struct mjpeg_viewer *self = arg;
	struct server *server = self->server;

	TAILQ_REMOVE(&server->mjpeg_viewers, self, link);
	server->traffic[STREAM_MJPEG].clients--;
	log_verbose("viewer %s left, %u now", self->session.id,
		server->traffic[STREAM_MJPEG].clients);
	fanout_unwatch(&self->viewer);
	free(self->session.key);
	free(self);
}

static const struct exchange_holder holder = { .drained = on_drained, .closed = on_closed };

static void make_id(char id[static 17])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = now_ns();
	snprintf(id, 17, "%016llx", (unsigned long long)number);
}

/* Encoded again, because it goes into a header. NULL when it is too long. */
static char *make_key(const struct request *req)
{
	AUTO(auto_free) char *key = request_param(req, "key");
	char *encoded;

	if (!key || !*key)
		return xstrdup("0");
	if (strlen(key) > MAX_KEY)
		return NULL;
	encoded = evhttp_encode_uri(key);
	return encoded ? encoded : xstrdup("0");
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	char *key = make_key(req);
	struct mjpeg_viewer *self;

	if (!key)
		return reply_text(exchange, 400, "The key is too long.");
	self = xcalloc(1, sizeof(*self));
	self->server = server;
	self->conn = exchange_connection(exchange);
	self->viewer.wants_latest = true;
	self->session.key = key;
	make_id(self->session.id);
	self->session.wishes = (struct multipart_wishes){
		.extra_headers = request_flag(req, "extra_headers"),
		.advance_headers = request_flag(req, "advance_headers"),
		.dual_final_frames = request_flag(req, "dual_final_frames"),
		.zero_data = request_flag(req, "zero_data"),
	};
	TAILQ_INSERT_TAIL(&server->mjpeg_viewers, self, link);
	server->traffic[STREAM_MJPEG].clients++;
	connection_count(self->conn, &server->traffic[STREAM_MJPEG].bytes);
	log_verbose("viewer %s came from %s, %u now", self->session.id, connection_name(self->conn),
		server->traffic[STREAM_MJPEG].clients);

	fanout_watch(server->jpeg, &self->viewer, &ops);
	exchange_stream(exchange, &holder, self);
	multipart_add_head(connection_output(self->conn), &self->session, server->opt->instance_id,
		exchange_headers(exchange));
	connection_flush(self->conn); /* and the latest picture after it, by on_drained() */
}

const struct endpoint endpoint_stream = {
	.path = "/stream",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "motion JPEG; ?extra_headers, advance_headers, dual_final_frames, zero_data, key",
};
