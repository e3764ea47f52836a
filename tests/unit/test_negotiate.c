// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What is asked of a device and what is made of its answers: format, stride, colours, rate. format.c is
 * compiled in here, over a driver of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <stdbool.h>

#include "base/util.h"
#include "driver.h"

static struct {
	uint32_t formats[4]; /* that it has; the first replaces what it does not */
	bool refuses;        /* them, instead */
	uint32_t stride;     /* 0: as wished */
	uint32_t wish;       /* the last one */
	struct v4l2_fract intervals[8];
	bool stepwise;
	struct v4l2_fract set;
	uint32_t colorspace, encoding, quantization;
} driver;

static bool has(uint32_t fourcc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(driver.formats); i++) {
		if (driver.formats[i] == fourcc)
			return true;
	}
	return false;
}

static int set_fmt(struct v4l2_pix_format *pix)
{
	driver.wish = pix->bytesperline;
	if (!has(pix->pixelformat)) {
		if (driver.refuses)
			return -EINVAL;
		pix->pixelformat = driver.formats[0];
	}
	if (driver.stride)
		pix->bytesperline = driver.stride;
	pix->colorspace = driver.colorspace;
	pix->ycbcr_enc = driver.encoding;
	pix->quantization = driver.quantization;
	return 0;
}

static int enum_format(struct v4l2_fmtdesc *desc)
{
	if (desc->index >= ARRAY_SIZE(driver.formats) || !driver.formats[desc->index])
		return -EINVAL;
	desc->pixelformat = driver.formats[desc->index];
	return 0;
}

static int enum_interval(struct v4l2_frmivalenum *ival)
{
	if (ival->index >= ARRAY_SIZE(driver.intervals) ||
		!driver.intervals[ival->index].denominator)
		return -EINVAL;
	ival->type = driver.stepwise ? V4L2_FRMIVAL_TYPE_STEPWISE : V4L2_FRMIVAL_TYPE_DISCRETE;
	if (driver.stepwise)
		ival->stepwise.min = driver.intervals[0];
	else
		ival->discrete = driver.intervals[ival->index];
	return 0;
}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	struct v4l2_streamparm *parm = arg;

	(void)fd;
	switch (request) {
	case VIDIOC_S_FMT: return set_fmt(&((struct v4l2_format *)arg)->fmt.pix);
	case VIDIOC_ENUM_FMT: return enum_format(arg);
	case VIDIOC_ENUM_FRAMEINTERVALS: return enum_interval(arg);
	case VIDIOC_G_PARM: parm->parm.capture.capability = V4L2_CAP_TIMEPERFRAME; return 0;
	case VIDIOC_S_PARM: driver.set = parm->parm.capture.timeperframe; return 0;
	default: return -ENOTTY;
	}
}

#define format_negotiate tested_negotiate
#define format_set_rate  tested_set_rate
#define format_describe  tested_describe
#include "../../src/capture/format.c" /* NOLINT(bugprone-suspicious-include) */

static struct options opt;
static struct capture_format format;

static int setup(void **state)
{
	(void)state;
	memset(&driver, 0, sizeof(driver));
	opt = (struct options){ 0 };
	return 0;
}

static int negotiate(uint32_t fourcc, uint32_t width)
{
	opt.format = fourcc;
	return tested_negotiate(3, V4L2_BUF_TYPE_VIDEO_CAPTURE, &opt,
		(struct option_size){ width, 720 }, &format);
}

static uint32_t wish(uint32_t fourcc, uint32_t width)
{
	driver.formats[0] = fourcc;
	assert_int_equal(negotiate(fourcc, width), 0);
	return driver.wish;
}

static void rows_are_wished_to_be_whole_pixels_and_multiples_of_64_bytes(void **state)
{
	(void)state;
	assert_int_equal(wish(V4L2_PIX_FMT_UYVY, 1280), 2560);
	assert_int_equal(wish(V4L2_PIX_FMT_UYVY, 1366), 2752);
	assert_int_equal(wish(V4L2_PIX_FMT_NV12, 1366), 1408);
	assert_int_equal(wish(V4L2_PIX_FMT_RGB24, 1366), 4224);
	assert_int_equal(wish(V4L2_PIX_FMT_RGB24, 1366) % 3, 0);
	assert_int_equal(wish(V4L2_PIX_FMT_MJPEG, 1366), 0);
}

static void a_stride_that_a_driver_leaves_out_is_the_packed_width(void **state)
{
	(void)state;
	driver.formats[0] = V4L2_PIX_FMT_UYVY;
	driver.stride = 1;
	assert_int_equal(negotiate(V4L2_PIX_FMT_UYVY, 1366), 0);
	assert_int_equal(format.stride[0], 2732);
	driver.stride = 4096;
	assert_int_equal(negotiate(V4L2_PIX_FMT_UYVY, 1366), 0);
	assert_int_equal(format.stride[0], 4096);
}

static void another_format_is_taken_where_there_is_not_the_one_asked_for(void **state)
{
	(void)state;
	driver.formats[0] = V4L2_PIX_FMT_SBGGR8; /* which we do not know */
	driver.formats[1] = V4L2_PIX_FMT_NV12;
	driver.refuses = true;
	assert_int_equal(negotiate(V4L2_PIX_FMT_YUYV, 640), 0);
	assert_int_equal(format.fourcc, V4L2_PIX_FMT_NV12);
	driver.refuses = false;
	assert_int_equal(negotiate(V4L2_PIX_FMT_YUYV, 640), 0);
	assert_int_equal(format.fourcc, V4L2_PIX_FMT_NV12);
	driver.formats[1] = 0;
	assert_int_equal(negotiate(V4L2_PIX_FMT_YUYV, 640), -ENOTSUP);
}

