// SPDX-License-Identifier: GPL-3.0-or-later
/* The thread of a sink between an outlet and a ring: the test is the encoder, and the readers. */
#include <linux/videodev2.h>
#include <stdatomic.h>

#include "rings.h"
#include "shm/sink.h"
#include "preload.h"

#define PATIENCE_NS (15 * NS_PER_S)

static struct option_sink opt;
static struct drops drops;
static struct outlet *outlet;
static struct sink *sink;
static atomic_int asked; /* the encoder, for a key frame */

static struct frame *on_wanted(void *arg, bool is_wanted)
{
	(void)arg;
	(void)is_wanted;
	return NULL;
}

static void on_need_key(void *arg)
{
	(void)arg;
	asked++;
}

static const struct outlet_events events = { on_wanted, on_need_key };

static void release(struct frame *frame)
{
	free(frame);
}

static void publish_unit(bool key)
{
	static uint8_t bytes[64];
	struct frame *frame = xcalloc(1, sizeof(*frame));

	frame_init(frame, release, NULL);
	frame->format = V4L2_PIX_FMT_H264;
	frame->key = key;
	frame->plane[0] = (struct frame_plane){ bytes, 0, sizeof(bytes) };
	outlet_publish(outlet, frame);
	frame_unref(frame);
}

#define AWAIT(condition)                                         \
	do {                                                     \
		const int64_t until_ns = now_ns() + PATIENCE_NS; \
                                                                 \
		while (!(condition)) {                           \
			assert_true(now_ns() < until_ns);        \
			usleep(1000);                            \
		}                                                \
	} while (0)

static int set_up(void **state)
{
	const struct sink_config config = { .thread = "sink-test",
		.ops = &backend_ring,
		.backend = { .opt = &opt, .medium = MEDIUM_H264 },
		.drops = &drops,
		.outlet = outlet = outlet_create(&events, NULL) };

	remove_objects(state);
	opt = (struct option_sink){ .name = ring_name(), .mode = 0600, .group = OPTION_GROUP_KEEP };
	asked = 0;
	return sink_create(&sink, &config);
}

static int tear_down(void **state)
{
	sink_destroy(sink);
	outlet_destroy(outlet);
	return remove_objects(state);
}

static uint64_t written(void)
{
	struct sink_status status;

	sink_get_status(sink, &status);
	return status.written;
}

static struct hdmicast_ring *come(void)
{
	struct hdmicast_ring *reader = NULL;

	AWAIT(hdmicast_ring_open(&reader, ring_name(), 0) == 0);
	return reader;
}

/* Both have a frame, and no request is open any more. */
static void begin(struct hdmicast_ring *reader[2])
{
	struct hdmicast_frame frame;
	const uint64_t before = written();

	for (unsigned i = 0; i < 2; i++)
		reader[i] = come();
	AWAIT(outlet_wanted(outlet));
	publish_unit(true);
	AWAIT(written() > before);
	for (unsigned i = 0; i < 2; i++)
		AWAIT(hdmicast_ring_next(reader[i], &frame) == 0);
	usleep(300000); /* what they said when they came is heard, and answered */
	publish_unit(true);
	AWAIT(written() > before + 1);
}

static void end(struct hdmicast_ring *reader[2])
{
	for (unsigned i = 0; i < 2; i++)
		hdmicast_ring_close(reader[i]);
}

static void a_request_soon_after_another_is_passed_on_too(void **state)
{
	struct hdmicast_ring *reader[2];
	int before;

	(void)state;
	begin(reader);
	for (unsigned i = 0; i < 4; i++) {
		before = asked;
		assert_int_equal(hdmicast_ring_request_key(reader[i % 2]), 0);
		AWAIT(asked == before + 1);
	}
	end(reader);
}

static void a_request_soon_after_a_reader_came_is_passed_on_too(void **state)
{
	struct hdmicast_ring *reader;
	int before;

	(void)state;
	reader = come();
	AWAIT(outlet_wanted(outlet));
	before = asked;
	assert_int_equal(hdmicast_ring_request_key(reader), 0);
	AWAIT(asked > before);
	hdmicast_ring_close(reader);
}

/* It cannot be older than the request: that was heard before. */
static void a_key_frame_answers_all_requests_before_it(void **state)
{
	struct hdmicast_ring *reader[2];
	unsigned n_alone = 0;
	int before;

	(void)state;
	begin(reader);
	/* Now and then the machine may be busy, and the second one passed on before the key frame. */
	for (unsigned i = 0; i < 10 && !n_alone; i++) {
		before = asked;
		assert_int_equal(hdmicast_ring_request_key(reader[0]), 0);
		AWAIT(asked > before);
		assert_int_equal(hdmicast_ring_request_key(reader[1]), 0);
		usleep(70000); /* it is heard within 50 ms, and passed on after 100 */
		publish_unit(true);
		usleep(200000);
		assert_in_range(asked, before + 1, before + 2);
		n_alone += asked == before + 1;
	}
	assert_int_equal(n_alone, 1);
	end(reader);
}

static void requests_are_spaced(void **state)
{
	struct hdmicast_ring *reader[2];
	const int64_t length_ns = NS_PER_S / 2;
	int64_t began;
	int before;

	(void)state;
	begin(reader);
	before = asked;
	for (began = now_ns(); now_ns() - began < length_ns; usleep(1000))
		assert_int_equal(hdmicast_ring_request_key(reader[0]), 0);
	assert_in_range(asked - before, 2, (now_ns() - began) / (100 * NS_PER_MS) + 1);
	end(reader);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_soon_after_another_is_passed_on_too),
		TEST(a_request_soon_after_a_reader_came_is_passed_on_too),
		TEST(a_key_frame_answers_all_requests_before_it),
		TEST(requests_are_spaced),
	};

	calm_down(6);
	return cmocka_run_group_tests_name("sink of a ring", tests, NULL, NULL);
}
