// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /snapshot: the next picture that comes after the request, never an old one; without a picture
 * in four seconds, a reason.
 */
#include "http/endpoint.h"
#include "http/reply.h"
#include "net/chunk_writer.h"

#define WAIT_MS 4000

struct snapshot {
	struct viewer viewer;
	struct server *server;
	struct exchange *exchange;
	int64_t asked_ns;
};

static void add_time(struct evbuffer *out, const char *name, int64_t ns)
{
	char text[MULTIPART_TIME_SIZE];

	evbuffer_add_printf(out, "X-UStreamer-%s-Timestamp: %s\r\n", name,
		multipart_format_time(text, ns));
}

static void add_headers(struct evbuffer *out, const struct frame *frame)
{
	int64_t begin_ns = frame->encode_begin_ns ? frame->encode_begin_ns : frame->grabbed_ns;
	char text[MULTIPART_TIME_SIZE];

	evbuffer_add_printf(out,
		REPLY_NO_CACHE "X-Timestamp: %s\r\n"
			       "X-UStreamer-Online: %s\r\n"
			       "X-UStreamer-Width: %u\r\n"
			       "X-UStreamer-Height: %u\r\n",
		multipart_format_time(text, wall_us() * NS_PER_US),
		frame->online ? "true" : "false", frame->width, frame->height);
	add_time(out, "Grab", frame->captured_ns); /* its name before 6.46 */
	add_time(out, "Grab-Begin", frame->captured_ns);
	add_time(out, "Grab-End", frame->grabbed_ns);
	add_time(out, "Encode-Begin", begin_ns);
	add_time(out, "Encode-End", frame->encode_end_ns ? frame->encode_end_ns : begin_ns);
	add_time(out, "Send", now_ns());
}

/* Nobody waits any more: gives the connection back. */
static struct exchange *dissolve(struct snapshot *snapshot)
{
	struct exchange *exchange = snapshot->exchange;

	exchange_release(exchange);
	fanout_unwatch(&snapshot->viewer);
	free(snapshot);
	return exchange;
}

static bool is_clear(struct viewer *viewer)
{
	(void)viewer;
	return true;
}

static void send_picture(struct viewer *viewer, const struct delivery *delivery)
{
	struct snapshot *snapshot = container_of(viewer, struct snapshot, viewer);
	struct frame *frame = delivery->packed;
	struct exchange *exchange;
	struct evbuffer *out;

	/* It was on its way when the request came. The slate shows what still is. */
	if (frame->online && frame->captured_ns < snapshot->asked_ns)
		return;
	exchange = dissolve(snapshot);
	out = reply_begin(exchange, 200);
	add_headers(out, frame);
	evbuffer_add_printf(out, "Content-Type: image/jpeg\r\nContent-Length: %zu\r\n\r\n",
		frame->plane[0].size);
	if (chunk_writer_queue_frame(out, frame, 0) < 0)
		return connection_close(exchange_connection(exchange), "out of memory");
	exchange_finish(exchange);
}

static const struct viewer_ops ops = { .is_clear = is_clear, .send = send_picture };

static void on_expired(void *arg)
{
	struct snapshot *snapshot = arg;
	struct pipeline_status status;
	char text[256];

	pipeline_get_status(snapshot->server->pipeline, &status);
	snprintf(text, sizeof(text), "No picture in %d s: %s. %s", WAIT_MS / 1000, status.text,
		*status.hint ? status.hint : "/state tells under drops what is wrong with them.");
	reply_text(dissolve(snapshot), 503, text);
}

static void on_closed(void *arg)
{
	dissolve(arg);
}

static const struct exchange_holder holder = { .expired = on_expired, .closed = on_closed };

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	struct snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

	(void)req;
	snapshot->viewer.wants_same = true;
	snapshot->server = server;
	snapshot->exchange = exchange;
	snapshot->asked_ns = now_ns();
	exchange_hold(exchange, &holder, snapshot, WAIT_MS);
	fanout_watch(server->jpeg, &snapshot->viewer, &ops);
}

const struct endpoint endpoint_snapshot = {
	.path = "/snapshot",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "the next picture, as a JPEG file",
};
