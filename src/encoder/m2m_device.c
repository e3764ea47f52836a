// SPDX-License-Identifier: GPL-3.0-or-later
/* Finding hardware encoders: see m2m_device.h. */
#include "encoder/m2m_device.h"

#include <stdatomic.h>

#include "base/util.h"
#include "convert/picture.h"
#include "media/pixel_format.h"
#include "v4l2/format.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/*
 * A picture on a screen full of text that does not fit is split over buffers, and the Pi's
 * default of 768 KiB is too little for that (raspberrypi/linux #5180, #5232).
 */
#define BITSTREAM_SIZE (3u << 19)

/* Some older drivers name both directions instead of M2M. */
static bool is_m2m(uint32_t caps, uint32_t m2m, uint32_t both)
{
	return caps & m2m || (caps & both) == both;
}

/* -ENODEV when it is no memory-to-memory device. */
static int read_caps(struct m2m_device *device)
{
	uint32_t caps = device->node.caps;

	if (!(caps & V4L2_CAP_STREAMING))
		return -ENODEV;
	device->is_bcm2835 = !strcmp(device->node.driver, "bcm2835-codec");
	if (is_m2m(caps, V4L2_CAP_VIDEO_M2M_MPLANE,
		    V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_VIDEO_OUTPUT_MPLANE)) {
		device->output = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
		device->capture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
		return 0;
	}
	device->output = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	device->capture = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	return is_m2m(caps, V4L2_CAP_VIDEO_M2M, V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_OUTPUT)
		       ? 0
		       : -ENODEV;
}

/* A decoder has H.264 on its other side. */
static bool makes_h264(const struct m2m_device *device)
{
	uint32_t formats[M2M_FORMATS];
	unsigned count = v4l2_format_list(device->node.fd, device->capture, formats, M2M_FORMATS);

	while (count && formats[count - 1] != V4L2_PIX_FMT_H264)
		count--;
	return count > 0;
}

/* -ENODEV when it takes nothing that we could give. */
static int list_formats(struct m2m_device *device)
{
	device->n_formats = v4l2_format_list(device->node.fd, device->output, device->formats,
		M2M_FORMATS);
	for (unsigned i = 0; i < device->n_formats; i++) {
		const struct pixel_format *pixel = pixel_format_find(device->formats[i]);

		if (pixel && picture_can_be(pixel->fourcc))
			return 0;
	}
	return -ENODEV;
}

int m2m_device_set_h264(const struct m2m_device *device, uint32_t width, uint32_t height)
{
	/* The size is read-only by the documents, but bcm2835 sets its port up from it. */
	struct v4l2_layout layout = { .fourcc = V4L2_PIX_FMT_H264,
		.width = width,
		.height = height,
		.n_planes = 1,
		.size = { BITSTREAM_SIZE } };
	int res = v4l2_format_set(device->node.fd, device->capture, &layout);

	return res < 0 || layout.fourcc == V4L2_PIX_FMT_H264 ? res : -ENODEV;
}

static int open_node(struct m2m_device *out, const char *path, uint32_t width, uint32_t height)
{
	struct m2m_device device = { 0 };
	int res = v4l2_device_open(&device.node, path);

	if (res < 0)
		return res == -ENOTTY ? -ENODEV : res;
	res = read_caps(&device);
	if (res == 0 && !makes_h264(&device))
		res = -ENODEV;
	/* The raw formats are listed for the coded format that is set (dev-encoder.rst). */
	if (res == 0)
		res = m2m_device_set_h264(&device, width, height);
	if (res == 0)
		res = list_formats(&device);
	if (res < 0)
		v4l2_device_close(&device.node);
	else
		*out = device;
	return res;
}

static int open_given(struct m2m_device *out, const char *path, uint32_t width, uint32_t height)
{
	int res = open_node(out, path, width, height);

	if (res == -ENODEV)
		log_error("%s is no H.264 encoder", path);
	else if (res < 0)
		log_error("cannot open the encoder %s: %s", path, strerror(-res));
	return res == -ENOENT || res == -ENXIO ? -ENODEV : res;
}

/* The number of an encoder that its driver does not call one; -1: none is known. */
static atomic_int odd_one = -1;

/* By what drivers call their encoders; where /sys does not tell, any may be one. */
static bool may_encode(const struct v4l2_node *node)
{
	return !*node->name || strcasestr(node->name, "enc") ||
	       node->number == atomic_load(&odd_one);
}

/*
 * In the order of the numbers: it is the same one each time. -EACCES: one of them we may not open;
 * -EAGAIN: one of them had no time or memory for us; else -ENODEV.
 */
static int find_among(struct m2m_device *out, bool likely, uint32_t width, uint32_t height)
{
	struct v4l2_nodes nodes;
	struct v4l2_node node;
	int error = -ENODEV;

	v4l2_nodes_list(&nodes);
	while (v4l2_nodes_next(&nodes, &node)) {
		int res;

		if (may_encode(&node) != likely)
			continue;
		res = open_node(out, node.path, width, height);
		if (res == 0 && !likely)
			atomic_store(&odd_one, node.number);
		if (res == 0)
			return 0;
		if (res == -EACCES || res == -EPERM)
			error = -EACCES;
		else if (res != -ENODEV && error == -ENODEV)
			error = -EAGAIN;
	}
	return error;
}

/* What is not called an encoder is looked at until it is known to be none. */
static int find_encoder(struct m2m_device *out, uint32_t width, uint32_t height)
{
	static atomic_bool others_are_none, said;
	int res = find_among(out, true, width, height), other = -ENODEV;

	if (res == 0)
		return 0;
	if (!atomic_load(&others_are_none)) {
		other = find_among(out, false, width, height);
		if (other == 0)
			return 0;
		atomic_store(&others_are_none, other == -ENODEV);
	}
	res = res == -EACCES || other == -EACCES ? -EACCES : -ENODEV;
	if (!atomic_exchange(&said, true))
		log_info(res == -EACCES ? "no H.264 encoder among the video nodes that we may "
					  "open; is the user in the group \"video\"?"
					: "no H.264 encoder among /dev/video*");
	return res;
}

int m2m_device_open(struct m2m_device *out, const char *path, uint32_t width, uint32_t height)
{
	return path && *path ? open_given(out, path, width, height)
			     : find_encoder(out, width, height);
}

void m2m_device_close(struct m2m_device *device)
{
	v4l2_device_close(&device->node);
}
