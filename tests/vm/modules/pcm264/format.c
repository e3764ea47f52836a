// SPDX-License-Identifier: GPL-2.0-only
/* See format.h. */
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/videodev2.h>

#include "format.h"

#define LEAST_PIXELS 32

static const struct raw_format formats[] = {
	{ V4L2_PIX_FMT_YUV420, 3, 1, 64, 0, 1, 2, false },
	{ V4L2_PIX_FMT_YVU420, 3, 1, 64, 0, 2, 1, false },
	{ V4L2_PIX_FMT_NV12, 2, 1, 32, 0, 0, 1, false },
	{ V4L2_PIX_FMT_NV21, 2, 1, 32, 0, 1, 0, false },
	{ V4L2_PIX_FMT_RGB24, 1, 3, 32, 0, 1, 2, true },
	{ V4L2_PIX_FMT_BGR24, 1, 3, 32, 2, 1, 0, true },
	{ V4L2_PIX_FMT_BGR32, 1, 4, 64, 2, 1, 0, true },
	{ V4L2_PIX_FMT_YUYV, 1, 2, 64, 0, 1, 3, false },
	{ V4L2_PIX_FMT_YVYU, 1, 2, 64, 0, 3, 1, false },
	{ V4L2_PIX_FMT_UYVY, 1, 2, 64, 1, 0, 2, false },
	{ V4L2_PIX_FMT_VYUY, 1, 2, 64, 1, 2, 0, false },
};

const struct raw_format *format_at(unsigned int index)
{
	return index < ARRAY_SIZE(formats) ? &formats[index] : NULL;
}

const struct raw_format *format_find(u32 fourcc)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].fourcc == fourcc)
			return &formats[i];
	}
	return NULL;
}

void layout_adjust(struct raw_layout *layout, u32 most_pixels, u32 height_alignment)
{
	const struct raw_format *format = layout->format;
	u32 least;

	layout->width = clamp_t(u32, layout->width, LEAST_PIXELS, most_pixels) & ~1U;
	layout->height = clamp_t(u32, layout->height, LEAST_PIXELS, most_pixels) & ~1U;
	layout->height = ALIGN(layout->height, max(height_alignment, 1U));
	least = layout->width * format->bytes;
	if (layout->stride < least || layout->stride > 4 * least)
		layout->stride = least;
	layout->stride = ALIGN(layout->stride, format->alignment);
	layout->size = layout->stride * layout->height;
	if (format->planes > 1)
		layout->size = layout->size * 3 / 2;
}

static u8 luma_of(const u8 *pixel, const struct raw_format *format)
{
	if (!format->rgb)
		return pixel[format->y];
	return ((66 * pixel[format->y] + 129 * pixel[format->u] + 25 * pixel[format->v] + 128) >>
		       8) +
	       16;
}

static void pad_row(u8 *row, u32 width, u32 padded)
{
	memset(row + width, row[width - 1], padded - width);
}

static void luma_row(const struct raw_layout *layout, const u8 *from, u8 *to, u32 width)
{
	u32 x;

	if (layout->format->planes > 1) {
		memcpy(to, from, width);
		return;
	}
	for (x = 0; x < width; x++)
		to[x] = luma_of(from + x * layout->format->bytes, layout->format);
}

/* Two rows of YUYV and its like. */
static void average_chroma(const struct raw_layout *layout, const u8 *from, u8 *u, u8 *v, u32 pairs)
{
	const u8 *below = from + layout->stride;
	u8 at_u = layout->format->u, at_v = layout->format->v;
	u32 x;

	for (x = 0; x < pairs; x++, from += 4, below += 4) {
		u[x] = (from[at_u] + below[at_u] + 1) >> 1;
		v[x] = (from[at_v] + below[at_v] + 1) >> 1;
	}
}

/* Of each two by two pixels the first: nobody compares colours of RGB bit by bit. */
static void rgb_chroma(const struct raw_layout *layout, const u8 *from, u8 *u, u8 *v, u32 pairs)
{
	const struct raw_format *format = layout->format;
	u32 x;

	for (x = 0; x < pairs; x++, from += 2 * format->bytes) {
		int red = from[format->y], green = from[format->u], blue = from[format->v];

		u[x] = ((-38 * red - 74 * green + 112 * blue + 128) >> 8) + 128;
		v[x] = ((112 * red - 94 * green - 18 * blue + 128) >> 8) + 128;
	}
}

/* Row y of chroma of a format whose chroma has planes of its own. */
static void plane_chroma(const struct raw_layout *layout, const u8 *memory, u32 y, u8 *u, u8 *v,
	u32 pairs)
{
	const struct raw_format *format = layout->format;
	const u8 *chroma = memory + (size_t)layout->stride * layout->height;
	size_t plane = (size_t)(layout->stride / 2) * (layout->height / 2);
	u32 x;

	if (format->planes == 3) {
		chroma += (size_t)y * (layout->stride / 2);
		memcpy(u, chroma + (format->u - 1) * plane, pairs);
		memcpy(v, chroma + (format->v - 1) * plane, pairs);
		return;
	}
	chroma += (size_t)y * layout->stride;
	for (x = 0; x < pairs; x++) {
		u[x] = chroma[2 * x + format->u];
		v[x] = chroma[2 * x + format->v];
	}
}

static void chroma_row(const struct raw_layout *layout, const u8 *memory, u32 y, u8 *u, u8 *v,
	u32 pairs)
{
	const u8 *first = memory + (size_t)2 * y * layout->stride;

	if (layout->format->planes > 1)
		plane_chroma(layout, memory, y, u, v, pairs);
	else if (layout->format->rgb)
		rgb_chroma(layout, first, u, v, pairs);
	else
		average_chroma(layout, first, u, v, pairs);
}

void layout_to_planar(const struct raw_layout *layout, const u8 *memory,
	const struct stream *stream, u8 *to)
{
	u32 padded = stream->columns * 16, rows = stream->rows * 16, half = padded / 2, y;
	u8 *u = to + (size_t)padded * rows, *v = u + (size_t)half * (rows / 2);

	for (y = 0; y < rows; y++, to += padded) {
		luma_row(layout, memory + (size_t)min(y, stream->height - 1) * layout->stride, to,
			stream->width);
		pad_row(to, stream->width, padded);
		if (!(y % 64))
			cond_resched();
	}
	for (y = 0; y < rows / 2; y++, u += half, v += half) {
		chroma_row(layout, memory, min(y, stream->height / 2 - 1), u, v, stream->width / 2);
		pad_row(u, stream->width / 2, half);
		pad_row(v, stream->width / 2, half);
		if (!(y % 64))
			cond_resched();
	}
}
