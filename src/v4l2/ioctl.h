/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef V4L2_IOCTL_H
#define V4L2_IOCTL_H

/*
 * ioctl(2), tried again after a signal, but not for ever: the bcm2835 driver passes the firmware's
 * codes on, and what the firmware means by -4 is "not implemented", not EINTR. 0 or -errno. It
 * takes as long as the driver does: never under a lock that another thread needs, and never on the
 * network thread.
 */
int v4l2_ioctl(int fd, unsigned long request, void *arg);
/* Without trying again. */
int v4l2_ioctl_once(int fd, unsigned long request, void *arg);

#endif
