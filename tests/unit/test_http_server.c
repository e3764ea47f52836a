// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The real server on a loopback port, its clients in the same thread. The pipeline is never
 * started: the tests publish pictures on its JPEG outlet themselves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/log.h"
#include "http/server.h"
#include "preload.h"

#define PATIENCE_NS (15 * NS_PER_S)

static struct event_base *base;
static struct pipeline *pipeline;
static struct server *server;
static struct options opt;
static atomic_int alive;  /* frames that were not released */
static bool has_no_files; /* accept4(2) fails */
static unsigned n_accepts;
static int line_room = -1; /* bytes that writev(2) takes yet; -1: what the kernel takes */

/* Instead of the C library's: libevent calls them, too. */
int accept4(int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
	n_accepts++;
	if (!has_no_files)
		return (int)syscall(SYS_accept4, fd, peer, size, flags);
	errno = EMFILE;
	return -1;
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
	struct iovec some = pieces[0];

	if (line_room < 0)
		return syscall(SYS_writev, fd, pieces, count);
	some.iov_len = MIN(some.iov_len, (size_t)line_room);
	line_room -= (int)some.iov_len;
	errno = EAGAIN;
	return some.iov_len ? syscall(SYS_writev, fd, &some, 1) : -1;
}

static void start(const char *option, const char *value)
{
	char *argv[] = { (char *)"hdmicast", (char *)option, (char *)value, NULL };

	assert_int_equal(options_parse(&opt, option ? 3 : 1, argv), OPTIONS_RUN);
	opt.port = 0; /* the kernel chooses */
	base = event_base_new();
	assert_int_equal(pipeline_create(&pipeline, &opt), 0);
	assert_int_equal(server_create(&server, base, pipeline, &opt), 0);
}

static int stop(void **state)
{
	(void)state;
	server_destroy(server);
	pipeline_destroy(pipeline);
	event_base_free(base);
	server = NULL;
	line_room = -1;
	return alive;
}

/* One turn of the server's loop; waits a little when there is nothing to do. */
static void turn(void)
{
	struct timeval wait = { .tv_usec = 1000 };

	event_base_loopexit(base, &wait);
	event_base_loop(base, EVLOOP_ONCE);
}

/* As if the machine had slept. */
static void pass_ms(int64_t ms)
{
	own_step(preload_own(), ms * NS_PER_MS);
}

