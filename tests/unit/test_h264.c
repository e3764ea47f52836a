// SPDX-License-Identifier: GPL-3.0-or-later
/* Frames in, access units out: the H.264 encoder around an encoder that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "encoder/h264.h"

#define fake_hardware_ops encoder_m2m
#include "fake_encoder.h"

#define ANSWER_MS 20000 /* of real time, against hanging for ever */
#define SIDE      64

static struct options opt;
static struct drops drops;
static struct outlet *raw;
static struct h264_encoder *encoder;
static struct mailbox *viewer;
static struct frame_pool *pool;
static uint64_t sequence;

static int setup(void **state)
{
	(void)state;
	memset(&fake_hardware, 0, sizeof(fake_hardware));
	memset(&drops, 0, sizeof(drops));
	opt = (struct options){ .h264_encoder = H264_ENCODER_M2M,
		.h264_bitrate_kbps = 1000,
		.h264_m2m_device = "",
		.format = V4L2_PIX_FMT_UYVY };
	sequence = 0;
	raw = outlet_create(NULL, NULL);
	pool = frame_pool_create(4);
	assert_int_equal(mailbox_create(&viewer, 256), 0);
	return 0;
}

/* The options are what the test made of them. */
static void begin(void)
{
	assert_int_equal(h264_encoder_create(&encoder, &opt, raw, &drops), 0);
	outlet_attach(h264_encoder_outlet(encoder), viewer);
}

static void stop_watching(void)
{
	outlet_detach(h264_encoder_outlet(encoder), viewer);
	while (true) {
		struct frame *unit = mailbox_take(viewer);

		if (!unit)
			return;
		frame_unref(unit);
	}
}

static int teardown(void **state)
{
	(void)state;
	atomic_store(&fake_hardware.silent, 0);
	atomic_store(&fake_hardware.hang_in_open, 0);
	atomic_store(&fake_hardware.hang_in_submit, 0);
	stop_watching();
	h264_encoder_destroy(encoder);
	outlet_destroy(raw);
	mailbox_destroy(viewer);
	frame_pool_destroy(pool);
	return 0;
}

static struct h264_status status(void)
{
	struct h264_status now;

	h264_encoder_get_status(encoder, &now);
	return now;
}

static void await(bool (*done)(void))
{
	for (int i = 0; i < ANSWER_MS; i++) {
		if (done())
			return;
		poll(NULL, 0, 1);
	}
	fail_msg("it does not come: %lu same, %lu encoded, %lu late", status().same,
		status().encoded, status().late);
}

static bool is_tuned(void)
{
	unsigned kbps = (unsigned)opt.h264_bitrate_kbps;

	return status().tuning.bitrate_kbps == kbps &&
	       atomic_load(&fake_hardware.bitrate_kbps) == kbps;
}

/* Its threads look at all when they are woken: they have, when a new bitrate holds. */
static void let_it_look(void)
{
	opt.h264_bitrate_kbps++;
	h264_encoder_set_options(encoder, &opt);
	await(is_tuned);
}

/* What came out is known to be, before an encoder can seem to hang. */
static void pass_time(int64_t ns)
{
	for (int i = 0; i < 3 && atomic_load(&fake_hardware.opened); i++)
		let_it_look();
	for (; ns > 0; ns -= NS_PER_S / 4) {
		clock_pass(MIN(ns, NS_PER_S / 4));
		if (atomic_load(&fake_hardware.opened))
			let_it_look();
	}
}

static bool has_level(void)
{
	return status().level;
}

static unsigned level(void)
{
	await(has_level);
	return status().level;
}

static struct frame *await_unit(void)
{
	struct pollfd on = { .fd = mailbox_fd(viewer), .events = POLLIN };
	struct frame *unit;

	while (!(unit = mailbox_take(viewer)))
		assert_int_equal(poll(&on, 1, ANSWER_MS), 1);
	return unit;
}

static struct frame *make_frame(uint32_t side, uint8_t grey)
{
	size_t size = (size_t)side * side * 3 / 2;
	struct frame *frame;

	assert_int_equal(frame_pool_get(pool, size, &frame), 0);
	memset(frame->plane[0].data, grey, size);
	frame->format = V4L2_PIX_FMT_YUV420;
	frame->width = frame->height = side;
	frame->plane[0].stride = side;
	frame->plane[0].size = side * side;
	for (unsigned p = 1; p < 3; p++)
		frame->plane[p] = (struct frame_plane){ frame->plane[p - 1].data +
								frame->plane[p - 1].size,
			side / 2, side * side / 4 };
	frame->key = frame->online = true;
	frame->sequence = ++sequence;
	frame->captured_ns = frame->grabbed_ns = now_ns();
	return frame;
}

