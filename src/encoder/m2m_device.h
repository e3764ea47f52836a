/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding and opening V4L2 memory-to-memory H.264 encoders: by what they can do, never by their
 * number. V4L2 sees the device from the program's side: raw pictures go to its OUTPUT queue, the
 * bitstream comes from its CAPTURE queue.
 */
#ifndef ENCODER_M2M_DEVICE_H
#define ENCODER_M2M_DEVICE_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stdint.h>

#define M2M_FORMATS 32

struct m2m_device {
	int fd; /* non-blocking; -1: closed */
	enum v4l2_buf_type output, capture;
	bool is_bcm2835; /* a Raspberry Pi's, with limits that its driver does not tell of */
	char path[64], card[32];
	uint32_t formats[M2M_FORMATS]; /* raw ones, by the driver's fourccs, in its order */
	unsigned n_formats;
};

/*
 * Opens the encoder at path; "" looks through /dev/video* for one. -ENODEV: there is none, or
 * path is no encoder of H.264; -EACCES: there may be one, but not for us; else what open(2) says.
 * Has logged why.
 */
int m2m_device_open(struct m2m_device *out, const char *path);
void m2m_device_close(struct m2m_device *device);

/* Multi-planar API. */
static inline bool m2m_is_mplane(enum v4l2_buf_type type)
{
	return V4L2_TYPE_IS_MULTIPLANAR(type);
}

/*
 * xioctl() with an end: the bcm2835 driver passes the firmware's codes on, and what the firmware
 * means by -4 is "not implemented", for ever, not EINTR. 0 or -errno.
 */
int m2m_ioctl(int fd, unsigned long request, void *arg);

#endif
