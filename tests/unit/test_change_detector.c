// SPDX-License-Identifier: GPL-3.0-or-later
/* Pictures that stand still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "clock.h"
#include "encoder/change_detector.h"

#define WIDTH  640
#define HEIGHT 480

static uint8_t memory[WIDTH * HEIGHT * 2];

static struct frame picture(void)
{
	return (struct frame){ .format = V4L2_PIX_FMT_YUYV,
		.width = WIDTH,
		.height = HEIGHT,
		.online = true,
		.plane = { { memory, 2 * WIDTH, sizeof(memory) } } };
}

static int setup(void **state)
{
	(void)state;
	atomic_store(&clock_step_ns, 1000);
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i * 7 + i / 640);
	return 0;
}

static void a_picture_is_the_same_from_its_third_time_on(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	assert_false(change_detector_is_same(& detector, &frame));
	assert_false(change_detector_is_same(& detector, &frame)); /* its copy is made */
	assert_true(change_detector_is_same(& detector, &frame));
	assert_true(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

static void every_byte_counts(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	for (size_t at = 0; at < sizeof(memory); at += 4099) {
		for (int i = 0; i < 3; i++)
			change_detector_is_same(& detector, &frame);
		memory[at] ^= 1;
		assert_false(change_detector_is_same(& detector, &frame));
	}
	memory[sizeof(memory) - 1] ^= 1;
	assert_false(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

static void back_to_the_picture_before_is_a_change(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	for (int i = 0; i < 3; i++)
		change_detector_is_same(& detector, &frame);
	memory[1] ^= 1;
	assert_false(change_detector_is_same(& detector, &frame));
	memory[1] ^= 1;
	assert_false(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

static void the_slate_is_not_the_picture(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	for (int i = 0; i < 3; i++)
		change_detector_is_same(& detector, &frame);
	frame.online = false;
	assert_false(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

static void jpegs_of_other_lengths_differ(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	frame.format = V4L2_PIX_FMT_JPEG;
	for (int i = 0; i < 3; i++)
		change_detector_is_same(& detector, &frame);
	frame.plane[0].size--;
	assert_false(change_detector_is_same(& detector, &frame));
	frame.plane[0].size = 3;
	assert_false(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

static void after_a_reset_all_is_new(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	for (int i = 0; i < 3; i++)
		change_detector_is_same(& detector, &frame);
	change_detector_reset(& detector);
	assert_false(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

/* Each reading of the clock is one comparison later. */
static void memory_that_is_slow_to_read_is_not_compared_any_more(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	change_detector_is_same(& detector, &frame);
	change_detector_is_same(& detector, &frame);
	atomic_store(&clock_step_ns, 9 * NS_PER_MS);
	for (int i = 0; i < 3; i++)
		assert_true(change_detector_is_same(& detector, &frame));
	for (int i = 0; i < 3; i++)
		assert_false(change_detector_is_same(& detector, &frame));
	change_detector_reset(&
			      detector); /* those who come later may find the machine less busy */
	atomic_store(&clock_step_ns, 1000);
	change_detector_is_same(& detector, &frame);
	change_detector_is_same(& detector, &frame);
	assert_true(change_detector_is_same(& detector, &frame));
	change_detector_finish(& detector);
}

static void a_busy_moment_is_no_slow_memory(void **state)
{
	struct change_detector detector = { 0 };
	struct frame frame = picture();

	(void)state;
	change_detector_is_same(& detector, &frame);
	change_detector_is_same(& detector, &frame);
	for (int i = 0; i < 9; i++) {
		atomic_store(&clock_step_ns, i % 3 == 2 ? 1000 : 9 * NS_PER_MS);
		assert_true(change_detector_is_same(& detector, &frame));
	}
	change_detector_finish(& detector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_picture_is_the_same_from_its_third_time_on, setup),
		cmocka_unit_test_setup(every_byte_counts, setup),
		cmocka_unit_test_setup(back_to_the_picture_before_is_a_change, setup),
		cmocka_unit_test_setup(the_slate_is_not_the_picture, setup),
		cmocka_unit_test_setup(jpegs_of_other_lengths_differ, setup),
		cmocka_unit_test_setup(after_a_reset_all_is_new, setup),
		cmocka_unit_test_setup(memory_that_is_slow_to_read_is_not_compared_any_more, setup),
		cmocka_unit_test_setup(a_busy_moment_is_no_slow_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
