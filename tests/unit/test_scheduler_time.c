// SPDX-License-Identifier: GPL-3.0-or-later
/* The scheduler on a clock of the test's own: what it leaves out and asks for, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <sys/eventfd.h>

#include "clock.h"
#include "encoder/scheduler.h"
#include "fake_encoder.h"

#define ANSWER_MS 20000 /* of real time, against hanging for ever */
#define SIDE      64
#define FRAME_NS  (NS_PER_S / 30)

static struct options opt;
static struct drops drops;
static struct supervisor supervisor;
static struct scheduler scheduler;
static struct outlet *outlet;
static struct mailbox *mailbox, *viewer;
static struct frame_pool *pool;
static int wake_fd;
static uint64_t sequence;

static int setup(void **state)
{
	(void)state;
	memset(&fake_hardware, 0, sizeof(fake_hardware));
	opt = (struct options){
		.h264_bitrate_kbps = 1000, .h264_m2m_device = "", .format = V4L2_PIX_FMT_UYVY
	};
	sequence = 0;
	outlet = outlet_create(NULL, NULL);
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pool = frame_pool_create(4);
	assert_int_equal(mailbox_create(&viewer, 256), 0);
	assert_int_equal(mailbox_create(&mailbox, 1), 0);
	outlet_attach(outlet, viewer);
	supervisor_init(&supervisor, H264_ENCODER_AUTO, outlet, wake_fd);
	supervisor.policy.hardware = &fake_hardware_ops;
	supervisor.policy.software = NULL;
	return scheduler_init(&scheduler, &opt, &drops, &supervisor, mailbox);
}

static void await_wake(void)
{
	struct pollfd on = { .fd = wake_fd, .events = POLLIN };
	eventfd_t count;

	assert_int_equal(poll(&on, 1, ANSWER_MS), 1);
	eventfd_read(wake_fd, &count);
}

static int teardown(void **state)
{
	(void)state;
	atomic_store(&fake_hardware.silent, 0);
	supervisor_finish(&supervisor, ANSWER_MS);
	scheduler_finish(&scheduler);
	outlet_detach(outlet, viewer);
	mailbox_destroy(viewer);
	mailbox_destroy(mailbox);
	outlet_destroy(outlet);
	frame_pool_destroy(pool);
	close(wake_fd);
	return 0;
}

static struct frame *make_frame(uint8_t grey)
{
	size_t size = SIDE * SIDE * 3 / 2;
	struct frame *frame;

	assert_int_equal(frame_pool_get(pool, size, &frame), 0);
	memset(frame->plane[0].data, grey, size);
	frame->format = V4L2_PIX_FMT_YUV420;
	frame->width = frame->height = SIDE;
	frame->plane[0].stride = SIDE;
	frame->plane[0].size = SIDE * SIDE;
	for (unsigned p = 1; p < 3; p++)
		frame->plane[p] = (struct frame_plane){ frame->plane[p - 1].data +
								frame->plane[p - 1].size,
			SIDE / 2, SIDE * SIDE / 4 };
	frame->key = frame->online = true;
	frame->sequence = ++sequence;
	frame->captured_ns = frame->grabbed_ns = now_ns();
	return frame;
}

static bool is_waiting(void)
{
	struct pollfd on = { .fd = mailbox_fd(mailbox), .events = POLLIN };

	return scheduler.held || poll(&on, 1, 0) == 1;
}

/*
 * Feeds it until it has been looked at. True: it went in, and its access unit has come out, but for
 * a silent encoder's.
 */
static bool feed(struct frame *frame)
{
	int64_t before_ns = scheduler.submitted_ns;
	int before = atomic_load(&fake_hardware.submitted);
	bool silent = atomic_load(&fake_hardware.silent);

	frame_unref(mailbox_take(viewer));
	mailbox_put(mailbox, frame);
	for (;;) {
		supervisor_tend(&supervisor, now_ns());
		scheduler_feed(&scheduler, now_ns());
		if (!is_waiting())
			break;
		await_wake();
	}
	if (scheduler.submitted_ns == before_ns)
		return false;
	for (;;) {
		supervisor_tend(&supervisor, now_ns());
		if (silent ? atomic_load(&fake_hardware.submitted) > before
			   : !supervisor.view.in_flight)
			return true;
		await_wake();
	}
}

static bool feed_after(int64_t ns, uint8_t grey)
{
	clock_pass(ns);
	return feed(make_frame(grey));
}

static void ask_for_key(void)
{
	atomic_store(&scheduler.asked_ns, now_ns());
}

static void a_picture_that_never_gets_sharp_is_encoded_for_two_seconds(void **state)
{
	int64_t begin;

	(void)state;
	opt.h264_static_fps = 1;
	atomic_store(&fake_hardware.big_units, 10000);
	feed_after(0, 7);
	begin = now_ns();
	for (int i = 0; i < 300 && feed_after(FRAME_NS, 7); i++)
		;
	assert_in_range(now_ns() - begin, 2 * NS_PER_S, 2200 * NS_PER_MS);
}

static void a_picture_that_is_sharp_is_left_out_sooner_and_comes_once_a_second(void **state)
{
	int64_t begin;
	int count = 0;

	(void)state;
	opt.h264_static_fps = 1;
	feed_after(0, 7);
	begin = now_ns();
	for (int i = 0; i < 300 && feed_after(FRAME_NS, 7); i++)
		;
	assert_in_range(now_ns() - begin, 8 * FRAME_NS, 12 * FRAME_NS);
	for (int i = 0; i < 300; i++) /* ten seconds */
		count += feed_after(FRAME_NS, 7);
	assert_in_range(count, 9, 11);
	assert_true(feed_after(FRAME_NS, 8)); /* a change is never left out */
}

