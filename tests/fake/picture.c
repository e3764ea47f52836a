/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw frames. A buffer gets the whole background once; later frames only move the box and flip
 * the stamp's bits that changed, so that the fake costs next to nothing.
 */
#include "picture.h"
#include "vb2.h"

#include <stdlib.h>
#include <string.h>

struct format {
	uint32_t fourcc;
	uint8_t line;  /* bytes per pixel of the first plane */
	uint8_t depth; /* bits per pixel of all */
	const char *description;
};

struct picture {
	struct picture_key key;
	struct planes bg;        /* no box, stamp 0 */
	struct planes box;       /* the box alone, at 0,0 */
	struct planes blocks[2]; /* a black and a white block of the stamp */
	struct jpegs *jpeg;
};

static const struct format formats[] = {
	{ V4L2_PIX_FMT_MJPEG, 0, 0, "Motion-JPEG" },
	{ V4L2_PIX_FMT_JPEG, 0, 0, "JFIF JPEG" },
	{ V4L2_PIX_FMT_YUYV, 2, 16, "YUYV 4:2:2" },
	{ V4L2_PIX_FMT_YVYU, 2, 16, "YVYU 4:2:2" },
	{ V4L2_PIX_FMT_UYVY, 2, 16, "UYVY 4:2:2" },
	{ V4L2_PIX_FMT_VYUY, 2, 16, "VYUY 4:2:2" },
	{ V4L2_PIX_FMT_NV12, 1, 12, "Y/CbCr 4:2:0" },
	{ V4L2_PIX_FMT_NV21, 1, 12, "Y/CrCb 4:2:0" },
	{ V4L2_PIX_FMT_NV16, 1, 16, "Y/CbCr 4:2:2" },
	{ V4L2_PIX_FMT_NV24, 1, 24, "Y/CbCr 4:4:4" },
	{ V4L2_PIX_FMT_YUV420, 1, 12, "Planar YUV 4:2:0" },
	{ V4L2_PIX_FMT_YVU420, 1, 12, "Planar YVU 4:2:0" },
	{ V4L2_PIX_FMT_RGB24, 3, 24, "24-bit RGB 8-8-8" },
	{ V4L2_PIX_FMT_BGR24, 3, 24, "24-bit BGR 8-8-8" },
	{ V4L2_PIX_FMT_RGB565, 2, 16, "16-bit RGB 5-6-5" },
	{ V4L2_PIX_FMT_GREY, 1, 8, "8-bit Greyscale" },
};

static const struct format *format_find(uint32_t fourcc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].fourcc == fourcc)
			return &formats[i];
	return NULL;
}

unsigned format_bytesperline(uint32_t fourcc, unsigned width)
{
	const struct format *f = format_find(fourcc);

	return f ? f->line * width : 0;
}

unsigned format_depth(uint32_t fourcc)
{
	const struct format *f = format_find(fourcc);

	return f ? f->depth : 0;
}

size_t format_size(uint32_t fourcc, unsigned bytesperline, unsigned height)
{
	const struct format *f = format_find(fourcc);

	return f && f->line ? (size_t)bytesperline * height * f->depth / 8 / f->line : 0;
}

bool format_is_jpeg(uint32_t fourcc)
{
	return fourcc == V4L2_PIX_FMT_MJPEG || fourcc == V4L2_PIX_FMT_JPEG;
}

const char *format_description(uint32_t fourcc)
{
	const struct format *f = format_find(fourcc);

	return f ? f->description : NULL;
}

