// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Finding capture nodes: see device.h. One that is gone is found again by its port, not by its name
 * alone: the same model in the next port looks at another machine.
 */
#include "capture/device.h"

#include <dirent.h>
#include <fcntl.h>

#define LOG_TOPIC "v4l2"
#include "base/log.h"

static void read_identity(const struct v4l2_capability *cap, struct source_identity *out)
{
	snprintf(out->driver, sizeof(out->driver), "%s", (const char *)cap->driver);
	snprintf(out->card, sizeof(out->card), "%s", (const char *)cap->card);
	snprintf(out->bus, sizeof(out->bus), "%s", (const char *)cap->bus_info);
}

/* 0 for a streaming capture node, -ENOTTY for anything else that opens. */
static int open_node(const char *path, struct source_identity *found, int *out_fd,
	enum v4l2_buf_type *out_type)
{
	AUTO(auto_close) int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	struct v4l2_capability cap;
	uint32_t caps;
	int res;

	if (fd < 0)
		return -errno;
	res = xioctl(fd, VIDIOC_QUERYCAP, &cap);
	if (res < 0)
		return res == -ENODEV ? res : -ENOTTY;
	read_identity(&cap, found);
	caps = cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities;
	if (!(caps & V4L2_CAP_STREAMING))
		return -ENOTTY;
	if (caps & V4L2_CAP_VIDEO_CAPTURE)
		*out_type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	else if (caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE)
		*out_type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	else
		return -ENOTTY;
	*out_fd = steal_fd(&fd);
	return 0;
}

/* Where it is plugged in counts: its twin in the next port looks at another machine. */
static bool is_same_grabber(const struct source_identity *a, const struct source_identity *b)
{
	return !strcmp(a->driver, b->driver) && !strcmp(a->card, b->card) &&
	       !strcmp(a->bus, b->bus);
}

/* Looks through /dev/video* for the grabber. */
static int find_grabber(const struct source_identity *wanted, int *out_fd,
	enum v4l2_buf_type *out_type, struct source_identity *found)
{
	struct dirent *entry;
	DIR *dir = opendir("/dev");
	int res = -ENODEV;

	if (!dir)
		return -ENODEV;
	while (res < 0 && (entry = readdir(dir))) {
		char path[sizeof("/dev/") + sizeof(entry->d_name)];

		if (strncmp(entry->d_name, "video", 5))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		if (open_node(path, found, out_fd, out_type) < 0)
			continue;
		if (is_same_grabber(found, wanted)) {
			log_info("the grabber is %s now", path);
			res = 0;
		} else {
			close_fd(out_fd);
		}
	}
	closedir(dir);
	return res;
}

int device_open(const char *path, struct source_identity *identity, int *out_fd,
	enum v4l2_buf_type *out_type)
{
	struct source_identity found = { "", "", "" }, wanted;
	int res = open_node(path, &found, out_fd, out_type), again = -ENODEV;

	if (res == -ENOENT || res == -ENXIO)
		res = -ENODEV;
	/* The path may lead to the metadata node beside the one we want. */
	wanted = res == -ENOTTY && found.card[0] ? found : *identity;
	if ((res == -ENODEV || res == -ENOTTY) && wanted.card[0])
		again = find_grabber(&wanted, out_fd, out_type, &found);
	if (res < 0 && again < 0)
		return res;
	*identity = found;
	return 0;
}
