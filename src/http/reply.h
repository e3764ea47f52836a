/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whole replies: a status line, headers, a body of known length. Each function but reply_begin()
 * ends in exchange_finish(). Network thread only.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <jansson.h>

#include "http/exchange.h"

/* So that no browser or proxy shows an old picture. */
#define REPLY_NO_CACHE                                                      \
	"Cache-Control: no-store, no-cache, must-revalidate, max-age=0\r\n" \
	"Pragma: no-cache\r\n"                                              \
	"Expires: Thu, 01 Jan 1970 00:00:00 GMT\r\n"

/* Status line and the headers that every reply has. More lines may be added to the result. */
struct evbuffer *reply_begin(struct exchange *exchange, int status);
/* Content-Type, length, and the body, which is emptied but not freed. */
void reply_end(struct exchange *exchange, const char *type, struct evbuffer *body);
/* A document, never to be cached. Takes the reference; NULL: no memory for it. */
void reply_json(struct exchange *exchange, int status, json_t *document);
/* A document that says what is wrong, and with which field; NULL: with none of them. */
void reply_error(struct exchange *exchange, int status, const char *field, const char *text);
/* 405 in the same form. methods: those that work, as in "GET, PATCH". */
void reply_wrong_method(struct exchange *exchange, const char *methods);
/* 204: done, and there is nothing to say. */
void reply_nothing(struct exchange *exchange);
/* For HEAD: just the headers. */
void reply_head(struct exchange *exchange);
/* One line of plain text with a reason that a person can use. */
void reply_text(struct exchange *exchange, int status, const char *text);
/* The same with status 503, and when it may be worth while to ask again. */
void reply_retry(struct exchange *exchange, unsigned after_s, const char *text);

#endif
