// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Raw pictures as planar YUV, against a slow reference that looks at one pixel at a time. Each
 * plane lies at the end of a page before one that may not be touched, because no sanitizer sees
 * what libyuv's assembly reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <math.h>

#include "base/util.h"
#include "convert/planar.h"
#include "raws.h"

/* Rounding in the format's own step, in the range step and in the matrix step. */
#define TOLERANCE 2.0

static const struct {
	uint32_t width, height;
} sizes[] = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 16, 16 }, { 33, 17 }, { 64, 35 }, { 1030, 5 },
	{ 1366, 48 } };

/* What the result should be at a pixel: its own brightness, the colour of its 2×2 square. */
static struct colour expected(const struct source *source, const struct frame *frame, uint32_t x,
	uint32_t y)
{
	struct colour sum = { 0 };
	int n = 0;

	for (uint32_t at_y = y & ~1u; at_y < MIN((y | 1) + 1, frame->height); at_y++) {
		for (uint32_t at_x = x & ~1u; at_x < MIN((x | 1) + 1, frame->width); at_x++) {
			struct colour colour = source->at(frame, at_x, at_y);

			sum.u += colour.u;
			sum.v += colour.v;
			n++;
		}
	}
	sum.u /= n;
	sum.v /= n;
	sum.y = source->at(frame, x, y).y;
	if (!source->rgb && frame->range == RANGE_LIMITED)
		stretch(&sum);
	if (!source->rgb && !source->grey && frame->matrix == MATRIX_709)
		turn_matrix(&sum);
	return sum;
}

static void assert_near(const struct source *source, const struct frame *frame, const char *what,
	double is, double should, uint32_t x, uint32_t y)
{
	if (fabs(is - should) > TOLERANCE)
		fail_msg("%s %ux%u stride %u %s %s: %s at %u,%u is %g, not %g", source->name,
			frame->width, frame->height, frame->plane[0].stride,
			frame->range == RANGE_FULL ? "full" : "limited",
			frame->matrix == MATRIX_601 ? "601" : "709", what, x, y, is, should);
}

/* The view is of the rows from `first` on. */
static void assert_shows(const struct planar *view, const struct source *source,
	const struct frame *frame, uint32_t first)
{
	assert_int_equal(view->subsampling, source->grey ? PLANAR_GREY : PLANAR_420);
	assert_int_equal(planar_is_grey(frame), source->grey);
	assert_int_equal(view->width, frame->width);
	for (uint32_t row = 0; row < view->height; row++) {
		for (uint32_t x = 0; x < frame->width; x++) {
			uint32_t y = first + row;
			struct colour should = expected(source, frame, x, y);

			assert_near(source, frame, "Y",
				view->plane[0][(size_t)row * view->stride[0] + x], should.y, x, y);
			if (source->grey)
				continue;
			assert_near(source, frame, "U",
				view->plane[1][(size_t)(row / 2) * view->stride[1] + x / 2],
				should.u, x, y);
			assert_near(source, frame, "V",
				view->plane[2][(size_t)(row / 2) * view->stride[2] + x / 2],
				should.v, x, y);
		}
	}
}

/* The whole picture, `rows` at a time. */
static void check_strips(const struct source *source, const struct frame *frame, uint32_t rows)
{
	uint8_t *scratch = NULL;
	size_t scratch_size = 0;

	for (uint32_t first = 0; first < frame->height; first += rows) {
		struct planar view;

		assert_int_equal(planar_rows(&view, frame, first, rows, &scratch, &scratch_size),
			0);
		assert_int_equal(view.height, MIN(rows, frame->height - first));
		assert_shows(&view, source, frame, first);
	}
	free(scratch);
}