static int dial(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_port = htons(atoi(strrchr(server_url(server), ':') + 1));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int ask(const char *line)
{
	int fd = dial();

	say(fd, line);
	say(fd, "\r\nHost: a\r\n\r\n");
	return fd;
}

/*
 * Listens until `needle` has come `times` times (NULL: until the end of the connection). Returns
 * all that was heard; valid until the next call. Fails after PATIENCE_NS.
 */
static const char *hear_times(int fd, const char *needle, unsigned times)
{
	static char heard[1 << 20];
	int64_t until = now_ns() + PATIENCE_NS;
	size_t size = 0;

	while (now_ns() < until) {
		const char *at = heard;
		unsigned found = 0;
		ssize_t got = recv(fd, heard + size, sizeof(heard) - 1 - size, MSG_DONTWAIT);

		size += MAX(got, 0);
		heard[size] = '\0';
		while (needle && (at = strstr(at, needle))) {
			at += strlen(needle);
			found++;
		}
		if (needle ? found >= times : !got || (got < 0 && errno == ECONNRESET))
			return heard;
		if (needle && !got)
			fail_msg("closed before '%s': '%.300s'", needle, heard);
		turn();
	}
	fail_msg("nothing more after: '%.300s'", heard);
	return NULL;
}

static const char *hear(int fd, const char *needle)
{
	return hear_times(fd, needle, 1);
}

static void assert_answer(const char *line, const char *expected)
{
	int fd = ask(line);

	assert_non_null(strstr(hear(fd, "\r\n\r\n"), expected));
	close(fd);
}

static void release(struct frame *frame)
{
	alive--;
	free(frame->plane[0].data);
	free(frame);
}

/* A picture of `size` bytes that begins with "<n>" and ends with "</n>". */
static void publish_taken(struct outlet *outlet, unsigned n, size_t size, int64_t captured_ns)
{
	struct frame *frame = xcalloc(1, sizeof(*frame));
	char tag[16];

	frame_init(frame, release, NULL);
	alive++;
	frame->plane[0].data = malloc(size);
	frame->plane[0].size = size;
	memset(frame->plane[0].data, '.', size);
	memcpy(frame->plane[0].data, tag, sprintf(tag, "<%u>", n));
	sprintf(tag, "</%u>", n);
	memcpy(frame->plane[0].data + size - strlen(tag), tag, strlen(tag));
	frame->width = 320;
	frame->height = 240;
	frame->online = frame->key = true;
	frame->captured_ns = captured_ns;
	outlet_publish(outlet, frame);
	frame_unref(frame);
}

static void publish_to(struct outlet *outlet, unsigned n, size_t size)
{
	publish_taken(outlet, n, size, now_ns());
}

static void publish_sized(unsigned n, size_t size)
{
	publish_to(pipeline_jpeg(pipeline), n, size);
}

static void publish(unsigned n)
{
	publish_sized(n, 100);
}

static void wait_for(struct outlet *outlet, bool wanted)
{
	int64_t until = now_ns() + PATIENCE_NS;

	while (outlet_wanted(outlet) != wanted && now_ns() < until)
		turn();
	assert_int_equal(outlet_wanted(outlet), wanted);
}

static void wait_until_wanted(bool wanted)
{
	wait_for(pipeline_jpeg(pipeline), wanted);
}

static int watch(const char *line)
{
	int fd = ask(line);

	hear(fd, "--boundarydonotcross\r\n");
	return fd;
}

static void requests_on_one_connection_are_answered_in_order(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = dial();
	say(fd, "GET /state HTTP/1.1\r\n\r\nGET /nothing HTTP/1.1\r\n\r\nOPTIONS / HTTP/1.1\r\n\r\n"
		"GET /sta");
	text = hear_times(fd, "HTTP/1.1", 3);
	assert_true(strstr(text, "200 OK") < strstr(text, "404 Not Found"));
	assert_non_null(strstr(strstr(text, "404 Not Found"), "200 OK"));
	say(fd, "te HTTP/1.1\r\nConnection: close\r\n\r\n");
	text = hear(fd, NULL);
	assert_non_null(strstr(text, "Connection: close"));
	assert_non_null(strstr(text, "\"clients_stat\": {}"));
	close(fd);
}

static void methods_and_paths_are_answered_as_the_contract_says(void **state)
{
	(void)state;
	start("--allow-origin", "*");
	assert_answer("GET / HTTP/1.1", "200 OK");
	assert_answer("GET /favicon.ico HTTP/1.1", "Content-Type: image/x-icon");
	assert_answer("GET /state HTTP/1.1", "\r\nCache-Control: no-store, ");
	assert_answer("GET /metrics HTTP/1.1", "\r\nCache-Control: no-store, ");
	assert_answer("GET /clock HTTP/1.1", "\r\nCache-Control: no-store, ");
	assert_answer("GET /nothing HTTP/1.1", "404 Not Found");
	assert_answer("PUT / HTTP/1.1", "501 Not Implemented");
	assert_answer("POST /state HTTP/1.1", "501 Not Implemented");
	assert_answer("nonsense", "400 Bad Request");
	assert_answer("OPTIONS /state HTTP/1.1\r\nAccess-Control-Request-Headers: x-a",
		"Access-Control-Allow-Headers: x-a\r\n");
	assert_answer("GET /state HTTP/1.1", "Access-Control-Allow-Origin: *\r\n"
					     "Access-Control-Allow-Credentials: true\r\n");
}

/* Else the next request would begin in it, at whatever a stranger chose. */
static void a_body_that_was_not_read_ends_the_connection(void **state)
{
	static const char *const heads[] = { "POST /state", "PATCH /settings", "POST /" };

	(void)state;
	start(NULL, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(heads); i++) {
		int fd = dial();
		const char *text;

		say(fd, heads[i]);
		say(fd, " HTTP/1.1\r\nContent-Length: 28\r\n\r\nGET /nothing HTTP/1.1\r\n\r\n....");
		text = hear(fd, NULL);
		assert_non_null(strstr(text, "Connection: close\r\n"));
		assert_null(strstr(text, "404 Not Found"));
		assert_null(strstr(text + 1, "HTTP/1.1"));
		close(fd);
	}
}

/* Unread input would turn the end into a reset, which may eat the reply. */
static void who_sends_what_is_refused_hears_why_and_no_reset(void **state)
{
	static char noise[1 << 20];
	size_t sent = 0;
	ssize_t got;
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = dial();
	say(fd, "POST /state HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n");
	for (int64_t until = now_ns() + PATIENCE_NS; sent < sizeof(noise) && now_ns() < until;
		turn()) {
		ssize_t n = send(fd, noise + sent, sizeof(noise) - sent,
			MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		sent += (size_t)MAX(n, 0);
	}
	assert_int_equal(sent, sizeof(noise));
	hear(fd, "501 Not Implemented");
	do {
		turn();
		got = recv(fd, noise, sizeof(noise), MSG_DONTWAIT);
	} while (got > 0 || (got < 0 && errno == EAGAIN));
	assert_int_equal(got, 0);
	close(fd);
}

static void assert_hears_first(const char *head, const char *expected)
{
	int fd = ask(head);
	const char *text = hear(fd, "\r\n\r\n");

	assert_memory_equal(text, "HTTP/1.1 ", 9);
	assert_memory_equal(text + 9, expected, strlen(expected));
	close(fd);
}

static void no_body_is_read_of_who_may_change_nothing(void **state)
{
#define CHANGE                                                           \
	"PATCH /settings HTTP/1.1\r\nContent-Type: application/json\r\n" \
	"Content-Length: 9\r\nExpect: 100-continue\r\n"
#define PASSWORD "Authorization: Basic bWU6"

	(void)state;
	start("--user", "me");
	assert_hears_first(CHANGE PASSWORD, "100 Continue");
	assert_hears_first(CHANGE "Authorization: Basic bWU7", "401 ");
	assert_hears_first(CHANGE PASSWORD "\r\nOrigin: http://evil.example", "403 ");
	assert_hears_first(CHANGE PASSWORD "\r\nContent-Length: 9", "100 Continue");
	assert_hears_first("POST /state HTTP/1.1\r\nContent-Length: 9\r\n"
			   "Expect: 100-continue\r\n" PASSWORD,
		"501 ");
}

static void head_is_200_at_once_without_type_and_length(void **state)
{
	static const char *const paths[] = { "/", "/stream", "/stream.h264", "/snapshot",
		"/state" };

	(void)state;
	start(NULL, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		char line[64];
		const char *text;
		int fd;

		snprintf(line, sizeof(line), "HEAD %s HTTP/1.1\r\nConnection: close", paths[i]);
		fd = ask(line);
		text = hear(fd, NULL);
		assert_non_null(strstr(text, "200 OK"));
		assert_null(strstr(text, "Content-"));
		assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
		close(fd);
	}
}

static void the_password_comes_after_404_and_options(void **state)
{
	(void)state;
	start("--user", "me");
	assert_answer("GET /nothing HTTP/1.1", "404 Not Found");
	assert_answer("OPTIONS /state HTTP/1.1", "200 OK");
	assert_answer("HEAD /state HTTP/1.1", "401 Unauthorized");
	assert_answer("GET /stream HTTP/1.1", "WWW-Authenticate: Basic realm=");
	assert_answer("GET /state HTTP/1.1\r\nAuthorization: Basic bWU6", "200 OK");
	assert_answer("HEAD /stream HTTP/1.1\r\nAuthorization: Basic bWU6", "200 OK");
}

static void a_viewer_gets_every_picture_at_once(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = watch("GET /stream HTTP/1.1");
	assert_int_equal(server_clients(server), 1);
	for (unsigned n = 1; n <= 3; n++) {
		char end[64];

		publish(n);
		sprintf(end, "</%u>\r\n--boundarydonotcross\r\n", n);
		text = hear(fd, end);
		assert_non_null(strstr(text, "Content-Length: 100\r\n"));
	}
	close(fd);
	wait_until_wanted(false);
	assert_int_equal(server_clients(server), 0);
}

static void a_newcomer_gets_the_latest_picture(void **state)
{
	int first, second;

	(void)state;
	start(NULL, NULL);
	first = watch("GET /stream HTTP/1.1");
	publish(1);
	hear(first, "</1>");
	second = ask("GET /?action=stream HTTP/1.1");
	hear(second, "</1>");
	close(first);
	close(second);
}

static void a_busy_line_skips_to_the_newest_picture(void **state)
{
	const char *text;
	unsigned seen = 0;
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = dial();
	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	wait_until_wanted(true);
	for (unsigned n = 1; n <= 50; n++) {
		publish_sized(n, 100000);
		turn();
		turn();
	}
	/* One or two in kernel buffers, one in user space, and the latest. */
	assert_true(alive <= 3);
	text = hear(fd, "</50>\r\n--boundarydonotcross\r\n");
	while ((text = strstr(text, "Content-Type: image"))) {
		seen++;
		text++;
	}
	assert_in_range(seen, 2, 40);
	close(fd);
}

static void show(unsigned n)
{
	publish(n);
	for (unsigned i = 0; i < 3; i++)
		turn();
}

static void a_picture_of_which_nothing_was_sent_gives_way_to_a_newer_one(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = watch("GET /stream HTTP/1.1");
	line_room = 0;
	for (unsigned n = 1; n <= 3; n++)
		show(n);
	line_room = -1;
	text = hear(fd, "</3>");
	assert_null(strstr(text, "<1>"));
	assert_null(strstr(text, "<2>"));
	close(fd);
}

static void a_picture_that_was_begun_is_completed(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = watch("GET /stream HTTP/1.1");
	line_room = 20;
	for (unsigned n = 1; n <= 3; n++)
		show(n);
	line_room = -1;
	text = hear(fd, "</3>");
	assert_non_null(strstr(text, "</1>\r\n--boundarydonotcross\r\n"));
	assert_null(strstr(text, "<2>"));
	close(fd);
}

static void one_busy_line_costs_the_others_nothing(void **state)
{
	int slow, quick;

	(void)state;
	start(NULL, NULL);
	slow = watch("GET /stream HTTP/1.1");
	quick = watch("GET /stream HTTP/1.1");
	for (unsigned n = 1; n <= 60; n++) {
		char end[16];

		publish_sized(n, 200000);
		sprintf(end, "</%u>", n);
		hear(quick, end);
	}
	close(quick);
	close(slow); /* in the middle of a picture */
	wait_until_wanted(false);
	assert_int_equal(alive, 0);
}

static void equal_pictures_are_left_out_but_not_for_ever(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start("--drop-same-frames", "2");
	fd = watch("GET /stream?extra_headers=1 HTTP/1.1");
	for (unsigned i = 0; i < 4; i++) {
		publish(1);
		turn();
		turn();
	}
	publish(2);
	text = hear(fd, "</2>");
	text = strstr(text, "Dropped: 0\r\n");
	assert_non_null(text);
	text = strstr(text, "Dropped: 2\r\n");
	assert_non_null(text);
	text = strstr(text, "</1>");
	assert_null(strstr(text + 1, "</1>"));
	close(fd);
}

/* Its copy does not take its place in the queue. */
static void the_last_picture_comes_twice_on_a_busy_line_too(void **state)
{
	const char *text;
	unsigned n = 0;
	int fd;

	(void)state;
	start("--drop-same-frames", "9");
	fd = watch("GET /stream?dual_final_frames=1 HTTP/1.1");
	line_room = 20;
	show(1); /* begun */
	show(2); /* waits */
	show(2); /* like it */
	line_room = -1;
	for (unsigned i = 0; i < 20; i++)
		turn();
	show(2);
	show(2);
	publish(3);
	for (text = hear(fd, "</3>"); (text = strstr(text, "</2>")); text++)
		n++;
	assert_int_equal(n, 2);
	close(fd);
}

static void dual_final_frames_send_the_last_of_a_run_twice(void **state)
{
	int fd;

	(void)state;
	start("--drop-same-frames", "9");
	fd = watch("GET /stream?dual_final_frames=1 HTTP/1.1");
	for (unsigned i = 0; i < 5; i++) {
		publish(1);
		turn();
		turn();
	}
	publish(2);
	assert_null(strstr(strstr(strstr(hear(fd, "</2>"), "</1>") + 1, "</1>") + 1, "</1>"));
	close(fd);
}

static void a_snapshot_is_the_next_picture(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL);
	publish(1);
	fd = ask("GET /snapshot HTTP/1.1");
	wait_until_wanted(true);
	publish(2);
	text = hear(fd, "</2>");
	assert_null(strstr(text, "<1>"));
	assert_non_null(strstr(text, "X-UStreamer-Online: true\r\n"));
	assert_non_null(strstr(text, "Content-Length: 100\r\n\r\n<2>"));
	wait_until_wanted(false);
	/* The connection goes on, and so do those who leave while they wait. */
	say(fd, "GET /?action=snapshot HTTP/1.1\r\n\r\n");
	wait_until_wanted(true);
	close(fd);
	wait_until_wanted(false);
}

static void a_picture_from_before_the_request_is_no_snapshot(void **state)
{
	int64_t before = now_ns();
	int fd, viewer;

	(void)state;
	start(NULL, NULL);
	fd = ask("GET /snapshot HTTP/1.1");
	wait_until_wanted(true);
	viewer = watch("GET /stream HTTP/1.1");
	publish_taken(pipeline_jpeg(pipeline), 1, 100, before);
	hear(viewer, "</1>");
	publish(2);
	assert_null(strstr(hear(fd, "</2>"), "<1>"));
	close(fd);
	close(viewer);
}

static void h264_begins_with_the_first_key_frame(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start("--allow-origin", "*");
	fd = ask("GET /stream.h264 HTTP/1.1");
	wait_for(pipeline_h264(pipeline), true);
	assert_false(outlet_wanted(pipeline_jpeg(pipeline)));
	assert_int_equal(server_clients(server), 1);
	publish_to(pipeline_h264(pipeline), 1, 100);
	publish_to(pipeline_h264(pipeline), 2, 100);
	text = hear(fd, "</2>");
	assert_memory_equal(text, "HTTP/1.0 200 OK\r\n", 17);
	assert_non_null(strstr(text, "Access-Control-Allow-Origin: *\r\n"));
	assert_non_null(strstr(text, "Cache-Control: no-store"));
	text = strstr(text, "Content-Type: video/h264\r\n\r\n<1>");
	assert_non_null(text);
	text = strstr(text, "</1>");
	assert_non_null(text);
	assert_memory_equal(text, "</1><2>", 7);
	close(fd);
	wait_for(pipeline_h264(pipeline), false);
	assert_int_equal(server_clients(server), 0);
}

static void who_leaves_before_the_first_key_frame_is_gone(void **state)
{
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = ask("GET /stream.h264 HTTP/1.1");
	wait_for(pipeline_h264(pipeline), true);
	close(fd);
	wait_for(pipeline_h264(pipeline), false);
	assert_int_equal(server_clients(server), 0);
}

static void without_an_encoder_h264_is_503_and_why(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start("--h264-encoder", "off");
	fd = ask("GET /stream.h264 HTTP/1.1\r\nConnection: close");
	text = hear(fd, NULL);
	assert_non_null(strstr(text, "503 Service Unavailable"));
	assert_non_null(strstr(text, "No H.264: switched off by --h264-encoder off\n"));
	assert_null(strstr(text, "Retry-After")); /* it will not change */
	close(fd);
	assert_answer("HEAD /stream.h264 HTTP/1.1", "503 Service Unavailable");
	assert_false(outlet_wanted(pipeline_h264(pipeline)));
}

static void without_a_key_frame_h264_is_503_after_a_while(void **state)
{
	int64_t begun = now_ns();
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL); /* the pipeline rests: there is nothing to encode */
	fd = ask("GET /stream.h264 HTTP/1.1\r\nConnection: close");
	wait_for(pipeline_h264(pipeline), true);
	for (; server_clients(server) && now_ns() - begun < 2 * PATIENCE_NS; turn())
		pass_ms(100);
	assert_true(now_ns() - begun > 3900 * NS_PER_MS);
	text = hear(fd, NULL);
	assert_non_null(strstr(text, "503 Service Unavailable"));
	assert_non_null(strstr(text, "Retry-After: 5\r\n"));
	assert_non_null(strstr(text, "No H.264 in 4 s"));
	assert_false(outlet_wanted(pipeline_h264(pipeline)));
	close(fd);
}

