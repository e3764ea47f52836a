// SPDX-License-Identifier: GPL-3.0-or-later
/* Which node is taken for a hardware encoder: by what it can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "encoder/m2m_device.h"
#include "nodes.h"

#define M2M       (V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING)
#define M2M_PLAIN (V4L2_CAP_VIDEO_M2M | V4L2_CAP_STREAMING)
#define BOTH_WAYS \
	(V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_VIDEO_OUTPUT_MPLANE | V4L2_CAP_STREAMING)
#define GRABBER (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING)
#define H264    V4L2_PIX_FMT_H264
#define YU12    V4L2_PIX_FMT_YUV420
#define NODE(name_, driver_, caps_, capture_, output_, ...)                           \
	{                                                                             \
		.name = name_, .driver = driver_, .caps = caps_, .capture = capture_, \
		.output = output_, __VA_ARGS__                                        \
	}

static bool stubborn; /* the driver makes MPEG-4 whatever is asked for */
static uint32_t coded_size;

static int set_format(struct v4l2_format *format)
{
	coded_size = format->fmt.pix_mp.plane_fmt[0].sizeimage;
	if (stubborn)
		format->fmt.pix_mp.pixelformat = V4L2_PIX_FMT_MPEG4;
	return 0;
}

static int enumerate(const struct node *node, struct v4l2_fmtdesc *desc)
{
	/* Raw formats are those for the coded one that is set (dev-encoder.rst). */
	assert_true(!V4L2_TYPE_IS_OUTPUT(desc->type) || coded_size);
	desc->pixelformat = V4L2_TYPE_IS_OUTPUT(desc->type) ? node->output : node->capture;
	return desc->index || !desc->pixelformat ? -EINVAL : 0;
}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	const struct node *node = &our_nodes[fd - FIRST_FD];

	switch (request) {
	case VIDIOC_QUERYCAP: return query_capability(node, arg);
	case VIDIOC_ENUM_FMT: return enumerate(node, arg);
	case VIDIOC_S_FMT: return set_format(arg);
	default: return -ENOTTY;
	}
}

/* The path of the encoder that is found, or NULL. */
static const char *find(const struct node *there, const char *path, int *error)
{
	static struct m2m_device device;

	set_nodes(there);
	coded_size = 0;
	*error = m2m_device_open(&device, path, 1280, 720);
	assert_int_equal(n_open, *error == 0);
	return *error ? NULL : device.node.path;
}

/* E2, E18: a Pi's our_nodes, and those that bear their numbers on other boards. */
static void the_encoder_is_found_among_decoders_grabbers_and_others(void **state)
{
	static const struct node pi[] = { NODE("video31", "bcm2835-codec", M2M, V4L2_PIX_FMT_JPEG,
						  YU12),
		NODE("video10", "bcm2835-codec", M2M, YU12, H264),
		NODE("video11", "bcm2835-codec", M2M, H264, YU12),
		NODE("video12", "bcm2835-codec", M2M, YU12, YU12),
		NODE("video0", "uvcvideo", GRABBER, H264, 0), { .name = "null" }, { 0 } };
	int error;

	(void)state;
	assert_string_equal(find(pi, "", &error), "/dev/video11");
}

/* E18 */
static void a_pi_5_has_none(void **state)
{
	static const struct node pi5[] = { NODE("video11", "pispbe", BOTH_WAYS, YU12, YU12),
		NODE("video19", "rpi-hevc-dec", M2M, YU12, V4L2_PIX_FMT_HEVC), { 0 } };
	int error;

	(void)state;
	assert_null(find(pi5, "", &error));
	assert_int_equal(error, -ENODEV);
	assert_null(find(pi5, "/dev/video11", &error));
	assert_int_equal(error, -ENODEV);
	assert_null(find(pi5, "/dev/video12", &error));
	assert_int_equal(error, -ENODEV);
}

/* G39 */
static void single_planar_and_old_capabilities_will_do(void **state)
{
	static const struct node plain[] = { NODE("video3", "coda", M2M_PLAIN, H264, YU12), { 0 } };
	static const struct node old[] = {
		NODE("video4", "s5p-mfc", BOTH_WAYS, H264, V4L2_PIX_FMT_NV12M), { 0 }
	};
	int error;

	(void)state;
	assert_string_equal(find(plain, "", &error), "/dev/video3");
	assert_string_equal(find(old, "", &error), "/dev/video4");
}

