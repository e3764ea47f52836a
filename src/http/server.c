// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The HTTP server: accepts, finds the endpoint, checks who may, hands over. The order matters to
 * existing clients: an unknown path is 404 and OPTIONS is 200 for everyone, then comes the
 * password, then HEAD, then the method.
 */
#include "http/server.h"

#include <sys/resource.h>

#include "net/accept.h"
#include "http/api/settings.h"
#include "http/endpoint.h"
#include "http/origin.h"
#include "http/reply.h"
#include "net/auth.h"

#define LOG_TOPIC "http"
#include "base/log.h"

/* Open files that are not connections, and some to spare. */
#define RESERVED_FILES 40

static const struct endpoint *const endpoints[] = {
	&endpoint_page,
	&endpoint_page_style,
	&endpoint_page_script,
	&endpoint_favicon,
	&endpoint_stream,
	&endpoint_mp4,
	&endpoint_avc,
	&endpoint_h264,
	&endpoint_snapshot,
	&endpoint_state,
	&endpoint_clock,
	&endpoint_metrics,
	&endpoint_healthz,
	&endpoint_settings,
	&endpoint_keyframe,
	&endpoint_controls,
};

/* mjpg-streamer's addresses, which many programs have built in: /?action=stream. */
static const struct endpoint *find_action(const struct request *req)
{
	AUTO(auto_free) char *action = request_param(req, "action");

	if (!action)
		return NULL;
	if (strcmp(action, "stream") == 0)
		return &endpoint_stream;
	return strcmp(action, "snapshot") == 0 ? &endpoint_snapshot : NULL;
}

/* NULL: 404. With --static every path may be a file; who asks finds out after the password. */
static const struct endpoint *find_endpoint(const struct server *server, const struct request *req)
{
	bool has_files = *server->opt->static_path;
	const struct endpoint *found = has_files ? &endpoint_static : NULL, *action;

	for (unsigned i = 0; i < ARRAY_SIZE(endpoints); i++) {
		if (strcmp(endpoints[i]->path, req->path) == 0 &&
			!(has_files && endpoints[i]->is_page))
			found = endpoints[i];
	}
	action = found && found->is_page ? find_action(req) : NULL;
	return action ? action : found;
}

/* Whether it is an endpoint's request to change something. */
static bool changes(const struct endpoint *endpoint, const struct request *req)
{
	return endpoint && endpoint->max_body && req->method & (METHOD_PATCH | METHOD_POST);
}

/*
 * Header values hold no control characters (request.c), so these lines stay lines. Only the one
 * origin that is allowed hears that it may change something: "*" is for what can be seen.
 */
static char *make_cors_headers(const struct options *opt, const struct endpoint *endpoint,
	const struct request *req)
{
	const char *headers = request_header(req, "Access-Control-Request-Headers");
	const char *method = request_header(req, "Access-Control-Request-Method");
	char *lines;

	if (!*opt->allow_origin)
		return NULL;
	if (method && endpoint && endpoint->max_body && !origin_is_known(opt, req))
		method = "GET";
	if (asprintf(&lines,
		    "Access-Control-Allow-Origin: %s\r\n"
		    "Access-Control-Allow-Credentials: true\r\n"
		    "%s%s%s%s%s%s",
		    opt->allow_origin, headers ? "Access-Control-Allow-Headers: " : "",
		    headers ? headers : "", headers ? "\r\n" : "",
		    method ? "Access-Control-Allow-Methods: " : "", method ? method : "",
		    method ? "\r\n" : "") < 0)
		abort(); /* as xcalloc() */
	return lines;
}

static void reply_not_found(struct exchange *exchange)
{
	char text[1024];
	int used = snprintf(text, sizeof(text), "Not found. There is:");

	for (unsigned i = 0; i < ARRAY_SIZE(endpoints) && used < (int)sizeof(text); i++)
		used += snprintf(text + used, sizeof(text) - used, "\n%-12s %s", endpoints[i]->path,
			endpoints[i]->help);
	reply_text(exchange, 404, text);
}

static void reply_options(struct exchange *exchange)
{
	evbuffer_add_printf(reply_begin(exchange, 200), "Content-Length: 0\r\n\r\n");
	exchange_finish(exchange);
}

static bool is_authorized(const struct server *server, const struct request *req)
{
	return !server->auth_token ||
	       auth_accepts(request_header(req, "Authorization"), server->auth_token);
}

static void refuse_stranger(struct exchange *exchange, bool in_json)
{
	if (in_json)
		reply_error(exchange, 401, NULL, "a user and password are needed");
	else
		reply_text(exchange, 401, "Unauthorized.");
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req,
	const struct endpoint *endpoint)
{
	const char *why;
	int status = 0;

	if (changes(endpoint, req))
		status = origin_judge(server->opt, req, endpoint->max_body, &why);
	if (status)
		reply_error(exchange, status, NULL, why);
	else
		endpoint->handle(server, exchange, req);
}

/* Nothing is read for those who may not. */
static size_t body_room(void *arg, const struct request *req)
{
	const struct server *server = arg;
	const struct endpoint *endpoint = find_endpoint(server, req);
	const char *why;

	if (!changes(endpoint, req) || !(endpoint->methods & req->method) ||
		!is_authorized(server, req) ||
		origin_judge(server->opt, req, endpoint->max_body, &why))
		return 0;
	return endpoint->max_body;
}

