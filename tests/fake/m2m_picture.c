/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Raw pictures of every format that encoders take, to planar 4:2:0. BT.601, limited range. */
#include "m2m.h"

#include <string.h>

enum { COLUMN = 128 };

void m2m_picture_init(struct m2m_picture *pic, const struct m2m_format *format,
	uint8_t *const memory[PLANES_MAX])
{
	uint32_t luma = format->stride[0] * format->height;

	pic->format = format->fourcc;
	pic->stride = format->stride[0];
	for (unsigned i = 0; i < PLANES_MAX; i++)
		pic->plane[i] = memory[i];
	if (format->n_planes > 1)
		return;
	if (format->fourcc == M2M_NC12)
		luma = COLUMN * format->height;
	pic->plane[1] = memory[0] + luma;
	pic->plane[2] = memory[0] + luma + luma / 4;
}

static void copy_plane(const uint8_t *from, uint32_t stride, uint8_t *to, uint32_t width,
	uint32_t rows)
{
	for (uint32_t y = 0; y < rows; y++)
		memcpy(to + (size_t)y * width, from + (size_t)y * stride, width);
}

static void split_plane(const uint8_t *from, uint32_t stride, uint8_t *first, uint8_t *second,
	uint32_t width, uint32_t rows)
{
	for (uint32_t y = 0; y < rows; y++, from += stride)
		for (uint32_t x = 0; x < width; x++) {
			*first++ = from[2 * x];
			*second++ = from[2 * x + 1];
		}
}

/* Where the samples of two pixels are in their four bytes. */
struct packing {
	uint8_t y, u, v;
};

static void convert_422(const struct m2m_picture *pic, struct packing at, uint8_t *y, uint8_t *u,
	uint8_t *v)
{
	for (uint32_t row = 0; row < pic->height; row++) {
		const uint8_t *from = pic->plane[0] + (size_t)row * pic->stride;
		const uint8_t *next = from + pic->stride;

		for (uint32_t x = 0; x < pic->width; x++)
			y[x] = from[2 * x + at.y];
		y += pic->width;
		for (uint32_t x = 0; row % 2 == 0 && x < pic->width / 2; x++) {
			*u++ = (uint8_t)((from[4 * x + at.u] + next[4 * x + at.u] + 1) / 2);
			*v++ = (uint8_t)((from[4 * x + at.v] + next[4 * x + at.v] + 1) / 2);
		}
	}
}

struct rgb {
	int r, g, b;
};

static struct rgb rgb_at(uint32_t format, const uint8_t *row, uint32_t x)
{
	unsigned word;

	switch (format) {
	case V4L2_PIX_FMT_RGB24: row += 3 * x; return (struct rgb){ row[0], row[1], row[2] };
	case V4L2_PIX_FMT_BGR24: row += 3 * x; return (struct rgb){ row[2], row[1], row[0] };
	case V4L2_PIX_FMT_BGR32: row += 4 * x; return (struct rgb){ row[2], row[1], row[0] };
	case V4L2_PIX_FMT_RGBA32: row += 4 * x; return (struct rgb){ row[0], row[1], row[2] };
	default: break;
	}
	word = row[2 * x] | (unsigned)row[2 * x + 1] << 8;
	return (struct rgb){ (int)(word >> 11) << 3, (int)(word >> 5 & 63) << 2,
		(int)(word & 31) << 3 };
}

static void convert_rgb(const struct m2m_picture *pic, uint8_t *y, uint8_t *u, uint8_t *v)
{
	for (uint32_t row = 0; row < pic->height; row++) {
		const uint8_t *from = pic->plane[0] + (size_t)row * pic->stride;

		for (uint32_t x = 0; x < pic->width; x++) {
			struct rgb c = rgb_at(pic->format, from, x);

			*y++ = (uint8_t)((66 * c.r + 129 * c.g + 25 * c.b + 4224) >> 8);
			if ((row | x) & 1)
				continue;
			*u++ = (uint8_t)((-38 * c.r - 74 * c.g + 112 * c.b + 32896) >> 8);
			*v++ = (uint8_t)((112 * c.r - 94 * c.g - 18 * c.b + 32896) >> 8);
		}
	}
}

