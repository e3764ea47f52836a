// SPDX-License-Identifier: GPL-3.0-or-later
/* The thread of a sink with a backend that is the test's: locked by readers, or without room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "shm/sink.h"

#define PATIENCE_NS (60 * NS_PER_S)

static struct outlet *outlet;
static struct sink_backend backend;
static atomic_uint n_released, n_released_in_lock, written, n_unlocked;
static uint64_t told;            /* of frames that were lost, with the one that was written */
static atomic_bool is_published; /* the first one, and only its reader has it */
static bool is_free;             /* set before start, as what follows */
static unsigned n_full;          /* tries to open it that fail */

static void release(struct frame *frame)
{
	n_released++;
	free(frame);
}

static void publish(uint32_t sequence)
{
	struct frame *frame = xcalloc(1, sizeof(*frame));

	frame_init(frame, release, NULL);
	frame->format = V4L2_PIX_FMT_YUYV;
	frame->key = true;
	frame->sequence = sequence;
	outlet_publish(outlet, frame);
	frame_unref(frame);
}

static int open_store(struct sink_backend **out, const struct backend_config *config)
{
	(void)config;
	if (n_full) {
		n_full--;
		return -ENOSPC;
	}
	*out = &backend;
	return 0;
}

static void close_store(struct sink_backend *self)
{
	(void)self;
}

static int look(struct sink_backend *self, int64_t now, struct backend_view *view)
{
	(void)self, (void)now;
	*view = (struct backend_view){ .readers = 1 };
	return 0;
}

/* While readers keep the lock, a newer picture comes. */
static bool lock(struct sink_backend *self, bool may_wait)
{
	(void)self;
	if (may_wait && !n_released_in_lock) {
		while (!is_published)
			continue;
		publish(2);
		n_released_in_lock = n_released;
	}
	return is_free;
}

static void unlock(struct sink_backend *self)
{
	(void)self;
	n_unlocked++;
}

static int write_frame(struct sink_backend *self, const struct frame *frame, uint64_t dropped)
{
	(void)self;
	told = dropped;
	written = (unsigned)frame->sequence;
	return 0;
}

static const struct backend_ops ops = {
	.name = "test",
	.names = "",
	.larger = "",
	.open = open_store,
	.close = close_store,
	.look = look,
	.write = write_frame,
	.lock = lock,
	.unlock = unlock,
};

static struct sink *start(bool is_it_free)
{
	static const struct option_sink opt = { .name = "test" };
	static struct drops drops;
	struct sink_config config = { .thread = "sink-test",
		.ops = &ops,
		.backend = { .opt = &opt, .medium = MEDIUM_RAW },
		.drops = &drops };
	struct sink *sink;

	n_released = n_released_in_lock = written = n_unlocked = 0;
	told = 0;
	is_published = false;
	is_free = is_it_free;
	config.outlet = outlet = outlet_create(NULL, NULL);
	assert_int_equal(sink_create(&sink, &config), 0);
	for (int64_t until_ns = now_ns() + PATIENCE_NS; !outlet_wanted(outlet);)
		assert_true(now_ns() < until_ns);
	publish(1);
	is_published = true;
	return sink;
}

/* A capture buffer, say, which nobody can fill while it is kept. */
static void no_frame_is_kept_while_readers_keep_the_lock(void **state)
{
	struct sink *sink = start(true);

	(void)state;
	for (int64_t until_ns = now_ns() + PATIENCE_NS; !written;)
		assert_true(now_ns() < until_ns);
	assert_int_equal(written, 2);
	assert_int_equal(n_released_in_lock, 1);
	sink_destroy(sink);
	outlet_destroy(outlet);
	assert_int_equal(n_released, 2);
}

static void readers_hear_how_many_frames_were_lost_before_theirs(void **state)
{
	struct sink *sink = start(true);

	(void)state;
	for (int64_t until_ns = now_ns() + PATIENCE_NS; !written;)
		assert_true(now_ns() < until_ns);
	assert_int_equal(told, 1); /* the second picture came while the first waited */
	sink_destroy(sink);
	outlet_destroy(outlet);
}

static void a_frame_that_readers_keep_out_is_skipped(void **state)
{
	struct sink *sink = start(false);
	struct sink_status status = { 0 };

	(void)state;
	for (int64_t until_ns = now_ns() + PATIENCE_NS; !status.skipped;) {
		assert_true(now_ns() < until_ns);
		sink_get_status(sink, &status);
	}
	sink_destroy(sink);
	outlet_destroy(outlet);
	assert_int_equal(written, 0);
	assert_int_equal(n_unlocked, 0);
	assert_int_equal(n_released, 2);
}

/* A killed daemon's memory is had back as soon as its readers have noticed. */
static void room_is_looked_for_again_soon(void **state)
{
	struct sink *sink;

	(void)state;
	n_full = 1;
	sink = start(true); /* waits for less than the ten seconds of all later tries */
	sink_destroy(sink);
	outlet_destroy(outlet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_frame_is_kept_while_readers_keep_the_lock),
		cmocka_unit_test(readers_hear_how_many_frames_were_lost_before_theirs),
		cmocka_unit_test(a_frame_that_readers_keep_out_is_skipped),
		cmocka_unit_test(room_is_looked_for_again_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
