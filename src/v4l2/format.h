/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the buffers of a V4L2 queue hold: formats listed and set, by both APIs alike. */
#ifndef V4L2_FORMAT_H
#define V4L2_FORMAT_H

#include <linux/videodev2.h>
#include <stdint.h>

#include "media/frame.h"

struct v4l2_layout {
	uint32_t fourcc;        /* as the driver calls it */
	uint32_t width, height; /* pixels */
	unsigned n_planes;      /* of memory, 1–3 */
	uint32_t stride[FRAME_PLANES],
		size[FRAME_PLANES]; /* of memory planes, bytes; 0: the driver's choice */
	uint32_t colorspace, encoding, quantization; /* V4L2's; 0: the default */
};

/* VIDIOC_S_FMT. What became of it is read back into *layout. */
int v4l2_format_set(int fd, enum v4l2_buf_type type, struct v4l2_layout *layout);
/* VIDIOC_ENUM_FMT: up to `most` fourccs, in the driver's order. Returns how many. */
unsigned v4l2_format_list(int fd, enum v4l2_buf_type type, uint32_t *out, unsigned most);

#endif
