// SPDX-License-Identifier: GPL-3.0-or-later
/* The scheduler: which frames reach the encoder, when, and which do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <sys/eventfd.h>

#include "base/wait.h"
#include "encoder/scheduler.h"
#include "fake_encoder.h"
#include "preload.h"

#define ANSWER_MS 10000
#define SIDE      64

struct bench {
	struct options opt;
	struct drops drops;
	struct supervisor supervisor;
	struct scheduler scheduler;
	struct outlet *outlet;
	struct mailbox *mailbox, *viewer;
	struct frame_pool *pool;
	int wake_fd;
	uint64_t sequence;
};

static int setup(void **state)
{
	struct bench *bench = xcalloc(1, sizeof(*bench));

	memset(&fake_hardware, 0, sizeof(fake_hardware));
	bench->opt = (struct options){ .h264_bitrate_kbps = 1000, .h264_m2m_device = "" };
	bench->outlet = outlet_create(NULL, NULL);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bench->pool = frame_pool_create(4);
	assert_int_equal(mailbox_create(&bench->viewer, 256), 0);
	assert_int_equal(mailbox_create(&bench->mailbox, 1), 0);
	outlet_attach(bench->outlet, bench->viewer);
	supervisor_init(&bench->supervisor, H264_ENCODER_AUTO, bench->outlet, bench->wake_fd);
	bench->supervisor.policy.hardware = &fake_hardware_ops;
	bench->supervisor.policy.software = NULL;
	assert_int_equal(scheduler_init(&bench->scheduler, &bench->opt, &bench->drops,
				 &bench->supervisor, bench->mailbox),
		0);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	supervisor_finish(&bench->supervisor, ANSWER_MS);
	scheduler_finish(&bench->scheduler);
	outlet_detach(bench->outlet, bench->viewer);
	mailbox_destroy(bench->viewer);
	mailbox_destroy(bench->mailbox);
	outlet_destroy(bench->outlet);
	frame_pool_destroy(bench->pool);
	close(bench->wake_fd);
	free(bench);
	return 0;
}

/* One round of what the encoder's thread does. */
static void turn(struct bench *bench, int64_t until_ns)
{
	const int64_t now = now_ns();
	bool has_room;
	int64_t due;
	eventfd_t count;

	supervisor_tend(&bench->supervisor, now);
	scheduler_feed(&bench->scheduler, now);
	has_room = scheduler_has_room(&bench->scheduler, now);
	due = MIN(supervisor_due_ns(&bench->supervisor), scheduler_due_ns(&bench->scheduler, now));
	due = MIN(due, until_ns);
	struct pollfd on[] = { { .fd = bench->wake_fd, .events = POLLIN },
		{ .fd = has_room ? mailbox_fd(bench->mailbox) : -1, .events = POLLIN } };

	wait_for_events(on, ARRAY_SIZE(on), due);
	eventfd_read(bench->wake_fd, &count);
}

static void run_for(struct bench *bench, int ms)
{
	int64_t until = now_ns() + ms * NS_PER_MS;

	while (now_ns() < until)
		turn(bench, until);
}

static struct frame *await_unit(struct bench *bench)
{
	int64_t until = now_ns() + ANSWER_MS * NS_PER_MS;
	struct frame *unit;

	while (!(unit = mailbox_take(bench->viewer))) {
		assert_true(now_ns() < until);
		turn(bench, now_ns() + NS_PER_MS);
	}
	return unit;
}

static unsigned count_units(struct bench *bench)
{
	unsigned count = 0;
	struct frame *unit;

	while ((unit = mailbox_take(bench->viewer))) {
		frame_unref(unit);
		count++;
	}
	return count;
}

static bool is_waiting(struct bench *bench)
{
	struct pollfd on = { .fd = mailbox_fd(bench->mailbox), .events = POLLIN };

	return bench->scheduler.held || poll(&on, 1, 0) == 1;
}

static struct frame *make_frame(struct bench *bench, uint32_t side, uint8_t grey)
{
	struct frame *frame;

	assert_int_equal(frame_pool_get(bench->pool, (size_t)side * side * 3 / 2, &frame), 0);
	memset(frame->plane[0].data, grey, (size_t)side * side * 3 / 2);
	frame->format = V4L2_PIX_FMT_YUV420;
	frame->width = frame->height = side;
	frame->plane[0].stride = side;
	frame->plane[0].size = side * side;
	for (unsigned p = 1; p < 3; p++)
		frame->plane[p] = (struct frame_plane){ frame->plane[p - 1].data +
								frame->plane[p - 1].size,
			side / 2, side * side / 4 };
	frame->key = frame->online = true;
	frame->sequence = ++bench->sequence;
	frame->captured_ns = frame->grabbed_ns = now_ns();
	return frame;
}

