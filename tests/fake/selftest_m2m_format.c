/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What bcm2835-codec makes of formats: rules E. */
#include "selftest_m2m.h"

static void use(const char *variant)
{
	m2m_close(&m2m);
	command("m2m.variant %s", variant);
	m2m_open(&m2m, "/dev/fake-m2m");
}

static void e1_each_handle_is_an_encoder_of_its_own(void **state)
{
	struct encoder other;
	struct v4l2_format f = { .type = M2M_OUT };
	int32_t value;

	(void)state;
	m2m_open(&other, "/dev/fake-m2m");
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 640, 480, 0, NULL), 0);
	assert_int_equal(m2m_set(&m2m, V4L2_CID_MPEG_VIDEO_BITRATE, 1000000), 0);
	assert_int_equal(request(other.fd, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.width, 32);
	assert_int_equal(m2m_get(&other, V4L2_CID_MPEG_VIDEO_BITRATE, &value), 0);
	assert_int_equal(value, 10000000);
	m2m_close(&other);
}

static void e2_the_node_says_who_it_is(void **state)
{
	struct v4l2_capability cap;

	(void)state;
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYCAP, &cap), 0);
	assert_string_equal((char *)cap.driver, "bcm2835-codec");
	assert_string_equal((char *)cap.card, "bcm2835-codec-encode");
	assert_string_equal((char *)cap.bus_info, "platform:bcm2835-codec");
	assert_int_equal(cap.capabilities, 0x84204000);
	assert_int_equal(cap.device_caps, 0x04204000);
}

static void e3_single_planar_types_are_refused(void **state)
{
	unsigned count = 2;
	struct v4l2_selection s = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.target = V4L2_SEL_TGT_CROP };

	(void)state;
	assert_int_equal(m2m_request(&m2m, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_MEMORY_MMAP, &count),
		-EINVAL);
	assert_int_equal(m2m_format(&m2m, V4L2_BUF_TYPE_VIDEO_OUTPUT, V4L2_PIX_FMT_NV12, 64, 64, 0,
				 NULL),
		-EINVAL);
	assert_int_equal(m2m_stream(&m2m, V4L2_BUF_TYPE_VIDEO_CAPTURE, true), -EINVAL);
	assert_int_equal(request(m2m.fd, VIDIOC_G_SELECTION, &s), 0);
}

static void e4_formats_are_listed_in_the_firmware_s_order(void **state)
{
	static const char order[] = "YU12YV12NV12NV21RGBPRGB3BGR3AB24BGR4YUYVYVYUUYVYVYUYNC12";
	struct v4l2_fmtdesc f = { .type = M2M_OUT };

	(void)state;
	for (f.index = 0; f.index < 14; f.index++) {
		assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FMT, &f), 0);
		assert_memory_equal(&f.pixelformat, order + 4 * f.index, 4);
	}
	assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FMT, &f), -EINVAL);
	f = (struct v4l2_fmtdesc){ .type = M2M_CAP };
	assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FMT, &f), 0);
	assert_int_equal(f.pixelformat, V4L2_PIX_FMT_H264);
	assert_true(f.flags & V4L2_FMT_FLAG_COMPRESSED);
}

static void e5_sizes_are_stepwise_and_rates_unknown(void **state)
{
	struct v4l2_frmsizeenum s = { .pixel_format = V4L2_PIX_FMT_UYVY };
	struct v4l2_frmivalenum i = { .pixel_format = V4L2_PIX_FMT_UYVY };

	(void)state;
	assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FRAMESIZES, &s), 0);
	assert_int_equal(s.type, V4L2_FRMSIZE_TYPE_STEPWISE);
	assert_int_equal(s.stepwise.max_width, 1920);
	s.index = 1;
	assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FRAMESIZES, &s), -EINVAL);
	s = (struct v4l2_frmsizeenum){ .pixel_format = V4L2_PIX_FMT_NV12M };
	assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FRAMESIZES, &s), -EINVAL);
	assert_int_equal(request(m2m.fd, VIDIOC_ENUM_FRAMEINTERVALS, &i), -ENOTTY);
}