static void check_all(enum frame_range range, enum frame_matrix matrix)
{
	srandom(1);
	for (size_t i = 0; i <= ARRAY_SIZE(sources); i++) {
		const struct source *source = i < ARRAY_SIZE(sources) ? &sources[i]
								      : &xbgr32_source;

		for (size_t k = 0; k < ARRAY_SIZE(sizes) * 2; k++) {
			struct raw picture;

			raw_create(&picture, source, sizes[k / 2].width, sizes[k / 2].height,
				k % 2 * 37);
			picture.frame.range = range;
			picture.frame.matrix = matrix;
			check_strips(source, &picture.frame, 8);
			check_strips(source, &picture.frame, 16);
			check_strips(source, &picture.frame, 64);
			raw_finish(&picture);
		}
	}
}

static void every_format_becomes_planar(void **state)
{
	(void)state;
	check_all(RANGE_FULL, MATRIX_601);
}

static void limited_range_is_stretched(void **state)
{
	(void)state;
	check_all(RANGE_LIMITED, MATRIX_601);
}

static void bt_709_is_turned_into_bt_601(void **state)
{
	(void)state;
	check_all(RANGE_FULL, MATRIX_709);
}

static void limited_bt_709_is_stretched_and_turned(void **state)
{
	(void)state;
	check_all(RANGE_LIMITED, MATRIX_709);
}

static void black_white_and_grey_are_exact(void **state)
{
	static const uint8_t yuv[][2][3] = { { { 16, 128, 128 }, { 0, 128, 128 } },
		{ { 235, 128, 128 }, { 255, 128, 128 } }, { { 126, 128, 128 }, { 128, 128, 128 } },
		{ { 0, 128, 128 }, { 0, 128, 128 } }, { { 255, 128, 128 }, { 255, 128, 128 } } };
	uint8_t *scratch = NULL;
	size_t scratch_size = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yuv) * 2; i++) {
		struct raw picture;
		struct planar view;

		raw_create(&picture, &sources[7], 66, 18, 0);
		picture.frame.range = RANGE_LIMITED;
		picture.frame.matrix = i % 2 ? MATRIX_709 : MATRIX_601;
		for (int p = 0; p < 3; p++)
			memset(picture.frame.plane[p].data, yuv[i / 2][0][p],
				picture.frame.plane[p].size);
		assert_int_equal(planar_rows(&view, &picture.frame, 0, UINT32_MAX, &scratch,
					 &scratch_size),
			0);
		for (int p = 0; p < 3; p++)
			assert_int_equal(view.plane[p][0], yuv[i / 2][1][p]);
		raw_finish(&picture);
	}
	free(scratch);
}

static void what_is_planar_already_is_borrowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		uint32_t fourcc = sources[i].fourcc;
		bool planar = fourcc == V4L2_PIX_FMT_YUV420 || fourcc == V4L2_PIX_FMT_YVU420 ||
			      fourcc == V4L2_PIX_FMT_GREY;
		uint8_t *scratch = NULL;
		size_t scratch_size = 0;
		struct raw picture;
		struct planar view;

		raw_create(&picture, &sources[i], 64, 32, 0);
		assert_int_equal(planar_rows(&view, &picture.frame, 0, UINT32_MAX, &scratch,
					 &scratch_size),
			0);
		assert_int_equal(view.borrowed, planar);
		assert_int_equal(scratch == NULL, planar);
		assert_ptr_equal(view.plane[0], planar ? picture.frame.plane[0].data : scratch);

		/* Grey has no matrix; the others must not be changed where they are. */
		picture.frame.matrix = MATRIX_709;
		assert_int_equal(planar_rows(&view, &picture.frame, 0, UINT32_MAX, &scratch,
					 &scratch_size),
			0);
		assert_int_equal(view.borrowed, fourcc == V4L2_PIX_FMT_GREY);

		/* An encoder reads whole blocks, so a row must not end within one. */
		picture.frame.width = 60;
		picture.frame.matrix = MATRIX_601;
		assert_int_equal(planar_rows(&view, &picture.frame, 0, 64, &scratch, &scratch_size),
			0);
		assert_false(view.borrowed);
		free(scratch);
		raw_finish(&picture);
	}
}

