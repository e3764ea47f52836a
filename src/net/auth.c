// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Basic authentication: see auth.h. The encoded credentials are compared, so that nothing a
 * client sends is ever decoded.
 */
#include "net/auth.h"

#include "base/util.h"

static char *encode_base64(const unsigned char *data, size_t size)
{
	static const char
		digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = xcalloc(1, (size + 2) / 3 * 4 + 1), *to = text;

	for (size_t i = 0; i < size; i += 3) {
		unsigned left = MIN(size - i, 3);
		unsigned bits = data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0);

		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = left > 2 ? digits[bits & 63] : '=';
	}
	return text;
}

char *auth_token_create(const char *user, const char *password)
{
	AUTO(auto_free) char *plain = NULL;
	int size = asprintf(&plain, "%s:%s", user, password);

	if (size < 0)
		abort(); /* as xcalloc() */
	return encode_base64((const unsigned char *)plain, size);
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
