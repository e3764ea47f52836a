// SPDX-License-Identifier: GPL-3.0-or-later
/* A program of 32 bits reads what this one, of 64, writes: each field, each byte. */
#include <poll.h>
#include <sys/wait.h>

#include "ringlines.h"
#include "rings.h"

#define FRAMES 4

#ifndef READER32
#define READER32 "reader32"
#endif

/* Two planes, and numbers that have more than 32 bits. */
static void publish_one(struct ring *ring, unsigned n)
{
	static uint8_t bytes[3000];
	const struct frame frame = {
		.format = 0x3231564e,
		.width = 4096 + n,
		.height = 2160,
		.plane = { { bytes, 8192, 2000 }, { bytes + 2000, 4096, n } },
		.range = RANGE_FULL,
		.matrix = MATRIX_709,
		.key = n == 0,
		.online = true,
		.sequence = (1ull << 40) + n,
		.captured_ns = INT64_MAX - n,
		.encode_begin_ns = (1ll << 50) + n,
		.encode_end_ns = (1ll << 51) + n,
	};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + n);
	assert_int_equal(ring_publish_frame(ring, &frame, (1ull << 33) + n), 0);
}

/* How programs of 32 bits are started here: by the kernel, by qemu-i386 where it has none, or not. */
static const char *find_way(void)
{
	/* Without arguments it says 2; the shell says 126 for what the kernel does not take. */
	if (WEXITSTATUS(system(READER32 " 2>/dev/null")) == 2)
		return "";
	if (WEXITSTATUS(system("qemu-i386 " READER32 " 2>/dev/null")) == 2)
		return "qemu-i386 ";
	return NULL;
}

static FILE *start_reader32(const char *way)
{
	char command[256];
	FILE *out;

	snprintf(command, sizeof(command), "timeout 500 %s" READER32 " %s %d 2>&1", way,
		ring_name(), FRAMES);
	out = popen(command, "r");
	assert_non_null(out);
	return out;
}

static void assert_line(FILE *from, const char *expected)
{
	char line[RINGLINE_SIZE] = "";

	assert_non_null(fgets(line, sizeof(line), from));
	line[strcspn(line, "\n")] = 0;
	assert_string_equal(line, expected);
}

static void await_request(struct ring *ring)
{
	const int64_t until = now_ns() + 300 * NS_PER_S;
	struct ring_readers readers;

	/* Ours never asks once it has a key frame, so who asks is the other one. */
	do {
		assert_true(now_ns() < until);
		poll(NULL, 0, 1);
		ring_get_readers(ring, &readers);
	} while (readers.count < 2 || !readers.key_request);
}

static void a_reader_of_32_bits_reads_what_64_bits_write(void **state)
{
	struct hdmicast_ring *reader;
	struct hdmicast_frame frame;
	struct ring_readers readers;
	char expected[RINGLINE_SIZE];
	const char *way;
	struct ring *ring;
	FILE *out;

	(void)state;
	if (access(READER32, X_OK)) {
		print_message("no compiler for 32 bits: install gcc-multilib, or this is no x86\n");
		skip();
	}
	way = find_way();
	if (!way) {
		print_message("this kernel runs no programs of 32 bits: install qemu-user\n");
		skip();
	}
	assert_int_equal(sizeof(void *), 8);
	ring = new_ring(1 << 20, 8);
	publish_one(ring, 0);
	reader = new_reader();
	ring_get_readers(ring, &readers);
	out = start_reader32(way);
	assert_line(out, "32 bits");
	for (unsigned n = 0; n < FRAMES; n++) {
		if (n)
			publish_one(ring, n);
		assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
		assert_int_equal(frame.size, 2000 + n);
		describe_frame(expected, &frame);
		if (!n)
			await_request(ring);
		assert_line(out, expected);
	}
	assert_int_equal(pclose(out), 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(a_reader_of_32_bits_reads_what_64_bits_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
