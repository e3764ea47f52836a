// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /healthz: whether this process does its work: pictures, or the slate that truthfully says why there
 * are none. A missing signal is no fault of ours; a thread that hangs in a driver is.
 *
 * Who checks health has no password, so nothing but that is told.
 */
#include "http/endpoint.h"
#include "http/reply.h"

/* Opening a slow device takes seconds in one call; systemd's watchdog, which kills, waits longer. */
#define STUCK_NS (5 * NS_PER_S)

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	int64_t silent_ns = now_ns() - pipeline_alive_ns(server->pipeline);
	struct h264_status h264;
	char text[80];

	(void)req;
	pipeline_get_h264_status(server->pipeline, &h264);
	if (silent_ns >= STUCK_NS) {
		snprintf(text, sizeof(text), "The capture driver has not answered for %lld s.",
			(long long)(silent_ns / NS_PER_S));
		return reply_text(exchange, 503, text);
	}
	if (strcmp(h264.state, "failed") == 0)
		return reply_text(exchange, 503, "No H.264 encoder works.");
	reply_text(exchange, 200, "ok");
}

const struct endpoint endpoint_healthz = {
	.path = "/healthz",
	.methods = METHOD_GET | METHOD_HEAD,
	.is_public = true,
	.handle = handle,
	.help = "200 when all is well, else 503 and why; needs no password",
};
