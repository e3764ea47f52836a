// SPDX-License-Identifier: GPL-3.0-or-later
/* The bytes of a multipart stream: see multipart.h. */
#include "http/streams/multipart.h"

#include "base/util.h"
#include "http/reply.h"
#include "net/chunk_writer.h"

#define BOUNDARY "boundarydonotcross"

const char *multipart_format_time(char out[static MULTIPART_TIME_SIZE], int64_t ns)
{
	int64_t us = MAX(ns, 0) / NS_PER_US;

	snprintf(out, MULTIPART_TIME_SIZE, "%lld.%06lld", (long long)us / 1000000,
		(long long)us % 1000000);
	return out;
}

static void add_time(struct evbuffer *out, const char *name, int64_t ns)
{
	char text[MULTIPART_TIME_SIZE];

	evbuffer_add_printf(out, "X-UStreamer-%s: %s\r\n", name, multipart_format_time(text, ns));
}

/* All that can be said before the picture is there. */
static void add_opening(struct evbuffer *out)
{
	char text[MULTIPART_TIME_SIZE];

	evbuffer_add_printf(out, "Content-Type: image/jpeg\r\nX-Timestamp: %s\r\n\r\n",
		multipart_format_time(text, wall_us() * NS_PER_US));
}

void multipart_add_head(struct evbuffer *out, const struct multipart_session *session,
	const char *instance_id, const char *headers)
{
	/* 1.0, for the body ends with the connection; readers and proxies have always seen that. */
	evbuffer_add_printf(out,
		"HTTP/1.0 200 OK\r\n%s" REPLY_NO_CACHE
		"Set-Cookie: stream_client%s%s=%s/%s; path=/; max-age=30\r\n"
		"Content-Type: multipart/x-mixed-replace;boundary=" BOUNDARY "\r\n"
		"\r\n"
		"--" BOUNDARY "\r\n",
		headers, *instance_id ? "_" : "", instance_id, session->key, session->id);
	if (session->wishes.advance_headers)
		add_opening(out);
}

static void add_extra_headers(struct evbuffer *out, const struct delivery *delivery,
	unsigned client_fps)
{
	const struct frame *frame = delivery->packed;
	int64_t sent_ns = now_ns();
	/* A picture that the device compressed was never encoded: it took no time. */
	int64_t begin_ns = frame->encode_begin_ns ? frame->encode_begin_ns : frame->grabbed_ns;
	int64_t end_ns = frame->encode_end_ns ? frame->encode_end_ns : begin_ns;

	evbuffer_add_printf(out,
		"X-UStreamer-Online: %s\r\n"
		"X-UStreamer-Dropped: %u\r\n"
		"X-UStreamer-Width: %u\r\n"
		"X-UStreamer-Height: %u\r\n"
		"X-UStreamer-Client-FPS: %u\r\n",
		frame->online ? "true" : "false", delivery->dropped, frame->width, frame->height,
		client_fps);
	add_time(out, "Grab-Time", frame->captured_ns); /* its name before 6.46 */
	add_time(out, "Grab-Begin-Time", frame->captured_ns);
	add_time(out, "Grab-End-Time", frame->grabbed_ns);
	add_time(out, "Encode-Begin-Time", begin_ns);
	add_time(out, "Encode-End-Time", end_ns);
	add_time(out, "Expose-Begin-Time", delivery->begin_ns);
	add_time(out, "Expose-Cmp-Time", delivery->cmp_ns);
	add_time(out, "Expose-End-Time", delivery->cmp_ns);
	add_time(out, "Send-Time", sent_ns);
	add_time(out, "Latency", sent_ns - frame->captured_ns);
}

int multipart_add_part(struct evbuffer *out, const struct multipart_session *session,
	const struct delivery *delivery, unsigned client_fps)
{
	const struct multipart_wishes *wishes = &session->wishes;
	int res;

	if (!wishes->advance_headers) {
		char text[MULTIPART_TIME_SIZE];

		evbuffer_add_printf(out,
			"Content-Type: image/jpeg\r\n"
			"Content-Length: %zu\r\n"
			"X-Timestamp: %s\r\n",
			wishes->zero_data ? 0 : delivery->packed->plane[0].size,
			multipart_format_time(text, wall_us() * NS_PER_US));
		if (wishes->extra_headers)
			add_extra_headers(out, delivery, client_fps);
		evbuffer_add(out, "\r\n", 2);
	}
	if (!wishes->zero_data && (res = chunk_writer_queue_frame(out, delivery->packed, 0)) < 0)
		return res;
	evbuffer_add(out, "\r\n--" BOUNDARY "\r\n", strlen("\r\n--" BOUNDARY "\r\n"));
	if (wishes->advance_headers)
		add_opening(out);
	return 0;
}
