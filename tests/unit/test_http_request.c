// SPDX-License-Identifier: GPL-3.0-or-later
/* What the request parser takes, and with which status it refuses the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "http/request.h"

static struct request req;

static int parse_bytes(const char *head, size_t size)
{
	request_finish(&req);
	return request_parse(&req, head, size);
}

static int parse(const char *head)
{
	return parse_bytes(head, strlen(head));
}

static int parse_get(const char *target)
{
	char head[512];

	snprintf(head, sizeof(head), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
	return parse(head);
}

static int parse_with(const char *headers)
{
	char head[512];

	snprintf(head, sizeof(head), "GET / HTTP/1.1\r\n%s\r\n", headers);
	return parse(head);
}

static void assert_param(const char *name, const char *expected)
{
	AUTO(auto_free) char *value = request_param(&req, name);

	if (expected)
		assert_string_equal(value, expected);
	else
		assert_null(value);
}

static void a_head_is_complete_at_its_empty_line(void **state)
{
	const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";

	(void)state;
	for (size_t size = 0; size < strlen(text) - 4; size++)
		assert_int_equal(request_measure(text, size), 0);
	assert_int_equal(request_measure(text, strlen(text)), strlen(text) - 4);
	assert_int_equal(request_measure("GET / HTTP/1.0\n\nx", 17), 16);
}

static void empty_lines_before_a_request_are_skipped(void **state)
{
	(void)state;
	assert_int_equal(request_measure("\r\n", 2), 0);
	assert_int_equal(request_measure("\r\n\r\n", 4), 0);
	assert_int_equal(request_measure("\r\n\nGET / HTTP/1.1\r\n\r\n", 21), 21);
	assert_int_equal(parse("\r\n\nGET / HTTP/1.1\r\n\r\n"), 0);
}

static void a_head_without_end_is_too_long_at_8_kib(void **state)
{
	static char text[REQUEST_MAX_HEAD + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_int_equal(request_measure(text, REQUEST_MAX_HEAD - 1), 0);
	assert_int_equal(request_measure(text, REQUEST_MAX_HEAD), -EMSGSIZE);
	memset(text, '\n', sizeof(text));
	assert_int_equal(request_measure(text, sizeof(text)), -EMSGSIZE);
	assert_int_equal(parse_bytes(text, sizeof(text)), 431);
}

static void tls_is_recognised_by_its_first_byte(void **state)
{
	(void)state;
	assert_int_equal(request_measure("\x16\x03\x01", 3), -EBADMSG);
	assert_int_equal(request_measure("\0", 1), -EBADMSG);
}

static void a_plain_request_is_taken_apart(void **state)
{
	(void)state;
	assert_int_equal(parse("GET /a%20b+c?x=1 HTTP/1.1\r\nHost: pi:80\r\nX-A:  b c \t\r\n\r\n"),
		0);
	assert_int_equal(req.method, METHOD_GET);
	assert_string_equal(req.path, "/a b+c");
	assert_string_equal(req.query, "x=1");
	assert_int_equal(req.n_headers, 2);
	assert_string_equal(request_header(&req, "host"), "pi:80");
	assert_string_equal(request_header(&req, "x-a"), "b c");
	assert_null(request_header(&req, "x-b"));
	assert_true(req.keep_alive);
}

static void unknown_methods_are_501_and_versions_505(void **state)
{
	(void)state;
	assert_int_equal(parse("BREW / HTTP/1.1\r\n\r\n"), 501);
	assert_int_equal(parse("get / HTTP/1.1\r\n\r\n"), 501);
	assert_int_equal(parse("GET / HTTP/2.0\r\n\r\n"), 505);
	assert_int_equal(parse("PRI * HTTP/2.0\r\n\r\n"), 505);
}

static void malformed_request_lines_are_400(void **state)
{
	static const char *const lines[] = { "GET", "GET /", "GET / HTTP", "GET / HTTP/1",
		"GET / HTTP/1.1 x", "GET  / HTTP/1.1", "GET / / HTTP/1.1", " GET / HTTP/1.1",
		"G(T / HTTP/1.1", "GET /\t HTTP/1.1", "GET /\x01 HTTP/1.1", "GET /\r HTTP/1.1",
		"GET x HTTP/1.1", "GET * HTTP/1.1", "GET ftp://a/ HTTP/1.1", "GET /%00 HTTP/1.1",
		"GET / HTTP/11.1", "GET / http/1.1" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		char head[128];

		snprintf(head, sizeof(head), "%s\r\n\r\n", lines[i]);
		if (parse(head) != 400)
			fail_msg("taken: %s", lines[i]);
	}
	assert_int_equal(parse_bytes("GET /\0 HTTP/1.1\r\n\r\n", 20), 400);
}

static void malformed_headers_are_400(void **state)
{
	(void)state;
	assert_int_equal(parse_with("no colon\r\n"), 400);
	assert_int_equal(parse_with(": value\r\n"), 400);
	assert_int_equal(parse_with("A : b\r\n"), 400);
	assert_int_equal(parse_with("A: b\r\n folded\r\n"), 400);
	assert_int_equal(parse_with("A: b\rSet-Cookie: c\r\n"), 400);
	assert_int_equal(parse_with("A: b\x7f\r\n"), 400);
	assert_int_equal(parse_with("Host: a\r\nHost: b\r\n"), 400);
	assert_int_equal(parse_with("A:\r\n"), 0);
	assert_string_equal(request_header(&req, "A"), "");
}

static void more_than_100_headers_are_431(void **state)
{
	char headers[1024] = "";

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(headers, "a:\n");
	char head[1200];

	snprintf(head, sizeof(head), "GET / HTTP/1.1\n%s\n", headers);
	assert_int_equal(parse(head), 0);
	snprintf(head, sizeof(head), "GET / HTTP/1.1\n%sa:\n\n", headers);
	assert_int_equal(parse(head), 431);
}

static void a_get_with_a_body_is_refused(void **state)
{
	(void)state;
	assert_int_equal(parse_with("Content-Length: 0\r\n"), 0);
	assert_int_equal(parse_with("Content-Length: 1\r\n"), 413);
	assert_int_equal(parse_with("Transfer-Encoding: chunked\r\n"), 400);
	assert_int_equal(parse("POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n"), 0);
	assert_int_equal(req.content_length, 7);
	assert_int_equal(parse("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
}

static void lengths_that_could_be_read_in_two_ways_are_400(void **state)
{
	(void)state;
	assert_int_equal(parse_with("Content-Length: 0\r\nContent-Length: 0\r\n"), 0);
	assert_int_equal(parse_with("Content-Length: 0\r\nContent-Length: 1\r\n"), 400);
	assert_int_equal(parse_with("Content-Length: 0, 0\r\n"), 400);
	assert_int_equal(parse_with("Content-Length: -1\r\n"), 400);
	assert_int_equal(parse_with("Content-Length: +1\r\n"), 400);
	assert_int_equal(parse_with("Content-Length: 0x1\r\n"), 400);
	assert_int_equal(parse_with("Content-Length:\r\n"), 400);
	assert_int_equal(parse_with("Content-Length: 99999999999999999999\r\n"), 400);
	assert_int_equal(parse_with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), 400);
}

static void keep_alive_depends_on_version_and_connection(void **state)
{
	(void)state;
	parse("GET / HTTP/1.1\r\nConnection: Upgrade, Close\r\n\r\n");
	assert_false(req.keep_alive);
	parse("GET / HTTP/1.0\r\n\r\n");
	assert_false(req.keep_alive);
	parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
	assert_true(req.keep_alive);
}

static void the_absolute_form_of_proxies_means_its_path(void **state)
{
	(void)state;
	assert_int_equal(parse_get("http://pi:8080/state?a"), 0);
	assert_string_equal(req.path, "/state");
	assert_string_equal(req.query, "a");
	assert_int_equal(parse_get("HTTP://pi"), 0);
	assert_string_equal(req.path, "/");
	assert_int_equal(parse_get("//state"), 0);
	assert_string_equal(req.path, "//state");
}

static void parameters_are_found_and_decoded(void **state)
{
	(void)state;
	parse_get("/stream?1700000000&key=a%20b+c%0d%0a&key=2&e&f=&=g#h");
	assert_param("key", "a b c\r\n");
	assert_param("e", "");
	assert_param("f", "");
	assert_param("ke", NULL);
	assert_param("g", NULL);
	assert_param("h", NULL);
	parse_get("/stream");
	assert_param("key", NULL);
}

static void flags_are_1_true_or_yes(void **state)
{
	(void)state;
	parse_get("/?a=1&b=true&c=YES&d=0&e=&f=no&g=12");
	assert_true(request_flag(&req, "a") && request_flag(&req, "b") && request_flag(&req, "c"));
	assert_true(request_flag(&req, "g"));
	assert_false(request_flag(&req, "d") || request_flag(&req, "e") || request_flag(&req, "f"));
	assert_false(request_flag(&req, "h"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_complete_at_its_empty_line),
		cmocka_unit_test(empty_lines_before_a_request_are_skipped),
		cmocka_unit_test(a_head_without_end_is_too_long_at_8_kib),
		cmocka_unit_test(tls_is_recognised_by_its_first_byte),
		cmocka_unit_test(a_plain_request_is_taken_apart),
		cmocka_unit_test(unknown_methods_are_501_and_versions_505),
		cmocka_unit_test(malformed_request_lines_are_400),
		cmocka_unit_test(malformed_headers_are_400),
		cmocka_unit_test(more_than_100_headers_are_431),
		cmocka_unit_test(a_get_with_a_body_is_refused),
		cmocka_unit_test(lengths_that_could_be_read_in_two_ways_are_400),
		cmocka_unit_test(keep_alive_depends_on_version_and_connection),
		cmocka_unit_test(the_absolute_form_of_proxies_means_its_path),
		cmocka_unit_test(parameters_are_found_and_decoded),
		cmocka_unit_test(flags_are_1_true_or_yes),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	request_finish(&req);
	return failed;
}