static void state_tells_about_h264(void **state)
{
	const char *text;
	int fd;

	(void)state;
	start("--h264-gop", "7");
	fd = ask("GET /state HTTP/1.1\r\nConnection: close");
	text = hear(fd, NULL);
	assert_non_null(strstr(text, "\"h264\": {\"bitrate\": 5000, \"gop\": 7, \"online\": false, "
				     "\"fps\": 0, \"state\": \"idle\""));
	assert_non_null(strstr(text, "\"encode_ms\": 0.0"));
	assert_null(strstr(text, "\"sinks\""));
	close(fd);
}

static void times_in_metrics_are_seconds(void **state)
{
	struct latency *latency;
	const char *text;
	int fd;

	(void)state;
	start(NULL, NULL);
	latency = pipeline_latency(pipeline, MEDIUM_JPEG);
	histogram_add(&latency->published, 40 * NS_PER_MS);
	histogram_add(&latency->published, 1500 * NS_PER_MS);
	fd = ask("GET /metrics HTTP/1.1\r\nConnection: close");
	text = hear(fd, NULL);
#define PUBLISHED(what) "hdmicast_frame_age_seconds_" what "{medium=\"jpeg\",at=\"published\""
	assert_non_null(strstr(text, PUBLISHED("bucket") ",le=\"0.03\"} 0\n"));
	assert_non_null(strstr(text, PUBLISHED("bucket") ",le=\"0.04\"} 1\n"));
	assert_non_null(strstr(text, PUBLISHED("bucket") ",le=\"1\"} 1\n"));
	assert_non_null(strstr(text, PUBLISHED("bucket") ",le=\"2\"} 2\n"));
	assert_non_null(strstr(text, PUBLISHED("sum") "} 1.540000000\n"));
	assert_non_null(strstr(text, PUBLISHED("count") "} 2\n"));
	assert_non_null(strstr(text, "\nhdmicast_h264_bitrate_bits_per_second "));
	close(fd);
}