static void post(struct frame *frame)
{
	outlet_publish(raw, frame);
	frame_unref(frame);
}

static void post_grey(uint8_t grey)
{
	post(make_frame(SIDE, grey));
}

static struct frame *make_slate(void)
{
	struct frame *slate = make_frame(SIDE, 1);

	slate->keepable = true;
	slate->online = false;
	return slate;
}

/* In and out again. */
static void pass(struct frame *frame)
{
	uint64_t number = frame->sequence;
	struct frame *unit;

	post(frame);
	unit = await_unit();
	assert_int_equal(unit->sequence, number);
	frame_unref(unit);
}

static bool is_opening(void)
{
	return atomic_load(&fake_hardware.hang_in_open) == 2;
}

static void a_single_frame_waits_for_its_encoder(void **state)
{
	(void)state;
	begin();
	pass(make_frame(SIDE, 1));
	assert_int_equal(fake_hardware.opened, 1);
}

static void the_newest_frame_wins_while_an_encoder_opens(void **state)
{
	struct frame *unit;

	(void)state;
	atomic_store(&fake_hardware.hang_in_open, 1);
	begin();
	post_grey(1);
	await(is_opening);
	post_grey(2);
	post_grey(3);
	atomic_store(&fake_hardware.hang_in_open, 0);
	unit = await_unit();
	assert_int_equal(unit->sequence, 3);
	frame_unref(unit);
}

static bool is_submitting(void)
{
	return atomic_load(&fake_hardware.hang_in_submit) == 2;
}

static struct frame *second;

static bool is_second_in(void)
{
	return atomic_load(&second->refs) == 1;
}

/*
 * Two are with the encoder, and the third waits. Whoever spins looks at the clock, which goes on at
 * each look and by nothing else.
 */
static void a_frame_that_there_is_no_room_for_costs_nothing(void **state)
{
	int64_t before_ns;

	(void)state;
	begin();
	pass(make_frame(SIDE, 0));
	let_it_look();
	atomic_store(&fake_hardware.hang_in_submit, 1);
	post_grey(1);
	await(is_submitting);
	second = make_frame(SIDE, 2);
	post(frame_ref(second));
	await(is_second_in);
	frame_unref(second);
	post_grey(3);
	before_ns = atomic_load(&clock_ns);
	poll(NULL, 0, 200);
	assert_in_range((atomic_load(&clock_ns) - before_ns) / 1000, 0, 1000);
	atomic_store(&fake_hardware.hang_in_submit, 0);
	for (uint64_t i = 2; i <= 4; i++) {
		struct frame *unit = await_unit();

		assert_int_equal(unit->sequence, i);
		frame_unref(unit);
	}
}

static void each_size_opens_one_encoder(void **state)
{
	(void)state;
	begin();
	for (uint32_t side = 32; side <= 64; side += 16) {
		for (int i = 0; i < 5; i++)
			pass(make_frame(side, (uint8_t)i));
	}
	assert_int_equal(fake_hardware.opened, 3);
}

static void the_slate_is_encoded_again_for_a_newcomer(void **state)
{
	struct frame *unit;

	(void)state;
	begin();
	pass(make_slate());
	pass_time(NS_PER_S);
	outlet_ask_key(h264_encoder_outlet(encoder));
	unit = await_unit();
	assert_true(unit->key);
	assert_false(unit->online);
	frame_unref(unit);
	pass_time(NS_PER_S);
	assert_int_equal(status().encoded, 2);
}

static void a_picture_of_the_source_is_not_encoded_again(void **state)
{
	(void)state;
	begin();
	pass(make_frame(SIDE, 1));
	pass_time(NS_PER_S);
	outlet_ask_key(h264_encoder_outlet(encoder));
	let_it_look();
	let_it_look();
	assert_int_equal(atomic_load(&fake_hardware.submitted), 1);
}

static void frames_are_read_in_place_where_the_encoder_can(void **state)
{
	struct frame *frame = make_frame(SIDE, 3);

	(void)state;
	atomic_store(&fake_hardware.takes, 1);
	begin();
	pass(frame_ref(frame));
	assert_int_equal(atomic_load(&fake_hardware.in_place), 1);
	stop_watching();
	h264_encoder_destroy(encoder);
	assert_int_equal(atomic_load(&frame->refs), 1);
	frame_unref(frame);
	encoder = NULL;
	begin();
}

