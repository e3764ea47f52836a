/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The head of an HTTP request: a pure parser over bytes, without sockets, so that it can be
 * fuzzed. Whatever is not plainly well-formed is refused with a status; nothing is repaired.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define REQUEST_MAX_HEAD    8192 /* bytes, the empty line at the end included */
#define REQUEST_MAX_HEADERS 100

enum request_method {
	METHOD_GET = 1 << 0,
	METHOD_HEAD = 1 << 1,
	METHOD_OPTIONS = 1 << 2,
	METHOD_POST = 1 << 3,
	METHOD_DELETE = 1 << 4,
	METHOD_PATCH = 1 << 5,
};

struct request {
	enum request_method method;
	bool is_1_1;             /* the client knows chunks */
	bool keep_alive;         /* whether the client wants to send another one */
	bool expects_continue;   /* the client waits for a word before it sends the body */
	uint64_t content_length; /* never other than 0 for GET, HEAD and OPTIONS */
	const char *body;        /* content_length bytes and a NUL; NULL when it was not read */
	char *path;              /* decoded; begins with '/' */
	const char *query;       /* as sent, without '?'; "" when there is none */
	unsigned n_headers;
	struct {
		const char *name, *value; /* printable text: no control characters but tabs */
	} header[REQUEST_MAX_HEADERS];
	char head[REQUEST_MAX_HEAD + 1]; /* what the pointers above point into */
};

/*
 * The length of the head that begins at `data`; 0 when it is not complete yet, -EMSGSIZE when it
 * is longer than REQUEST_MAX_HEAD, -EBADMSG when it cannot become HTTP (say, it is TLS).
 */
ssize_t request_measure(const char *data, size_t size);

/*
 * Parses a complete head. Returns 0, or the HTTP status to refuse it with; the connection must be
 * closed then, for nobody knows where the next request begins. Always followed by finish.
 */
int request_parse(struct request *req, const char *data, size_t size);
void request_finish(struct request *req);

/* The value of the first header of this name, or NULL. */
const char *request_header(const struct request *req, const char *name);
/* The decoded value of the first query parameter of this name, to be freed, or NULL. */
char *request_param(const struct request *req, const char *name);
/* Whether a parameter is "1…", "true" or "yes". */
bool request_flag(const struct request *req, const char *name);

#endif
