// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Anything a peer may send as the head of a request. What the parser accepts must keep the
 * promises of request.h; the rest must be refused with an error status.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/auth.h"
#include "http/request.h"
#include "http/static.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
	if (!holds)
		abort();
}

static void check_text(const char *text)
{
	for (; *text; text++)
		demand(((unsigned char)*text >= ' ' || *text == '\t') && *text != 0x7f);
}

static void check_accepted(const struct request *req)
{
	static const char *const params[] = { "key", "action", "extra_headers", "" };
	off_t size;
	int fd;

	demand(req->path && req->path[0] == '/');
	demand(req->n_headers <= REQUEST_MAX_HEADERS);
	demand(!req->content_length || req->method & (METHOD_POST | METHOD_DELETE));
	check_text(req->query);
	for (unsigned i = 0; i < req->n_headers; i++) {
		demand(req->header[i].name[0] != '\0');
		check_text(req->header[i].name);
		check_text(req->header[i].value);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(params); i++) {
		free(request_param(req, params[i]));
		request_flag(req, params[i]);
	}
	auth_accepts(request_header(req, "Authorization"), "dXNlcjpwYXNz");
	demand(static_type(req->path) != NULL);
	/* A directory that holds links to files of all kinds, and nothing else. */
	fd = static_open("/proc/self/ns", req->path, &size);
	demand(fd < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ssize_t length = request_measure((const char *)data, size);
	static struct request req; /* not zeroed: parse must not rely on it */
	int status;

	demand(length <= (ssize_t)MIN(size, REQUEST_MAX_HEAD));
	status = request_parse(&req, (const char *)data, length > 0 ? (size_t)length : size);
	demand(status == 0 || (status >= 400 && status < 600));
	if (status == 0)
		check_accepted(&req);
	request_finish(&req);
	return 0;
}
