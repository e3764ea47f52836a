// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The built-in page: files of src/http/page, which become part of the program. Its script has
 * several sources, which share one scope: they are sent as one.
 */
#include "http/endpoint.h"
#include "http/reply.h"

/*
 * Only what comes from here, so that nothing injected would run. blob: is how a browser names the
 * MediaSource that a <video> plays. Who may show the page in a frame is left open: KVM front ends do.
 */
#define CSP                                                                                      \
	"Content-Security-Policy: default-src 'self'; media-src 'self' blob:; base-uri 'none'; " \
	"form-action 'none'\r\n"

#define SOURCE(file) ".incbin \"src/http/page/" file "\"\n"
#define EMBED(symbol, sources)                                                         \
	__asm__(".pushsection .rodata\n"                                               \
		".global " #symbol ", " #symbol "_end\n"                               \
		".hidden " #symbol ", " #symbol "_end\n" #symbol ":\n" sources #symbol \
		"_end:\n.popsection\n");                                               \
	extern const char symbol[], symbol##_end[]

EMBED(page_index, SOURCE("index.html"));
EMBED(page_style, SOURCE("page.css"));
EMBED(page_script, SOURCE("ask.js") SOURCE("inlet.js") SOURCE("clock.js") SOURCE("webcodecs.js")
			   SOURCE("mse.js") SOURCE("mjpeg.js") SOURCE("player.js")
				   SOURCE("stats.js") SOURCE("settings.js") SOURCE("page.js"));
EMBED(page_favicon, SOURCE("favicon.ico"));

static void reply_embedded(struct exchange *exchange, const char *type, const char *data,
	const char *end)
{
	struct evbuffer *body = evbuffer_new();

	if (!body || evbuffer_add_reference(body, data, end - data, NULL, NULL) < 0) {
		reply_text(exchange, 500, "Out of memory.");
	} else {
		/* Another version of this program may have another page. */
		evbuffer_add_printf(reply_begin(exchange, 200), "Cache-Control: no-cache\r\n" CSP);
		reply_end(exchange, type, body);
	}
	if (body)
		evbuffer_free(body);
}

/* An endpoint, and the function that replies with what is embedded. */
#define EMBEDDED(name, address, type, symbol, text)                               \
	static void handle_##name(struct server *server, struct exchange *exchange, \
		const struct request *req)                                        \
	{                                                                         \
		(void)server, (void)req;                                          \
		reply_embedded(exchange, type, symbol, symbol##_end);                 \
	}                                                                         \
	const struct endpoint endpoint_##name = {                                 \
		.path = address,                                                  \
		.methods = METHOD_GET,                                            \
		.is_page = true,                                                  \
		.handle = handle_##name,                                          \
		.help = text,                                                     \
	}

EMBEDDED(page, "/", "text/html; charset=utf-8", page_index, "a page that shows the stream");
EMBEDDED(page_style, "/page.css", "text/css; charset=utf-8", page_style, "its style");
EMBEDDED(page_script, "/page.js", "text/javascript; charset=utf-8", page_script, "its script");
EMBEDDED(favicon, "/favicon.ico", "image/x-icon", page_favicon, "its icon");
