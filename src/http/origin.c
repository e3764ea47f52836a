// SPDX-License-Identifier: GPL-3.0-or-later
/* Who may change something: see origin.h. */
#include "http/origin.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/util.h"

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length >= wanted && strcasecmp(text + length - wanted, end) == 0;
}

/*
 * Whether only this network's own people can have given us the name by which we were called. Any
 * other may be a stranger's, who lets it point to us after his page was loaded (DNS rebinding): for
 * the browser that page is ours then.
 */
static bool is_local_name(const char *host)
{
	static const char *const ends[] = { ".local", ".lan", ".home", ".internal", ".home.arpa",
		".localhost" };
	char name[256], own[256] = "";
	struct in_addr address;

	if (*host == '[')
		return true; /* an IPv6 address */
	if (strlen(host) >= sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, ":"), host);
	if (!strchr(name, '.') || inet_pton(AF_INET, name, &address) == 1)
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		if (ends_with(name, ends[i]))
			return true;
	}
	return gethostname(own, sizeof(own) - 1) == 0 && strcasecmp(name, own) == 0;
}

/* A password is asked for by each name anew; who reaches a UNIX socket is let in by someone else. */
static bool may_be_called(const struct options *opt, const char *host)
{
	return *opt->user || *opt->unix_path || is_local_name(host);
}

/*
 * What our own page has as its origin. Behind a proxy with TLS it is https, of which the proxy has
 * to tell; a foreign page cannot make a browser send that header unasked.
 */
static bool is_ours(const struct options *opt, const struct request *req, const char *origin)
{
	const char *host = request_header(req, "Host");
	const char *proto = request_header(req, "X-Forwarded-Proto");
	const char *scheme = proto && strcasecmp(proto, "https") == 0 ? "https://" : "http://";
	size_t length = strlen(scheme);

	return host && *host && strncasecmp(origin, scheme, length) == 0 &&
	       strcasecmp(origin + length, host) == 0 && may_be_called(opt, host);
}

bool origin_is_known(const struct options *opt, const struct request *req)
{
	const char *origin = request_header(req, "Origin");
	const char *site = request_header(req, "Sec-Fetch-Site");
	const char *host = request_header(req, "Host");

	if (origin)
		return is_ours(opt, req, origin) ||
		       (*opt->allow_origin && strcmp(origin, opt->allow_origin) == 0);
	/* "none": somebody gave the address himself. */
	if (!site || strcasecmp(site, "none") == 0)
		return true;
	return strcasecmp(site, "same-origin") == 0 && host && may_be_called(opt, host);
}

static bool is_json(const struct request *req)
{
	static const char json[] = "application/json";
	const char *type = request_header(req, "Content-Type");

	if (!type || strncasecmp(type, json, sizeof(json) - 1) != 0)
		return false;
	type += sizeof(json) - 1;
	type += strspn(type, " \t");
	return !*type || *type == ';';
}

int origin_judge(const struct options *opt, const struct request *req, size_t max_body,
	const char **why)
{
	if (!origin_is_known(opt, req)) {
		*why = "a page of another origin may not change anything, nor, without a "
		       "password, one that was opened by a public name; let it by --allow-origin";
		return 403;
	}
	if (!is_json(req)) {
		*why = "Content-Type has to be application/json";
		return 415;
	}
	if (req->content_length > max_body) {
		*why = "the body is too large";
		return 413;
	}
	return 0;
}