static void the_scratch_grows_once_and_is_used_again(void **state)
{
	uint8_t *scratch = NULL, *large;
	struct raw small, big;
	size_t size = 0, large_size;
	struct planar view;

	(void)state;
	raw_create(&small, &sources[0], 32, 32, 0);
	raw_create(&big, &sources[0], 640, 480, 0);
	assert_int_equal(planar_rows(&view, &small.frame, 0, UINT32_MAX, &scratch, &size), 0);
	assert_int_equal(planar_rows(&view, &big.frame, 0, UINT32_MAX, &scratch, &size), 0);
	large = scratch;
	large_size = size;
	assert_true(size >= 640 * 480 * 3 / 2);
	assert_int_equal(planar_rows(&view, &small.frame, 0, UINT32_MAX, &scratch, &size), 0);
	assert_ptr_equal(scratch, large);
	assert_int_equal(size, large_size);
	assert_shows(&view, &sources[0], &small.frame, 0);
	free(scratch);
	raw_finish(&small);
	raw_finish(&big);
}

static void assert_fails(const struct frame *frame, int error)
{
	struct planar view = { .width = 4711 };
	uint8_t *scratch = NULL;
	size_t scratch_size = 0;

	assert_int_equal(planar_rows(&view, frame, 0, UINT32_MAX, &scratch, &scratch_size), error);
	assert_int_equal(view.width, 4711);
	assert_null(scratch);
}

static void a_plane_that_is_too_small_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		for (int p = 0; p < FRAME_PLANES && sources[i].plane[p].bytes; p++) {
			struct raw picture;
			struct frame frame;

			raw_create(&picture, &sources[i], 33, 17, 3);
			frame = picture.frame;
			frame.plane[p].size--;
			assert_fails(&frame, -EINVAL);
			frame = picture.frame;
			frame.plane[p].stride -= 4;
			assert_fails(&frame, -EINVAL);
			frame = picture.frame;
			frame.plane[p].stride = UINT32_MAX;
			frame.plane[p].size = SIZE_MAX;
			assert_fails(&frame, -EINVAL);
			frame = picture.frame;
			frame.plane[p].data = NULL;
			assert_fails(&frame, -EINVAL);
			raw_finish(&picture);
		}
	}
}

static void a_size_that_is_no_picture_is_refused(void **state)
{
	static const uint32_t wrong[] = { 0, 65536, UINT32_MAX };
	struct raw picture;

	(void)state;
	raw_create(&picture, &sources[0], 16, 16, 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct frame frame = picture.frame;

		frame.width = wrong[i];
		assert_fails(&frame, -EINVAL);
		frame = picture.frame;
		frame.height = wrong[i];
		frame.plane[0].size = SIZE_MAX;
		assert_fails(&frame, -EINVAL);
	}
	raw_finish(&picture);
}

static void formats_without_pixels_are_not_supported(void **state)
{
	struct raw picture;

	(void)state;
	raw_create(&picture, &sources[0], 16, 16, 0);
	picture.frame.format = V4L2_PIX_FMT_MJPEG;
	assert_fails(&picture.frame, -ENOTSUP);
	picture.frame.format = 0;
	assert_fails(&picture.frame, -ENOTSUP);
	raw_finish(&picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_becomes_planar),
		cmocka_unit_test(limited_range_is_stretched),
		cmocka_unit_test(bt_709_is_turned_into_bt_601),
		cmocka_unit_test(limited_bt_709_is_stretched_and_turned),
		cmocka_unit_test(black_white_and_grey_are_exact),
		cmocka_unit_test(what_is_planar_already_is_borrowed),
		cmocka_unit_test(the_scratch_grows_once_and_is_used_again),
		cmocka_unit_test(a_plane_that_is_too_small_is_refused),
		cmocka_unit_test(a_size_that_is_no_picture_is_refused),
		cmocka_unit_test(formats_without_pixels_are_not_supported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
