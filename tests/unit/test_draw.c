// SPDX-License-Identifier: GPL-3.0-or-later
/* Promises of draw.h. Built with SAN=address, every write outside the picture ends the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "slate/draw.h"

static const struct draw_color red = { 57, 96, 224 };

static struct frame *blank(uint32_t width, uint32_t height)
{
	struct frame *frame;

	assert_int_equal(draw_create(&frame, width, height), 0);
	memset(frame->plane[0].data, 0, draw_bytes(width, height));
	return frame;
}

static uint8_t luma_at(const struct frame *frame, int x, int y)
{
	return frame->plane[0].data[y * (int)frame->plane[0].stride + x];
}

static unsigned count_lit(const struct frame *frame)
{
	unsigned lit = 0;

	for (size_t i = 0; i < frame->plane[0].size; i++)
		lit += frame->plane[0].data[i] != 0;
	return lit;
}

static void test_bars_are_75_percent_in_full_range_601(void **state)
{
	for (int i = 0; i < DRAW_BARS; i++) {
		/* White to black counts down in green, red, blue. */
		double g = i & 4 ? 0 : 191.25, r = i & 2 ? 0 : 191.25, b = i & 1 ? 0 : 191.25;
		double y = .299 * r + .587 * g + .114 * b;

		assert_in_range(draw_bars[i].y * 100, y * 100 - 51 < 0 ? 0 : y * 100 - 51,
			y * 100 + 51);
		assert_in_range(draw_bars[i].u * 100, 12800 + (b - y) / 1.772 * 100 - 51,
			12800 + (b - y) / 1.772 * 100 + 51);
		assert_in_range(draw_bars[i].v * 100, 12800 + (r - y) / 1.402 * 100 - 51,
			12800 + (r - y) / 1.402 * 100 + 51);
	}
	(void)state;
}

static void test_odd_sizes_round_their_chroma_up(void **state)
{
	AUTO(frame_unref_auto) struct frame *frame = blank(5, 3);

	assert_int_equal(draw_bytes(5, 3), 15 + 2 * 6);
	assert_int_equal(frame->plane[1].stride, 3);
	assert_int_equal(frame->plane[2].size, 6);
	assert_ptr_equal(frame->plane[2].data, frame->plane[0].data + 21);
	draw_fill(frame, 0, 0, 5, 3, red);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(frame->plane[1].data[i], red.u);
		assert_int_equal(frame->plane[2].data[i], red.v);
	}
	(void)state;
}

static void test_empty_pictures_are_refused(void **state)
{
	struct frame *frame = NULL;

	assert_int_equal(draw_create(&frame, 0, 10), -EINVAL);
	assert_int_equal(draw_create(&frame, 10, 0), -EINVAL);
	assert_null(frame);
	(void)state;
}

static void test_rectangles_are_clipped_on_every_side(void **state)
{
	static const int outside[][4] = { { -50, -50, 20, 20 }, { 200, 5, 10, 10 },
		{ 5, 200, 10, 10 }, { 5, 5, 0, 10 }, { 5, 5, -3, 10 }, { 5, 5, 10, INT32_MIN },
		{ INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX } };
	AUTO(frame_unref_auto) struct frame *frame = blank(33, 17);

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		draw_fill(frame, outside[i][0], outside[i][1], outside[i][2], outside[i][3], red);
	assert_int_equal(count_lit(frame), 0);
	draw_fill(frame, -10, -10, INT32_MAX, 11, red);
	assert_int_equal(count_lit(frame), 33);
	draw_fill(frame, 32, -10, 100, 1000, red);
	assert_int_equal(count_lit(frame), 33 + 16);
	(void)state;
}

static void test_every_character_but_the_blank_shows(void **state)
{
	for (char c = ' '; c <= '~'; c++) {
		for (unsigned size = DRAW_MIN_SIZE; size <= 96; size += 10) {
			AUTO(frame_unref_auto) struct frame *frame = blank(size / 2, size);

			draw_text(frame, 0, 0, size, 255, &c, 1);
			assert_int_equal(count_lit(frame) > 0, c != ' ');
		}
	}
	(void)state;
}

static void test_other_bytes_show_as_question_marks(void **state)
{
	AUTO(frame_unref_auto) struct frame *mark = blank(16, 32);

	draw_text(mark, 0, 0, 32, 255, "?", 1);
	for (int c = 1; c < 256; c++) {
		AUTO(frame_unref_auto) struct frame *frame = blank(16, 32);

		if (c >= ' ' && c <= '~')
			continue;
		draw_text(frame, 0, 0, 32, 255, &(char){ (char)c }, 1);
		assert_memory_equal(frame->plane[0].data, mark->plane[0].data, 16 * 32);
	}
	(void)state;
}

