// SPDX-License-Identifier: GPL-3.0-or-later
/* Alone in its file, so that a test may be the driver. */
#include "v4l2/ioctl.h"

#include <sys/ioctl.h>

#include "base/util.h"

#define INTERRUPTIONS 10

int v4l2_ioctl_once(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg) < 0 ? -errno : 0;
}

int v4l2_ioctl(int fd, unsigned long request, void *arg)
{
	int res = -EINTR;

	for (unsigned i = 0; res == -EINTR && i < INTERRUPTIONS; i++)
		res = v4l2_ioctl_once(fd, request, arg);
	return res;
}
