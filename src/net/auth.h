/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Basic authentication: pure functions. */
#ifndef NET_AUTH_H
#define NET_AUTH_H

#include <stdbool.h>

/* What a client has to send after "Authorization: Basic "; to be freed. */
char *auth_token_create(const char *user, const char *password);

/*
 * Whether an Authorization header (NULL: there is none) carries the token. How long it takes
 * depends on the header alone, so that guessing gains nothing from a clock.
 */
bool auth_accepts(const char *header, const char *token);

#endif
