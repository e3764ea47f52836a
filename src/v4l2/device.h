/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One V4L2 device, opened and called; and the nodes that there are, with what /sys tells of them,
 * so that nobody has to open what is not his: opening a node may wake hardware up, and some
 * drivers let one program in at a time.
 */
#ifndef V4L2_DEVICE_H
#define V4L2_DEVICE_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stdint.h>

#define V4L2_NODES 256

struct v4l2_device {
	int fd;        /* non-blocking; -1: closed */
	uint32_t caps; /* V4L2_CAP_…, of this node */
	char path[128], driver[16], card[32], bus[32];
};

/* -errno of open(2); -ENOTTY: no V4L2 device; -ENODEV: one that is gone. */
int v4l2_device_open(struct v4l2_device *out, const char *path);
/* A device that is closed already is fine. */
void v4l2_device_close(struct v4l2_device *device);

/* What can be known of a node without opening it. */
struct v4l2_node {
	int number; /* of /dev/video*; -1: it has another name */
	char path[128];
	char name[64]; /* the driver's word for it; "": /sys does not tell */
	char parent
		[256]; /* the same: where in /sys what it belongs to is, a USB interface for instance */
};

/* The nodes of /dev/video*, by their numbers. */
struct v4l2_nodes {
	bool there[V4L2_NODES];
	unsigned next;
};

void v4l2_nodes_list(struct v4l2_nodes *out);
/* The next one; false: that was the last. */
bool v4l2_nodes_next(struct v4l2_nodes *nodes, struct v4l2_node *out);
/* What /sys knows of the node that is there at path, which may be a link. */
void v4l2_node_describe(const char *path, struct v4l2_node *out);

#endif