static uint8_t clamp(int value)
{
	return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void to_rgb(uint8_t y, uint8_t u, uint8_t v, uint8_t rgb[3])
{
	int c = 298 * (y - 16) + 128, d = u - 128, e = v - 128;

	rgb[0] = clamp((c + 409 * e) >> 8);
	rgb[1] = clamp((c - 100 * d - 208 * e) >> 8);
	rgb[2] = clamp((c + 516 * d) >> 8);
}

static void put_packed(uint8_t *at, uint32_t fourcc, const uint8_t y[2], uint8_t u, uint8_t v)
{
	bool luma_first = fourcc == V4L2_PIX_FMT_YUYV || fourcc == V4L2_PIX_FMT_YVYU;
	bool blue_first = fourcc == V4L2_PIX_FMT_YUYV || fourcc == V4L2_PIX_FMT_UYVY;

	at[!luma_first] = y[0];
	at[!luma_first + 2] = y[1];
	at[luma_first] = blue_first ? u : v;
	at[luma_first + 2] = blue_first ? v : u;
}

static void put_rgb(uint8_t *at, uint32_t fourcc, const uint8_t y[2], uint8_t u, uint8_t v)
{
	for (unsigned i = 0; i < 2; i++) {
		bool bgr = fourcc == V4L2_PIX_FMT_BGR24;
		uint8_t rgb[3];

		to_rgb(y[i], u, v, rgb);
		if (fourcc == V4L2_PIX_FMT_RGB565) {
			unsigned word = rgb[0] >> 3 << 11 | rgb[1] >> 2 << 5 | rgb[2] >> 3;

			at[2 * i] = (uint8_t)word;
			at[2 * i + 1] = (uint8_t)(word >> 8);
			continue;
		}
		at[3 * i] = rgb[bgr ? 2 : 0];
		at[3 * i + 1] = rgb[1];
		at[3 * i + 2] = rgb[bgr ? 0 : 2];
	}
}

/* Two neighbours in a format with separate chroma; x is even. */
static void put_planar(uint8_t *mem, const struct v4l2_pix_format *pix, unsigned x, unsigned y,
	const uint8_t luma[2], uint8_t u, uint8_t v)
{
	size_t bpl = pix->bytesperline;
	uint8_t *chroma = mem + bpl * pix->height;
	bool swap = pix->pixelformat == V4L2_PIX_FMT_NV21 ||
		    pix->pixelformat == V4L2_PIX_FMT_YVU420;
	uint8_t first = swap ? v : u, second = swap ? u : v;

	memcpy(mem + y * bpl + x, luma, 2);
	switch (pix->pixelformat) {
	case V4L2_PIX_FMT_NV12:
	case V4L2_PIX_FMT_NV21:
		memcpy(chroma + y / 2 * bpl + x, (uint8_t[]){ first, second }, 2);
		break;
	case V4L2_PIX_FMT_NV16: memcpy(chroma + y * bpl + x, (uint8_t[]){ u, v }, 2); break;
	case V4L2_PIX_FMT_NV24:
		memcpy(chroma + 2 * (y * bpl + x), (uint8_t[]){ u, v, u, v }, 4);
		break;
	case V4L2_PIX_FMT_YUV420:
	case V4L2_PIX_FMT_YVU420:
		chroma[y / 2 * (bpl / 2) + x / 2] = first;
		chroma[bpl / 2 * (pix->height / 2) + y / 2 * (bpl / 2) + x / 2] = second;
		break;
	}
}

static void put(uint8_t *mem, const struct v4l2_pix_format *pix, unsigned x, unsigned y,
	const uint8_t luma[2], uint8_t u, uint8_t v)
{
	size_t line = (size_t)y * pix->bytesperline;

	switch (pix->pixelformat) {
	case V4L2_PIX_FMT_YUYV:
	case V4L2_PIX_FMT_YVYU:
	case V4L2_PIX_FMT_UYVY:
	case V4L2_PIX_FMT_VYUY: put_packed(mem + line + 2 * x, pix->pixelformat, luma, u, v); break;
	case V4L2_PIX_FMT_RGB24:
	case V4L2_PIX_FMT_BGR24: put_rgb(mem + line + 3 * x, pix->pixelformat, luma, u, v); break;
	case V4L2_PIX_FMT_RGB565: put_rgb(mem + line + 2 * x, pix->pixelformat, luma, u, v); break;
	default: put_planar(mem, pix, x, y, luma, u, v);
	}
}

struct rect {
	unsigned x, y, w, h;
};

/* Copies a rectangle of src, from sx,sy, to x,y of the frame; all even. */
static void copy_rect(const struct planes *src, unsigned sx, unsigned sy, struct rect to,
	const struct v4l2_pix_format *pix, uint8_t *mem)
{
	for (unsigned row = 0; row < to.h && to.y + row < pix->height; row++) {
		size_t line = (size_t)(sy + row) * src->stride + sx;

		for (unsigned i = 0; i + 1 < to.w && to.x + i + 1 < pix->width; i += 2)
			put(mem, pix, to.x + i, to.y + row, src->y + line + i,
				src->u[line / 2 + i / 2], src->v[line / 2 + i / 2]);
	}
}

static void draw_box(struct picture *pic, const struct v4l2_pix_format *pix, uint8_t *mem,
	uint32_t stamp, bool erase)
{
	unsigned side;
	struct size at = box_at(&pic->bg, stamp, pic->key.frames, &side);
	struct rect to = { at.width, at.height, side, side };

	if (erase)
		copy_rect(&pic->bg, at.width, at.height, to, pix, mem);
	else
		copy_rect(&pic->box, 0, 0, to, pix, mem);
}

static void draw_bits(struct picture *pic, const struct v4l2_pix_format *pix, uint8_t *mem,
	uint32_t stamp, uint32_t changed)
{
	unsigned side = stamp_side(pic->bg.width);

	for (unsigned bit = 0; bit < STAMP_BITS; bit++) {
		unsigned shift = STAMP_BITS - 1 - bit;

		if (changed >> shift & 1)
			copy_rect(&pic->blocks[stamp >> shift & 1], 0, 0,
				(struct rect){ bit * side, 0, side, side }, pix, mem);
	}
}

/* Stride padding and columns beyond the picture hold rubbish, as they do in hardware. */
static void draw_all(struct picture *pic, const struct v4l2_pix_format *pix, struct buffer *buf)
{
	memset(buf->mem, 0xEE, buf->length);
	copy_rect(&pic->bg, 0, 0, (struct rect){ 0, 0, pic->bg.width, pic->bg.height }, pix,
		buf->mem);
}

void picture_draw(struct picture *pic, const struct v4l2_pix_format *pix, struct buffer *buf,
	uint32_t stamp, bool cheap)
{
	bool moving = pic->key.look == 'm';
	uint32_t old = buf->drawn - 1;

	if (cheap && buf->drawn)
		return;
	if (cheap)
		stamp = buf->index;
	if (!buf->drawn) {
		draw_all(pic, pix, buf);
		old = 0;
	} else if (moving) {
		draw_box(pic, pix, buf->mem, old, true);
	}
	if (moving)
		draw_box(pic, pix, buf->mem, stamp, false);
	draw_bits(pic, pix, buf->mem, stamp, old ^ stamp);
	buf->drawn = stamp + 1;
}

size_t picture_jpeg(struct picture *pic, const struct faults *faults, uint8_t *out, size_t size,
	uint32_t stamp, bool cheap)
{
	return jpegs_compose(pic->jpeg, faults, out, size, stamp, cheap);
}

bool picture_is(const struct picture *pic, const struct picture_key *key)
{
	const struct picture_key *k = pic ? &pic->key : NULL;

	return k && k->size.width == key->size.width && k->size.height == key->size.height &&
	       k->frames == key->frames && k->quality == key->quality && k->look == key->look &&
	       k->jpeg == key->jpeg;
}

struct picture *picture_create(const struct picture_key *key)
{
	struct picture *pic = calloc(1, sizeof(*pic));
	unsigned block = stamp_side(key->size.width), side;

	if (!pic)
		abort();
	pic->key = *key;
	planes_init(&pic->bg, key->size.width, key->size.height, key->look);
	if (key->jpeg) {
		pic->jpeg = jpegs_create(&pic->bg, key->frames, key->quality, key->look);
		return pic;
	}
	box_at(&pic->bg, 0, 1, &side);
	planes_init(&pic->box, side, side, 'b');
	for (unsigned white = 0; white < 2; white++) {
		planes_init(&pic->blocks[white], block * STAMP_BITS, block, 'b');
		planes_stamp(&pic->blocks[white], white ? UINT32_MAX : 0);
	}
	planes_box_tile(&pic->box, 0, 0, side);
	return pic;
}

void picture_destroy(struct picture *pic)
{
	if (!pic)
		return;
	planes_finish(&pic->bg);
	planes_finish(&pic->box);
	planes_finish(&pic->blocks[0]);
	planes_finish(&pic->blocks[1]);
	jpegs_destroy(pic->jpeg);
	free(pic);
}
