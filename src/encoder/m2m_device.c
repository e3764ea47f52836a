// SPDX-License-Identifier: GPL-3.0-or-later
/* Finding hardware encoders: see m2m_device.h. */
#include "encoder/m2m_device.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>

#include "base/util.h"
#include "convert/picture.h"
#include "encoder/m2m_format.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

#define INTERRUPTIONS 10
#define NODES         256

int m2m_ioctl(int fd, unsigned long request, void *arg)
{
	int res = -1;

	for (unsigned i = 0; i < INTERRUPTIONS; i++) {
		res = ioctl(fd, request, arg);
		if (res >= 0 || errno != EINTR)
			break;
	}
	return res < 0 ? -errno : 0;
}

/* Some older drivers name both directions instead of M2M. */
static bool is_m2m(uint32_t caps, uint32_t m2m, uint32_t both)
{
	return caps & m2m || (caps & both) == both;
}

/* -ENODEV when it is no memory-to-memory device. */
static int read_caps(struct m2m_device *device)
{
	struct v4l2_capability cap = { 0 };
	uint32_t caps;

	if (m2m_ioctl(device->fd, VIDIOC_QUERYCAP, &cap) < 0)
		return -ENODEV;
	caps = cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities;
	if (!(caps & V4L2_CAP_STREAMING))
		return -ENODEV;
	snprintf(device->card, sizeof(device->card), "%s", (const char *)cap.card);
	device->is_bcm2835 = !strcmp((const char *)cap.driver, "bcm2835-codec");
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
	struct v4l2_fmtdesc desc = { .type = device->capture };

	for (; m2m_ioctl(device->fd, VIDIOC_ENUM_FMT, &desc) == 0; desc.index++) {
		if (desc.pixelformat == V4L2_PIX_FMT_H264)
			return true;
	}
	return false;
}

/* -ENODEV when it takes nothing that we could give. */
static int list_formats(struct m2m_device *device)
{
	struct v4l2_fmtdesc desc = { .type = device->output };
	bool usable = false;

	for (; m2m_ioctl(device->fd, VIDIOC_ENUM_FMT, &desc) == 0; desc.index++) {
		if (device->n_formats == M2M_FORMATS)
			break;
		device->formats[device->n_formats++] = desc.pixelformat;
		usable |= m2m_format_single(desc.pixelformat) != 0;
	}
	return usable ? 0 : -ENODEV;
}

static int open_node(struct m2m_device *out, const char *path)
{
	struct m2m_device device = { .fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) };
	int res = device.fd < 0 ? -errno : 0;

	if (res < 0)
		return res;
	snprintf(device.path, sizeof(device.path), "%s", path);
	res = read_caps(&device);
	if (res == 0 && !makes_h264(&device))
		res = -ENODEV;
	/* The raw formats are listed for the coded format that is set (dev-encoder.rst). */
	if (res == 0)
		res = m2m_format_set_h264(&device, 0, 0, 0);
	if (res == 0)
		res = list_formats(&device);
	if (res < 0)
		close_fd(&device.fd);
	else
		*out = device;
	return res;
}

static int open_given(struct m2m_device *out, const char *path)
{
	int res = open_node(out, path);

	if (res == -ENODEV)
		log_error("%s is no H.264 encoder", path);
	else if (res < 0)
		log_error("cannot open the encoder %s: %s", path, strerror(-res));
	return res == -ENOENT || res == -ENXIO ? -ENODEV : res;
}

/* The numbers of /dev/video*, in order: the same encoder is found each time. */
static unsigned list_nodes(bool there[NODES])
{
	DIR *dir = opendir("/dev");
	struct dirent *entry;
	unsigned count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		char *end;
		unsigned long number;

		if (strncmp(entry->d_name, "video", 5))
			continue;
		number = strtoul(entry->d_name + 5, &end, 10);
		if (end == entry->d_name + 5 || *end || number >= NODES)
			continue;
		there[number] = true;
		count++;
	}
	closedir(dir);
	return count;
}

static int find_encoder(struct m2m_device *out)
{
	static atomic_bool said;
	bool there[NODES] = { false }, forbidden = false;
	unsigned left = list_nodes(there);

	for (unsigned i = 0; i < NODES && left; i++) {
		char path[sizeof("/dev/video") + 10];
		int res;

		if (!there[i])
			continue;
		left--;
		snprintf(path, sizeof(path), "/dev/video%u", i);
		res = open_node(out, path);
		if (res == 0)
			return 0;
		forbidden |= res == -EACCES || res == -EPERM;
	}
	if (!atomic_exchange(&said, true))
		log_info(forbidden ? "no H.264 encoder among the video nodes that we may open; is "
				     "the user in the group \"video\"?"
				   : "no H.264 encoder among /dev/video*");
	return forbidden ? -EACCES : -ENODEV;
}

int m2m_device_open(struct m2m_device *out, const char *path)
{
	return path && *path ? open_given(out, path) : find_encoder(out);
}

void m2m_device_close(struct m2m_device *device)
{
	close_fd(&device->fd);
}
