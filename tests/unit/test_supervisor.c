// SPDX-License-Identifier: GPL-3.0-or-later
/* The supervisor and its sessions: one encoder running, whatever happens to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "encoder/supervisor.h"
#include "fake_encoder.h"
#include "preload.h"

#define ANSWER_MS   10000
#define PATIENCE_NS (60 * NS_PER_S)

struct bench {
	struct supervisor supervisor;
	struct outlet *outlet;
	struct mailbox *viewer;
	int wake_fd;
	uint64_t sequence;
};

static int setup(void **state)
{
	struct bench *bench = xcalloc(1, sizeof(*bench));

	memset(&fake_hardware, 0, sizeof(fake_hardware));
	memset(&fake_software, 0, sizeof(fake_software));
	bench->outlet = outlet_create(NULL, NULL);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(mailbox_create(&bench->viewer, 64), 0);
	outlet_attach(bench->outlet, bench->viewer);
	supervisor_init(&bench->supervisor, H264_ENCODER_AUTO, "", bench->outlet, bench->wake_fd);
	bench->supervisor.policy.hardware = &fake_hardware_ops;
	bench->supervisor.policy.software = &fake_software_ops;
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	atomic_store(&fake_hardware.hang_in_open, 0);
	atomic_store(&fake_hardware.hang_in_submit, 0);
	atomic_store(&fake_hardware.hang_in_close, 0);
	supervisor_finish(&bench->supervisor, ANSWER_MS);
	outlet_detach(bench->outlet, bench->viewer);
	mailbox_destroy(bench->viewer);
	outlet_destroy(bench->outlet);
	close(bench->wake_fd);
	free(bench);
	return 0;
}

/* Does the supervisor's work until `done`, which takes no time. */
static void run_until(struct bench *bench, bool (*done)(struct bench *bench))
{
	int64_t end = own_real_ns(CLOCK_MONOTONIC) + PATIENCE_NS;

	for (supervisor_tend(&bench->supervisor, now_ns()); !done(bench);
		supervisor_tend(&bench->supervisor, now_ns())) {
		assert_true(own_real_ns(CLOCK_MONOTONIC) < end);
		sched_yield();
	}
}

/* Nothing else comes meanwhile: time goes on for the supervisor only when a test says so. */
static void pass_ms(struct bench *bench, int64_t ms)
{
	own_step(preload_own(), ms * NS_PER_MS);
	supervisor_tend(&bench->supervisor, now_ns());
}

static bool is_running(struct bench *bench)
{
	struct supervisor_view view;

	supervisor_get_view(&bench->supervisor, &view);
	return view.running;
}

static bool is_software(struct bench *bench)
{
	return is_running(bench) && bench->supervisor.ops == &fake_software_ops;
}

static bool is_hardware(struct bench *bench)
{
	return is_running(bench) && bench->supervisor.ops == &fake_hardware_ops;
}

static bool has_unit(struct bench *bench)
{
	struct pollfd on = { .fd = mailbox_fd(bench->viewer), .events = POLLIN };

	return poll(&on, 1, 0) == 1; /* it is counted before it is handed on */
}

static bool is_idle(struct bench *bench)
{
	return bench->supervisor.view.in_flight == 0;
}

static void want(struct bench *bench, uint32_t width, uint32_t height)
{
	struct encoder_config config = {
		.width = width, .height = height, .tuning = { .bitrate_kbps = 1000, .fps = 30 }
	};

	supervisor_want(&bench->supervisor, &config, now_ns());
}

static void submit(struct bench *bench, bool want_key)
{
	struct frame origin = { .sequence = ++bench->sequence, .online = true };
	struct encoder_submission in = { .input = 0, .origin = &origin, .want_key = want_key };

	supervisor_submit(&bench->supervisor, &in);
}

/* A frame of the source, to be read where it lies. */
static void submit_in_place(struct bench *bench, const struct encoder_config *config)
{
	struct frame_pool *pool = frame_pool_create(1);
	struct encoder_submission in = { .input = -1 };

	assert_int_equal(frame_pool_get(pool, 100, &in.frame), 0);
	frame_copy_shape(in.frame, &config->like);
	in.frame->sequence = ++bench->sequence;
	in.origin = in.frame;
	supervisor_submit(&bench->supervisor, &in);
	frame_unref(in.frame);
	frame_pool_destroy(pool);
}

