/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any captured frame, JPEG or raw, into the input memory of a video encoder, in the encoder's
 * format and strides. One pass: a JPEG is decoded to planar YUV without RGB on the way, straight
 * into the planes where subsampling allows; raw formats go through libyuv, or are copied row by
 * row where the format is the same already.
 *
 * The numbers keep their meaning: a full-range picture stays full-range and BT.601 stays BT.601,
 * for the H.264 stream says which it is (h264_set_colour). Only RGB has to become something:
 * limited-range BT.601.
 *
 * No threads, no devices. Nothing is allocated once sizes have settled.
 */
#ifndef CONVERT_PICTURE_H
#define CONVERT_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* A view of memory for one raw picture; owns nothing. */
struct picture {
	uint32_t format; /* V4L2 fourcc of the single-memory format, as in struct frame */
	uint32_t width;  /* pixels, as shown; any, odd ones too: chroma is rounded up */
	uint32_t height;
	struct frame_plane plane[FRAME_PLANES]; /* in the format's own order, as in struct frame */
	enum frame_range range;                 /* set by picture_convert() */
	enum frame_matrix matrix;               /* the same */
};

/* The formats picture_convert() can write: NV12 NV21 YU12 YV12 YUYV UYVY, RGB24 BGR24 XBGR32. */
bool picture_can_be(uint32_t format);

/*
 * Sets the planes of a picture whose format, width and height are set, in one piece of memory:
 * `stride` bytes from row to row of the first plane (chroma of three planes: half of it), planes
 * one after the other, each `rows` high (chroma: half, rounded up). rows >= height.
 * Returns the bytes that takes, 0 for a format picture_can_be() does not know. memory may be NULL
 * to learn the size.
 */
size_t picture_lay_out(struct picture *picture, uint8_t *memory, uint32_t stride, uint32_t rows);

/* One for each thread. */
struct picture_converter;

int picture_converter_create(struct picture_converter **out);
/* NULL is fine. */
void picture_converter_destroy(struct picture_converter *converter);

/*
 * Writes frame, scaled never, to the planes of `to`, and says in to->range and to->matrix what
 * its numbers mean. Sizes must be equal. Rows are written up to their stride at most; what lies
 * beyond the picture's width is undefined.
 * -EBADMSG: a damaged JPEG; what `to` holds is undefined. allow_truncated: a JPEG that ends early
 * is taken as it is. -EINVAL: planes too small or sizes not equal; -ENOTSUP: no conversion
 * between these formats; -ENOMEM. *why: one line about it that lasts until the next call.
 */
int picture_convert(struct picture_converter *converter, struct picture *to,
	const struct frame *frame, bool allow_truncated, const char **why);

#endif