static void a_head_must_be_complete_in_time(void **state)
{
	int64_t begun;
	int fd;

	(void)state;
	start("--server-timeout", "1");
	fd = dial();
	say(fd, "GET / HTTP/1.1\r\n");
	for (begun = now_ns(); now_ns() - begun < PATIENCE_NS; turn()) {
		char byte;

		if (recv(fd, &byte, 1, MSG_DONTWAIT) == 0)
			break;
		send(fd, "a", 1, MSG_NOSIGNAL);
		pass_ms(10);
	}
	assert_in_range(now_ns() - begun, 900 * NS_PER_MS, PATIENCE_NS);
	close(fd);
}

static void a_viewer_that_takes_nothing_is_closed(void **state)
{
	int64_t begun = now_ns();
	int fd;

	(void)state;
	start("--server-timeout", "1");
	fd = dial();
	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	wait_until_wanted(true);
	for (unsigned n = 1; server_clients(server) && now_ns() - begun < 2 * PATIENCE_NS; n++) {
		publish_sized(n, 1 << 20);
		pass_ms(50);
		turn();
	}
	assert_int_equal(server_clients(server), 0);
	close(fd);
}

/* Where the kernel does not see to it: a UNIX socket has no time-out. */
static void a_local_viewer_that_takes_nothing_is_closed(void **state)
{
	char option[128];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int64_t until;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/hdmicast-test-%d-idle.sock",
		(int)getpid());
	snprintf(option, sizeof(option), "--unix=%s", address.sun_path);
	start("--server-timeout=1", option);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	say(fd, "GET /stream HTTP/1.1\r\n\r\n");
	wait_until_wanted(true);
	until = now_ns() + 20 * NS_PER_S;
	for (unsigned n = 1; server_clients(server) && now_ns() < until; n++) {
		publish_sized(n, 1 << 20);
		pass_ms(50);
		turn();
	}
	assert_int_equal(server_clients(server), 0);
	close(fd);
}

