// SPDX-License-Identifier: GPL-3.0-or-later
/* One port and two protocols: who gets which connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "net/accept.h"

#define PATIENCE 20000 /* turns of a millisecond, against hanging for ever */

static struct event_base *base;
static struct connection_set *set;
static struct acceptor *acceptor;
static int listening;
static int64_t ahead_ns;

/* libevent's clock, too. */
int clock_gettime(clockid_t id, struct timespec *out)
{
	int res = (int)syscall(SYS_clock_gettime, id, out);

	out->tv_sec += ahead_ns / NS_PER_S;
	return res;
}

/* What both do: they say who they are, and what they were told. */
struct speaker {
	const char *name;
	struct connection *conn;
};

static void on_input(void *arg)
{
	struct speaker *speaker = arg;
	struct evbuffer *in = connection_input(speaker->conn);

	if (!evbuffer_get_length(in))
		return;
	evbuffer_add_printf(connection_output(speaker->conn), "%s:", speaker->name);
	evbuffer_add_buffer(connection_output(speaker->conn), in);
	connection_flush(speaker->conn);
}

static void on_closed(void *arg)
{
	(void)arg;
}

static const struct connection_owner owner = { .input = on_input, .closed = on_closed };

static void begin(void *arg, struct connection *conn)
{
	struct speaker *speaker = xcalloc(1, sizeof(*speaker));

	speaker->name = arg;
	speaker->conn = conn;
	connection_own(conn, &owner, speaker, speaker);
	connection_read(conn, 1024);
}

static enum protocol_guess knows_bells(const uint8_t *bytes, size_t size)
{
	if (bytes[0] != '\a')
		return PROTOCOL_IS_NOT;
	if (size < 2)
		return PROTOCOL_MAY_BE;
	return bytes[1] == '!' ? PROTOCOL_IS : PROTOCOL_IS_NOT;
}

static char bells_name[] = "bells", words_name[] = "words";
static const struct protocol bells = { .knows = knows_bells, .begin = begin, .arg = bells_name };
static const struct protocol words = { .begin = begin, .arg = words_name, .busy = "no room" };

static int setup(void **state)
{
	const struct connection_limits limits = { .connections = 2, .timeout_s = 5 };
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	(void)state;
	listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listening, 8), 0);
	base = event_base_new();
	set = connection_set_create(base, &limits);
	assert_int_equal(acceptor_create(&acceptor, base, listening, set), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	acceptor_destroy(acceptor);
	connection_set_destroy(set);
	event_base_free(base);
	close(listening);
	return 0;
}

static void turn(void)
{
	const struct timeval wait = { .tv_usec = 1000 };

	event_base_loopexit(base, &wait);
	event_base_loop(base, 0);
}

static int come(void)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	getsockname(listening, (struct sockaddr *)&address, &size);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* "": the end. */
static void hear(int fd, const char *text)
{
	size_t size = 0, most = MAX(strlen(text), 1);
	char heard[64] = "";
	ssize_t got = -1;

	for (int i = 0; i < PATIENCE && size < most && got != 0; i++) {
		turn();
		got = recv(fd, heard + size, most - size, MSG_DONTWAIT);
		size += got > 0 ? (size_t)got : 0;
	}
	assert_string_equal(heard, text);
	assert_true(*text || got == 0);
}

static void each_protocol_gets_its_connections(void **state)
{
	int first = come(), second = come();

	(void)state;
	acceptor_register(acceptor, &bells);
	acceptor_register(acceptor, &words);
	say(first, "hello");
	hear(first, "words:hello");
	say(second, "\a!");
	hear(second, "bells:\a!");
	say(first, "\a");
	hear(first, "words:\a"); /* only the first bytes matter */
	close(first);
	close(second);
}

static void what_may_be_a_protocols_is_waited_for(void **state)
{
	int first = come(), second = come();

	(void)state;
	acceptor_register(acceptor, &bells);
	acceptor_register(acceptor, &words);
	say(first, "\a");
	say(second, "\a");
	for (int i = 0; i < PATIENCE && connection_set_count(set) < 2; i++)
		turn();
	turn();
	say(first, "!");
	hear(first, "bells:\a!");
	say(second, "?");
	hear(second, "words:\a?");
	close(first);
	close(second);
}

static void a_protocol_that_is_alone_begins_before_a_byte(void **state)
{
	int fd = come();

	(void)state;
	acceptor_register(acceptor, &words);
	for (int i = 0; i < PATIENCE && !connection_set_count(set); i++)
		turn();
	assert_false(connection_set_shed(set, 0)); /* it is nobody's to close */
	say(fd, "hello");
	hear(fd, "words:hello");
	close(fd);
}

static void what_nobody_knows_is_closed(void **state)
{
	int fd = come();

	(void)state;
	acceptor_register(acceptor, &bells);
	say(fd, "hello");
	hear(fd, "");
	close(fd);
}

static void who_says_nothing_is_closed(void **state)
{
	int fd = come();

	(void)state;
	acceptor_register(acceptor, &bells);
	acceptor_register(acceptor, &words);
	for (int i = 0; i < PATIENCE && !connection_set_count(set); i++)
		turn();
	assert_int_equal(connection_set_count(set), 1);
	ahead_ns += 6 * NS_PER_S;
	hear(fd, "");
	close(fd);
}

static void who_says_nothing_makes_room(void **state)
{
	int fd[3];

	(void)state;
	acceptor_register(acceptor, &bells);
	acceptor_register(acceptor, &words);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = come();
	say(fd[2], "hello");
	hear(fd[2], "words:hello");
	hear(fd[0], "");
	say(fd[1], "hello");
	hear(fd[1], "words:hello");
	fd[0] = come();
	hear(fd[0], "no room"); /* for nobody is silent any more */
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_protocol_gets_its_connections),
		TEST(what_may_be_a_protocols_is_waited_for),
		TEST(a_protocol_that_is_alone_begins_before_a_byte),
		TEST(what_nobody_knows_is_closed),
		TEST(who_says_nothing_is_closed),
		TEST(who_says_nothing_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