static uint64_t take_number(struct bench *bench)
{
	struct frame *unit = mailbox_take(bench->viewer);
	uint64_t number = 0;

	if (unit)
		memcpy(&number, unit->plane[0].data, sizeof(number));
	frame_unref(unit);
	return number;
}

static void frames_come_out_in_order(void **state)
{
	struct bench *bench = *state;

	want(bench, 64, 64);
	run_until(bench, is_hardware);
	for (uint64_t i = 1; i <= 20; i++) {
		submit(bench, false);
		run_until(bench, is_idle);
		assert_int_equal(take_number(bench), i);
	}
	assert_int_equal(fake_hardware.opened, 1);
}

static void a_size_beyond_hardware_goes_to_software(void **state)
{
	struct bench *bench = *state;

	atomic_store(&fake_hardware.open_error, -ERANGE);
	want(bench, 64, 64);
	run_until(bench, is_software);
	assert_int_equal(bench->supervisor.failures, 0);
	atomic_store(&fake_hardware.open_error, 0);
	want(bench, 32, 32);
	run_until(bench, is_hardware);
}

static void a_hanging_frame_costs_about_a_second(void **state)
{
	struct bench *bench = *state;

	want(bench, 64, 64);
	run_until(bench, is_hardware);
	atomic_store(&fake_hardware.silent, 1);
	submit(bench, false);
	while (!atomic_load(&fake_hardware.submitted)) /* its time counts from there on */
		sched_yield();
	pass_ms(bench, 0);
	assert_int_equal(supervisor_due_ns(&bench->supervisor), now_ns() + NS_PER_S);
	pass_ms(bench, 999);
	assert_non_null(bench->supervisor.session);
	pass_ms(bench, 1);
	assert_null(bench->supervisor.session);
	atomic_store(&fake_hardware.silent, 0);
	run_until(bench, is_hardware);
	submit(bench, false);
	run_until(bench, has_unit);
	assert_int_equal(take_number(bench), 2);
	assert_int_equal(fake_hardware.opened, 2);
}

/* As after SIGSTOP: it was us who slept, the encoder answered long ago. */
static void who_oversleeps_blames_nobody(void **state)
{
	struct bench *bench = *state;

	want(bench, 64, 64);
	run_until(bench, is_hardware);
	atomic_store(&fake_hardware.silent, 1);
	submit(bench, false);
	supervisor_tend(&bench->supervisor, now_ns());
	supervisor_tend(&bench->supervisor, now_ns() + 1300 * NS_PER_MS);
	assert_non_null(bench->supervisor.session);
	assert_int_equal(bench->supervisor.failures, 0);
}

/* It cannot hang, but others may have the CPU. */
static void software_is_waited_for_ten_times_as_long(void **state)
{
	struct bench *bench = *state;
	int64_t begin, taken, at;

	atomic_store(&fake_hardware.open_error, -ERANGE);
	want(bench, 64, 64);
	run_until(bench, is_software);
	atomic_store(&fake_software.silent, 1);
	begin = now_ns();
	submit(bench, false);
	while (!atomic_load(&fake_software.submitted)) /* its time counts from there on */
		sched_yield();
	taken = now_ns();
	for (at = begin; at < begin + 9900 * NS_PER_MS; at += 100 * NS_PER_MS) {
		supervisor_tend(&bench->supervisor, at);
		assert_non_null(bench->supervisor.session);
	}
	for (; at <= taken + 11000 * NS_PER_MS; at += 100 * NS_PER_MS)
		supervisor_tend(&bench->supervisor, at);
	assert_int_equal(bench->supervisor.failures, 1);
	atomic_store(&fake_software.silent, 0);
}

static void a_driver_that_never_returns_is_left_behind(void **state)
{
	struct bench *bench = *state;
	char text[192];

	want(bench, 64, 64);
	run_until(bench, is_hardware);
	atomic_store(&fake_hardware.hang_in_submit, 1);
	submit(bench, false);
	while (atomic_load(&fake_hardware.hang_in_submit) != 2)
		sched_yield();
	pass_ms(bench, 0);
	pass_ms(bench, 1000);
	assert_null(bench->supervisor.session);
	pass_ms(bench, 999);
	assert_null(bench->supervisor.session);
	pass_ms(bench, 1);
	run_until(bench, is_software);
	fallback_explain(&bench->supervisor.policy, bench->supervisor.ops, now_ns(), text,
		sizeof(text));
	assert_string_equal(text,
		"hardware encoder stuck, reboot needed to use it again; x264 encodes meanwhile");
	submit(bench, false);
	run_until(bench, has_unit);
	assert_int_equal(take_number(bench), 2);

	atomic_store(&fake_hardware.hang_in_submit, 0);
	run_until(bench, is_hardware);
	assert_int_equal(take_number(bench), 0); /* what came out of the stuck one is nobody's */
}

