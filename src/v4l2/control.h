/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Controls of a V4L2 device, one at a time. */
#ifndef V4L2_CONTROL_H
#define V4L2_CONTROL_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stdint.h>

/* -ENOENT: the device has none of that number (0: nobody has), or it is switched off. */
int v4l2_control_find(int fd, uint32_t id, struct v4l2_queryctrl *out);
/* The one after out->id, which is 0 at first; false: that was the last. */
bool v4l2_control_next(int fd, struct v4l2_queryctrl *out);
/* A menu has that item. */
bool v4l2_control_has_item(int fd, uint32_t id, int item);
int v4l2_control_get(int fd, uint32_t id, int *out);
int v4l2_control_set(int fd, uint32_t id, int value);

#endif
