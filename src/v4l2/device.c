// SPDX-License-Identifier: GPL-3.0-or-later
/* V4L2 devices and their nodes: see v4l2/device.h. */
#include "v4l2/device.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "v4l2/ioctl.h"

int v4l2_device_open(struct v4l2_device *out, const char *path)
{
	struct v4l2_device device = { .fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) };
	struct v4l2_capability cap = { 0 };
	int res;

	if (device.fd < 0)
		return -errno;
	res = v4l2_ioctl(device.fd, VIDIOC_QUERYCAP, &cap);
	if (res < 0) {
		close_fd(&device.fd);
		return res == -ENODEV ? res : -ENOTTY;
	}
	device.caps = cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities;
	snprintf(device.path, sizeof(device.path), "%s", path);
	snprintf(device.driver, sizeof(device.driver), "%s", (const char *)cap.driver);
	snprintf(device.card, sizeof(device.card), "%s", (const char *)cap.card);
	snprintf(device.bus, sizeof(device.bus), "%s", (const char *)cap.bus_info);
	*out = device;
	return 0;
}

void v4l2_device_close(struct v4l2_device *device)
{
	close_fd(&device->fd);
}

/* ---- nodes */

void v4l2_nodes_list(struct v4l2_nodes *out)
{
	struct dirent *entry;
	DIR *dir = opendir("/dev");

	*out = (struct v4l2_nodes){ .next = 0 };
	while (dir && (entry = readdir(dir))) {
		char *end;
		unsigned long number;

		if (strncmp(entry->d_name, "video", 5))
			continue;
		number = strtoul(entry->d_name + 5, &end, 10);
		if (end > entry->d_name + 5 && !*end && number < V4L2_NODES)
			out->there[number] = true;
	}
	if (dir)
		closedir(dir);
}

/* One line of a file; "" when it cannot be read. */
static void read_line(const char *path, char *out, size_t size)
{
	AUTO(auto_fclose) FILE *file = fopen(path, "re");

	*out = '\0';
	if (file && fgets(out, (int)size, file))
		out[strcspn(out, "\n")] = '\0';
}

/* By device number: in a container a node may bear another name than the kernel's. */
void v4l2_node_describe(const char *path, struct v4l2_node *out)
{
	AUTO(auto_free) char *parent = NULL;
	char in_sys[64];
	struct stat node;

	*out = (struct v4l2_node){ .number = -1 };
	snprintf(out->path, sizeof(out->path), "%s", path);
	if (stat(path, &node) < 0)
		return;
	snprintf(in_sys, sizeof(in_sys), "/sys/dev/char/%u:%u/name", major(node.st_rdev),
		minor(node.st_rdev));
	read_line(in_sys, out->name, sizeof(out->name));
	snprintf(in_sys, sizeof(in_sys), "/sys/dev/char/%u:%u/device", major(node.st_rdev),
		minor(node.st_rdev));
	parent = realpath(in_sys, NULL);
	if (parent && strlen(parent) < sizeof(out->parent))
		strcpy(out->parent, parent);
}

bool v4l2_nodes_next(struct v4l2_nodes *nodes, struct v4l2_node *out)
{
	char path[sizeof("/dev/video") + 10];

	while (nodes->next < V4L2_NODES && !nodes->there[nodes->next])
		nodes->next++;
	if (nodes->next == V4L2_NODES)
		return false;
	snprintf(path, sizeof(path), "/dev/video%u", nodes->next);
	v4l2_node_describe(path, out);
	out->number = (int)nodes->next++;
	return true;
}
