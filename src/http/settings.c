// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /settings: what may change while the program runs, as JSON. GET tells, PATCH changes, all or
 * nothing: image controls are the first to be set, for only the device knows whether it takes them.
 * It is asked by the capture thread, and until that answers the request is held, and no other change
 * begun.
 */
#include "http/settings.h"

#include "http/endpoint.h"
#include "http/reply.h"

#define MAX_BODY (16 * 1024)

#define ANSWER_MS 2000 /* a control of a USB device takes a millisecond, or hangs */

struct settings {
	struct server *server;
	struct event *answered;
	bool pending;
	int64_t since_ns;
	struct connection *conn; /* whose change it is; NULL: closed meanwhile */
	struct options next;     /* what will hold */
};

/* ---- told */

static bool has_chooser(const struct source_controls *all, int option, bool *chosen)
{
	for (unsigned i = 0; i < all->count; i++) {
		const struct source_control *control = &all->control[i];

		if (control->option != option || !control->chooses)
			continue;
		*chosen = control->value;
		return true;
	}
	return false;
}

static json_t *describe_control(const struct source_controls *all,
	const struct source_control *control)
{
	json_t *about = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:b}", "type", "int",
		"value", (json_int_t)control->value, "default", (json_int_t)control->standard,
		"min", (json_int_t)control->min, "max", (json_int_t)control->max, "step",
		(json_int_t)control->step, "text", control->name, "unit", "", "control", 1);
	bool chosen;

	if (has_chooser(all, control->option, &chosen))
		json_object_set_new(about, "auto", json_boolean(chosen));
	return about;
}

static json_t *describe(const struct server *server)
{
	json_t *settings = live_describe(server->live);
	struct source_controls all;

	desk_look(pipeline_desk(server->pipeline), &all);
	for (unsigned i = 0; i < all.count; i++) {
		const struct source_control *control = &all.control[i];

		if (control->option >= 0 && !control->chooses && control->has_value)
			json_object_set_new(settings, options_control_name(control->option),
				describe_control(&all, control));
	}
	return json_pack("{s:b, s:{s:b, s:o}}", "ok", 1, "result", "writable",
		(int)server->opt->settings_writable, "settings", settings);
}

/* ---- changed */

/* The device took its part, if it had one. */
static void commit(struct server *server, const struct options *next)
{
	live_commit(server->live, next);
	pipeline_obey(server->pipeline, next);
}

/* What the device has for a control that was refused. */
static void reply_range(const struct settings *settings, struct connection *conn, int option)
{
	const char *name = options_control_name(option);
	struct source_controls all;
	char text[128];

	desk_look(pipeline_desk(settings->server->pipeline), &all);
	snprintf(text, sizeof(text), "the device does not take this");
	for (unsigned i = 0; i < all.count; i++) {
		const struct source_control *control = &all.control[i];

		if (control->option == option && !control->chooses)
			snprintf(text, sizeof(text),
				"must be a number from %lld to %lld in steps of %lld",
				(long long)control->min, (long long)control->max,
				(long long)control->step);
	}
	reply_error(conn, 400, name, text);
}

static void reply_refusal(const struct settings *settings, struct connection *conn,
	const struct desk_answer *answer)
{
	const char *name = options_control_name(answer->which);

	switch (answer->error) {
	case -ERANGE:
	case -EINVAL: reply_range(settings, conn, answer->which); break;
	case -ENOENT:
		reply_error(conn, 400, name,
			"the device has no such control, or cannot choose it by itself");
		break;
	case -EACCES: reply_error(conn, 400, name, "the device lets nobody set it"); break;
	case -EBUSY:
		reply_error(conn, 409, name, "the device is busy: it cannot be set now");
		break;
	case -ENODEV:
		reply_error(conn, 409, name, "no device is open that it could be set on");
		break;
	default: reply_error(conn, 503, name, strerror(-answer->error)); break;
	}
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct settings *settings = arg;
	struct connection *conn = settings->conn;
	struct desk_answer answer;

	(void)fd, (void)what;
	if (!desk_hear(pipeline_desk(settings->server->pipeline), &answer))
		return;
	settings->pending = false;
	settings->conn = NULL;
	if (answer.error == 0)
		commit(settings->server, &settings->next);
	if (!conn)
		return;
	connection_release(conn);
	if (answer.error)
		reply_refusal(settings, conn, &answer);
	else
		reply_json(conn, 200, describe(settings->server));
}

