// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /clock: what our clocks say, so that who sees a frame can tell how old it is: it asks a few
 * times and believes the answer that came back soonest.
 */
#include "http/endpoint.h"
#include "http/reply.h"

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	struct evbuffer *body = evbuffer_new();

	(void)server, (void)req;
	if (!body)
		return reply_text(exchange, 500, "Out of memory.");
	evbuffer_add_printf(reply_begin(exchange, 200), REPLY_NO_CACHE);
	evbuffer_add_printf(body, "{\"monotonic_us\": %lld, \"wall_us\": %lld}\n",
		(long long)(now_ns() / NS_PER_US), (long long)wall_us());
	reply_end(exchange, "application/json", body);
	evbuffer_free(body);
}

const struct endpoint endpoint_clock = {
	.path = "/clock",
	.methods = METHOD_GET,
	.handle = handle,
	.help = "our clocks, by which frames are dated, as JSON",
};