static void an_encoder_of_formats_that_we_cannot_fill_is_none(void **state)
{
	static const struct node odd[] = { NODE("video3", "odd", M2M, H264, V4L2_PIX_FMT_SBGGR8),
		{ 0 } };
	int error;

	(void)state;
	assert_null(find(odd, "", &error));
	assert_int_equal(error, -ENODEV);
}

static void the_lowest_number_wins_whatever_the_order_of_the_folder(void **state)
{
	static const struct node two[] = { NODE("video21", "a", M2M, H264, YU12),
		NODE("video3", "b", M2M, H264, YU12), { 0 } };
	int error;

	(void)state;
	assert_string_equal(find(two, "", &error), "/dev/video3");
}

static void h264_is_set_with_room_for_any_picture(void **state)
{
	static const struct node one[] = { NODE("video3", "a", M2M, H264, YU12), { 0 } };
	int error;

	(void)state;
	assert_string_equal(find(one, "/dev/video3", &error), "/dev/video3");
	assert_true(coded_size >= 3 << 19);
	stubborn = true;
	assert_null(find(one, "/dev/video3", &error));
	assert_int_equal(error, -ENODEV);
	stubborn = false;
}

static void a_path_may_be_long(void **state)
{
	static const struct node by_path[] = {
		NODE("v4l/by-path/"
		     "platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.0-video-index0",
			"a", M2M, H264, YU12),
		{ 0 }
	};
	char path[128];
	int error;

	(void)state;
	snprintf(path, sizeof(path), "/dev/%s", by_path[0].name);
	assert_string_equal(find(by_path, path, &error), path);
}

static void a_forbidden_node_is_told_from_none(void **state)
{
	static const struct node shut[] = {
		NODE("video11", "bcm2835-codec", M2M, H264, YU12, .error = EACCES), { 0 }
	};
	int error;

	(void)state;
	assert_null(find(shut, "", &error));
	assert_int_equal(error, -EACCES);
}

/* Where /sys tells what is what, the others are left alone when it is known that they are none. */
static void what_is_called_otherwise_is_not_opened(void **state)
{
	static const struct node pi[] = { NODE("video0", "uvcvideo", GRABBER, H264, 0,
						  .called = "HDMI"),
		NODE("video10", "bcm2835-codec", M2M, YU12, H264, .called = "bcm2835-codec-decode"),
		NODE("video11", "bcm2835-codec", M2M, H264, YU12, .called = "bcm2835-codec-encode"),
		{ 0 } };
	static const struct node none[] = {
		NODE("video0", "uvcvideo", GRABBER, H264, 0, .called = "HDMI"), { 0 }
	};
	static const struct node odd[] = { NODE("video0", "uvcvideo", GRABBER, H264, 0,
						   .called = "HDMI"),
		NODE("video2", "hva", M2M, H264, YU12, .called = "hva1"), { 0 } };
	int error;

	(void)state;
	assert_string_equal(find(pi, "", &error), "/dev/video11");
	assert_int_equal(times_opened[0] + times_opened[1], 0);
	assert_string_equal(find(odd, "", &error), "/dev/video2");
	assert_string_equal(find(odd, "", &error), "/dev/video2");
	assert_int_equal(times_opened[0], 0);
	assert_null(find(none, "", &error));
	assert_int_equal(times_opened[0], 1);
	assert_null(find(none, "", &error));
	assert_int_equal(times_opened[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_is_called_otherwise_is_not_opened), /* first: one look at all */
		cmocka_unit_test(the_encoder_is_found_among_decoders_grabbers_and_others),
		cmocka_unit_test(a_pi_5_has_none),
		cmocka_unit_test(single_planar_and_old_capabilities_will_do),
		cmocka_unit_test(an_encoder_of_formats_that_we_cannot_fill_is_none),
		cmocka_unit_test(the_lowest_number_wins_whatever_the_order_of_the_folder),
		cmocka_unit_test(h264_is_set_with_room_for_any_picture),
		cmocka_unit_test(a_path_may_be_long),
		cmocka_unit_test(a_forbidden_node_is_told_from_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
