// SPDX-License-Identifier: GPL-3.0-or-later
/* The bytes of /stream, for each wish a client may have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "http/streams/multipart.h"

static char picture[] = "PICTURE";
static unsigned released;

/* It is 2000 s after the start of the machine. */
int clock_gettime(clockid_t id, struct timespec *out)
{
	*out = (struct timespec){ .tv_sec = 2000 };
	return id == CLOCK_MONOTONIC ? 0 : (int)syscall(SYS_clock_gettime, id, out);
}

static void release(struct frame *frame)
{
	released++;
	free(frame);
}

static struct delivery expose(void)
{
	struct frame *frame = xcalloc(1, sizeof(*frame));

	frame_init(frame, release, NULL);
	frame->plane[0].data = (uint8_t *)picture;
	frame->plane[0].size = strlen(picture);
	frame->width = 640;
	frame->height = 480;
	frame->online = true;
	frame->captured_ns = 1234567890123;
	frame->grabbed_ns = 1234600000000;
	return (struct delivery){ .packed = frame,
		.dropped = 3,
		.begin_ns = 2000000000,
		.cmp_ns = 2000001000 };
}

/* Everything in the buffer, as text, with the digits of wall-clock times replaced. */
static const char *text_of(struct evbuffer *out)
{
	static char text[4096];
	size_t size = evbuffer_remove(out, text, sizeof(text) - 1);
	char *at = text;

	text[size] = '\0';
	while ((at = strstr(at, "X-Timestamp: "))) {
		at += strlen("X-Timestamp: ");
		assert_int_equal(at[strspn(at, "0123456789")], '.');
		memset(at, 't', strcspn(at, "\r"));
	}
	return text;
}

static const char *part(struct multipart_wishes wishes)
{
	struct multipart_session session = { .wishes = wishes };
	struct evbuffer *out = evbuffer_new();
	struct delivery delivery = expose();
	const char *text;

	assert_int_equal(multipart_add_part(out, &session, &delivery, 25), 0);
	text = text_of(out);
	frame_unref(delivery.packed);
	evbuffer_free(out);
	return text;
}

static void times_have_six_decimals(void **state)
{
	char text[MULTIPART_TIME_SIZE];

	(void)state;
	assert_string_equal(multipart_format_time(text, 0), "0.000000");
	assert_string_equal(multipart_format_time(text, 1999), "0.000001");
	assert_string_equal(multipart_format_time(text, 1234567890123), "1234.567890");
	assert_string_equal(multipart_format_time(text, -5), "0.000000");
}

static void the_head_sets_the_cookie_and_the_boundary(void **state)
{
	char key[] = "a%20b";
	struct multipart_session session = { .id = "0123456789abcdef", .key = key };
	struct evbuffer *out = evbuffer_new();
	const char *text;

	(void)state;
	multipart_add_head(out, &session, "", "");
	text = text_of(out);
	assert_ptr_equal(strstr(text, "HTTP/1.0 200 OK\r\nCache-Control: no-store"), text);
	assert_non_null(strstr(text, "\r\nSet-Cookie: stream_client=a%20b/0123456789abcdef; "
				     "path=/; max-age=30\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Type: multipart/x-mixed-replace;"
				     "boundary=boundarydonotcross\r\n\r\n"
				     "--boundarydonotcross\r\n"));
	multipart_add_head(out, &session, "left", "X-Cors: yes\r\n");
	text = text_of(out);
	assert_ptr_equal(strstr(text, "HTTP/1.0 200 OK\r\nX-Cors: yes\r\nCache-Control"), text);
	assert_non_null(strstr(text, "\r\nSet-Cookie: stream_client_left=a%20b/"));
	evbuffer_free(out);
}

static void a_plain_part_ends_with_the_next_boundary(void **state)
{
	(void)state;
	assert_string_equal(part((struct multipart_wishes){ 0 }),
		"Content-Type: image/jpeg\r\nContent-Length: 7\r\n"
		"X-Timestamp: ttttttttttttttttt\r\n\r\n"
		"PICTURE\r\n--boundarydonotcross\r\n");
}

static void zero_data_leaves_the_picture_out(void **state)
{
	(void)state;
	assert_string_equal(part((struct multipart_wishes){ .zero_data = true }),
		"Content-Type: image/jpeg\r\nContent-Length: 0\r\n"
		"X-Timestamp: ttttttttttttttttt\r\n\r\n"
		"\r\n--boundarydonotcross\r\n");
}

static void advance_headers_open_the_next_part(void **state)
{
	(void)state;
	assert_string_equal(part((struct multipart_wishes){
				    .advance_headers = true, .extra_headers = true }),
		"PICTURE\r\n--boundarydonotcross\r\nContent-Type: image/jpeg\r\n"
		"X-Timestamp: ttttttttttttttttt\r\n\r\n");
}

static void extra_headers_say_all_about_the_picture(void **state)
{
	const char *text = part((struct multipart_wishes){ .extra_headers = true });

	(void)state;
	assert_non_null(strstr(text, "X-Timestamp: ttttttttttttttttt\r\n"
				     "X-UStreamer-Online: true\r\n"
				     "X-UStreamer-Dropped: 3\r\n"
				     "X-UStreamer-Width: 640\r\n"
				     "X-UStreamer-Height: 480\r\n"
				     "X-UStreamer-Client-FPS: 25\r\n"
				     "X-UStreamer-Grab-Time: 1234.567890\r\n"
				     "X-UStreamer-Grab-Begin-Time: 1234.567890\r\n"
				     "X-UStreamer-Grab-End-Time: 1234.600000\r\n"
				     "X-UStreamer-Encode-Begin-Time: 1234.600000\r\n"
				     "X-UStreamer-Encode-End-Time: 1234.600000\r\n"
				     "X-UStreamer-Expose-Begin-Time: 2.000000\r\n"
				     "X-UStreamer-Expose-Cmp-Time: 2.000001\r\n"
				     "X-UStreamer-Expose-End-Time: 2.000001\r\n"
				     "X-UStreamer-Send-Time: 2000.000000\r\n"
				     "X-UStreamer-Latency: 765.432109\r\n"));
	assert_non_null(strstr(text, "\r\n\r\nPICTURE\r\n--boundarydonotcross\r\n"));
}

static void the_frame_is_held_until_it_is_sent(void **state)
{
	struct multipart_session session = { 0 };
	struct evbuffer *out = evbuffer_new();
	struct delivery delivery = expose();

	(void)state;
	released = 0;
	multipart_add_part(out, &session, &delivery, 0);
	frame_unref(delivery.packed);
	assert_int_equal(released, 0);
	evbuffer_drain(out, evbuffer_get_length(out));
	assert_int_equal(released, 1);
	evbuffer_free(out);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_have_six_decimals),
		cmocka_unit_test(the_head_sets_the_cookie_and_the_boundary),
		cmocka_unit_test(a_plain_part_ends_with_the_next_boundary),
		cmocka_unit_test(zero_data_leaves_the_picture_out),
		cmocka_unit_test(advance_headers_open_the_next_part),
		cmocka_unit_test(extra_headers_say_all_about_the_picture),
		cmocka_unit_test(the_frame_is_held_until_it_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
