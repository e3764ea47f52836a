// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Basic authentication: see auth.h. The encoded credentials are compared, so that nothing a
 * client sends is ever decoded.
 */
#include "net/auth.h"

#include "base/base64.h"
#include "base/util.h"

char *auth_token_create(const char *user, const char *password)
{
	AUTO(auto_free) char *plain = NULL;
	int size = asprintf(&plain, "%s:%s", user, password);
	char *token;

	if (size < 0)
		abort(); /* as xcalloc() */
	token = xcalloc(1, BASE64_SIZE(size) + 1);
	base64_put(token, (const uint8_t *)plain, (size_t)size);
	return token;
}

static bool equal_in_constant_time(const char *given, const char *secret)
{
	size_t n_given = strlen(given), n_secret = strlen(secret);
	volatile unsigned difference = n_given != n_secret;

	for (size_t i = 0; i < n_given; i++)
		difference |= (unsigned char)(given[i] ^ secret[i % (n_secret + 1)]);
	return !difference;
}

bool auth_accepts(const char *header, const char *token)
{
	if (!header || strncasecmp(header, "Basic ", 6) != 0)
		return false;
	header += 6;
	return equal_in_constant_time(header + strspn(header, " "), token);
}
