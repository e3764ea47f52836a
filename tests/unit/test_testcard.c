// SPDX-License-Identifier: GPL-3.0-or-later
/* Promises of the test card: what it shows, its even rate, and that it stops at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <sys/eventfd.h>

#include "capture/source.h"
#include "slate/draw.h"
#include "base/util.h"
#include "base/wait.h"
#include "preload.h"

struct fixture {
	struct options opt;
	struct drops drops;
	struct source_config config;
	struct source *source;
};

static int setup(void **state)
{
	struct fixture *fix = xcalloc(1, sizeof(*fix));

	calm_set(1, 1);
	fix->opt.resolution = (struct option_size){ 320, 180 };
	fix->opt.desired_fps = 120;
	fix->config = (struct source_config){
		.opt = &fix->opt,
		.drops = &fix->drops,
		.stop_fd = eventfd(0, EFD_CLOEXEC),
		.wake_fd = -1,
	};
	*state = fix;
	return fix->config.stop_fd < 0;
}

static int teardown(void **state)
{
	struct fixture *fix = *state;

	source_testcard.close(fix->source);
	close(fix->config.stop_fd);
	free(fix);
	return 0;
}

static void start(struct fixture *fix)
{
	assert_int_equal(source_testcard.open(&fix->source, &fix->config), 0);
}

static struct frame *next(struct fixture *fix)
{
	struct frame *frame;

	assert_int_equal(source_testcard.next(fix->source, &frame, WAIT_FOR_EVER), 0);
	return frame;
}

/* The frame number as the strip of cells at the bottom edge says it. */
static uint32_t read_number(const struct frame *frame)
{
	const struct frame_plane *luma = &frame->plane[0];
	const uint8_t *row = luma->data + (size_t)(frame->height * 97 / 100) * luma->stride;
	uint32_t number = 0;

	for (unsigned i = 0; i < 32; i++)
		number = number << 1 | (row[frame->width * (2 * i + 1) / 64] > 128);
	return number;
}

static void test_frames_are_full_range_601_of_the_size_asked_for(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *frame = NULL;

	fix->opt.resolution = (struct option_size){ 321, 183 };
	start(fix);
	frame = next(fix);
	assert_int_equal(frame->format, V4L2_PIX_FMT_YUV420);
	assert_int_equal(frame->width, 321);
	assert_int_equal(frame->height, 183);
	assert_int_equal(frame->range, RANGE_FULL);
	assert_int_equal(frame->matrix, MATRIX_601);
	assert_true(frame->online);
	assert_true(frame->key);
	assert_false(frame->keepable);
}

static void test_unset_options_mean_640x480(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *frame = NULL;

	fix->opt.resolution = (struct option_size){ 0, 0 };
	fix->opt.desired_fps = 0;
	start(fix);
	frame = next(fix);
	assert_int_equal(frame->width, 640);
	assert_int_equal(frame->height, 480);
}

static void test_bars_have_their_exact_values(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *frame = NULL;

	start(fix);
	frame = next(fix);
	for (unsigned i = 0; i < DRAW_BARS; i++) {
		unsigned x = frame->width * (2 * i + 1) / 16, y = frame->height / 4;
		size_t half = (size_t)(y / 2) * frame->plane[1].stride + x / 2;

		assert_int_equal(frame->plane[0].data[y * frame->plane[0].stride + x],
			draw_bars[i].y);
		assert_int_equal(frame->plane[1].data[half], draw_bars[i].u);
		assert_int_equal(frame->plane[2].data[half], draw_bars[i].v);
	}
}

static void test_each_picture_shows_its_number_and_differs(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *previous = NULL;

	start(fix);
	for (int i = 0; i < 20; i++) {
		struct frame *frame = next(fix);

		assert_int_equal(read_number(frame), frame->sequence);
		if (previous) {
			assert_true(frame->sequence > previous->sequence);
			assert_memory_not_equal(frame->plane[0].data, previous->plane[0].data,
				frame->plane[0].size);
		}
		frame_unref(previous);
		previous = frame;
	}
}

static void test_frames_fall_due_on_an_even_grid(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *first = NULL;

	fix->opt.desired_fps = 90;
	start(fix);
	first = next(fix);
	for (int i = 0; i < 45; i++) {
		AUTO(frame_unref_auto) struct frame *frame = next(fix);
		int64_t due = first->captured_ns +
			      (int64_t)(frame->sequence - first->sequence) * NS_PER_S / 90;

		assert_in_range(frame->captured_ns - due + 2, 0, 4);
		assert_true(frame->grabbed_ns >= frame->captured_ns);
	}
}

static void test_a_late_reader_skips_numbers_and_gets_no_burst(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *first = NULL;
	AUTO(frame_unref_auto) struct frame *second = NULL;
	AUTO(frame_unref_auto) struct frame *third = NULL;
	int64_t asked;

	start(fix);
	first = next(fix);
	/* A reader that is busy for twelve intervals. */
	while (now_ns() < first->captured_ns + NS_PER_S / 10)
		;
	asked = now_ns();
	second = next(fix);
	third = next(fix);
	assert_true(second->sequence >= first->sequence + 12);
	assert_true(second->captured_ns > asked - NS_PER_S / 120 - NS_PER_MS);
	assert_true(third->captured_ns > asked);
}

static void test_the_time_limit_holds_and_harms_nothing(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *first = NULL;
	AUTO(frame_unref_auto) struct frame *second = NULL;
	struct frame *none = NULL;

	fix->opt.desired_fps = 2;
	start(fix);
	first = next(fix);
	calm_set(1, 20);
	assert_int_equal(source_testcard.next(fix->source, &none, now_ns() + 10 * NS_PER_MS),
		-ETIMEDOUT);
	assert_null(none);
	calm_set(0, 1);
	own_step(preload_own(), first->captured_ns + NS_PER_S / 2 - now_ns());
	second = next(fix);
	assert_int_equal(second->sequence, first->sequence + 1);
}

static void test_stop_ends_the_wait_at_once(void **state)
{
	struct fixture *fix = *state;
	struct frame *frame = NULL;

	fix->opt.desired_fps = 1;
	start(fix);
	frame_unref(next(fix));
	assert_int_equal(eventfd_write(fix->config.stop_fd, 1), 0);
	calm_set(0, 1); /* it must not need any time */
	assert_int_equal(source_testcard.next(fix->source, &frame, now_ns() + 900 * NS_PER_MS),
		-ECANCELED);
}

static void test_frames_outlive_the_source(void **state)
{
	struct fixture *fix = *state;
	AUTO(frame_unref_auto) struct frame *frame = NULL;

	start(fix);
	frame = next(fix);
	source_testcard.close(fix->source);
	fix->source = NULL;
	assert_int_equal(read_number(frame), frame->sequence);
}

#define SOURCE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOURCE_TEST(test_frames_are_full_range_601_of_the_size_asked_for),
		SOURCE_TEST(test_unset_options_mean_640x480),
		SOURCE_TEST(test_bars_have_their_exact_values),
		SOURCE_TEST(test_each_picture_shows_its_number_and_differs),
		SOURCE_TEST(test_frames_fall_due_on_an_even_grid),
		SOURCE_TEST(test_a_late_reader_skips_numbers_and_gets_no_burst),
		SOURCE_TEST(test_the_time_limit_holds_and_harms_nothing),
		SOURCE_TEST(test_stop_ends_the_wait_at_once),
		SOURCE_TEST(test_frames_outlive_the_source),
	};

	calm_down(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
