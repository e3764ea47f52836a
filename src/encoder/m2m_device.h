/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding and opening V4L2 memory-to-memory H.264 encoders: by what they can do, never by their
 * number. V4L2 sees the device from the program's side: raw pictures go to its OUTPUT queue, the
 * bitstream comes from its CAPTURE queue.
 */
#ifndef ENCODER_M2M_DEVICE_H
#define ENCODER_M2M_DEVICE_H

#include "v4l2/device.h"

#define M2M_FORMATS 32

struct m2m_device {
	struct v4l2_device node;
	enum v4l2_buf_type output, capture;
	bool is_bcm2835; /* a Raspberry Pi's, with limits that its driver does not tell of */
	uint32_t formats[M2M_FORMATS]; /* raw ones, by the driver's fourccs, in its order */
	unsigned n_formats;
};

/*
 * Opens the encoder at path; "" looks through /dev/video* for one. Pictures will be of that size.
 * -ENODEV: there is none, or path is no encoder of H.264; -EACCES: there may be one, but not for
 * us; else what open(2) says. Has logged why.
 */
int m2m_device_open(struct m2m_device *out, const char *path, uint32_t width, uint32_t height);
void m2m_device_close(struct m2m_device *device);
/*
 * Sets H.264 on the CAPTURE queue, with buffers large enough for any picture. -ENODEV when it does
 * something else.
 */
int m2m_device_set_h264(const struct m2m_device *device, uint32_t width, uint32_t height);

#endif