static void convert_420(const struct m2m_picture *pic, uint8_t *y, uint8_t *u, uint8_t *v)
{
	uint32_t w = pic->width / 2, h = pic->height / 2;

	copy_plane(pic->plane[0], pic->stride, y, pic->width, pic->height);
	switch (pic->format) {
	case V4L2_PIX_FMT_NV12:
	case V4L2_PIX_FMT_NV12M: split_plane(pic->plane[1], pic->stride, u, v, w, h); return;
	case V4L2_PIX_FMT_NV21:
	case V4L2_PIX_FMT_NV21M: split_plane(pic->plane[1], pic->stride, v, u, w, h); return;
	case V4L2_PIX_FMT_YVU420:
	case V4L2_PIX_FMT_YVU420M:
		copy_plane(pic->plane[1], pic->stride / 2, v, w, h);
		copy_plane(pic->plane[2], pic->stride / 2, u, w, h);
		return;
	default:
		copy_plane(pic->plane[1], pic->stride / 2, u, w, h);
		copy_plane(pic->plane[2], pic->stride / 2, v, w, h);
	}
}

/* Columns of 128 pixels; each has its luma, then its chroma, stride lines in all. */
static void convert_columns(const struct m2m_picture *pic, uint8_t *y, uint8_t *u, uint8_t *v)
{
	for (uint32_t row = 0; row < pic->height; row++)
		for (uint32_t x = 0; x < pic->width; x++) {
			size_t column = (size_t)(x / COLUMN) * COLUMN * pic->stride + x % COLUMN;

			*y++ = pic->plane[0][column + (size_t)row * COLUMN];
			if ((row | x) & 1)
				continue;
			*u++ = pic->plane[1][column + (size_t)row / 2 * COLUMN];
			*v++ = pic->plane[1][column + (size_t)row / 2 * COLUMN + 1];
		}
}

static void convert(const struct m2m_picture *pic, uint8_t *y, uint8_t *u, uint8_t *v)
{
	switch (pic->format) {
	case V4L2_PIX_FMT_YUYV: convert_422(pic, (struct packing){ 0, 1, 3 }, y, u, v); return;
	case V4L2_PIX_FMT_YVYU: convert_422(pic, (struct packing){ 0, 3, 1 }, y, u, v); return;
	case V4L2_PIX_FMT_UYVY: convert_422(pic, (struct packing){ 1, 0, 2 }, y, u, v); return;
	case V4L2_PIX_FMT_VYUY: convert_422(pic, (struct packing){ 1, 2, 0 }, y, u, v); return;
	case V4L2_PIX_FMT_RGB565:
	case V4L2_PIX_FMT_RGB24:
	case V4L2_PIX_FMT_BGR24:
	case V4L2_PIX_FMT_BGR32:
	case V4L2_PIX_FMT_RGBA32: convert_rgb(pic, y, u, v); return;
	case M2M_NC12: convert_columns(pic, y, u, v); return;
	default: convert_420(pic, y, u, v);
	}
}

void m2m_picture_convert(const struct m2m_picture *pic, uint8_t *to)
{
	struct m2m_picture even = *pic;
	size_t luma;

	even.width &= ~1u;
	even.height &= ~1u;
	luma = (size_t)even.width * even.height;
	convert(&even, to, to + luma, to + luma + luma / 4);
	/* Stripes: what is beyond the firmware's last macroblock is anything. */
	for (uint32_t row = pic->good_rows; row < even.height; row++)
		memset(to + (size_t)row * even.width, row % 16 < 8 ? 0x10 : 0xEB, even.width);
}