static void what_is_not_taken_is_made_a_key_frame_next(void **state)
{
	struct frame *frame;
	int before;

	(void)state;
	atomic_store(&fake_hardware.takes, 1);
	begin();
	pass(make_frame(SIDE, 1));
	before = atomic_load(&fake_hardware.keys);
	atomic_store(&fake_hardware.submit_error, -ENOTSUP);
	pass_time(NS_PER_S);
	frame = make_frame(SIDE, 2);
	frame->range = RANGE_FULL; /* which only a key frame can say */
	post(frame);
	let_it_look();
	atomic_store(&fake_hardware.submit_error, 0);
	for (int i = 0; i < 3; i++) {
		pass_time(NS_PER_S);
		frame = make_frame(SIDE, 2);
		frame->range = RANGE_FULL;
		pass(frame);
	}
	assert_int_equal(atomic_load(&fake_hardware.keys) - before, 1);
}

static bool is_damaged(void)
{
	return h264_encoder_damaged_ns(encoder) > 0;
}

static void damaged_jpegs_are_counted_and_known(void **state)
{
	struct frame *frame;

	(void)state;
	begin();
	pass(make_frame(SIDE, 1));
	frame = make_frame(SIDE, 0xff);
	frame->format = V4L2_PIX_FMT_MJPEG;
	post(frame);
	await(is_damaged);
	assert_int_equal(drops_get(&drops, DROP_CORRUPT), 1);
	pass(make_frame(SIDE, 2));
	assert_int_equal(h264_encoder_damaged_ns(encoder), 0);
}

static void what_nobody_watches_is_let_go_of(void **state)
{
	struct frame *slate = make_slate();

	(void)state;
	begin();
	pass(frame_ref(slate));
	stop_watching();
	let_it_look();
	let_it_look();
	assert_int_equal(atomic_load(&slate->refs), 2); /* ours and the raw outlet's */
	frame_unref(slate);
}

static bool is_left_out(void)
{
	return status().same > 0;
}

static void a_picture_is_new_to_those_who_come_later(void **state)
{
	(void)state;
	opt.h264_static_fps = 1;
	begin();
	pass(make_frame(SIDE, 7));
	pass(make_frame(SIDE, 7)); /* from here on it is compared */
	pass_time(3 * NS_PER_S);
	pass(make_frame(SIDE, 7));
	post_grey(7);
	await(is_left_out);
	stop_watching();
	let_it_look();
	let_it_look();
	outlet_attach(h264_encoder_outlet(encoder), viewer);
	for (int i = 0; i < 5; i++) /* more than the key frame that they ask for */
		pass(make_frame(SIDE, 7));
}

/* ---- which encoder is asked for */

static void the_encoder_of_the_slate_is_for_the_format_that_will_come(void **state)
{
	(void)state;
	begin();
	pass(make_slate());
	assert_int_equal(fake_config.like.format, V4L2_PIX_FMT_UYVY);
	assert_int_equal(fake_config.like.plane[0].stride, 0);
}

static void the_encoder_of_a_picture_is_for_its_format(void **state)
{
	(void)state;
	begin();
	pass(make_frame(SIDE, 1));
	assert_int_equal(fake_config.like.format, V4L2_PIX_FMT_YUV420);
	assert_int_equal(fake_config.like.plane[0].stride, SIDE);
}

static void an_encoder_is_what_the_options_ask_for(void **state)
{
	(void)state;
	opt.h264_profile = H264_HIGH;
	opt.h264_m2m_device = "/dev/video11";
	opt.h264_boost = true;
	begin();
	pass(make_frame(SIDE, 1));
	assert_int_equal(fake_config.profile, H264_HIGH);
	assert_string_equal(fake_config.device, "/dev/video11");
	assert_true(fake_config.boost);
}

static void another_encoder_reads_the_memory_of_a_source_that_comes_later(void **state)
{
	struct frame *frame;

	(void)state;
	atomic_store(&fake_hardware.could_take, 1);
	begin();
	pass(make_slate());
	for (int i = 0; i < 3; i++) {
		frame = make_frame(SIDE, (uint8_t)i);
		frame->dmabuf.id = 100 + (uint64_t)i;
		pass(frame);
		assert_int_equal(fake_config.like.dmabuf.id, 100);
		pass(make_slate()); /* in between, for which no encoder is opened */
	}
	assert_int_equal(fake_hardware.opened, 2);
}

/* 1080p: 30 fps are level 4.0, 60 are 4.2. */
static void pass_large(unsigned fps)
{
	struct frame *frame;

	assert_int_equal(frame_pool_get(pool, 1920 * 1080 * 3 / 2, &frame), 0);
	frame->format = V4L2_PIX_FMT_GREY;
	frame->width = frame->plane[0].stride = 1920;
	frame->height = 1080;
	frame->key = frame->online = true;
	frame->fps = fps;
	frame->sequence = ++sequence;
	pass_time(NS_PER_S);
	frame->captured_ns = now_ns();
	pass(frame);
}