static void a_key_has_at_most_256_characters(void **state)
{
	static const struct {
		int length;
		const char *answer;
	} keys[] = { { 256, "200 OK" }, { 257, "400 Bad Request" } };

	(void)state;
	start(NULL, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		char line[400];

		snprintf(line, sizeof(line), "GET /stream?key=%0*d HTTP/1.1", keys[i].length, 1);
		assert_answer(line, keys[i].answer);
	}
}

static void a_viewer_that_talks_too_much_is_closed(void **state)
{
	char noise[1024];
	int fd, sent = 0;

	(void)state;
	start(NULL, NULL);
	fd = watch("GET /stream HTTP/1.1");
	memset(noise, 'x', sizeof(noise));
	while (sent < 1 << 20 && send(fd, noise, sizeof(noise), MSG_NOSIGNAL) > 0) {
		sent += sizeof(noise);
		turn();
	}
	assert_in_range(sent, 64 << 10, 256 << 10);
	wait_until_wanted(false);
	close(fd);
}

static void a_head_that_is_too_long_is_431(void **state)
{
	char noise[10000];
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = dial();
	memset(noise, 'x', sizeof(noise));
	say(fd, "GET / HTTP/1.1\r\na: ");
	send(fd, noise, sizeof(noise), MSG_NOSIGNAL);
	assert_non_null(strstr(hear(fd, NULL), "431 "));
	close(fd);
}

