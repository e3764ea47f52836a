/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rings of their own for tests, and frames whose every byte is known. */
#ifndef RINGS_H
#define RINGS_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "shm/ring.h"

static inline const char *ring_name(void)
{
	static char name[64];

	/* Kept over fork(): children use their parent's. */
	if (!*name)
		snprintf(name, sizeof(name), "hdmicast-test-%d", (int)getpid());
	return name;
}

static inline struct ring *new_ring(size_t bytes, unsigned slots)
{
	const struct ring_options opt = { .name = ring_name(),
		.bytes = bytes,
		.slots = slots,
		.mode = 0640,
		.group = RING_GROUP_KEEP };
	struct ring *ring = NULL;

	assert_int_equal(ring_create(&ring, &opt), 0);
	return ring;
}

static inline struct hdmicast_ring *new_reader(void)
{
	struct hdmicast_ring *reader = NULL;

	assert_int_equal(hdmicast_ring_open(&reader, ring_name(), 0), 0);
	return reader;
}

static inline uint32_t known_word(uint32_t n, size_t i)
{
	return (n + 1) * 2654435761u ^ (uint32_t)i * 40503u;
}

/* Watched by no sanitizer of races: a frame may be overwritten while it is looked at. */
__attribute__((no_sanitize_thread, unused)) static bool is_known(const volatile uint32_t *words,
	size_t size, uint32_t n)
{
	for (size_t i = 0; i < size / 4; i++)
		if (words[i] != known_word(n, i))
			return false;
	return true;
}

/* Of words that are the caller's, so that a handler of signals may. */
static inline int publish_in(struct ring *ring, uint32_t *words, size_t size, bool key)
{
	const uint32_t n = (uint32_t)ring_published(ring);
	const struct hdmicast_ring_slot what = { .flags = key ? HDMICAST_FRAME_KEY : 0 };
	const struct iovec piece = { words, size };

	for (size_t i = 0; i < size / 4; i++)
		words[i] = known_word(n, i);
	return ring_publish(ring, &piece, 1, &what);
}

/* size: a multiple of four. The bytes say which frame of its ring it is. */
static inline int publish(struct ring *ring, size_t size, bool key)
{
	AUTO(auto_free) uint32_t *words = malloc(size + 4);

	return publish_in(ring, words, size, key);
}

static inline void assert_next(struct hdmicast_ring *reader, uint64_t sequence, uint64_t lost)
{
	struct hdmicast_frame frame;

	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_int_equal(frame.sequence, sequence);
	assert_int_equal(frame.lost, lost);
	assert_true(is_known(frame.data, frame.size, (uint32_t)sequence));
	assert_true(hdmicast_ring_valid(reader, &frame));
}

static inline void assert_none(struct hdmicast_ring *reader)
{
	struct hdmicast_frame frame;

	assert_int_equal(hdmicast_ring_next(reader, &frame), -EAGAIN);
}

/* Opens one of the objects behind the back of writer and reader. */
static inline int open_object(const char *suffix, int flags)
{
	char name[96];

	snprintf(name, sizeof(name), "/%s%s", ring_name(), suffix);
	return shm_open(name, flags, 0600);
}

/* Before each test: what a failed one left behind would fail all that follow. */
static inline int remove_objects(void **state)
{
	char name[96];

	(void)state;
	snprintf(name, sizeof(name), "/%s", ring_name());
	shm_unlink(name);
	snprintf(name, sizeof(name), "/%s.ctl", ring_name());
	shm_unlink(name);
	return 0;
}

#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, remove_objects, remove_objects)

#endif
