// SPDX-License-Identifier: GPL-3.0-or-later
/* Who may pass with which Authorization header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "net/auth.h"

static void the_token_is_base64_of_user_and_password(void **state)
{
	static const struct {
		const char *user, *password, *token;
	} known[] = {
		{ "Aladdin", "open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ==" }, /* RFC 7617 */
		{ "a", "b", "YTpi" }, { "a", "bc", "YTpiYw==" }, { "a", "bcd", "YTpiY2Q=" },
		{ "test", "123\xc2\xa3", "dGVzdDoxMjPCow==" }, /* RFC 7617 */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		AUTO(auto_free) char *token = auth_token_create(known[i].user, known[i].password);

		assert_string_equal(token, known[i].token);
	}
}

static void only_the_exact_credentials_pass(void **state)
{
	(void)state;
	assert_true(auth_accepts("Basic YTpi", "YTpi"));
	assert_true(auth_accepts("bAsIc   YTpi", "YTpi"));
	assert_false(auth_accepts(NULL, "YTpi"));
	assert_false(auth_accepts("", "YTpi"));
	assert_false(auth_accepts("Basic", "YTpi"));
	assert_false(auth_accepts("Basic ", "YTpi"));
	assert_false(auth_accepts("BasicYTpi", "YTpi"));
	assert_false(auth_accepts("Digest YTpi", "YTpi"));
	assert_false(auth_accepts("Basic YTp", "YTpi"));
	assert_false(auth_accepts("Basic YTpj", "YTpi"));
	assert_false(auth_accepts("Basic YTpiYTpi", "YTpi"));
	assert_false(auth_accepts("Basic ytPI", "YTpi"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_is_base64_of_user_and_password),
		cmocka_unit_test(only_the_exact_credentials_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
