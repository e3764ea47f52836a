// SPDX-License-Identifier: GPL-3.0-or-later
/* Whole replies: see reply.h. */
#include "http/reply.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 204, "No Content" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 409, "Conflict" },
	{ 411, "Length Required" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
};

static const char *reason_of(int status)
{
	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "Unknown";
}

struct evbuffer *reply_begin(struct exchange *exchange, int status)
{
	struct evbuffer *out = exchange_output(exchange);
	time_t now = time(NULL);
	char date[40];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n%sDate: %s\r\nConnection: %s\r\n", status,
		reason_of(status), exchange_headers(exchange), date,
		exchange_keeps_alive(exchange) ? "keep-alive" : "close");
	return out;
}

void reply_end(struct exchange *exchange, const char *type, struct evbuffer *body)
{
	struct evbuffer *out = exchange_output(exchange);

	evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n", type,
		evbuffer_get_length(body));
	if (!exchange_wants_head(exchange))
		evbuffer_add_buffer(out, body);
	exchange_finish(exchange);
}

static struct evbuffer *begin(struct exchange *exchange, int status)
{
	struct evbuffer *out = reply_begin(exchange, status);

	if (status == 401)
		evbuffer_add_printf(out, "WWW-Authenticate: Basic realm=\"Restricted area\"\r\n");
	return out;
}

/* `lines`: headers that only this reply has; "" for none. */
static void send_json(struct exchange *exchange, int status, const char *lines, json_t *document)
{
	struct evbuffer *body = evbuffer_new();
	char *text = document ? json_dumps(document, JSON_REAL_PRECISION(6)) : NULL;

	json_decref(document);
	if (!body || !text) {
		reply_text(exchange, 500, "Out of memory.");
	} else {
		evbuffer_add_printf(body, "%s\n", text);
		evbuffer_add_printf(begin(exchange, status), REPLY_NO_CACHE "%s", lines);
		reply_end(exchange, "application/json", body);
	}
	free(text);
	if (body)
		evbuffer_free(body);
}

void reply_json(struct exchange *exchange, int status, json_t *document)
{
	send_json(exchange, status, "", document);
}

static json_t *describe_error(const char *field, const char *text)
{
	return json_pack("{s:b, s:{s:s?, s:s}}", "ok", 0, "error", "field", field, "text", text);
}

void reply_error(struct exchange *exchange, int status, const char *field, const char *text)
{
	send_json(exchange, status, "", describe_error(field, text));
}

void reply_wrong_method(struct exchange *exchange, const char *methods)
{
	char line[64], text[80];

	snprintf(line, sizeof(line), "Allow: %s\r\n", methods);
	snprintf(text, sizeof(text), "this method does not work here; there is %s", methods);
	send_json(exchange, 405, line, describe_error(NULL, text));
}

void reply_nothing(struct exchange *exchange)
{
	evbuffer_add(reply_begin(exchange, 204), "\r\n", 2);
	exchange_finish(exchange);
}

void reply_head(struct exchange *exchange)
{
	evbuffer_add(reply_begin(exchange, 200), "\r\n", 2);
	exchange_finish(exchange);
}

static void end_with_text(struct exchange *exchange, const char *text)
{
	struct evbuffer *out = exchange_output(exchange);

	evbuffer_add_printf(out,
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\n\r\n",
		strlen(text) + 1);
	if (!exchange_wants_head(exchange))
		evbuffer_add_printf(out, "%s\n", text);
	exchange_finish(exchange);
}

void reply_text(struct exchange *exchange, int status, const char *text)
{
	begin(exchange, status);
	end_with_text(exchange, text);
}

void reply_retry(struct exchange *exchange, unsigned after_s, const char *text)
{
	evbuffer_add_printf(reply_begin(exchange, 503), "Retry-After: %u\r\n", after_s);
	end_with_text(exchange, text);
}
