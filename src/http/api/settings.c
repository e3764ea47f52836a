// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * /settings: what may change while the program runs, as JSON. GET tells, PATCH changes, all or
 * nothing: image controls are the first to be set, for only the device knows whether it takes them.
 * It is asked by the capture thread, and until that answers the request is held, and no other change
 * begun.
 */
#include "http/api/settings.h"

#include "http/endpoint.h"
#include "http/reply.h"

#define MAX_BODY (16 * 1024)

#define ANSWER_MS 2000 /* a control of a USB device takes a millisecond, or hangs */

struct settings_change {
	struct server *server;
	struct event *answered;
	bool pending;
	int64_t since_ns;
	struct exchange *exchange; /* whose change it is; NULL: closed meanwhile */
	struct options next;       /* what will hold */
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
	json_t *settings = settings_describe(server->settings);
	struct source_controls all;

	device_controls_look(pipeline_device_controls(server->pipeline), &all);
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
	settings_commit(server->settings, next);
	pipeline_set_options(server->pipeline, next);
}

/* What the device has for a control that was refused. */
static void reply_range(const struct settings_change *change, struct exchange *exchange, int option)
{
	const char *name = options_control_name(option);
	struct source_controls all;
	char text[128];

	device_controls_look(pipeline_device_controls(change->server->pipeline), &all);
	snprintf(text, sizeof(text), "the device does not take this");
	for (unsigned i = 0; i < all.count; i++) {
		const struct source_control *control = &all.control[i];

		if (control->option == option && !control->chooses)
			snprintf(text, sizeof(text),
				"must be a number from %lld to %lld in steps of %lld",
				(long long)control->min, (long long)control->max,
				(long long)control->step);
	}
	reply_error(exchange, 400, name, text);
}

static void reply_refusal(const struct settings_change *change, struct exchange *exchange,
	const struct device_controls_answer *answer)
{
	const char *name = options_control_name(answer->which);

	switch (answer->error) {
	case -ERANGE:
	case -EINVAL: reply_range(change, exchange, answer->which); break;
	case -ENOENT:
		reply_error(exchange, 400, name,
			"the device has no such control, or cannot choose it by itself");
		break;
	case -EACCES: reply_error(exchange, 400, name, "the device lets nobody set it"); break;
	case -EBUSY:
		reply_error(exchange, 409, name, "the device is busy: it cannot be set now");
		break;
	case -ENODEV:
		reply_error(exchange, 409, name, "no device is open that it could be set on");
		break;
	default: reply_error(exchange, 503, name, strerror(-answer->error)); break;
	}
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct settings_change *change = arg;
	struct exchange *exchange = change->exchange;
	struct device_controls_answer answer;

	(void)fd, (void)what;
	if (!device_controls_hear(pipeline_device_controls(change->server->pipeline), &answer))
		return;
	change->pending = false;
	change->exchange = NULL;
	if (answer.error == 0)
		commit(change->server, &change->next);
	if (!exchange)
		return;
	exchange_release(exchange);
	if (answer.error)
		reply_refusal(change, exchange, &answer);
	else
		reply_json(exchange, 200, describe(change->server));
}

/* True: the device is left as it is. */
static bool give_up(struct settings_change *change)
{
	change->pending = false;
	change->exchange = NULL;
	return device_controls_withdraw(pipeline_device_controls(change->server->pipeline));
}

static void on_expired(void *arg)
{
	struct settings_change *change = arg;
	struct exchange *exchange = change->exchange;

	exchange_release(exchange);
	if (give_up(change))
		reply_error(exchange, 503, NULL, "the device gives no answer; nothing was changed");
	else
		reply_error(exchange, 504, NULL,
			"the device gives no answer; it may take the image controls yet, nothing "
			"else was changed");
}

static void on_closed(void *arg)
{
	struct settings_change *change = arg;

	change->exchange = NULL;
}

static const struct exchange_holder holder = { .expired = on_expired, .closed = on_closed };

/* The reply follows when the device has answered. */
static void ask_device(struct settings_change *change, struct exchange *exchange,
	const struct options *next, const struct option_control wish[CONTROLS])
{
	if (device_controls_ask(pipeline_device_controls(change->server->pipeline), wish) < 0)
		return reply_error(exchange, 409, NULL,
			"the device has not answered yet: try again");
	change->pending = true;
	change->since_ns = now_ns();
	change->exchange = exchange;
	change->next = *next;
	exchange_hold(exchange, &holder, change, ANSWER_MS);
}

/* Whose client is gone may hang, too; of one that is there on_expired() takes care. */
static bool is_pending(struct settings_change *change)
{
	if (change->pending && !change->exchange &&
		now_ns() - change->since_ns >= ANSWER_MS * NS_PER_MS)
		give_up(change);
	return change->pending;
}

static void patch(struct server *server, struct exchange *exchange, const struct request *req)
{
	struct option_control wish[CONTROLS];
	struct settings_fault fault;
	json_t *changes = settings_parse(req->body, req->content_length, &fault);
	struct options next;

	if (!changes || !settings_plan(server->settings, changes, &next, &fault)) {
		reply_error(exchange, 400, fault.field, fault.text);
	} else if (is_pending(server->change)) {
		reply_error(exchange, 409, NULL, "another change is being made: try again");
	} else if (settings_list_controls(changes, &next, wish)) {
		ask_device(server->change, exchange, &next, wish);
	} else {
		commit(server, &next);
		reply_json(exchange, 200, describe(server));
	}
	json_decref(changes);
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	if (!server->settings)
		reply_error(exchange, 503, NULL, "this server has no settings");
	else if (req->method == METHOD_PATCH && !server->opt->settings_writable)
		reply_error(exchange, 403, NULL, "settings can only be read: --settings ro");
	else if (req->method == METHOD_PATCH)
		patch(server, exchange, req);
	else
		reply_json(exchange, 200, describe(server));
}

int settings_change_create(struct settings_change **out, struct server *server)
{
	struct settings_change *change = xcalloc(1, sizeof(*change));

	change->server = server;
	change->answered = event_new(server->base,
		device_controls_fd(pipeline_device_controls(server->pipeline)),
		EV_READ | EV_PERSIST, on_answer, change);
	if (!change->answered || event_add(change->answered, NULL) < 0) {
		settings_change_destroy(change);
		return -ENOMEM;
	}
	*out = change;
	return 0;
}

void settings_change_destroy(struct settings_change *change)
{
	if (!change)
		return;
	if (change->answered)
		event_free(change->answered);
	free(change);
}

const struct endpoint endpoint_settings = {
	.path = "/settings",
	.methods = METHOD_GET | METHOD_PATCH,
	.max_body = MAX_BODY,
	.handle = handle,
	.help = "what may change while it runs, as JSON; PATCH changes it",
};
