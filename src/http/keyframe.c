// SPDX-License-Identifier: GPL-3.0-or-later
/* /keyframe: POST asks for a key frame in the H.264 stream; the body is {}. */
#include "http/endpoint.h"
#include "http/reply.h"

#define MAX_BODY 1024

/* One that was asked for a moment ago will do: key frames fill lines. */
#define SPACING_NS (500 * NS_PER_MS)

static void handle(struct server *server, struct connection *conn, const struct request *req)
{
	struct live_fault fault;
	json_t *body = live_parse(req->body, req->content_length, &fault);
	int64_t now = now_ns();

	if (!body)
		return reply_error(conn, 400, fault.field, fault.text);
	json_decref(body);
	if (!server->key_asked_ns || now - server->key_asked_ns >= SPACING_NS) {
		server->key_asked_ns = now;
		outlet_ask_key(pipeline_h264(server->pipeline));
	}
	reply_nothing(conn);
}

const struct endpoint endpoint_keyframe = {
	.path = "/keyframe",
	.methods = METHOD_POST,
	.max_body = MAX_BODY,
	.handle = handle,
	.help = "POST asks for a key frame of the H.264 stream",
};