/* True: the device is left as it is. */
static bool give_up(struct settings *settings)
{
	settings->pending = false;
	settings->conn = NULL;
	return desk_withdraw(pipeline_desk(settings->server->pipeline));
}

static void on_expired(void *arg)
{
	struct settings *settings = arg;
	struct connection *conn = settings->conn;

	connection_release(conn);
	if (give_up(settings))
		reply_error(conn, 503, NULL, "the device gives no answer; nothing was changed");
	else
		reply_error(conn, 504, NULL,
			"the device gives no answer; it may take the image controls yet, nothing "
			"else was changed");
}

static void on_closed(void *arg)
{
	struct settings *settings = arg;

	settings->conn = NULL;
}

static const struct connection_holder holder = { .expired = on_expired, .closed = on_closed };

/* The reply follows when the device has answered. */
static void ask_device(struct settings *settings, struct connection *conn,
	const struct options *next, const struct option_control wish[CONTROLS])
{
	if (desk_ask(pipeline_desk(settings->server->pipeline), wish) < 0)
		return reply_error(conn, 409, NULL, "the device has not answered yet: try again");
	settings->pending = true;
	settings->since_ns = now_ns();
	settings->conn = conn;
	settings->next = *next;
	connection_hold(conn, &holder, settings, ANSWER_MS);
}

/* Whose client is gone may hang, too; of one that is there on_expired() takes care. */
static bool is_pending(struct settings *settings)
{
	if (settings->pending && !settings->conn &&
		now_ns() - settings->since_ns >= ANSWER_MS * NS_PER_MS)
		give_up(settings);
	return settings->pending;
}

static void patch(struct server *server, struct connection *conn, const struct request *req)
{
	struct option_control wish[CONTROLS];
	struct live_fault fault;
	json_t *changes = live_parse(req->body, req->content_length, &fault);
	struct options next;

	if (!changes || !live_plan(server->live, changes, &next, &fault)) {
		reply_error(conn, 400, fault.field, fault.text);
	} else if (is_pending(server->settings)) {
		reply_error(conn, 409, NULL, "another change is being made: try again");
	} else if (live_list_controls(changes, &next, wish)) {
		ask_device(server->settings, conn, &next, wish);
	} else {
		commit(server, &next);
		reply_json(conn, 200, describe(server));
	}
	json_decref(changes);
}

static void handle(struct server *server, struct connection *conn, const struct request *req)
{
	if (!server->live)
		reply_error(conn, 503, NULL, "this server has no settings");
	else if (req->method == METHOD_PATCH && !server->opt->settings_writable)
		reply_error(conn, 403, NULL, "settings can only be read: --settings ro");
	else if (req->method == METHOD_PATCH)
		patch(server, conn, req);
	else
		reply_json(conn, 200, describe(server));
}

int settings_create(struct settings **out, struct server *server)
{
	struct settings *settings = xcalloc(1, sizeof(*settings));

	settings->server = server;
	settings->answered = event_new(server->base, desk_fd(pipeline_desk(server->pipeline)),
		EV_READ | EV_PERSIST, on_answer, settings);
	if (!settings->answered || event_add(settings->answered, NULL) < 0) {
		settings_destroy(settings);
		return -ENOMEM;
	}
	*out = settings;
	return 0;
}

void settings_destroy(struct settings *settings)
{
	if (!settings)
		return;
	if (settings->answered)
		event_free(settings->answered);
	free(settings);
}

const struct endpoint endpoint_settings = {
	.path = "/settings",
	.methods = METHOD_GET | METHOD_PATCH,
	.max_body = MAX_BODY,
	.handle = handle,
	.help = "what may change while it runs, as JSON; PATCH changes it",
};