/* Turns until the frame has been looked at, and what came of it is out. */
static void put(struct bench *bench, struct frame *frame)
{
	int64_t until = now_ns() + ANSWER_MS * NS_PER_MS;

	mailbox_put(bench->mailbox, frame);
	do {
		assert_true(now_ns() < until);
		turn(bench, now_ns() + NS_PER_MS);
	} while (is_waiting(bench) || bench->supervisor.view.in_flight);
}

static void post(struct bench *bench, uint8_t grey)
{
	mailbox_put(bench->mailbox, make_frame(bench, SIDE, grey));
}

static void a_single_frame_waits_for_its_encoder(void **state)
{
	struct bench *bench = *state;
	struct frame *unit;

	post(bench, 1);
	unit = await_unit(bench);
	assert_int_equal(unit->sequence, 1);
	frame_unref(unit);
	assert_int_equal(fake_hardware.opened, 1);
}

static void the_newest_frame_wins_while_an_encoder_opens(void **state)
{
	struct bench *bench = *state;
	struct frame *unit;

	atomic_store(&fake_hardware.hang_in_open, 1);
	post(bench, 1);
	run_for(bench, 20);
	post(bench, 2);
	run_for(bench, 20);
	atomic_store(&fake_hardware.hang_in_open, 0);
	unit = await_unit(bench);
	assert_int_equal(unit->sequence, 2);
	frame_unref(unit);
}

/* A source four times as fast as the encoder: what it gets is never old. */
static void an_overloaded_encoder_gets_fresh_frames_only(void **state)
{
	struct bench *bench = *state;
	int64_t next = now_ns();
	unsigned units = 0, late = 0;

	calm_set(1, 20);
	atomic_store(&fake_hardware.encode_ns, 20 * NS_PER_MS);
	while (units < 16) {
		struct frame *unit;

		if (now_ns() >= next) {
			post(bench, (uint8_t)bench->sequence);
			next += 5 * NS_PER_MS;
		}
		turn(bench, next);
		while ((unit = mailbox_take(bench->viewer))) {
			units++;
			late += unit->encode_end_ns - unit->captured_ns > 40 * NS_PER_MS;
			frame_unref(unit);
		}
		assert_true(bench->supervisor.view.in_flight <= 2);
	}
	calm_set(1, 4);
	assert_true(late <= units / 4);
	assert_true(mailbox_dropped(bench->mailbox) > units);
}

static void static_fps_0_leaves_nothing_out(void **state)
{
	struct bench *bench = *state;

	post(bench, 7);
	frame_unref(await_unit(bench));
	for (int i = 0; i < 30; i++) {
		post(bench, 7);
		frame_unref(await_unit(bench));
	}
	assert_int_equal(bench->scheduler.same, 0);
}

static void the_slate_is_encoded_again_for_a_newcomer(void **state)
{
	struct bench *bench = *state;
	struct frame *slate = make_frame(bench, SIDE, 1), *unit;

	slate->keepable = true;
	slate->online = false;
	mailbox_put(bench->mailbox, slate);
	frame_unref(await_unit(bench));
	run_for(bench, 50);
	assert_int_equal(count_units(bench), 0);
	atomic_store(&bench->scheduler.asked_ns, now_ns());
	unit = await_unit(bench);
	assert_true(unit->key);
	assert_false(unit->online);
	frame_unref(unit);
	run_for(bench, 200);
	assert_int_equal(count_units(bench), 0);
}

static void each_size_opens_one_encoder(void **state)
{
	struct bench *bench = *state;

	for (uint32_t side = 32; side <= 64; side += 16) {
		for (int i = 0; i < 5; i++) {
			struct frame *unit;

			mailbox_put(bench->mailbox, make_frame(bench, side, (uint8_t)i));
			unit = await_unit(bench);
			assert_int_equal(unit->width, side);
			frame_unref(unit);
		}
	}
	assert_int_equal(fake_hardware.opened, 3);
}

static void a_request_is_not_forgotten_for_an_older_one(void **state)
{
	struct bench *bench = *state;
	struct scheduler *scheduler = &bench->scheduler;

	scheduler_ask_key(scheduler, 2000);
	scheduler_ask_key(scheduler, 1000); /* of a turn that began before */
	assert_int_equal(atomic_load(&scheduler->asked_ns), 2000);
	scheduler_ask_key(scheduler, 3000);
	assert_int_equal(atomic_load(&scheduler->asked_ns), 3000);
}

