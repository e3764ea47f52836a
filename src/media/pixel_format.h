/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pixel formats that there are, in one table: V4L2's names and layouts (linux/videodev2.h and
 * the pages pixfmt-*.rst of the kernel's documentation). What captures, converts, encodes or
 * publishes pictures asks here; a room that does something of its own for each raw format has an
 * array of PIXELS_RAW that the id indexes.
 */
#ifndef MEDIA_PIXEL_FORMAT_H
#define MEDIA_PIXEL_FORMAT_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* How a plane lies in memory: `bytes` for `across` pixels in a row, one row for `down` rows. */
struct pixel_plane {
	uint8_t bytes, across, down;
};

enum pixel_model { PIXEL_IS_YUV, PIXEL_IS_GREY, PIXEL_IS_RGB, PIXEL_IS_JPEG };

/*
 * X(name, multi, model, planes, layout): V4L2_PIX_FMT_<name>; the same with each colour plane in
 * memory of its own, or 0; how many planes of colour, and what they are.
 */
/* clang-format off */
#define PIXEL_PACKED(bytes, across) { { bytes, across, 1 } }
#define PIXEL_SEMI(across, down)    { { 1, 1, 1 }, { 2, across, down } }
#define PIXEL_TRIPLE                { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } }

#define PIXEL_FORMATS_RAW(X)                                                    \
	X(YUYV, 0, PIXEL_IS_YUV, 1, PIXEL_PACKED(4, 2))                         \
	X(YVYU, 0, PIXEL_IS_YUV, 1, PIXEL_PACKED(4, 2))                         \
	X(UYVY, 0, PIXEL_IS_YUV, 1, PIXEL_PACKED(4, 2))                         \
	X(NV12, V4L2_PIX_FMT_NV12M, PIXEL_IS_YUV, 2, PIXEL_SEMI(2, 2))          \
	X(NV21, V4L2_PIX_FMT_NV21M, PIXEL_IS_YUV, 2, PIXEL_SEMI(2, 2))          \
	X(NV16, V4L2_PIX_FMT_NV16M, PIXEL_IS_YUV, 2, PIXEL_SEMI(2, 1))          \
	X(NV24, 0, PIXEL_IS_YUV, 2, PIXEL_SEMI(1, 1))                           \
	X(YUV420, V4L2_PIX_FMT_YUV420M, PIXEL_IS_YUV, 3, PIXEL_TRIPLE)          \
	X(YVU420, V4L2_PIX_FMT_YVU420M, PIXEL_IS_YUV, 3, PIXEL_TRIPLE)          \
	X(RGB24, 0, PIXEL_IS_RGB, 1, PIXEL_PACKED(3, 1))                        \
	X(BGR24, 0, PIXEL_IS_RGB, 1, PIXEL_PACKED(3, 1))                        \
	X(RGB565, 0, PIXEL_IS_RGB, 1, PIXEL_PACKED(2, 1))                       \
	X(GREY, 0, PIXEL_IS_GREY, 1, PIXEL_PACKED(1, 1))

/* What no grabber is asked for, but encoders take. */
#define PIXEL_FORMATS_BESIDE(X) X(XBGR32, 0, PIXEL_IS_RGB, 1, PIXEL_PACKED(4, 1))

/* Two names for one thing. */
#define PIXEL_FORMATS_JPEG(X)                    \
	X(MJPEG, 0, PIXEL_IS_JPEG, 0, { { 0 } }) \
	X(JPEG, 0, PIXEL_IS_JPEG, 0, { { 0 } })

#define PIXEL_ID(name, ...) PIXEL_##name,
enum pixel_id {
	PIXEL_FORMATS_RAW(PIXEL_ID)
	PIXEL_FORMATS_BESIDE(PIXEL_ID)
	PIXELS_RAW,
	PIXEL_BEFORE_JPEG = PIXELS_RAW - 1,
	PIXEL_FORMATS_JPEG(PIXEL_ID)
	PIXELS
};
#undef PIXEL_ID
/* clang-format on */

struct pixel_format {
	enum pixel_id id;
	uint32_t fourcc;  /* of the format in one piece of memory: NV12 */
	uint32_t multi;   /* of its twin with a piece for each plane: NM12; 0: there is none */
	const char *name; /* as in --format */
	enum pixel_model model;
	unsigned n_planes; /* of colour, in the format's own order; 0: compressed */
	struct pixel_plane plane[FRAME_PLANES];
};

/* By either fourcc. NULL: we know nothing of it. */
const struct pixel_format *pixel_format_find(uint32_t fourcc);
/* MJPEG or JPEG. */
bool pixel_format_is_jpeg(uint32_t fourcc);

/* Bytes of a row of a plane, and its rows, of a picture of that size: odd ones are rounded up. */
static inline size_t pixel_row_bytes(const struct pixel_plane *plane, uint32_t width)
{
	return ((size_t)width + plane->across - 1) / plane->across * plane->bytes;
}

static inline uint32_t pixel_rows(const struct pixel_plane *plane, uint32_t height)
{
	return (height + plane->down - 1) / plane->down;
}

/* More is not a picture, and would overflow the ints of those who convert it. */
#define PIXEL_MAX_SIDE   65535
#define PIXEL_MAX_STRIDE (1 << 20)

/* Whether a picture of that size, neither empty nor absurd, is in the planes from end to end. */
bool pixel_format_fits(const struct pixel_format *format,
	const struct frame_plane plane[FRAME_PLANES], uint32_t width, uint32_t height);

#endif