static void on_request(void *arg, struct exchange *exchange, const struct request *req)
{
	struct server *server = arg;
	const struct endpoint *endpoint = find_endpoint(server, req);

	log_debug("%s asks for %s", connection_name(exchange_connection(exchange)),
		endpoint ? endpoint->path : "what is not there");
	exchange_set_headers(exchange, make_cors_headers(server->opt, endpoint, req));
	if (!endpoint)
		reply_not_found(exchange);
	else if (req->method == METHOD_OPTIONS)
		reply_options(exchange);
	else if (!endpoint->is_public && !is_authorized(server, req))
		refuse_stranger(exchange, changes(endpoint, req));
	else if (endpoint->methods & req->method)
		handle(server, exchange, req, endpoint);
	else if (req->method == METHOD_HEAD)
		reply_head(exchange);
	else if (endpoint->max_body)
		reply_wrong_method(exchange, endpoint->methods & METHOD_GET
						     ? "GET, HEAD, OPTIONS, PATCH"
						     : "HEAD, OPTIONS, POST");
	else
		reply_text(exchange, 501, "This method does not work here.");
}

static void on_refuse(void *arg, struct exchange *exchange, int status)
{
	(void)arg;
	if (status == 411)
		reply_error(exchange, status, NULL,
			"send a Content-Length: bodies in chunks are not read");
	else
		reply_text(exchange, status, "This request cannot be served.");
}

/* The device, the encoders and a file or two must always get a descriptor. */
static unsigned max_connections(const struct options *opt)
{
	struct rlimit files;
	unsigned most = (unsigned)opt->max_clients;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < most + RESERVED_FILES)
		most = files.rlim_cur > 2 * RESERVED_FILES ? files.rlim_cur - RESERVED_FILES
							   : RESERVED_FILES;
	if (most < (unsigned)opt->max_clients)
		log_warn("%u connections at most, not %d: raise the limit of open files", most,
			opt->max_clients);
	return most;
}

static int start(struct server *server)
{
	const struct options *opt = server->opt;
	struct connection_limits limits = { .connections = max_connections(opt),
		.timeout_s = opt->server_timeout_s };
	struct fanout_rule jpeg = fanout_rule_jpeg;
	int res;

	if ((res = static_check(opt)) < 0 || (res = listener_open(&server->listener, opt)) < 0)
		return res;
	jpeg.drop_same = &opt->drop_same_frames;
	if ((res = fanout_create(&server->jpeg, server->base, pipeline_jpeg(server->pipeline),
		     &jpeg)) < 0 ||
		(res = fanout_create(&server->h264, server->base, pipeline_h264(server->pipeline),
			 &fanout_rule_h264)) < 0 ||
		(res = settings_change_create(&server->change, server)) < 0) {
		log_error("no eventfd: %s; raise the limit of open files", strerror(-res));
		return res;
	}
	server->arbiter = arbiter_create(server->base, server->pipeline, server->h264, opt);
	server->connections = connection_set_create(server->base, &limits);
	if (*opt->passwd && !*opt->user)
		log_warn("--passwd protects nothing without --user");
	if (*opt->user)
		server->auth_token = auth_token_create(opt->user, opt->passwd);
	res = acceptor_create(&server->acceptor, server->base, server->listener.fd,
		server->connections);
	if (res < 0) {
		log_error("cannot watch the listening socket; raise the limit of open files");
		return res;
	}
	server->requests = (struct exchange_server){ body_room, on_request, on_refuse, server,
		opt->server_timeout_s };
	server->http = exchange_protocol(&server->requests);
	acceptor_register(server->acceptor, &server->http);
	return 0;
}

int server_create(struct server **out, struct event_base *base, struct pipeline *pipeline,
	const struct options *opt)
{
	struct server *server = xcalloc(1, sizeof(*server));
	int res;

	server->opt = opt;
	server->pipeline = pipeline;
	server->base = base;
	server->listener.fd = -1;
	server->started_us = wall_us();
	TAILQ_INIT(&server->mjpeg_viewers);
	if ((res = start(server)) < 0) {
		server_destroy(server);
		return res;
	}
	*out = server;
	return 0;
}

void server_set_sinks(struct server *server, struct sinks *sinks)
{
	server->sinks = sinks;
	arbiter_set_sinks(server->arbiter, sinks);
}

void server_set_settings(struct server *server, struct settings *settings)
{
	server->settings = settings;
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	acceptor_destroy(server->acceptor);
	listener_close(&server->listener);
	connection_set_destroy(server->connections);
	fanout_destroy(server->jpeg);
	arbiter_destroy(server->arbiter);
	fanout_destroy(server->h264);
	settings_change_destroy(server->change);
	free(server->auth_token);
	free(server);
}

const char *server_url(const struct server *server)
{
	return server->listener.url;
}

unsigned server_clients(const struct server *server)
{
	return server->traffic[STREAM_MJPEG].clients + fanout_viewers(server->h264);
}