/* However late the thread is between looking whether there is room, and when there will be. */
static void what_is_not_due_at_a_turn_is_due_after_it(void **state)
{
	struct bench *bench = *state;
	struct scheduler *scheduler = &bench->scheduler;
	struct session_view *view = &bench->supervisor.view;
	int64_t room_ns;

	mailbox_put(bench->mailbox, make_frame(bench, SIDE, 0));
	frame_unref(await_unit(bench));
	view->in_flight = 1;
	view->begin_ns = now_ns();
	view->encode_ns = NS_PER_S;
	room_ns = view->begin_ns + NS_PER_S - scheduler->convert_ns - scheduler->lead_ns;
	for (int64_t now = room_ns - 2; now <= room_ns + 2; now++) {
		assert_int_equal(scheduler_has_room(scheduler, now), now >= room_ns);
		assert_true(scheduler_due_ns(scheduler, now) ==
			    (now < room_ns ? room_ns : INT64_MAX));
	}
}

static void samples_that_mean_something_else_begin_with_a_key_frame(void **state)
{
	struct bench *bench = *state;
	struct frame *frame, *unit;

	for (int i = 0; i < 6; i++) {
		frame = make_frame(bench, SIDE, (uint8_t)i);
		frame->range = i / 3 ? RANGE_FULL : RANGE_LIMITED;
		mailbox_put(bench->mailbox, frame);
		unit = await_unit(bench);
		assert_int_equal(unit->key, i % 3 == 0);
		frame_unref(unit);
	}
}

static void no_more_frames_go_in_than_the_encoder_may_be_given(void **state)
{
	struct bench *bench = *state;
	int64_t at = now_ns();

	bench->opt.desired_fps = 60;
	atomic_store(&fake_hardware.most_fps, 30);
	for (int i = 0; i < 60; i++) { /* one second at 60 fps */
		struct frame *frame = make_frame(bench, SIDE, (uint8_t)i);

		frame->fps = 60;
		frame->captured_ns = at += NS_PER_S / 60;
		put(bench, frame);
	}
	assert_in_range(count_units(bench), 28, 33);
}

static void a_limit_lowers_what_was_asked_for_and_leaves_frames_out(void **state)
{
	struct encoder_limit limit = { 1000, 20 }, none = { 0 };
	struct bench *bench = *state;
	int64_t at = now_ns();

	bench->opt.h264_bitrate_kbps = 4000;
	scheduler_obey(&bench->scheduler);
	scheduler_limit(&bench->scheduler, &limit);
	for (int i = 0; i < 90; i++) { /* a second and a half at 60 fps */
		struct frame *frame = make_frame(bench, SIDE, (uint8_t)i);

		frame->fps = 60;
		frame->captured_ns = at += NS_PER_S / 60;
		put(bench, frame);
	}
	assert_in_range(count_units(bench), 28, 33);
	assert_int_equal(bench->supervisor.config.tuning.bitrate_kbps, 1000);
	assert_int_equal(bench->supervisor.config.tuning.fps, 20);
	scheduler_limit(&bench->scheduler, &none);
	assert_int_equal(bench->supervisor.config.tuning.bitrate_kbps, 4000);
	assert_int_equal(bench->supervisor.config.tuning.fps, 60);
}

/* Each viewer that came while the first encoder opened has asked. */
static void one_key_frame_serves_all_who_asked_before_it(void **state)
{
	struct bench *bench = *state;
	unsigned keys = 0;
	struct frame *unit;

	atomic_store(&fake_hardware.hang_in_open, 1);
	for (int i = 0; i < 10; i++) {
		struct frame *frame = make_frame(bench, SIDE, (uint8_t)i);

		frame->range = RANGE_FULL;
		if (i < 4) {
			atomic_store(&bench->scheduler.asked_ns, now_ns());
			mailbox_put(bench->mailbox, frame);
			turn(bench, now_ns());
		} else {
			atomic_store(&fake_hardware.hang_in_open, 0);
			put(bench, frame);
			if (i == 8)
				run_for(bench, 120); /* key frames are spaced */
		}
	}
	while ((unit = mailbox_take(bench->viewer))) {
		keys += unit->key;
		frame_unref(unit);
	}
	assert_int_equal(keys, 1);
}

