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

static void send_picture(struct viewer *viewer, const struct exposure *exposure)
{
	struct evbuffer *out = connection_output(viewer->conn);
	size_t pending = evbuffer_get_length(out);
	int64_t now = now_ns();

	if (pending) {
		viewer->server->n_skipped++;
		if (pending != viewer->untouched)
			return; /* it gets the newest when this one is through: on_drained() */
		/* The line took nothing of the picture that waits: this one is fresher. */
		evbuffer_drain(out, pending);
	} else {
		rate_tick(&viewer->rate, now);
	}
	if (multipart_add_part(out, &viewer->session, exposure, rate_get(&viewer->rate, now)) < 0)
		return connection_close(viewer->conn, "out of memory");
	latency_begin_sending(&viewer->sending, exposure->frame);
	viewer->shown = exposure->number;
	viewer->dual_due = viewer->session.wishes.dual_final_frames && !exposure->same;
	viewer->untouched = evbuffer_get_length(out);
	connection_flush(viewer->conn); /* may be the end of the viewer */
}

static void show(struct watcher *watcher, const struct exposure *exposure)
{
	struct viewer *viewer = container_of(watcher, struct viewer, watcher);

	if (!exposure->same || viewer->dual_due)
		send_picture(viewer, exposure);
}

static void on_drained(void *arg)
{
	struct viewer *viewer = arg;
	const struct exposure *latest = hub_latest(viewer->server->hub);

	latency_note_sent(pipeline_latency(viewer->server->pipeline, MEDIUM_JPEG),
		&viewer->sending);
	if (latest && latest->number != viewer->shown)
		send_picture(viewer, latest);
}

static void on_closed(void *arg)
{
	struct viewer *viewer = arg;
	struct server *server = viewer->server;

	TAILQ_REMOVE(&server->viewers, viewer, link);
	server->n_viewers--;
	server->traffic[STREAM_MJPEG].clients--;
	log_verbose("viewer %s left, %u now", viewer->session.id, server->n_viewers);
	hub_unwatch(server->hub, &viewer->watcher);
	free(viewer->session.key);
	free(viewer);
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
	struct viewer *viewer;

	if (!key)
		return reply_text(exchange, 400, "The key is too long.");
	viewer = xcalloc(1, sizeof(*viewer));
	viewer->server = server;
	viewer->conn = exchange_connection(exchange);
	viewer->watcher.show = show;
	viewer->session.key = key;
	make_id(viewer->session.id);
	viewer->session.wishes = (struct multipart_wishes){
		.extra_headers = request_flag(req, "extra_headers"),
		.advance_headers = request_flag(req, "advance_headers"),
		.dual_final_frames = request_flag(req, "dual_final_frames"),
		.zero_data = request_flag(req, "zero_data"),
	};
	TAILQ_INSERT_TAIL(&server->viewers, viewer, link);
	server->n_viewers++;
	server->traffic[STREAM_MJPEG].clients++;
	connection_count(viewer->conn, &server->traffic[STREAM_MJPEG].bytes);
	log_verbose("viewer %s came from %s, %u now", viewer->session.id,
		connection_name(viewer->conn), server->n_viewers);

	hub_watch(server->hub, &viewer->watcher);
	exchange_stream(exchange, &holder, viewer);
	multipart_add_head(exchange_output(exchange), &viewer->session, server->opt->instance_id,
		exchange_headers(exchange));
	connection_flush(viewer->conn); /* and the latest picture after it, by on_drained() */
}

const struct endpoint endpoint_stream = {
	.path = "/stream",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "motion JPEG; ?extra_headers, advance_headers, dual_final_frames, zero_data, key",
};
