// SPDX-License-Identifier: GPL-3.0-or-later
/* The table of pixel formats, against what V4L2's documents say of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "media/pixel_format.h"

static size_t size_of(const struct pixel_format *format, uint32_t width, uint32_t height)
{
	size_t size = 0;

	for (unsigned i = 0; i < format->n_planes; i++)
		size += pixel_row_bytes(&format->plane[i], width) *
			pixel_rows(&format->plane[i], height);
	return size;
}

/* Bits a pixel, and bytes of a picture of 3x3, where rows and columns of chroma are rounded up. */
static void each_format_has_its_size(void **state)
{
	static const struct {
		uint32_t fourcc;
		unsigned bits;
		size_t odd;
	} known[] = {
		{ V4L2_PIX_FMT_YUYV, 16, 24 },
		{ V4L2_PIX_FMT_YVYU, 16, 24 },
		{ V4L2_PIX_FMT_UYVY, 16, 24 },
		{ V4L2_PIX_FMT_NV12, 12, 9 + 8 },
		{ V4L2_PIX_FMT_NV21, 12, 9 + 8 },
		{ V4L2_PIX_FMT_NV16, 16, 9 + 12 },
		{ V4L2_PIX_FMT_NV24, 24, 9 + 18 },
		{ V4L2_PIX_FMT_YUV420, 12, 9 + 4 + 4 },
		{ V4L2_PIX_FMT_YVU420, 12, 9 + 4 + 4 },
		{ V4L2_PIX_FMT_RGB24, 24, 27 },
		{ V4L2_PIX_FMT_BGR24, 24, 27 },
		{ V4L2_PIX_FMT_RGB565, 16, 18 },
		{ V4L2_PIX_FMT_GREY, 8, 9 },
		{ V4L2_PIX_FMT_XBGR32, 32, 36 },
	};

	(void)state;
	assert_int_equal(ARRAY_SIZE(known), PIXELS_RAW);
	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		const struct pixel_format *format = pixel_format_find(known[i].fourcc);

		assert_non_null(format);
		assert_int_equal(format->fourcc, known[i].fourcc);
		assert_int_equal(size_of(format, 640, 480), 640 * 480 * known[i].bits / 8);
		assert_int_equal(size_of(format, 3, 3), known[i].odd);
	}
}

static void both_names_of_a_format_lead_to_it(void **state)
{
	(void)state;
	assert_ptr_equal(pixel_format_find(V4L2_PIX_FMT_NV12M),
		pixel_format_find(V4L2_PIX_FMT_NV12));
	assert_ptr_equal(pixel_format_find(V4L2_PIX_FMT_YVU420M),
		pixel_format_find(V4L2_PIX_FMT_YVU420));
	assert_int_equal(pixel_format_find(V4L2_PIX_FMT_NV12M)->id, PIXEL_NV12);
	assert_null(pixel_format_find(V4L2_PIX_FMT_H264));
	assert_null(pixel_format_find(0));
}

static void jpeg_has_two_names_and_no_planes(void **state)
{
	(void)state;
	assert_true(pixel_format_is_jpeg(V4L2_PIX_FMT_MJPEG));
	assert_true(pixel_format_is_jpeg(V4L2_PIX_FMT_JPEG));
	assert_false(pixel_format_is_jpeg(V4L2_PIX_FMT_YUYV));
	assert_int_equal(pixel_format_find(V4L2_PIX_FMT_MJPEG)->model, PIXEL_IS_JPEG);
	assert_int_equal(pixel_format_find(V4L2_PIX_FMT_JPEG)->n_planes, 0);
}

static void a_picture_fits_from_end_to_end_or_not(void **state)
{
	const struct pixel_format *format = pixel_format_find(V4L2_PIX_FMT_NV12);
	uint8_t memory[64];
	struct frame_plane plane[FRAME_PLANES] = { { memory, 8, 3 * 8 }, { memory, 8, 2 * 8 } };

	(void)state;
	assert_true(pixel_format_fits(format, plane, 8, 3));
	assert_true(pixel_format_fits(format, plane, 7, 3));
	assert_false(pixel_format_fits(format, plane, 9, 3));
	assert_false(pixel_format_fits(format, plane, 8, 4));
	assert_false(pixel_format_fits(format, plane, 0, 3));
	assert_false(pixel_format_fits(format, plane, 8, PIXEL_MAX_SIDE + 1));
	plane[1].size--;
	assert_false(pixel_format_fits(format, plane, 8, 3));
	assert_true(pixel_format_fits(format, plane, 6, 3)); /* its last row is shorter */
	plane[1].data = NULL;
	assert_false(pixel_format_fits(format, plane, 6, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_format_has_its_size),
		cmocka_unit_test(both_names_of_a_format_lead_to_it),
		cmocka_unit_test(jpeg_has_two_names_and_no_planes),
		cmocka_unit_test(a_picture_fits_from_end_to_end_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