static void an_encoder_that_hangs_in_open_is_left_behind(void **state)
{
	struct bench *bench = *state;

	atomic_store(&fake_hardware.hang_in_open, 1);
	want(bench, 64, 64);
	pass_ms(bench, 0);
	pass_ms(bench, 1499);
	assert_non_null(bench->supervisor.session);
	pass_ms(bench, 1);
	assert_null(bench->supervisor.session);
	pass_ms(bench, 1000);
	run_until(bench, is_software);
}

static void an_encoder_that_fails_is_opened_again_then_replaced(void **state)
{
	struct bench *bench = *state;

	atomic_store(&fake_hardware.collect_error, -EIO);
	want(bench, 64, 64);
	run_until(bench, is_software);
	assert_int_equal(fake_hardware.opened, 2);
	assert_int_equal(bench->supervisor.failures, 2);
}

static bool has_failed(struct bench *bench)
{
	return bench->supervisor.failures == (unsigned)fake_hardware.opened;
}

static bool has_failed_once(struct bench *bench)
{
	return bench->supervisor.failures == 1;
}

/* One failure, then so many access units, then another one: what is chosen then. */
static const struct encoder_ops *fail_twice(struct bench *bench, unsigned units)
{
	want(bench, 64, 64);
	for (unsigned i = 0; i < 2; i++) {
		run_until(bench, is_hardware);
		for (unsigned n = 0; i && n < units; n++) {
			submit(bench, false);
			run_until(bench, is_idle);
			take_number(bench);
		}
		atomic_store(&fake_hardware.collect_error, -EIO);
		submit(bench, false);
		run_until(bench, has_failed);
		atomic_store(&fake_hardware.collect_error, 0);
	}
	run_until(bench, is_running);
	return bench->supervisor.ops;
}

static void failures_count_on_until_a_hundred_access_units_came_out(void **state)
{
	assert_ptr_equal(fail_twice(*state, 99), &fake_software_ops);
}

static void a_hundred_access_units_make_up_for_a_failure(void **state)
{
	assert_ptr_equal(fail_twice(*state, 100), &fake_hardware_ops);
}

static void hardware_comes_back_when_a_probe_succeeds(void **state)
{
	struct bench *bench = *state;

	atomic_store(&fake_hardware.open_error, -EIO);
	want(bench, 64, 64);
	run_until(bench, is_software);
	atomic_store(&fake_hardware.open_error, 0);
	bench->supervisor.policy.retry_ns = now_ns(); /* the pause is over */
	run_until(bench, is_hardware);
	submit(bench, false);
	run_until(bench, has_unit);
	assert_int_equal(fake_software.opened, 1);
}

static void a_probe_that_fails_changes_nothing(void **state)
{
	struct bench *bench = *state;
	struct session *session;

	atomic_store(&fake_hardware.open_error, -EIO);
	want(bench, 64, 64);
	run_until(bench, is_software);
	session = bench->supervisor.session;
	bench->supervisor.policy.retry_ns = now_ns();
	for (int opened = fake_hardware.opened; fake_hardware.opened == opened;)
		supervisor_tend(&bench->supervisor, now_ns());
	run_until(bench, is_software);
	assert_ptr_equal(bench->supervisor.session, session);
}

static void tuning_reaches_the_encoder_and_what_holds_comes_back(void **state)
{
	struct bench *bench = *state;
	struct encoder_tuning tuning = { .bitrate_kbps = 30000, .fps = 30 }, holds;

	want(bench, 64, 64);
	run_until(bench, is_hardware);
	supervisor_tune(&bench->supervisor, &tuning);
	submit(bench, false);
	run_until(bench, has_unit);
	assert_int_equal(fake_hardware.bitrate_kbps, 30000);
	session_get_tuning(bench->supervisor.session, &holds);
	assert_int_equal(holds.bitrate_kbps, 20000);
	assert_int_equal(fake_hardware.opened, 1);
}