static void e6_it_begins_with_32x32_yu12(void **state)
{
	struct v4l2_format f = { .type = M2M_OUT };
	struct v4l2_streamparm p = { .type = M2M_OUT };

	(void)state;
	assert_int_equal(request(m2m.fd, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.pixelformat, V4L2_PIX_FMT_YUV420);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].bytesperline, 64);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, 3072);
	assert_int_equal(f.fmt.pix_mp.colorspace, V4L2_COLORSPACE_REC709);
	f = (struct v4l2_format){ .type = M2M_CAP };
	assert_int_equal(request(m2m.fd, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, 524288);
	assert_int_equal(request(m2m.fd, VIDIOC_G_PARM, &p), 0);
	assert_int_equal(p.parm.output.timeperframe.denominator, 30);
}

static void e7_e8_formats_and_sizes_are_replaced_not_refused(void **state)
{
	struct v4l2_pix_format_mplane f;

	(void)state;
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12M, 4000, 16, 0, &f), 0);
	assert_int_equal(f.pixelformat, V4L2_PIX_FMT_YUV420);
	assert_int_equal(f.width, 1920);
	assert_int_equal(f.height, 32);
	assert_int_equal(f.num_planes, 1);
	assert_int_equal(f.field, V4L2_FIELD_NONE);
	assert_int_equal(m2m_format(&m2m, M2M_CAP, V4L2_PIX_FMT_HEVC, 0, 0, 0, &f), 0);
	assert_int_equal(f.pixelformat, V4L2_PIX_FMT_H264);
	assert_int_equal(f.width, 0);
	assert_int_equal(violations("E8"), 0);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_UYVY, 641, 480, 0, &f), 0);
	assert_int_equal(f.width, 641);
	assert_int_equal(violations("E8"), 1);
}

struct stride_case {
	uint32_t fourcc;
	unsigned width, height, asked, stride, size;
};

static void e9_e10_strides_and_sizes(void **state)
{
	static const struct stride_case cases[] = {
		{ V4L2_PIX_FMT_YUV420, 1366, 768, 0, 1408, 1408 * 768 * 3 / 2 },
		{ V4L2_PIX_FMT_NV12, 1366, 768, 0, 1376, 1376 * 768 * 3 / 2 },
		{ V4L2_PIX_FMT_UYVY, 720, 576, 0, 1472, 1472 * 576 },
		{ V4L2_PIX_FMT_UYVY, 1920, 1080, 3848, 3904, 3904 * 1080 },
		{ V4L2_PIX_FMT_RGB24, 720, 576, 0, 2176, 2176 * 576 },
		{ V4L2_PIX_FMT_BGR32, 1920, 1080, 100, 7680, 7680 * 1080 },
	};
	struct v4l2_pix_format_mplane f;

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct stride_case *c = &cases[i];

		assert_int_equal(m2m_format(&m2m, M2M_OUT, c->fourcc, c->width, c->height, c->asked,
					 &f),
			0);
		assert_int_equal(f.plane_fmt[0].bytesperline, c->stride);
		assert_int_equal(f.plane_fmt[0].sizeimage, c->size);
		assert_int_equal(f.height, c->height);
	}
}

static void e10_g6_old_kernels_align_yuyv_to_32_and_fail_later(void **state)
{
	struct v4l2_pix_format_mplane f;

	(void)state;
	use("bcm2835-old");
	assert_int_equal(m2m_format(&m2m, M2M_CAP, V4L2_PIX_FMT_H264, 720, 576, 0, NULL), 0);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_UYVY, 720, 576, 0, &f), 0);
	assert_int_equal(f.plane_fmt[0].bytesperline, 1440);
	m2m_map(&m2m, 1, 1);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), -ESRCH);
}

static void e11_coded_buffers_grow_only(void **state)
{
	struct v4l2_format f = { .type = M2M_CAP };

	(void)state;
	f.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_H264;
	f.fmt.pix_mp.width = 1920;
	f.fmt.pix_mp.height = 1080;
	assert_int_equal(request(m2m.fd, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, 786432);
	f.fmt.pix_mp.plane_fmt[0].sizeimage = 2 << 20;
	assert_int_equal(request(m2m.fd, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.plane_fmt[0].sizeimage, 2 << 20);
}

static void e13_one_colour_description_the_last_wins(void **state)
{
	struct v4l2_format f = { .type = M2M_CAP };

	(void)state;
	f.fmt.pix_mp.colorspace = V4L2_COLORSPACE_SMPTE170M;
	assert_int_equal(request(m2m.fd, VIDIOC_S_FMT, &f), 0);
	f = (struct v4l2_format){ .type = M2M_OUT };
	assert_int_equal(request(m2m.fd, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.colorspace, V4L2_COLORSPACE_SMPTE170M);
}

static void e14_formats_are_fixed_while_buffers_exist(void **state)
{
	unsigned count = 1;

	(void)state;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, V4L2_MEMORY_MMAP, &count), 0);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 64, 64, 0, NULL), -EBUSY);
	assert_int_equal(m2m_format(&m2m, M2M_CAP, V4L2_PIX_FMT_H264, 64, 64, 0, NULL), 0);
}