static void who_asks_for_nothing_makes_room(void **state)
{
	int idle, other, third;

	(void)state;
	start("--max-clients", "2");
	idle = dial();
	other = watch("GET /stream HTTP/1.1");
	third = watch("GET /stream HTTP/1.1");
	assert_string_equal(hear(idle, NULL), "");
	assert_answer("GET /state HTTP/1.1", "503 Service Unavailable");
	assert_int_equal(server_clients(server), 2);
	close(idle);
	close(other);
	close(third);
}

/* The listening socket stays readable then. */
static void without_descriptors_nothing_is_accepted_for_a_while(void **state)
{
	unsigned before;
	int fd;

	(void)state;
	start(NULL, NULL);
	before = n_accepts;
	has_no_files = true;
	fd = ask("GET /state HTTP/1.1");
	for (unsigned i = 0; i < 1000; i++)
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	has_no_files = false;
	assert_in_range(n_accepts - before, 1, 100);
	hear(fd, "200 OK");
	close(fd);
}

/* The server's end of a connection: the descriptor whose peer we are. */
static int find_other_end(int fd)
{
	struct sockaddr_in ours, peer;
	socklen_t size = sizeof(ours);

	getsockname(fd, (struct sockaddr *)&ours, &size);
	for (int at = 3; at < 100; at++) {
		size = sizeof(peer);
		if (getpeername(at, (struct sockaddr *)&peer, &size) == 0 &&
			peer.sin_family == AF_INET && peer.sin_port == ours.sin_port)
			return at;
	}
	return -1;
}

