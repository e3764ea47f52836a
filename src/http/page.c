// SPDX-License-Identifier: GPL-3.0-or-later
/* The built-in page and its icon: files of src/http/page, which become part of the program. */
#include "http/endpoint.h"
#include "http/reply.h"

#define EMBED(symbol, file)                                                                \
	__asm__(".pushsection .rodata\n"                                                   \
		".global " #symbol ", " #symbol "_end\n"                                   \
		".hidden " #symbol ", " #symbol "_end\n" #symbol                           \
		":\n.incbin \"src/http/page/" file "\"\n" #symbol "_end:\n.popsection\n"); \
	extern const char symbol[], symbol##_end[]

EMBED(page_index, "index.html");
EMBED(page_favicon, "favicon.ico");

static void reply_embedded(struct connection *conn, const char *type, const char *data,
	const char *end)
{
	struct evbuffer *body = evbuffer_new();

	if (!body || evbuffer_add_reference(body, data, end - data, NULL, NULL) < 0) {
		reply_text(conn, 500, "Out of memory.");
	} else {
		/* Another version of this program may have another page. */
		evbuffer_add_printf(reply_begin(conn, 200), "Cache-Control: no-cache\r\n");
		reply_end(conn, type, body);
	}
	if (body)
		evbuffer_free(body);
}

static void handle_page(struct server *server, struct connection *conn, const struct request *req)
{
	(void)server;
	(void)req;
	reply_embedded(conn, "text/html; charset=utf-8", page_index, page_index_end);
}

static void handle_favicon(struct server *server, struct connection *conn,
	const struct request *req)
{
	(void)server;
	(void)req;
	reply_embedded(conn, "image/x-icon", page_favicon, page_favicon_end);
}

const struct endpoint endpoint_page = {
	.path = "/",
	.methods = METHOD_GET,
	.is_page = true,
	.handle = handle_page,
	.help = "a page that shows the stream",
};

const struct endpoint endpoint_favicon = {
	.path = "/favicon.ico",
	.methods = METHOD_GET,
	.is_page = true,
	.handle = handle_favicon,
	.help = "its icon",
};
