// SPDX-License-Identifier: GPL-3.0-or-later
/* What is said, how often and in which words: log, counts of bad frames, reasons. */
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "media/drops.h"
#include "pipeline/source_state.h"

#undef LOG_TOPIC
#define LOG_TOPIC "test"

static char said[65536];
static int saved_stderr, memory;

static void listen_to_stderr(void)
{
	fflush(stderr);
	memory = memfd_create("stderr", MFD_CLOEXEC);
	fcntl(memory, F_SETFL, O_APPEND);
	saved_stderr = dup(STDERR_FILENO);
	dup2(memory, STDERR_FILENO);
}

/* Lines that were said since. */
static unsigned stop_listening(void)
{
	unsigned lines = 0;
	ssize_t got;

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	got = pread(memory, said, sizeof(said) - 1, 0);
	said[MAX(got, 0)] = '\0';
	close(memory);
	for (const char *at = said; (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static int quiet(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_init(LOG_LEVEL_INFO, LOG_COLOUR_NEVER);
	return 0;
}

static void a_line_has_level_time_topic_and_text(void **state)
{
	char level[8], topic[16], text[32];
	double at;

	(void)state;
	listen_to_stderr();
	log_info("hello %d", 42);
	assert_int_equal(stop_listening(), 1);
	assert_int_equal(sscanf(said, "-- %7s [%lf %15[^]]] -- %31[^\n]", level, &at, topic, text),
		4);
	assert_string_equal(level, "INFO");
	assert_string_equal(topic + strspn(topic, " "), "test");
	assert_string_equal(text, "hello 42");
	assert_true(at > 0 && at <= (double)now_ns() / NS_PER_S);
}

static void levels_above_the_limit_are_silent(void **state)
{
	(void)state;
	listen_to_stderr();
	log_verbose("no");
	log_debug("no");
	log_error("yes");
	log_warn("yes");
	assert_int_equal(stop_listening(), 2);
	assert_false(log_enabled(LOG_LEVEL_PERF));
	log_init(LOG_LEVEL_DEBUG, LOG_COLOUR_NEVER);
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	listen_to_stderr();
	log_debug("yes");
	assert_int_equal(stop_listening(), 1);
}

static void logging_keeps_errno_and_knows_it(void **state)
{
	(void)state;
	listen_to_stderr();
	errno = ENOSPC;
	log_error("device: %m");
	assert_int_equal(errno, ENOSPC);
	errno = ENOSPC;
	log_debug("silent");
	assert_int_equal(errno, ENOSPC);
	stop_listening();
	assert_non_null(strstr(said, "device: No space left on device\n"));
}

static void logging_keeps_errno_also_when_nobody_can_hear_it(void **state)
{
	int before = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	int after;

	(void)state;
	dup2(full, STDERR_FILENO);
	errno = ENOENT;
	log_error("device: %m");
	after = errno;
	dup2(before, STDERR_FILENO);
	close(before);
	close(full);
	assert_int_equal(after, ENOENT);
}

static void long_lines_are_cut_and_still_end(void **state)
{
	char text[5000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	listen_to_stderr();
	log_info("%s", text);
	log_info("next");
	assert_int_equal(stop_listening(), 2);
	assert_in_range(strchr(said, '\n') - said, 500, 1024);
}

static void colours_come_only_when_forced(void **state)
{
	(void)state;
	log_init(LOG_LEVEL_INFO, LOG_COLOUR_AUTO);
	listen_to_stderr();
	log_info("plain");
	stop_listening();
	assert_null(strchr(said, '\033'));
	log_init(LOG_LEVEL_INFO, LOG_COLOUR_ALWAYS);
	listen_to_stderr();
	log_info("coloured");
	stop_listening();
	assert_non_null(strchr(said, '\033'));
}

static void under_the_journal_lines_carry_priorities(void **state)
{
	struct stat st;
	char stream[64];

	(void)state;
	listen_to_stderr();
	fstat(STDERR_FILENO, &st);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_init(LOG_LEVEL_DEBUG, LOG_COLOUR_AUTO);
	log_error("e");
	log_warn("w");
	log_info("i");
	log_debug("d");
	stop_listening();
	assert_string_equal(said, "<3>test: e\n<4>test: w\n<6>test: i\n<7>test: d\n");
}

static void a_journal_that_is_not_our_stderr_does_not_count(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:2", 1);
	listen_to_stderr();
	log_init(LOG_LEVEL_INFO, LOG_COLOUR_NEVER);
	log_info("i");
	stop_listening();
	assert_memory_equal(said, "-- INFO", 7);
}

static void *talk(void *arg)
{
	log_name_thread("talker");
	for (int i = 0; i < 100; i++)
		log_info("%s", (const char *)arg);
	return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
	static const char *const text[] = { "aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb" };
	pthread_t thread[2];
	unsigned whole = 0;

	(void)state;
	listen_to_stderr();
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, talk, (void *)text[i]), 0);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(stop_listening(), 200);
	for (char *line = said, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		whole += end - line > 20 &&
			 (!strcmp(end - 20, text[0]) || !strcmp(end - 20, text[1]));
	}
	assert_int_equal(whole, 200);
}

static void each_reason_for_a_drop_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (unsigned a = 0; a < DROP_REASONS; a++) {
		assert_non_null(drops_name((enum drop_reason)a));
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(drops_name((enum drop_reason)a),
				drops_name((enum drop_reason)b));
	}
}

static void drops_are_counted_apart(void **state)
{
	struct drops drops = { 0 };

	(void)state;
	listen_to_stderr();
	for (int i = 0; i < 5; i++)
		drops_add(&drops, DROP_EMPTY, "no bytes");
	drops_add(&drops, DROP_TRUNCATED, "%d bytes", 9);
	stop_listening();
	assert_int_equal(drops_get(&drops, DROP_EMPTY), 5);
	assert_int_equal(drops_get(&drops, DROP_TRUNCATED), 1);
	assert_int_equal(drops_get(&drops, DROP_MALFORMED), 0);
}

static void a_drop_is_said_once_a_second_for_each_reason(void **state)
{
	struct drops drops = { 0 };

	(void)state;
	listen_to_stderr();
	for (int i = 0; i < 1000; i++) {
		drops_add(&drops, DROP_EMPTY, "no bytes");
		drops_add(&drops, DROP_SMALL, "%d bytes", 7);
	}
	assert_int_equal(stop_listening(), 2);
	assert_non_null(strstr(said, "7 bytes (small, 1 so far)"));
	/* A second later; there is no need to wait for it. */
	atomic_store(&drops.logged_ns[DROP_EMPTY], now_ns() - 2 * NS_PER_S);
	listen_to_stderr();
	drops_add(&drops, DROP_EMPTY, "no bytes");
	drops_add(&drops, DROP_SMALL, "7 bytes");
	assert_int_equal(stop_listening(), 1);
	assert_non_null(strstr(said, "(empty, 1001 so far)"));
}

static void *drop_much(void *arg)
{
	for (int i = 0; i < 1000; i++)
		drops_add(arg, DROP_FLAGGED, "damaged");
	return NULL;
}

static void threads_drop_together_and_say_it_once(void **state)
{
	struct drops drops = { 0 };
	pthread_t thread[4];

	(void)state;
	listen_to_stderr();
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, drop_much, &drops), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	assert_in_range(stop_listening(), 1, 3); /* more than one when it takes seconds */
	assert_int_equal(drops_get(&drops, DROP_FLAGGED), 4000);
}