/* Time goes by until the server has closed its end. */
static void assert_given_up(int fd)
{
	int64_t until = now_ns() + PATIENCE_NS;

	while (find_other_end(fd) >= 0 && now_ns() < until) {
		pass_ms(50);
		turn();
	}
	assert_int_equal(find_other_end(fd), -1);
	close(fd);
}

static void who_takes_nothing_of_a_reply_is_closed(void **state)
{
	int fd;

	(void)state;
	start("--server-timeout", "1");
	line_room = 20;
	fd = ask("GET /state HTTP/1.1");
	hear(fd, "200 OK");
	assert_given_up(fd);
}

static void who_stops_taking_after_a_while_is_closed(void **state)
{
	int fd;

	(void)state;
	start("--server-timeout", "1");
	fd = watch("GET /stream HTTP/1.1");
	pass_ms(1500);
	turn();
	assert_int_equal(server_clients(server), 1); /* there was nothing to take */
	line_room = 0;
	publish(1);
	assert_given_up(fd);
}

/* It has heard why, and sends no more. */
static void who_does_not_close_after_it_was_refused_is_closed(void **state)
{
	int fd;

	(void)state;
	start(NULL, NULL);
	fd = ask("POST /state HTTP/1.1\r\nContent-Length: 9");
	hear(fd, NULL);
	assert_given_up(fd);
}

static void nothing_waits_in_the_kernel(void **state)
{
	int fd, end, value = 0;
	socklen_t size = sizeof(value);

	(void)state;
	start(NULL, NULL);
	fd = watch("GET /stream HTTP/1.1");
	end = find_other_end(fd);
	assert_int_equal(getsockopt(end, IPPROTO_TCP, TCP_NODELAY, &value, &size), 0);
	assert_int_equal(value, 1);
	assert_int_equal(getsockopt(end, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &size), 0);
	assert_in_range(value, 1, 128 << 10);
	close(fd);
}

static void a_peer_that_vanished_is_given_up_by_the_kernel(void **state)
{
	int fd, value = 0;
	socklen_t size = sizeof(value);

	(void)state;
	start("--server-timeout", "7");
	fd = watch("GET /stream HTTP/1.1");
	assert_int_equal(getsockopt(find_other_end(fd), IPPROTO_TCP, TCP_USER_TIMEOUT, &value,
				 &size),
		0);
	assert_int_equal(value, 7000);
	close(fd);
}

