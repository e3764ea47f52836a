// SPDX-License-Identifier: GPL-3.0-or-later
/* Controls of V4L2 devices: see v4l2/control.h. */
#include "v4l2/control.h"

#include "base/util.h"
#include "v4l2/ioctl.h"

int v4l2_control_find(int fd, uint32_t id, struct v4l2_queryctrl *out)
{
	*out = (struct v4l2_queryctrl){ .id = id };
	if (!id || v4l2_ioctl(fd, VIDIOC_QUERYCTRL, out) < 0 ||
		out->flags & V4L2_CTRL_FLAG_DISABLED)
		return -ENOENT;
	return 0;
}

bool v4l2_control_next(int fd, struct v4l2_queryctrl *out)
{
	uint32_t last = out->id;

	*out = (struct v4l2_queryctrl){ .id = last | V4L2_CTRL_FLAG_NEXT_CTRL };
	/* One that goes round in circles has an end, too. */
	return v4l2_ioctl(fd, VIDIOC_QUERYCTRL, out) == 0 && out->id > last;
}

bool v4l2_control_has_item(int fd, uint32_t id, int item)
{
	struct v4l2_querymenu menu = { .id = id, .index = (uint32_t)item };

	return item >= 0 && v4l2_ioctl(fd, VIDIOC_QUERYMENU, &menu) == 0;
}

int v4l2_control_get(int fd, uint32_t id, int *out)
{
	struct v4l2_control control = { .id = id };
	int res = v4l2_ioctl(fd, VIDIOC_G_CTRL, &control);

	if (res == 0)
		*out = control.value;
	return res;
}

int v4l2_control_set(int fd, uint32_t id, int value)
{
	struct v4l2_control control = { .id = id, .value = value };

	return v4l2_ioctl(fd, VIDIOC_S_CTRL, &control);
}
