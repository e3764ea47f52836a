/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What depends on time between a writer and its readers, by a clock of this test's own. */
#include "rings.h"

#include <sys/syscall.h>

#include "shm/hdmicast-ring.h"

#define KEY  true
#define MORE false

static int64_t clock_ns = 1000 * NS_PER_S;

int clock_gettime(clockid_t id, struct timespec *out)
{
	*out = (struct timespec){ clock_ns / NS_PER_S, clock_ns % NS_PER_S };
	return id == CLOCK_MONOTONIC ? 0 : (int)syscall(SYS_clock_gettime, id, out);
}

static void step_clock(int64_t ms)
{
	clock_ns += ms * NS_PER_MS;
}

static unsigned count_readers(struct ring *ring)
{
	struct ring_readers readers;

	ring_get_readers(ring, &readers);
	return readers.count;
}

static bool is_asked(struct ring *ring)
{
	struct ring_readers readers;

	ring_get_readers(ring, &readers);
	return readers.key_request;
}

/* It has no lock by which the kernel could tell. */
static void who_shares_the_last_place_counts_for_ten_seconds(void **state)
{
	const unsigned others = HDMICAST_RING_READERS - 1;
	struct flock places = { .l_type = F_WRLCK,
		.l_start = sizeof(struct hdmicast_ring_control),
		.l_len = (off_t)(others * sizeof(struct hdmicast_ring_reader)) };
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader;
	int fd = open_object(".ctl", O_RDWR);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &places), 0);
	assert_int_equal(count_readers(ring), others);
	reader = new_reader();
	assert_int_equal(count_readers(ring), others + 1);
	step_clock(9999);
	assert_int_equal(count_readers(ring), others + 1);
	step_clock(1);
	assert_int_equal(count_readers(ring), others);
	assert_none(reader); /* it says that it is there */
	assert_int_equal(count_readers(ring), others + 1);
	close(fd);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void miss_one(struct ring *ring, struct hdmicast_ring *reader)
{
	publish(ring, 64, MORE);
	assert_none(reader);
}

static void who_waits_for_a_key_frame_asks_twice_a_second(void **state)
{
	struct ring *ring = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	assert_true(is_asked(ring));
	for (unsigned i = 0; i < 3; i++) {
		miss_one(ring, reader);
		assert_false(is_asked(ring));
		step_clock(499);
		miss_one(ring, reader);
		assert_false(is_asked(ring));
		step_clock(1);
		miss_one(ring, reader);
		assert_true(is_asked(ring));
	}
	publish(ring, 64, KEY);
	assert_next(reader, 9, 9);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

/* What follows an H.264 frame that was lost cannot be decoded. */
static void who_looked_too_late_asks_for_a_key_frame(void **state)
{
	struct ring *ring = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame;

	(void)state;
	publish(ring, 64, KEY);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_true(is_asked(ring)); /* when it came */
	for (unsigned i = 0; i < 4; i++)
		publish(ring, 64, MORE);
	assert_false(is_asked(ring));
	assert_false(hdmicast_ring_valid(reader, &frame));
	assert_true(is_asked(ring));
	assert_int_equal(hdmicast_ring_lost(reader), 1);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		RING_TEST(who_shares_the_last_place_counts_for_ten_seconds),
		RING_TEST(who_waits_for_a_key_frame_asks_twice_a_second),
		RING_TEST(who_looked_too_late_asks_for_a_key_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
