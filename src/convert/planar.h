/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw pictures of any format that we capture, as planar YUV: by libyuv where it has the
 * conversion. Pure functions: no threads, no devices.
 */
#ifndef CONVERT_PLANAR_H
#define CONVERT_PLANAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* How much colour there is beside the brightness. */
enum planar_subsampling { PLANAR_420, PLANAR_GREY };

/* A view of planar YUV: Y, U, V; width × height pixels, chroma rounded up. Owns nothing. */
struct planar {
	enum planar_subsampling subsampling;
	uint32_t width, height;
	uint8_t *plane[3]; /* grey: the first only */
	uint32_t stride[3];
	bool borrowed; /* the planes are the frame's own: keep the frame as long as the view */
};

/*
 * Shows rows `first` (even) to `first` + `rows` of `frame`, or to its last, as 4:2:0, or as grey
 * where it has no colour, in full-range BT.601: what JPEG means by YUV (JFIF). Where the frame's
 * memory already is that and its width is a multiple of 16, the view borrows it and *scratch is
 * not touched. Else *scratch (NULL at first; replaced by a larger piece when needed, its size in
 * *scratch_size; the caller frees it) holds the result; its rows may be written up to the next
 * multiple of 16 pixels, so that an encoder can fill its last block.
 * -EINVAL: the planes are smaller than the size needs; -ENOTSUP: not a raw format we know;
 * -ENOMEM.
 */
int planar_rows(struct planar *out, const struct frame *frame, uint32_t first, uint32_t rows,
	uint8_t **scratch, size_t *scratch_size);

bool planar_is_grey(const struct frame *frame);

#endif
