/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who may change something: pure functions over the head of a request.
 *
 * A browser sends whatever a foreign page asks it to, also with the password it remembers; but it
 * says which page that is (Origin, Sec-Fetch-Site), and asks us first before it sends JSON. So a
 * change has to be JSON and, from a browser, of our own page or of --allow-origin's.
 */
#ifndef HTTP_ORIGIN_H
#define HTTP_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "http/request.h"
#include "settings/options.h"

/* 0, or the status to refuse it with and why: 403, 413 or 415. */
int origin_judge(const struct options *opt, const struct request *req, size_t max_body,
	const char **why);

/* Whether Origin is ours or --allow-origin's very own. Without one: whether no page sent it. */
bool origin_is_known(const struct options *opt, const struct request *req);

#endif
