// SPDX-License-Identifier: GPL-3.0-or-later
/* /settings: what may change while the program runs, as JSON. GET tells, PATCH changes, all or nothing. */
#include "http/endpoint.h"
#include "http/reply.h"

#define MAX_BODY (16 * 1024)

static void reply_settings(const struct server *server, struct connection *conn)
{
	reply_json(conn, 200,
		json_pack("{s:b, s:{s:b, s:o}}", "ok", 1, "result", "writable",
			(int)server->opt->settings_writable, "settings",
			live_describe(server->live)));
}

static void patch(struct server *server, struct connection *conn, const struct request *req)
{
	struct live_fault fault;
	json_t *changes = live_parse(req->body, req->content_length, &fault);
	struct options next;

	if (!changes || !live_plan(server->live, changes, &next, &fault)) {
		reply_error(conn, 400, fault.field, fault.text);
	} else {
		live_commit(server->live, &next);
		pipeline_obey(server->pipeline, &next);
		reply_settings(server, conn);
	}
	json_decref(changes);
}

static void handle(struct server *server, struct connection *conn, const struct request *req)
{
	if (!server->live)
		reply_error(conn, 503, NULL, "this server has no settings");
	else if (req->method == METHOD_PATCH)
		patch(server, conn, req);
	else
		reply_settings(server, conn);
}

const struct endpoint endpoint_settings = {
	.path = "/settings",
	.methods = METHOD_GET | METHOD_PATCH,
	.max_body = MAX_BODY,
	.handle = handle,
	.help = "what may change while it runs, as JSON; PATCH changes it",
};