static void another_encoder_has_a_level_for_a_rate_that_comes_later(void **state)
{
	(void)state;
	atomic_store(&fake_hardware.most_level, 42);
	begin();
	pass_large(30);
	assert_int_equal(level(), 40);
	pass_large(60);
	assert_int_equal(level(), 42);
	pass_large(30); /* it has room */
	pass_large(60);
	assert_int_equal(fake_hardware.opened, 2);
}

static void a_level_is_no_higher_than_the_encoder_may_have(void **state)
{
	(void)state;
	atomic_store(&fake_hardware.most_level, 40);
	begin();
	pass_large(30);
	pass_large(60);
	assert_int_equal(level(), 40);
	assert_int_equal(fake_hardware.opened, 1);
}

static void a_rate_that_is_wished_for_later_is_followed(void **state)
{
	(void)state;
	atomic_store(&fake_hardware.most_level, 42);
	opt.desired_fps = 20;
	begin();
	pass_large(60);
	assert_int_equal(level(), 40);
	opt.desired_fps = 60;
	h264_encoder_set_options(encoder, &opt);
	pass_large(60);
	assert_int_equal(level(), 42);
	assert_int_equal(fake_hardware.opened, 2);
}

static void a_limit_that_goes_needs_no_other_encoder(void **state)
{
	struct encoder_limit limit = { .fps = 15 };

	(void)state;
	atomic_store(&fake_hardware.most_level, 42);
	begin();
	h264_encoder_limit(encoder, &limit);
	pass_large(60);
	assert_int_equal(fake_config.tuning.fps, 15);
	assert_int_equal(level(), 42);
	limit.fps = 0;
	h264_encoder_limit(encoder, &limit);
	pass_large(60);
	assert_int_equal(fake_hardware.opened, 1);
}

/* ---- when nobody watches */

static bool is_let_go(void)
{
	return strcmp(status().encoder, "none") == 0;
}

static void an_encoder_that_nobody_watches_is_let_go_after_a_minute(void **state)
{
	(void)state;
	begin();
	pass(make_frame(SIDE, 1));
	stop_watching();
	pass_time(59 * NS_PER_S);
	assert_string_equal(status().encoder, "m2m");
	assert_int_equal(status().opened, 1);
	pass_time(900 * NS_PER_MS);
	clock_pass(NS_PER_S); /* it looks again by itself */
	await(is_let_go);
	assert_string_equal(status().state, "idle");
	outlet_attach(h264_encoder_outlet(encoder), viewer);
	pass(make_frame(SIDE, 2));
	assert_int_equal(fake_hardware.opened, 2);
}

static void an_encoder_is_kept_while_somebody_looks_now_and_then(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 3; i++) {
		pass(make_frame(SIDE, 1));
		stop_watching();
		pass_time(40 * NS_PER_S);
		outlet_attach(h264_encoder_outlet(encoder), viewer);
	}
	assert_int_equal(status().opened, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_single_frame_waits_for_its_encoder),
		TEST(the_newest_frame_wins_while_an_encoder_opens),
		TEST(a_frame_that_there_is_no_room_for_costs_nothing),
		TEST(each_size_opens_one_encoder),
		TEST(the_slate_is_encoded_again_for_a_newcomer),
		TEST(a_picture_of_the_source_is_not_encoded_again),
		TEST(frames_are_read_in_place_where_the_encoder_can),
		TEST(what_is_not_taken_is_made_a_key_frame_next),
		TEST(damaged_jpegs_are_counted_and_known),
		TEST(what_nobody_watches_is_let_go_of),
		TEST(a_picture_is_new_to_those_who_come_later),
		TEST(the_encoder_of_the_slate_is_for_the_format_that_will_come),
		TEST(the_encoder_of_a_picture_is_for_its_format),
		TEST(an_encoder_is_what_the_options_ask_for),
		TEST(another_encoder_reads_the_memory_of_a_source_that_comes_later),
		TEST(another_encoder_has_a_level_for_a_rate_that_comes_later),
		TEST(a_level_is_no_higher_than_the_encoder_may_have),
		TEST(a_rate_that_is_wished_for_later_is_followed),
		TEST(a_limit_that_goes_needs_no_other_encoder),
		TEST(an_encoder_that_nobody_watches_is_let_go_after_a_minute),
		TEST(an_encoder_is_kept_while_somebody_looks_now_and_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
