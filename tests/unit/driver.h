/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The test is the driver: its driver_ioctl() stands behind every call that src/v4l2/ makes of a
 * device. It gives 0 or -errno.
 */
#ifndef UNIT_DRIVER_H
#define UNIT_DRIVER_H

#include "v4l2/ioctl.h"

static int driver_ioctl(int fd, unsigned long request, void *arg);

int v4l2_ioctl_once(int fd, unsigned long request, void *arg)
{
	return driver_ioctl(fd, request, arg);
}

int v4l2_ioctl(int fd, unsigned long request, void *arg)
{
	return driver_ioctl(fd, request, arg);
}

#endif