/* ---- what is wanted of an encoder that runs */

static struct encoder_config wish_of(struct bench *bench)
{
	struct encoder_config config = bench->supervisor.config;

	config.like = (struct frame){ .format = V4L2_PIX_FMT_UYVY, .width = 64, .height = 64 };
	config.like.plane[0].stride = 128;
	return config;
}

static void wish(struct bench *bench, const struct encoder_config *config)
{
	supervisor_want(&bench->supervisor, config, now_ns());
	run_until(bench, is_hardware);
}

/* Hardware runs that was opened for memory which it may read. */
static struct encoder_config open_to_import(struct bench *bench)
{
	struct encoder_config config;

	want(bench, 32, 32);
	config = wish_of(bench);
	config.width = config.height = 64;
	config.like.dmabuf.id = 1;
	wish(bench, &config);
	return config;
}

static void an_encoder_that_can_do_what_is_wanted_is_kept(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config;

	atomic_store(&fake_hardware.most_level, 42);
	want(bench, 64, 64);
	run_until(bench, is_hardware);
	config = wish_of(bench);
	config.like.dmabuf.id = 1; /* which it could not read if it were opened anew */
	config.most_fps = 60;
	config.boost = true;
	wish(bench, &config);
	config.like.format = V4L2_PIX_FMT_NV12;
	wish(bench, &config);
	assert_int_equal(fake_hardware.opened, 1);
}

static void what_is_wanted_is_tuned(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config;

	want(bench, 64, 64);
	run_until(bench, is_hardware);
	config = wish_of(bench);
	config.tuning.bitrate_kbps = 2500;
	wish(bench, &config);
	submit(bench, false);
	run_until(bench, has_unit);
	assert_int_equal(fake_hardware.bitrate_kbps, 2500);
	assert_int_equal(fake_hardware.opened, 1);
}

static void memory_that_can_be_read_now_is_worth_another_encoder_once(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config;

	atomic_store(&fake_hardware.could_take, 1);
	want(bench, 64, 64);
	run_until(bench, is_hardware);
	config = wish_of(bench);
	for (uint64_t id = 1; id < 5; id++) {
		config.like.dmabuf.id = id;
		wish(bench, &config);
		assert_int_equal(fake_hardware.opened, 2);
	}
	config.like.dmabuf.id = 0; /* the slate in between */
	wish(bench, &config);
	config.like.dmabuf.id = 9;
	config.like.plane[0].stride = 256;
	wish(bench, &config);
	assert_int_equal(fake_hardware.opened, 3);
}

/* A driver that loses what it cannot import, and says nothing. */
static void memory_of_which_nothing_came_is_not_tried_again(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config;

	atomic_store(&fake_hardware.could_take, 1);
	want(bench, 64, 64);
	run_until(bench, is_hardware);
	config = wish_of(bench);
	config.like.dmabuf.id = 1;
	wish(bench, &config);
	assert_int_equal(fake_config.like.dmabuf.id, 1);
	atomic_store(&fake_hardware.collect_error, -EIO);
	submit_in_place(bench, &config);
	run_until(bench, has_failed_once);
	atomic_store(&fake_hardware.collect_error, 0);
	run_until(bench, is_hardware);
	assert_int_equal(fake_config.like.dmabuf.id, 0);
	assert_int_equal(bench->supervisor.policy.failures, 0); /* the hardware is not to blame */
	wish(bench, &config);
	assert_int_equal(fake_hardware.opened, 3);

	supervisor_rest(&bench->supervisor, now_ns()); /* a new chance for the next viewer */
	wish(bench, &config);
	assert_int_equal(fake_config.like.dmabuf.id, 1);
}

static void memory_that_was_read_once_is_tried_again(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config;

	config = open_to_import(bench);
	submit_in_place(bench, &config);
	run_until(bench, is_idle);
	atomic_store(&fake_hardware.collect_error, -EIO);
	submit_in_place(bench, &config);
	run_until(bench, has_failed_once);
	atomic_store(&fake_hardware.collect_error, 0);
	run_until(bench, is_hardware);
	assert_int_equal(fake_config.like.dmabuf.id, 1);
}