static void test_text_stays_in_its_cells(void **state)
{
	static const char text[] = "Wg@#";

	for (unsigned size = DRAW_MIN_SIZE; size <= 130; size += 2) {
		int width = draw_text_width(size, strlen(text));
		AUTO(frame_unref_auto) struct frame *frame = blank((uint32_t)width + 20, size + 20);

		draw_text(frame, 10, 10, size, 200, text, strlen(text));
		assert_true(count_lit(frame) > 0);
		draw_fill_luma(frame, 10, 10, width, (int)size, 0);
		assert_int_equal(count_lit(frame), 0);
	}
	(void)state;
}

static void test_text_is_clipped_on_every_side(void **state)
{
	static const char text[] = "clipped everywhere";
	AUTO(frame_unref_auto) struct frame *frame = blank(37, 29);
	AUTO(frame_unref_auto) struct frame *tiny = blank(1, 1);

	for (int y = -80; y < 80; y += 7) {
		for (int x = -400; x < 60; x += 5) {
			draw_text(frame, x, y, 48, 255, text, strlen(text));
			draw_text(tiny, x, y, 500, 255, text, strlen(text));
		}
	}
	draw_text(frame, INT32_MAX, INT32_MAX, 48, 255, text, strlen(text));
	draw_text(frame, INT32_MIN, INT32_MIN, 48, 255, text, strlen(text));
	(void)state;
}

static void test_copies_are_clipped_and_aligned(void **state)
{
	AUTO(frame_unref_auto) struct frame *from = blank(40, 10);
	AUTO(frame_unref_auto) struct frame *to = blank(20, 20);

	draw_fill_luma(from, 20, 0, 20, 10, 9);
	draw_copy_luma(to, -5, 15, from, 15, 20, 10);
	assert_int_equal(count_lit(to), 15 * 5);
	assert_int_equal(luma_at(to, 0, 15), 9);
	assert_int_equal(luma_at(to, 15, 15), 0);
	(void)state;
}

static void assert_wraps(const char *text, unsigned columns, const char *const expected[])
{
	const char *line;
	size_t length;
	unsigned i = 0;

	for (; draw_wrap(&text, columns, &line, &length); i++) {
		assert_non_null(expected[i]);
		assert_int_equal(length, strlen(expected[i]));
		assert_memory_equal(line, expected[i], length);
	}
	assert_null(expected[i]);
}

static void test_lines_break_at_blanks(void **state)
{
	assert_wraps("", 10, (const char *[]){ NULL });
	assert_wraps("   ", 10, (const char *[]){ NULL });
	assert_wraps("one two", 10, (const char *[]){ "one two", NULL });
	assert_wraps("one two", 7, (const char *[]){ "one two", NULL });
	assert_wraps("one two", 6, (const char *[]){ "one", "two", NULL });
	assert_wraps("one two", 4, (const char *[]){ "one", "two", NULL });
	assert_wraps("one  two three", 9, (const char *[]){ "one  two", "three", NULL });
	assert_wraps("one\ntwo", 10, (const char *[]){ "one", "two", NULL });
	assert_wraps("one \n\ntwo", 10, (const char *[]){ "one", "", "two", NULL });
	(void)state;
}

static void test_long_words_break_anywhere(void **state)
{
	assert_wraps("/dev/video0", 5, (const char *[]){ "/dev/", "video", "0", NULL });
	assert_wraps("in /dev/video0", 8, (const char *[]){ "in", "/dev/vid", "eo0", NULL });
	assert_wraps("ab", 0, (const char *[]){ "a", "b", NULL });
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bars_are_75_percent_in_full_range_601),
		cmocka_unit_test(test_odd_sizes_round_their_chroma_up),
		cmocka_unit_test(test_empty_pictures_are_refused),
		cmocka_unit_test(test_rectangles_are_clipped_on_every_side),
		cmocka_unit_test(test_every_character_but_the_blank_shows),
		cmocka_unit_test(test_other_bytes_show_as_question_marks),
		cmocka_unit_test(test_text_stays_in_its_cells),
		cmocka_unit_test(test_text_is_clipped_on_every_side),
		cmocka_unit_test(test_copies_are_clipped_and_aligned),
		cmocka_unit_test(test_lines_break_at_blanks),
		cmocka_unit_test(test_long_words_break_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
