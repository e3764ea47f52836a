// SPDX-License-Identifier: GPL-3.0-or-later
/* Whole replies: see reply.h. */
#include "http/reply.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
	{ 200, "OK" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 404, "Not Found" },
	{ 413, "Content Too Large" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 503, "Service Unavailable" },
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

struct evbuffer *reply_begin(struct connection *conn, int status)
{
	struct evbuffer *out = connection_output(conn);
	time_t now = time(NULL);
	char date[40];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n%sDate: %s\r\nConnection: %s\r\n", status,
		reason_of(status), connection_headers(conn), date,
		connection_keeps_alive(conn) ? "keep-alive" : "close");
	return out;
}

void reply_end(struct connection *conn, const char *type, struct evbuffer *body)
{
	struct evbuffer *out = connection_output(conn);

	evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n", type,
		evbuffer_get_length(body));
	if (!connection_wants_head(conn))
		evbuffer_add_buffer(out, body);
	connection_finish(conn);
}

void reply_head(struct connection *conn)
{
	evbuffer_add(reply_begin(conn, 200), "\r\n", 2);
	connection_finish(conn);
}

static void end_with_text(struct connection *conn, const char *text)
{
	struct evbuffer *out = connection_output(conn);

	evbuffer_add_printf(out,
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\n\r\n",
		strlen(text) + 1);
	if (!connection_wants_head(conn))
		evbuffer_add_printf(out, "%s\n", text);
	connection_finish(conn);
}

void reply_text(struct connection *conn, int status, const char *text)
{
	struct evbuffer *out = reply_begin(conn, status);

	if (status == 401)
		evbuffer_add_printf(out, "WWW-Authenticate: Basic realm=\"Restricted area\"\r\n");
	end_with_text(conn, text);
}

void reply_retry(struct connection *conn, unsigned after_s, const char *text)
{
	evbuffer_add_printf(reply_begin(conn, 503), "Retry-After: %u\r\n", after_s);
	end_with_text(conn, text);
}
