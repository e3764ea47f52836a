// SPDX-License-Identifier: GPL-3.0-or-later
/* Whose changes are taken, by the heads that browsers send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "http/origin.h"

static const struct options plain = { .user = "", .unix_path = "", .allow_origin = "" };
static const struct options named = { .user = "me", .unix_path = "", .allow_origin = "" };
static const struct options local = { .user = "", .unix_path = "/run/a", .allow_origin = "" };

/* The status of a change that was sent to this host, with one more header; 0: it is taken. */
static int judge(const struct options *opt, const char *host, const char *header)
{
	struct request req;
	char head[512];
	const char *why;
	int status;

	snprintf(head, sizeof(head),
		"PATCH /settings HTTP/1.1\r\nContent-Type: application/json\r\nHost: %s\r\n"
		"%s\r\n\r\n",
		host, header);
	assert_int_equal(request_parse(&req, head, strlen(head)), 0);
	status = origin_judge(opt, &req, 100, &why);
	request_finish(&req);
	return status;
}

/* As browsers have it, some with the one header and some with the other. */
static void assert_own_page(const struct options *opt, const char *host, int status)
{
	char origin[100];

	snprintf(origin, sizeof(origin), "Origin: http://%s", host);
	assert_int_equal(judge(opt, host, origin), status);
	assert_int_equal(judge(opt, host, "Sec-Fetch-Site: same-origin"), status);
}

/* A stranger's, who let it point to us after his page was loaded. */
static void a_page_that_was_opened_by_a_public_name_may_change_nothing(void **state)
{
	(void)state;
	assert_own_page(&plain, "kvm.example", 403);
	assert_own_page(&plain, "kvm.local", 0);
}

static void behind_a_password_or_a_unix_socket_any_name_will_do(void **state)
{
	(void)state;
	assert_own_page(&named, "kvm.example", 0);
	assert_own_page(&local, "kvm.example", 0);
}

static void a_page_of_another_site_may_change_nothing(void **state)
{
	static const struct options *const all[] = { &plain, &named, &local };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		assert_int_equal(judge(all[i], "kvm.local", "Origin: http://evil.example"), 403);
		assert_int_equal(judge(all[i], "kvm.local", "Sec-Fetch-Site: same-site"), 403);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_was_opened_by_a_public_name_may_change_nothing),
		cmocka_unit_test(behind_a_password_or_a_unix_socket_any_name_will_do),
		cmocka_unit_test(a_page_of_another_site_may_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