static void every_error_has_words_and_a_remedy(void **state)
{
	static const struct {
		int error;
		const char *state;
	} known[] = {
		{ 0, "online" },
		{ 1, "starting" },
		{ -ENODEV, "no-device" },
		{ -ENOENT, "no-device" },
		{ -ENXIO, "no-device" },
		{ -EACCES, "no-permission" },
		{ -EPERM, "no-permission" },
		{ -EBUSY, "busy" },
		{ -ENOTTY, "not-a-grabber" },
		{ -ENOTCONN, "no-cable" },
		{ -ENOLINK, "no-signal" },
		{ -ENOLCK, "no-sync" },
		{ -ERANGE, "unsupported-mode" },
		{ -EOVERFLOW, "too-fast" },
		{ -ENOSPC, "no-bandwidth" },
		{ -ENOMEM, "no-memory" },
		{ -ETIMEDOUT, "no-frames" },
		{ -EIO, "device-error" },
		{ -EPROTO, "device-error" },
		{ -12345, "device-error" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		const struct source_state *row = source_state_find(known[i].error);

		assert_string_equal(row->name, known[i].state);
		assert_true(*row->text);
		assert_true(known[i].error == 0 || *row->hint);
		assert_string_equal(row->hint + strcspn(row->hint, "\n"), "");
	}
	assert_true(source_state_find(-ENODEV)->device);
	assert_false(source_state_find(-ENOLINK)->device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_has_level_time_topic_and_text, quiet),
		cmocka_unit_test_setup(levels_above_the_limit_are_silent, quiet),
		cmocka_unit_test_setup(logging_keeps_errno_and_knows_it, quiet),
		cmocka_unit_test_setup(logging_keeps_errno_also_when_nobody_can_hear_it, quiet),
		cmocka_unit_test_setup(long_lines_are_cut_and_still_end, quiet),
		cmocka_unit_test_setup(colours_come_only_when_forced, quiet),
		cmocka_unit_test_setup(under_the_journal_lines_carry_priorities, quiet),
		cmocka_unit_test_setup(a_journal_that_is_not_our_stderr_does_not_count, quiet),
		cmocka_unit_test_setup(lines_of_several_threads_do_not_mix, quiet),
		cmocka_unit_test(each_reason_for_a_drop_has_a_name_of_its_own),
		cmocka_unit_test_setup(drops_are_counted_apart, quiet),
		cmocka_unit_test_setup(a_drop_is_said_once_a_second_for_each_reason, quiet),
		cmocka_unit_test_setup(threads_drop_together_and_say_it_once, quiet),
		cmocka_unit_test(every_error_has_words_and_a_remedy),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