static void frames_are_read_in_place_where_the_encoder_can(void **state)
{
	struct bench *bench = *state;
	struct frame *frame = make_frame(bench, SIDE, 3);

	atomic_store(&fake_hardware.takes, 1);
	atomic_store(&fake_hardware.silent, 1);
	mailbox_put(bench->mailbox, frame_ref(frame));
	while (atomic_load(&fake_hardware.submitted) == 0)
		turn(bench, now_ns() + NS_PER_MS);
	run_for(bench, 10);
	assert_int_equal(atomic_load(&frame->refs), 2); /* ours and the encoder's */
	atomic_store(&fake_hardware.silent, 0);
	frame_unref(await_unit(bench));
	assert_int_equal(atomic_load(&frame->refs), 1);
	frame_unref(frame);
}

static void damaged_jpegs_are_counted_and_known(void **state)
{
	struct bench *bench = *state;
	struct frame *frame;

	post(bench, 1);
	frame_unref(await_unit(bench));
	for (unsigned i = 0; i < 3; i++) {
		frame = make_frame(bench, SIDE, 0xff);
		frame->format = V4L2_PIX_FMT_MJPEG;
		mailbox_put(bench->mailbox, frame);
		while (drops_get(&bench->drops, DROP_CORRUPT) == i)
			turn(bench, now_ns() + NS_PER_MS);
		assert_true(atomic_load(&bench->scheduler.damaged_ns) > 0);
	}
	post(bench, 2);
	frame_unref(await_unit(bench));
	assert_int_equal(atomic_load(&bench->scheduler.damaged_ns), 0);
}

static void a_rate_that_changes_is_told_to_the_encoder(void **state)
{
	struct bench *bench = *state;
	int64_t at = now_ns();

	for (int i = 0; i < 200; i++) {
		struct frame *frame = make_frame(bench, SIDE, (uint8_t)i);

		frame->captured_ns = at += NS_PER_S / 60;
		mailbox_put(bench->mailbox, frame);
		frame_unref(await_unit(bench));
	}
	assert_int_equal(bench->supervisor.config.tuning.fps, 60);
	assert_int_equal(fake_hardware.opened, 1);
}

/* The encoder is late, and no frame comes meanwhile: there is nothing to do but to wait. */
static void waiting_for_a_late_encoder_costs_nothing(void **state)
{
	struct bench *bench = *state;
	unsigned turns = 0;
	int64_t until;

	atomic_store(&fake_hardware.encode_ns, 5 * NS_PER_MS);
	for (int i = 0; i < 10; i++) {
		post(bench, (uint8_t)i);
		frame_unref(await_unit(bench));
	}
	atomic_store(&fake_hardware.encode_ns, 200 * NS_PER_MS);
	post(bench, 100);
	until = now_ns() + 150 * NS_PER_MS;
	for (; now_ns() < until; turns++)
		turn(bench, until);
	assert_true(turns < 20);
}

static void resting_lets_go_of_everything(void **state)
{
	struct bench *bench = *state;
	struct frame *slate = make_frame(bench, SIDE, 1);

	slate->keepable = true;
	mailbox_put(bench->mailbox, frame_ref(slate));
	frame_unref(await_unit(bench));
	scheduler_rest(&bench->scheduler);
	assert_int_equal(atomic_load(&slate->refs), 1);
	frame_unref(slate);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_single_frame_waits_for_its_encoder),
		TEST(the_newest_frame_wins_while_an_encoder_opens),
		TEST(an_overloaded_encoder_gets_fresh_frames_only),
		TEST(static_fps_0_leaves_nothing_out),
		TEST(the_slate_is_encoded_again_for_a_newcomer),
		TEST(each_size_opens_one_encoder),
		TEST(a_request_is_not_forgotten_for_an_older_one),
		TEST(what_is_not_due_at_a_turn_is_due_after_it),
		TEST(samples_that_mean_something_else_begin_with_a_key_frame),
		TEST(no_more_frames_go_in_than_the_encoder_may_be_given),
		TEST(a_limit_lowers_what_was_asked_for_and_leaves_frames_out),
		TEST(one_key_frame_serves_all_who_asked_before_it),
		TEST(frames_are_read_in_place_where_the_encoder_can),
		TEST(damaged_jpegs_are_counted_and_known),
		TEST(a_rate_that_changes_is_told_to_the_encoder),
		TEST(waiting_for_a_late_encoder_costs_nothing),
		TEST(resting_lets_go_of_everything),
	};

	calm_down(4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