static void mjpeg_and_jpeg_are_two_names_for_one_thing(void **state)
{
	(void)state;
	driver.formats[0] = V4L2_PIX_FMT_YUYV;
	driver.formats[1] = V4L2_PIX_FMT_JPEG;
	assert_int_equal(negotiate(V4L2_PIX_FMT_MJPEG, 640), 0);
	assert_int_equal(format.driver_fourcc, V4L2_PIX_FMT_JPEG);
	assert_true(format.compressed);
}

static void rgb_and_bgr_are_swapped_for_who_asks_so(void **state)
{
	(void)state;
	driver.formats[0] = V4L2_PIX_FMT_RGB24;
	driver.formats[1] = V4L2_PIX_FMT_BGR24;
	driver.formats[2] = V4L2_PIX_FMT_YUYV;
	assert_int_equal(negotiate(V4L2_PIX_FMT_RGB24, 640), 0);
	assert_int_equal(format.fourcc, V4L2_PIX_FMT_RGB24);
	opt.format_swap_rgb = true;
	assert_int_equal(negotiate(V4L2_PIX_FMT_RGB24, 640), 0);
	assert_int_equal(format.fourcc, V4L2_PIX_FMT_BGR24);
	assert_int_equal(format.driver_fourcc, V4L2_PIX_FMT_RGB24);
	assert_int_equal(negotiate(V4L2_PIX_FMT_BGR24, 640), 0);
	assert_int_equal(format.fourcc, V4L2_PIX_FMT_RGB24);
	assert_int_equal(negotiate(V4L2_PIX_FMT_YUYV, 640), 0);
	assert_int_equal(format.fourcc, V4L2_PIX_FMT_YUYV);
}

static void assert_colours(uint32_t colorspace, enum frame_matrix matrix, enum frame_range range)
{
	driver.colorspace = colorspace;
	assert_int_equal(negotiate(driver.formats[0], 640), 0);
	assert_int_equal(format.matrix, matrix);
	assert_int_equal(format.range, range);
}

static void colours_mean_what_the_device_says_of_them(void **state)
{
	(void)state;
	driver.formats[0] = V4L2_PIX_FMT_UYVY;
	assert_colours(V4L2_COLORSPACE_REC709, MATRIX_709, RANGE_LIMITED);
	assert_colours(V4L2_COLORSPACE_SMPTE170M, MATRIX_601, RANGE_LIMITED);
	driver.encoding = V4L2_YCBCR_ENC_601;
	driver.quantization = V4L2_QUANTIZATION_FULL_RANGE;
	assert_colours(V4L2_COLORSPACE_REC709, MATRIX_601, RANGE_FULL);
	driver.encoding = V4L2_YCBCR_ENC_709;
	driver.quantization = V4L2_QUANTIZATION_LIM_RANGE;
	assert_colours(V4L2_COLORSPACE_JPEG, MATRIX_709, RANGE_LIMITED);
	driver.encoding = V4L2_YCBCR_ENC_DEFAULT;
	driver.quantization = V4L2_QUANTIZATION_DEFAULT;
	assert_colours(V4L2_COLORSPACE_JPEG, MATRIX_601, RANGE_FULL);
	driver.formats[0] = V4L2_PIX_FMT_GREY;
	assert_colours(V4L2_COLORSPACE_SRGB, MATRIX_601, RANGE_FULL);
}

static unsigned rate(int fps)
{
	opt.desired_fps = fps;
	return tested_set_rate(3, V4L2_BUF_TYPE_VIDEO_CAPTURE, &format, &opt);
}

static void the_slowest_rate_that_is_fast_enough_is_set(void **state)
{
	(void)state;
	driver.intervals[0] = (struct v4l2_fract){ 1, 120 };
	driver.intervals[1] = (struct v4l2_fract){ 1, 50 };
	driver.intervals[2] = (struct v4l2_fract){ 1, 30 };
	driver.intervals[3] = (struct v4l2_fract){ 1, 5 };
	assert_int_equal(rate(40), 50000);
	assert_int_equal(rate(30), 30000);
	assert_int_equal(rate(200), 120000);
	assert_int_equal(rate(0), 120000);
	assert_int_equal(driver.set.denominator, 120);
}

static void a_rate_that_is_a_hair_slower_will_do(void **state)
{
	(void)state;
	driver.intervals[0] = (struct v4l2_fract){ 1, 120 };
	driver.intervals[1] = (struct v4l2_fract){ 100, 5998 };
	driver.intervals[2] = (struct v4l2_fract){ 100, 5900 };
	assert_int_equal(rate(60), 59980);
}

static void any_rate_is_set_as_asked_where_the_device_has_them_all(void **state)
{
	(void)state;
	driver.stepwise = true;
	driver.intervals[0] = (struct v4l2_fract){ 1, 60 };
	assert_int_equal(rate(25), 25000);
	assert_int_equal(rate(90), 60000);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_wished_to_be_whole_pixels_and_multiples_of_64_bytes),
		TEST(a_stride_that_a_driver_leaves_out_is_the_packed_width),
		TEST(another_format_is_taken_where_there_is_not_the_one_asked_for),
		TEST(mjpeg_and_jpeg_are_two_names_for_one_thing),
		TEST(rgb_and_bgr_are_swapped_for_who_asks_so),
		TEST(colours_mean_what_the_device_says_of_them),
		TEST(the_slowest_rate_that_is_fast_enough_is_set),
		TEST(a_rate_that_is_a_hair_slower_will_do),
		TEST(any_rate_is_set_as_asked_where_the_device_has_them_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