static void e15_e16_crop_shrinks_and_its_height_sticks(void **state)
{
	struct v4l2_selection s = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.target = V4L2_SEL_TGT_CROP_BOUNDS };
	struct v4l2_format f = { .type = M2M_OUT };

	(void)state;
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_UYVY, 1920, 1088, 0, NULL), 0);
	assert_int_equal(request(m2m.fd, VIDIOC_G_SELECTION, &s), 0);
	assert_int_equal(s.r.width, 3840);
	s.target = V4L2_SEL_TGT_CROP;
	s.r = (struct v4l2_rect){ 8, 8, 1900, 1080 };
	assert_int_equal(request(m2m.fd, VIDIOC_S_SELECTION, &s), 0);
	assert_int_equal(s.r.left, 0);
	assert_int_equal(request(m2m.fd, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(f.fmt.pix_mp.width, 1900);
	assert_int_equal(f.fmt.pix_mp.height, 1088);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_UYVY, 1920, 1088, 0, NULL), 0);
	assert_int_equal(request(m2m.fd, VIDIOC_G_SELECTION, &s), 0);
	assert_int_equal(s.r.width, 1920);
	assert_int_equal(s.r.height, 1080);
	s.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	assert_int_equal(request(m2m.fd, VIDIOC_S_SELECTION, &s), -EINVAL);
}

static void e17_rates_are_echoed(void **state)
{
	struct v4l2_streamparm p = { .type = M2M_OUT };

	(void)state;
	p.parm.output.timeperframe = (struct v4l2_fract){ 1001, 60000 };
	assert_int_equal(request(m2m.fd, VIDIOC_S_PARM, &p), 0);
	assert_int_equal(p.parm.output.timeperframe.denominator, 60000);
	assert_int_equal(p.parm.output.capability, V4L2_CAP_TIMEPERFRAME);
	p.parm.output.timeperframe.numerator = 0;
	assert_int_equal(request(m2m.fd, VIDIOC_S_PARM, &p), -EINVAL);
	p = (struct v4l2_streamparm){ .type = M2M_CAP };
	assert_int_equal(request(m2m.fd, VIDIOC_G_PARM, &p), -EINVAL);
}

static void e18_a_pi5_s_node_is_no_encoder(void **state)
{
	struct v4l2_capability cap;
	unsigned count = 1;

	(void)state;
	use("pi5");
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYCAP, &cap), 0);
	assert_string_equal((char *)cap.driver, "pispbe");
	assert_false(cap.device_caps & V4L2_CAP_VIDEO_M2M_MPLANE);
	assert_int_equal(violations("E18"), 0);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, V4L2_MEMORY_MMAP, &count), -EINVAL);
	assert_int_equal(violations("E18"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_format_tests[] = {
	TEST(e1_each_handle_is_an_encoder_of_its_own),
	TEST(e2_the_node_says_who_it_is),
	TEST(e3_single_planar_types_are_refused),
	TEST(e4_formats_are_listed_in_the_firmware_s_order),
	TEST(e5_sizes_are_stepwise_and_rates_unknown),
	TEST(e6_it_begins_with_32x32_yu12),
	TEST(e7_e8_formats_and_sizes_are_replaced_not_refused),
	TEST(e9_e10_strides_and_sizes),
	TEST(e10_g6_old_kernels_align_yuyv_to_32_and_fail_later),
	TEST(e11_coded_buffers_grow_only),
	TEST(e13_one_colour_description_the_last_wins),
	TEST(e14_formats_are_fixed_while_buffers_exist),
	TEST(e15_e16_crop_shrinks_and_its_height_sticks),
	TEST(e17_rates_are_echoed),
	TEST(e18_a_pi5_s_node_is_no_encoder),
};

const size_t n_m2m_format_tests = sizeof(m2m_format_tests) / sizeof(m2m_format_tests[0]);