/* It failed at a picture that was copied. */
static void memory_that_was_not_read_is_not_to_blame(void **state)
{
	struct bench *bench = *state;

	open_to_import(bench);
	atomic_store(&fake_hardware.collect_error, -EIO);
	submit(bench, false);
	run_until(bench, has_failed_once);
	assert_int_equal(bench->supervisor.policy.failures, 1);
	atomic_store(&fake_hardware.collect_error, 0);
	run_until(bench, is_hardware);
	assert_int_equal(fake_config.like.dmabuf.id, 1);
}

/* Its QBUF said so, say. */
static void memory_that_cannot_be_read_is_worth_no_other_encoder(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config, slate;

	atomic_store(&fake_hardware.could_take, 1);
	want(bench, 64, 64);
	run_until(bench, is_hardware);
	slate = config = wish_of(bench);
	config.like.dmabuf.id = 1;
	wish(bench, &config);
	assert_false(supervisor_takes(&bench->supervisor, &config.like));
	config.profile = slate.profile = H264_HIGH;
	wish(bench, &slate);
	assert_int_equal(fake_hardware.opened, 3);
	wish(bench, &config);
	assert_int_equal(fake_hardware.opened, 3);
}

/* Hung in the first picture that it was to import: nothing was held against it, but it is stuck. */
static void software_in_place_of_stuck_hardware_is_a_fallback(void **state)
{
	struct bench *bench = *state;
	struct encoder_config config;
	struct h264_status status;

	config = open_to_import(bench);
	atomic_store(&fake_hardware.hang_in_submit, 1);
	submit_in_place(bench, &config);
	while (atomic_load(&fake_hardware.hang_in_submit) != 2)
		sched_yield();
	pass_ms(bench, 0);
	pass_ms(bench, 1000);
	pass_ms(bench, 1000);
	run_until(bench, is_software);
	supervisor_describe(&bench->supervisor, true, now_ns(), &status);
	assert_string_equal(status.state, "fallback");
}

static void frames_are_let_go_when_a_session_closes(void **state)
{
	struct bench *bench = *state;
	struct frame_pool *pool = frame_pool_create(1);
	struct encoder_submission in = { .input = -1 };
	struct frame *frame;

	assert_int_equal(frame_pool_get(pool, 100, &frame), 0);
	want(bench, 64, 64);
	run_until(bench, is_hardware);
	atomic_store(&fake_hardware.silent, 1);
	in.frame = frame;
	in.origin = frame;
	supervisor_submit(&bench->supervisor, &in);
	supervisor_submit(&bench->supervisor, &in);
	supervisor_rest(&bench->supervisor, now_ns());
	while (atomic_load(&frame->refs) > 1)
		supervisor_tend(&bench->supervisor, now_ns());
	frame_unref(frame);
	frame_pool_destroy(pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(frames_come_out_in_order),
		TEST(a_size_beyond_hardware_goes_to_software),
		TEST(a_hanging_frame_costs_about_a_second),
		TEST(who_oversleeps_blames_nobody),
		TEST(software_is_waited_for_ten_times_as_long),
		TEST(a_driver_that_never_returns_is_left_behind),
		TEST(an_encoder_that_hangs_in_open_is_left_behind),
		TEST(an_encoder_that_fails_is_opened_again_then_replaced),
		TEST(failures_count_on_until_a_hundred_access_units_came_out),
		TEST(a_hundred_access_units_make_up_for_a_failure),
		TEST(hardware_comes_back_when_a_probe_succeeds),
		TEST(a_probe_that_fails_changes_nothing),
		TEST(tuning_reaches_the_encoder_and_what_holds_comes_back),
		TEST(an_encoder_that_can_do_what_is_wanted_is_kept),
		TEST(what_is_wanted_is_tuned),
		TEST(memory_that_can_be_read_now_is_worth_another_encoder_once),
		TEST(memory_of_which_nothing_came_is_not_tried_again),
		TEST(memory_that_was_read_once_is_tried_again),
		TEST(memory_that_was_not_read_is_not_to_blame),
		TEST(memory_that_cannot_be_read_is_worth_no_other_encoder),
		TEST(software_in_place_of_stuck_hardware_is_a_fallback),
		TEST(frames_are_let_go_when_a_session_closes),
	};

	calm_down(1);
	calm_set(0, 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
