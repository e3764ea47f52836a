// SPDX-License-Identifier: GPL-3.0-or-later
/* /keyframe: POST asks for a key frame in the H.264 stream; the body is {}. */
#include "http/endpoint.h"
#include "http/reply.h"

#define MAX_BODY 1024

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	struct settings_fault fault;
	json_t *body = settings_parse(req->body, req->content_length, &fault);

	if (!body)
		return reply_error(exchange, 400, fault.field, fault.text);
	json_decref(body);
	fanout_ask_key(server->h264);
	reply_nothing(exchange);
}

const struct endpoint endpoint_keyframe = {
	.path = "/keyframe",
	.methods = METHOD_POST,
	.max_body = MAX_BODY,
	.handle = handle,
	.help = "POST asks for a key frame of the H.264 stream",
};