static void a_unix_socket_has_its_mode_and_goes_with_us(void **state)
{
	char path[64], url[80];
	struct server *second;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/hdmicast-test-%d.sock", (int)getpid());
	snprintf(url, sizeof(url), "unix:%s", path);
	start("--unix", path);
	assert_string_equal(server_url(server), url);
	assert_int_equal(server_create(&second, base, pipeline, &opt), -EADDRINUSE);
	opt.unix_rm = true;
	opt.unix_mode = 0640;
	assert_int_equal(server_create(&second, base, pipeline, &opt), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	server_destroy(server); /* not its own any more */
	assert_int_equal(stat(path, &st), 0);
	server = second;
	server_destroy(server);
	assert_int_equal(stat(path, &st), -1);
	server = NULL;
}

/* As at the start of the machine. The address is for documents: no network has it. */
static void an_address_that_is_not_there_yet_is_listened_on(void **state)
{
	static const char url[] = "http://203.0.113.7:";

	(void)state;
	start("--host", "203.0.113.7");
	assert_memory_equal(server_url(server), url, strlen(url));
}

static void the_address_of_all_is_for_ipv4_too(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	if (fd < 0)
		skip(); /* there is no IPv6 here */
	close(fd);
	start("--host", "::");
	assert_answer("GET /state HTTP/1.1", "200 OK");
}

static void what_cannot_be_opened_is_an_error(void **state)
{
	struct server *second = NULL;
	char path[64];
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/hdmicast-test-%d-XXXXXX", (int)getpid());
	fd = mkstemp(path); /* no socket */
	assert_true(fd >= 0);
	start(NULL, NULL);
	opt.port = atoi(strrchr(server_url(server), ':') + 1);
	assert_int_equal(server_create(&second, base, pipeline, &opt), -EADDRINUSE);
	opt.static_path = "/nonexistent";
	assert_int_equal(server_create(&second, base, pipeline, &opt), -ENOENT);
	opt.static_path = "";
	opt.systemd = true;
	assert_int_equal(server_create(&second, base, pipeline, &opt), -EINVAL);
	opt.unix_path = path;
	opt.unix_rm = true;
	assert_int_equal(server_create(&second, base, pipeline, &opt), -EEXIST);
	assert_null(second);
	assert_int_equal(unlink(path), 0); /* it is there still */
	close(fd);
}

#define TEST(name) cmocka_unit_test_teardown(name, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(requests_on_one_connection_are_answered_in_order),
		TEST(methods_and_paths_are_answered_as_the_contract_says),
		TEST(a_body_that_was_not_read_ends_the_connection),
		TEST(who_sends_what_is_refused_hears_why_and_no_reset),
		TEST(no_body_is_read_of_who_may_change_nothing),
		TEST(head_is_200_at_once_without_type_and_length),
		TEST(the_password_comes_after_404_and_options),
		TEST(a_viewer_gets_every_picture_at_once),
		TEST(a_newcomer_gets_the_latest_picture),
		TEST(a_busy_line_skips_to_the_newest_picture),
		TEST(a_picture_of_which_nothing_was_sent_gives_way_to_a_newer_one),
		TEST(a_picture_that_was_begun_is_completed),
		TEST(one_busy_line_costs_the_others_nothing),
		TEST(equal_pictures_are_left_out_but_not_for_ever),
		TEST(dual_final_frames_send_the_last_of_a_run_twice),
		TEST(the_last_picture_comes_twice_on_a_busy_line_too),
		TEST(a_snapshot_is_the_next_picture),
		TEST(a_picture_from_before_the_request_is_no_snapshot),
		TEST(h264_begins_with_the_first_key_frame),
		TEST(who_leaves_before_the_first_key_frame_is_gone),
		TEST(without_an_encoder_h264_is_503_and_why),
		TEST(without_a_key_frame_h264_is_503_after_a_while),
		TEST(state_tells_about_h264),
		TEST(times_in_metrics_are_seconds),
		TEST(a_head_must_be_complete_in_time),
		TEST(a_viewer_that_takes_nothing_is_closed),
		TEST(a_local_viewer_that_takes_nothing_is_closed),
		TEST(a_key_has_at_most_256_characters),
		TEST(a_viewer_that_talks_too_much_is_closed),
		TEST(a_head_that_is_too_long_is_431),
		TEST(who_asks_for_nothing_makes_room),
		TEST(without_descriptors_nothing_is_accepted_for_a_while),
		TEST(who_takes_nothing_of_a_reply_is_closed),
		TEST(who_stops_taking_after_a_while_is_closed),
		TEST(who_does_not_close_after_it_was_refused_is_closed),
		TEST(nothing_waits_in_the_kernel),
		TEST(a_peer_that_vanished_is_given_up_by_the_kernel),
		TEST(a_unix_socket_has_its_mode_and_goes_with_us),
		TEST(an_address_that_is_not_there_yet_is_listened_on),
		TEST(the_address_of_all_is_for_ipv4_too),
		TEST(what_cannot_be_opened_is_an_error),
	};

	calm_down(4);
	signal(SIGPIPE, SIG_IGN); /* main() does */
	log_init(LOG_LEVEL_ERROR - 1, LOG_COLOUR_NEVER);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