static void a_picture_that_stands_still_is_encoded_until_it_is_sharp(void **state)
{
	int count = 0;

	(void)state;
	opt.h264_static_fps = 1;
	atomic_store(&fake_hardware.big_units, 30);
	for (int i = 0; i < 80; i++)
		count += feed_after(10 * NS_PER_MS, 7);
	assert_in_range(count, 30 + 8, 30 + 8 + 1);
}

static void a_key_frame_is_made_of_a_still_picture_at_once(void **state)
{
	(void)state;
	opt.h264_static_fps = 1;
	for (int i = 0; i < 20; i++)
		feed_after(FRAME_NS, 7);
	assert_false(feed_after(FRAME_NS, 7));
	ask_for_key();
	assert_true(feed_after(FRAME_NS, 7));
	assert_int_equal(atomic_load(&fake_hardware.keys), 1);
	assert_false(feed_after(FRAME_NS, 7)); /* and no more than one */
}

static void a_picture_is_new_to_those_who_come_later(void **state)
{
	(void)state;
	opt.h264_static_fps = 1;
	for (int i = 0; i < 300 && feed_after(FRAME_NS, 7); i++)
		;
	assert_false(feed_after(FRAME_NS, 7));
	scheduler_rest(&scheduler);
	assert_true(feed_after(FRAME_NS, 7));
}

static void the_encoder_of_the_slate_is_for_the_format_that_will_come(void **state)
{
	struct frame *slate = make_frame(1);

	(void)state;
	slate->online = false;
	slate->keepable = true;
	assert_true(feed(slate));
	assert_int_equal(supervisor.config.like.format, V4L2_PIX_FMT_UYVY);
	assert_int_equal(supervisor.config.like.plane[0].stride, 0);
}

static void the_encoder_of_a_picture_is_for_its_format(void **state)
{
	(void)state;
	assert_true(feed_after(0, 1));
	assert_int_equal(supervisor.config.like.format, V4L2_PIX_FMT_YUV420);
	assert_int_equal(supervisor.config.like.plane[0].stride, SIDE);
}

static void an_encoder_is_what_the_options_ask_for(void **state)
{
	(void)state;
	opt.h264_profile = AVC_HIGH;
	opt.h264_m2m_device = "/dev/video11";
	opt.h264_boost = true;
	assert_true(feed_after(0, 1));
	assert_int_equal(supervisor.config.profile, AVC_HIGH);
	assert_string_equal(supervisor.config.device, "/dev/video11");
	assert_true(supervisor.config.boost);
}

static void a_key_frame_that_was_not_taken_is_made_of_the_next(void **state)
{
	struct frame *frame;

	(void)state;
	atomic_store(&fake_hardware.takes, 1);
	feed_after(0, 1);
	assert_int_equal(atomic_load(&fake_hardware.keys), 0); /* the first one is one unasked */
	for (int i = 0; i < 2; i++) {
		clock_pass(NS_PER_S / 4);
		atomic_store(&fake_hardware.submit_error, i ? 0 : -ENOTSUP);
		frame = make_frame(2);
		frame->range = RANGE_FULL; /* which only a key frame can say */
		assert_true(feed(frame));
	}
	assert_int_equal(atomic_load(&fake_hardware.keys), 1);
}

/* A frame goes in, and all is silent; then a key frame, which is asked for `ns` before the next. */
static int keys_asked_for_within(int64_t ns)
{
	int before;

	feed_after(0, 1);
	feed_after(FRAME_NS, 2);
	before = atomic_load(&fake_hardware.keys);
	atomic_store(&fake_hardware.silent, 1);
	clock_pass(NS_PER_S / 4);
	ask_for_key();
	assert_true(feed_after(FRAME_NS, 3));
	assert_true(feed_after(ns, 4));
	return atomic_load(&fake_hardware.keys) - before;
}

static void a_key_frame_that_is_on_its_way_is_not_asked_for_again(void **state)
{
	(void)state;
	assert_int_equal(keys_asked_for_within(400 * NS_PER_MS), 1);
}

static void a_key_frame_that_was_lost_is_asked_for_again_after_half_a_second(void **state)
{
	(void)state;
	assert_int_equal(keys_asked_for_within(600 * NS_PER_MS), 2);
}

static void a_storm_of_requests_costs_ten_key_frames_a_second(void **state)
{
	int before;

	(void)state;
	feed_after(0, 1);
	before = atomic_load(&fake_hardware.keys);
	for (int i = 0; i < 100; i++) { /* two seconds */
		ask_for_key();
		feed_after(20 * NS_PER_MS, (uint8_t)i);
	}
	assert_in_range(atomic_load(&fake_hardware.keys) - before, 15, 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_picture_that_never_gets_sharp_is_encoded_for_two_seconds),
		TEST(a_picture_that_is_sharp_is_left_out_sooner_and_comes_once_a_second),
		TEST(a_picture_that_stands_still_is_encoded_until_it_is_sharp),
		TEST(a_key_frame_is_made_of_a_still_picture_at_once),
		TEST(a_picture_is_new_to_those_who_come_later),
		TEST(the_encoder_of_the_slate_is_for_the_format_that_will_come),
		TEST(the_encoder_of_a_picture_is_for_its_format),
		TEST(an_encoder_is_what_the_options_ask_for),
		TEST(a_key_frame_that_was_not_taken_is_made_of_the_next),
		TEST(a_key_frame_that_is_on_its_way_is_not_asked_for_again),
		TEST(a_key_frame_that_was_lost_is_asked_for_again_after_half_a_second),
		TEST(a_storm_of_requests_costs_ten_key_frames_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
