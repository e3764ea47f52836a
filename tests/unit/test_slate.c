// SPDX-License-Identifier: GPL-3.0-or-later
/* Promises of slate.h. Built with SAN=address, every write outside the picture ends the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "slate/slate.h"

#define TITLE  "No signal"
#define HINT   "Check the HDMI cable and that the machine is on and awake."
#define DETAIL "/dev/video0, since 16:05:12 UTC"

static struct frame *slate(uint32_t width, uint32_t height, const char *title, const char *hint,
	const char *detail)
{
	struct frame *frame;

	assert_int_equal(slate_draw(&frame, width, height, title, hint, detail), 0);
	return frame;
}

/* Rows of the picture that are not all background. */
static unsigned rows_used(const struct frame *frame, uint32_t from, uint32_t until)
{
	const struct frame_plane *luma = &frame->plane[0];
	unsigned used = 0;

	for (uint32_t y = from; y < until; y++) {
		for (uint32_t x = 1; x < frame->width; x++) {
			if (luma->data[(size_t)y * luma->stride + x] == luma->data[0])
				continue;
			used++;
			break;
		}
	}
	return used;
}

static void test_the_slate_says_what_it_is(void **state)
{
	AUTO(frame_unref_auto) struct frame *frame = slate(640, 480, TITLE, HINT, DETAIL);

	assert_int_equal(frame->format, V4L2_PIX_FMT_YUV420);
	assert_int_equal(frame->width, 640);
	assert_int_equal(frame->height, 480);
	assert_int_equal(frame->range, RANGE_FULL);
	assert_int_equal(frame->matrix, MATRIX_601);
	assert_true(frame->key);
	assert_true(frame->keepable);
	assert_false(frame->online);
	(void)state;
}

static void test_no_size_is_written_outside(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 3, 7, 8, 15, 16, 17, 31, 48, 63, 100, 160, 333 };

	for (size_t w = 0; w < ARRAY_SIZE(sizes); w++) {
		for (size_t h = 0; h < ARRAY_SIZE(sizes); h++)
			frame_unref(slate(sizes[w], sizes[h], TITLE, HINT, DETAIL));
	}
	frame_unref(slate(1, 4000, TITLE, HINT, DETAIL));
	frame_unref(slate(4000, 1, TITLE, HINT, DETAIL));
	frame_unref(slate(1919, 1079, TITLE, HINT, DETAIL));
	frame_unref(slate(3840, 2160, TITLE, HINT, DETAIL));
	(void)state;
}

static void test_text_shows_at_every_usual_size(void **state)
{
	static const uint32_t sizes[][2] = { { 160, 120 }, { 320, 240 }, { 640, 480 }, { 720, 576 },
		{ 1366, 768 }, { 1920, 1080 }, { 1080, 1920 } };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		AUTO(frame_unref_auto)
		struct frame *frame = slate(sizes[i][0], sizes[i][1], TITLE, HINT, DETAIL);

		/* At least two lines of letters, in the middle half. */
		assert_in_range(rows_used(frame, frame->height / 4, frame->height * 3 / 4), 24,
			frame->height / 2);
	}
	(void)state;
}

static void test_the_detail_is_at_the_bottom(void **state)
{
	AUTO(frame_unref_auto) struct frame *with = slate(640, 480, TITLE, HINT, DETAIL);
	AUTO(frame_unref_auto) struct frame *without = slate(640, 480, TITLE, HINT, "");

	assert_true(rows_used(with, 400, 480) >= 8);
	assert_int_equal(rows_used(without, 400, 480), 0);
	(void)state;
}

static void test_the_detail_goes_where_there_is_no_room(void **state)
{
	AUTO(frame_unref_auto) struct frame *with = slate(160, 120, TITLE, HINT, DETAIL);
	AUTO(frame_unref_auto) struct frame *without = slate(160, 120, TITLE, HINT, "");

	assert_memory_equal(with->plane[0].data, without->plane[0].data, 160 * 120);
	(void)state;
}

static void test_long_and_strange_texts_are_survived(void **state)
{
	char endless[5000];

	memset(endless, 'W', sizeof(endless) - 1);
	endless[sizeof(endless) - 1] = '\0';
	frame_unref(slate(640, 480, endless, endless, endless));
	frame_unref(slate(640, 480, "", "", ""));
	frame_unref(slate(640, 480, "\n\n\n", "\xc3\xa4\xff\x01", "a\nb\nc"));
	(void)state;
}

static void test_impossible_sizes_are_errors(void **state)
{
	struct frame *frame = NULL;

	assert_int_equal(slate_draw(&frame, 0, 480, TITLE, HINT, DETAIL), -EINVAL);
	assert_int_equal(slate_draw(&frame, UINT32_MAX, UINT32_MAX, TITLE, HINT, DETAIL), -EINVAL);
	assert_null(frame);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_slate_says_what_it_is),
		cmocka_unit_test(test_no_size_is_written_outside),
		cmocka_unit_test(test_text_shows_at_every_usual_size),
		cmocka_unit_test(test_the_detail_is_at_the_bottom),
		cmocka_unit_test(test_the_detail_goes_where_there_is_no_room),
		cmocka_unit_test(test_long_and_strange_texts_are_survived),
		cmocka_unit_test(test_impossible_sizes_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
