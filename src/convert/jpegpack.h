/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw pictures to JPEG, a strip of sixteen rows at a time: each strip is made planar YUV, in
 * memory that stays in the cache, and compressed at once by libjpeg-turbo's raw-data interface.
 * No picture-sized memory beside the input and the output.
 */
#ifndef CONVERT_JPEGPACK_H
#define CONVERT_JPEGPACK_H

#include "media/frame.h"

/* One for each thread. */
struct jpegpack;

int jpegpack_create(struct jpegpack **out);
/* NULL is fine. */
void jpegpack_destroy(struct jpegpack *pack);

/*
 * Gives the picture as a JPEG in a frame of the pool; only its memory and size are set. Colour is
 * 4:2:0. quality: 1–100.
 * -EINVAL, -ENOTSUP, -ENOMEM as planar_rows(); -EIO: libjpeg refused, *why says it in its words
 * and lasts until the next call.
 */
int jpegpack_frame(struct jpegpack *pack, const struct frame *in, int quality,
	struct frame_pool *pool, struct frame **out, const char **why);

#endif
