// SPDX-License-Identifier: GPL-3.0-or-later
/* What hdmicast-dump tells of frames, by a clock of this test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/util.h"
#include "dump/input.h"
#include "dump/stats.h"

static int64_t clock_ns;
static struct stats *stats;
static int said_fd, stderr_fd;

int clock_gettime(clockid_t id, struct timespec *out)
{
	*out = (struct timespec){ clock_ns / NS_PER_S, clock_ns % NS_PER_S };
	return id == CLOCK_MONOTONIC ? 0 : (int)syscall(SYS_clock_gettime, id, out);
}

/* Frames go to stdout, so that this goes to stderr. */
static int begin(void **state)
{
	static const struct dump_options opt = { .output = "-", .json = true, .stats = true };

	(void)state;
	clock_ns = 1000 * NS_PER_S;
	stats = stats_create(&opt);
	return 0;
}

/* The last line. */
static const char *finish(void)
{
	static char said[1000];
	ssize_t size;

	said_fd = memfd_create("said", MFD_CLOEXEC);
	stderr_fd = dup(STDERR_FILENO);
	dup2(said_fd, STDERR_FILENO);
	stats_destroy(stats);
	dup2(stderr_fd, STDERR_FILENO);
	size = pread(said_fd, said, sizeof(said) - 1, 0);
	said[MAX(size, 0)] = '\0';
	close_fd(&said_fd);
	close_fd(&stderr_fd);
	return said;
}

/* Of 1000 bytes, when the clock is there. */
static void add(int64_t at_ms, struct dump_frame frame)
{
	clock_ns = 1000 * NS_PER_S + at_ms * NS_PER_MS;
	frame.arrived_ns = clock_ns;
	frame.size = 1000;
	if (frame.captured_ns)
		frame.captured_ns += clock_ns;
	if (frame.published_ns)
		frame.published_ns += clock_ns;
	stats_add(stats, &frame);
}

static void assert_says(const char *said, const char *expected)
{
	if (!strstr(said, expected))
		fail_msg("no %s in %s", expected, said);
}

static void rates_are_of_what_followed_the_first_frame(void **state)
{
	(void)state;
	for (int n = 0; n <= 10; n++)
		add(100 * n, (struct dump_frame){ 0 });
	assert_says(finish(), "{\"frames\": 11, \"fps\": 10.00, \"kbps\": 80.0, ");
}

static void rates_are_of_the_last_ten_seconds(void **state)
{
	(void)state;
	for (int n = 0; n < 300; n++)
		add(n < 100 ? 10 * n : 1000 + 100 * (n - 99), (struct dump_frame){ 0 });
	assert_says(finish(), "{\"frames\": 300, \"fps\": 10.00, \"kbps\": 80.0, ");
}

static void what_was_there_before_has_no_latency(void **state)
{
	const char *said;

	(void)state;
	add(0, (struct dump_frame){ .captured_ns = -5 * NS_PER_S, .was_there = true });
	add(0, (struct dump_frame){ 0 });
	add(0, (struct dump_frame){
		       .captured_ns = -20 * NS_PER_MS, .published_ns = -8 * NS_PER_MS });
	said = finish();
	assert_says(said, "\"latency_ms\": {\"p50\": 20.000, \"p95\": 20.000, \"p99\": 20.000}");
	assert_says(said, "\"published_ms\": {\"p50\": 12.000, \"p95\": 12.000, \"p99\": 12.000}");
}

static void without_times_there_is_no_latency(void **state)
{
	(void)state;
	add(0, (struct dump_frame){ 0 });
	assert_says(finish(), "\"latency_ms\": null, \"published_ms\": null, ");
}

static void drops_are_those_since_the_first_frame(void **state)
{
	(void)state;
	add(0, (struct dump_frame){ .is_counted = true, .dropped = 100, .lost = 1 });
	add(1, (struct dump_frame){ .is_counted = true, .dropped = 103, .lost = 4 });
	assert_says(finish(), "\"lost\": 5, \"dropped\": 3}\n");
}

static void drops_of_another_writer_begin_anew(void **state)
{
	(void)state;
	add(0, (struct dump_frame){ .is_counted = true, .dropped = 100 });
	add(1, (struct dump_frame){ .is_counted = true, .dropped = 2 });
	assert_says(finish(), "\"dropped\": 2}\n");
}

static void what_nobody_counts_is_null(void **state)
{
	(void)state;
	add(0, (struct dump_frame){ 0 });
	assert_says(finish(), "\"lost\": null, \"dropped\": null}\n");
}

/* ---- times that others wrote */

static struct dump_frame written;

static int next_written(struct input *input, struct dump_frame *out)
{
	(void)input;
	*out = written;
	return 0;
}

static void of_a_time_that_cannot_be_nothing_is_told(void **state)
{
	static const struct input_ops ops = { .next = next_written };
	static const int64_t bad[] = { -1, INT64_MIN, 0, 1000 * NS_PER_S + 1, INT64_MAX };
	struct input input = { .ops = &ops };
	struct dump_frame frame;

	(void)state;
	clock_ns = 1000 * NS_PER_S;
	written = (struct dump_frame){ .captured_ns = clock_ns, .published_ns = 1 };
	assert_int_equal(input_next(&input, &frame), 0);
	assert_int_equal(frame.captured_ns, clock_ns);
	assert_int_equal(frame.published_ns, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		written = (struct dump_frame){ .captured_ns = bad[i], .published_ns = bad[i] };
		assert_int_equal(input_next(&input, &frame), 0);
		assert_int_equal(frame.captured_ns, 0);
		assert_int_equal(frame.published_ns, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(rates_are_of_what_followed_the_first_frame),
		TEST(rates_are_of_the_last_ten_seconds),
		TEST(what_was_there_before_has_no_latency),
		TEST(without_times_there_is_no_latency),
		TEST(drops_are_those_since_the_first_frame),
		TEST(drops_of_another_writer_begin_anew),
		TEST(what_nobody_counts_is_null),
		cmocka_unit_test(of_a_time_that_cannot_be_nothing_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
