/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pixel formats that we capture: how V4L2 lays them out, and how to agree on one with a
 * device. linux/videodev2.h and the pages pixfmt-*.rst of the kernel's documentation.
 */
#ifndef CAPTURE_FORMAT_H
#define CAPTURE_FORMAT_H

#include <linux/videodev2.h>
#include <stdbool.h>

#include "media/frame.h"
#include "settings/options.h"

/* What device and we agreed on. */
struct capture_format {
	uint32_t fourcc;        /* of the single-memory format, also when memory_planes > 1 */
	uint32_t driver_fourcc; /* as the driver calls it */
	bool compressed;
	uint32_t width, height;        /* pixels */
	unsigned memory_planes;        /* buffers in memory per frame, 1–3 */
	uint32_t stride[FRAME_PLANES]; /* of each memory plane, bytes */
	enum frame_range range;
	enum frame_matrix matrix;
};

/*
 * Asks for opt->format and `size` and takes what the driver gives: its size, its stride,
 * and if need be another format that we know. type: V4L2_BUF_TYPE_VIDEO_CAPTURE[_MPLANE].
 * -ENOTSUP when device and we have no format in common, else -errno of S_FMT.
 */
int format_negotiate(int fd, enum v4l2_buf_type type, const struct options *opt,
	struct option_size size, struct capture_format *out);

/*
 * Sets the slowest rate the device has that is not below opt->desired_fps (0: the fastest).
 * Returns the rate it then has in frames per 1000 s, 0 when the device does not say.
 */
unsigned format_set_rate(int fd, enum v4l2_buf_type type, const struct capture_format *format,
	const struct options *opt);

/*
 * Points the frame's colour planes into the memory planes and sets its size and format.
 * -EBADMSG when a memory plane holds fewer bytes (used[]) than the picture needs.
 */
int format_describe(const struct capture_format *format, uint8_t *const memory[],
	const size_t used[], struct frame *frame);

#endif
