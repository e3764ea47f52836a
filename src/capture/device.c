// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Finding capture nodes: see device.h. One that is gone is found again by its port, not by its name
 * alone: the same model in the next port looks at another machine.
 */
#include "capture/device.h"

#include "base/util.h"

#define LOG_TOPIC "v4l2"
#include "base/log.h"

/* 0 for a streaming capture node, -ENOTTY for anything else that opens: *found tells what it is. */
static int open_node(struct v4l2_device *out, const char *path, struct source_identity *found,
	enum v4l2_buf_type *out_type)
{
	struct v4l2_device device;
	struct v4l2_node node;
	int res = v4l2_device_open(&device, path);

	if (res < 0)
		return res;
	v4l2_node_describe(path, &node);
	memcpy(found->driver, device.driver, sizeof(found->driver));
	memcpy(found->card, device.card, sizeof(found->card));
	memcpy(found->bus, device.bus, sizeof(found->bus));
	memcpy(found->parent, node.parent, sizeof(found->parent));
	if (device.caps & V4L2_CAP_VIDEO_CAPTURE)
		*out_type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	else if (device.caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE)
		*out_type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
	else
		res = -ENOTTY;
	if (!(device.caps & V4L2_CAP_STREAMING))
		res = -ENOTTY;
	if (res < 0)
		v4l2_device_close(&device);
	else
		*out = device;
	return res;
}

/* Where it is plugged in counts: its twin in the next port looks at another machine. */
static bool is_same_grabber(const struct source_identity *a, const struct source_identity *b)
{
	return !strcmp(a->driver, b->driver) && !strcmp(a->card, b->card) &&
	       !strcmp(a->bus, b->bus);
}

/*
 * Both are places in /sys. That of a USB interface has the number of its bus in it, which may be
 * another one after a reset, or at another speed: …/usb1/1-1.3/1-1.3:1.0. The port is what counts.
 */
static bool is_same_place(const char *a, const char *b)
{
	const char *bus_a = strstr(a, "/usb"), *bus_b = strstr(b, "/usb");
	const char *port_a = strrchr(a, '-'), *port_b = strrchr(b, '-');

	if (!bus_a || !bus_b || !port_a || !port_b)
		return !strcmp(a, b);
	return bus_a - a == bus_b - b && !strncmp(a, b, (size_t)(bus_a - a)) &&
	       !strcmp(port_a, port_b);
}

/* As far as can be known without opening it. */
static bool may_be(const struct v4l2_node *node, const struct source_identity *wanted)
{
	return !*node->parent || !*wanted->parent || is_same_place(node->parent, wanted->parent);
}

/* Looks through /dev/video* for the grabber. */
static int find_grabber(struct v4l2_device *out, const struct source_identity *wanted,
	enum v4l2_buf_type *out_type, struct source_identity *found)
{
	struct v4l2_nodes nodes;
	struct v4l2_node node;

	v4l2_nodes_list(&nodes);
	while (v4l2_nodes_next(&nodes, &node)) {
		if (!may_be(&node, wanted) || open_node(out, node.path, found, out_type) < 0)
			continue;
		if (is_same_grabber(found, wanted)) {
			log_info("the grabber is %s now", node.path);
			return 0;
		}
		v4l2_device_close(out);
	}
	return -ENODEV;
}

int device_open(struct v4l2_device *out, const char *path, struct source_identity *identity,
	enum v4l2_buf_type *out_type)
{
	struct source_identity found = { "", "", "", "" }, wanted;
	int res = open_node(out, path, &found, out_type), again = -ENODEV;

	if (res == -ENOENT || res == -ENXIO)
		res = -ENODEV;
	/* The path may lead to the metadata node beside the one we want. */
	wanted = res == -ENOTTY && found.card[0] ? found : *identity;
	if ((res == -ENODEV || res == -ENOTTY) && wanted.card[0])
		again = find_grabber(out, &wanted, out_type, &found);
	if (res < 0 && again < 0)
		return res;
	*identity = found;
	return 0;
}
