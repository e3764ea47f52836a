// SPDX-License-Identifier: GPL-3.0-or-later
/* Who may change something: see guard.h. */
#include "http/guard.h"

#include <strings.h>

#include "util.h"

/*
 * What our own page has as its origin. Behind a proxy with TLS it is https, of which the proxy has
 * to tell; a foreign page cannot make a browser send that header unasked.
 */
static bool is_ours(const struct request *req, const char *origin)
{
	const char *host = request_header(req, "Host");
	const char *proto = request_header(req, "X-Forwarded-Proto");
	const char *scheme = proto && strcasecmp(proto, "https") == 0 ? "https://" : "http://";
	size_t length = strlen(scheme);

	return host && *host && strncasecmp(origin, scheme, length) == 0 &&
	       strcasecmp(origin + length, host) == 0;
}

bool guard_knows_origin(const struct options *opt, const struct request *req)
{
	const char *origin = request_header(req, "Origin");
	const char *site = request_header(req, "Sec-Fetch-Site");

	if (origin)
		return is_ours(req, origin) ||
		       (*opt->allow_origin && strcmp(origin, opt->allow_origin) == 0);
	return !site || strcasecmp(site, "same-origin") == 0 || strcasecmp(site, "none") == 0;
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

int guard_judge(const struct options *opt, const struct request *req, size_t max_body,
	const char **why)
{
	if (!opt->settings_writable) {
		*why = "settings can only be read: --settings ro";
		return 403;
	}
	if (!guard_knows_origin(opt, req)) {
		*why = "a page of another origin may not change anything; let it by --allow-origin";
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
