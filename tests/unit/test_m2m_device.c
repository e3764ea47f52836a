// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Which node is taken for a hardware encoder: by what it can do. m2m_device.c is compiled in here,
 * over a /dev of our own.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>

/* The library that is linked has these names as well. */
#define m2m_device_open  tested_open
#define m2m_device_close tested_close
#define m2m_ioctl        tested_ioctl

#include "base/util.h"
#include "convert/picture.h"
#include "encoder/m2m_format.h"

#define M2M       (V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING)
#define M2M_PLAIN (V4L2_CAP_VIDEO_M2M | V4L2_CAP_STREAMING)
#define BOTH_WAYS \
	(V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_VIDEO_OUTPUT_MPLANE | V4L2_CAP_STREAMING)
#define GRABBER  (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING)
#define H264     V4L2_PIX_FMT_H264
#define YU12     V4L2_PIX_FMT_YUV420
#define FIRST_FD 1000

static const struct node {
	const char *name, *driver;
	uint32_t caps, capture, output; /* the one format of each queue */
	int error;                      /* of open(2) */
} * nodes;
static unsigned n_open, at;

static int our_open(const char *path, int flags)
{
	assert_true(flags & O_NONBLOCK);
	for (int i = 0; nodes[i].name; i++) {
		if (strcmp(path + strlen("/dev/"), nodes[i].name))
			continue;
		errno = nodes[i].error;
		n_open += !errno;
		return errno ? -1 : FIRST_FD + i;
	}
	errno = ENOENT;
	return -1;
}

static int query(const struct node *node, struct v4l2_capability *cap)
{
	*cap = (struct v4l2_capability){ .capabilities = V4L2_CAP_DEVICE_CAPS,
		.device_caps = node->caps };
	strcpy((char *)cap->driver, node->driver);
	return 0;
}

static int enumerate(const struct node *node, struct v4l2_fmtdesc *desc)
{
	errno = EINVAL;
	desc->pixelformat = V4L2_TYPE_IS_OUTPUT(desc->type) ? node->output : node->capture;
	return desc->index || !desc->pixelformat ? -1 : 0;
}

static int our_ioctl(int fd, unsigned long request, void *arg)
{
	const struct node *node = &nodes[fd - FIRST_FD];

	if (request == VIDIOC_QUERYCAP)
		return query(node, arg);
	assert_int_equal(request, VIDIOC_ENUM_FMT);
	return enumerate(node, arg);
}

/* Of m2m_format.c, which sets formats before they are listed. */
static int our_set_h264(const struct m2m_device *device)
{
	assert_true(device->fd >= FIRST_FD);
	return 0;
}

static void our_close_fd(int *fd)
{
	n_open -= *fd >= FIRST_FD;
	*fd = -1;
}

static DIR *our_opendir(const char *path)
{
	assert_string_equal(path, "/dev");
	at = 0;
	return (DIR *)&nodes;
}

static struct dirent *our_readdir(DIR *dir)
{
	static struct dirent entry;

	(void)dir;
	if (!nodes[at].name)
		return NULL;
	strcpy(entry.d_name, nodes[at++].name);
	return &entry;
}

static int our_closedir(DIR *dir)
{
	(void)dir;
	return 0;
}

#define open                        our_open
#define ioctl                       our_ioctl
#define close_fd                    our_close_fd
#define opendir(path)               our_opendir(path)
#define readdir                     our_readdir
#define closedir                    our_closedir
#define m2m_format_set_h264(d, ...) our_set_h264(d)
#include "../../src/encoder/m2m_device.c" /* NOLINT(bugprone-suspicious-include) */

/* The path of the encoder that is found, or NULL. */
static const char *find(const struct node *there, const char *path, int *error)
{
	static struct m2m_device device;

	nodes = there;
	n_open = 0;
	*error = m2m_device_open(&device, path);
	assert_int_equal(n_open, *error == 0);
	return *error ? NULL : device.path;
}

/* E2, E18: a Pi's nodes, and those that bear their numbers on other boards. */
static void the_encoder_is_found_among_decoders_grabbers_and_others(void **state)
{
	static const struct node pi[] = { { "video31", "bcm2835-codec", M2M, V4L2_PIX_FMT_JPEG,
						  YU12, 0 },
		{ "video10", "bcm2835-codec", M2M, YU12, H264, 0 },
		{ "video11", "bcm2835-codec", M2M, H264, YU12, 0 },
		{ "video12", "bcm2835-codec", M2M, YU12, YU12, 0 },
		{ "video0", "uvcvideo", GRABBER, H264, 0, 0 }, { "null", "", 0, 0, 0, 0 }, { 0 } };
	int error;

	(void)state;
	assert_string_equal(find(pi, "", &error), "/dev/video11");
}

/* E18 */
static void a_pi_5_has_none(void **state)
{
	static const struct node pi5[] = { { "video11", "pispbe", BOTH_WAYS, YU12, YU12, 0 },
		{ "video19", "rpi-hevc-dec", M2M, YU12, V4L2_PIX_FMT_HEVC, 0 }, { 0 } };
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
	static const struct node plain[] = { { "video3", "coda", M2M_PLAIN, H264, YU12, 0 },
		{ 0 } };
	static const struct node old[] = {
		{ "video4", "s5p-mfc", BOTH_WAYS, H264, V4L2_PIX_FMT_NV12M, 0 }, { 0 }
	};
	int error;

	(void)state;
	assert_string_equal(find(plain, "", &error), "/dev/video3");
	assert_string_equal(find(old, "", &error), "/dev/video4");
}

static void an_encoder_of_formats_that_we_cannot_fill_is_none(void **state)
{
	static const struct node odd[] = { { "video3", "odd", M2M, H264, V4L2_PIX_FMT_SBGGR8, 0 },
		{ 0 } };
	int error;

	(void)state;
	assert_null(find(odd, "", &error));
	assert_int_equal(error, -ENODEV);
}

static void the_lowest_number_wins_whatever_the_order_of_the_folder(void **state)
{
	static const struct node two[] = { { "video21", "a", M2M, H264, YU12, 0 },
		{ "video3", "b", M2M, H264, YU12, 0 }, { 0 } };
	int error;

	(void)state;
	assert_string_equal(find(two, "", &error), "/dev/video3");
}

static void a_forbidden_node_is_told_from_none(void **state)
{
	static const struct node shut[] = { { "video11", "bcm2835-codec", M2M, H264, YU12, EACCES },
		{ 0 } };
	int error;

	(void)state;
	assert_null(find(shut, "", &error));
	assert_int_equal(error, -EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_encoder_is_found_among_decoders_grabbers_and_others),
		cmocka_unit_test(a_pi_5_has_none),
		cmocka_unit_test(single_planar_and_old_capabilities_will_do),
		cmocka_unit_test(an_encoder_of_formats_that_we_cannot_fill_is_none),
		cmocka_unit_test(the_lowest_number_wins_whatever_the_order_of_the_folder),
		cmocka_unit_test(a_forbidden_node_is_told_from_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
