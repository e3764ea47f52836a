/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw pictures for the tests: how each format is read, one pixel at a time, and memory that ends
 * where it must not be read any more. Include after cmocka.h.
 */
#ifndef TESTS_RAWS_H
#define TESTS_RAWS_H

#include <linux/videodev2.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/util.h"
#include "media/frame.h"

#define PAGE 4096

struct colour {
	double y, u, v;
};

struct source {
	uint32_t fourcc;
	const char *name;
	/* bytes in a row and rows, for each plane */
	struct {
		unsigned bytes, across, down;
	} plane[FRAME_PLANES];
	struct colour (*at)(const struct frame *frame, uint32_t x, uint32_t y);
	bool grey, rgb;
};

static inline uint8_t byte(const struct frame *frame, int plane, uint32_t x, uint32_t y)
{
	return frame->plane[plane].data[(size_t)y * frame->plane[plane].stride + x];
}

static inline struct colour packed(const struct frame *f, uint32_t x, uint32_t y, int luma, int u,
	int v)
{
	uint32_t pair = x / 2 * 4;

	return (struct colour){ byte(f, 0, pair + luma + x % 2 * 2, y), byte(f, 0, pair + u, y),
		byte(f, 0, pair + v, y) };
}

static inline struct colour yuyv_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return packed(frame, x, y, 0, 1, 3);
}

static inline struct colour yvyu_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return packed(frame, x, y, 0, 3, 1);
}

static inline struct colour uyvy_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return packed(frame, x, y, 1, 0, 2);
}

static inline struct colour nv12_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2 * 2, y / 2),
		byte(frame, 1, x / 2 * 2 + 1, y / 2) };
}

static inline struct colour nv21_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2 * 2 + 1, y / 2),
		byte(frame, 1, x / 2 * 2, y / 2) };
}

static inline struct colour nv16_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2 * 2, y),
		byte(frame, 1, x / 2 * 2 + 1, y) };
}

static inline struct colour nv24_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x * 2, y),
		byte(frame, 1, x * 2 + 1, y) };
}

static inline struct colour yu12_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2, y / 2),
		byte(frame, 2, x / 2, y / 2) };
}

static inline struct colour yv12_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 2, x / 2, y / 2),
		byte(frame, 1, x / 2, y / 2) };
}

static inline struct colour grey_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), 128, 128 };
}

static inline struct colour from_rgb(double r, double g, double b)
{
	double y = 0.299 * r + 0.587 * g + 0.114 * b;

	return (struct colour){ y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402 };
}

static inline struct colour rgb24_at(const struct frame *f, uint32_t x, uint32_t y)
{
	return from_rgb(byte(f, 0, 3 * x, y), byte(f, 0, 3 * x + 1, y), byte(f, 0, 3 * x + 2, y));
}

static inline struct colour bgr24_at(const struct frame *f, uint32_t x, uint32_t y)
{
	return from_rgb(byte(f, 0, 3 * x + 2, y), byte(f, 0, 3 * x + 1, y), byte(f, 0, 3 * x, y));
}

static inline struct colour xbgr32_at(const struct frame *f, uint32_t x, uint32_t y)
{
	return from_rgb(byte(f, 0, 4 * x + 2, y), byte(f, 0, 4 * x + 1, y), byte(f, 0, 4 * x, y));
}

static inline struct colour rgb565_at(const struct frame *f, uint32_t x, uint32_t y)
{
	unsigned pixel = byte(f, 0, 2 * x, y) | byte(f, 0, 2 * x + 1, y) << 8;

	return from_rgb((pixel >> 11) * 255 / 31.0, (pixel >> 5 & 63) * 255 / 63.0,
		(pixel & 31) * 255 / 31.0);
}

static const struct source sources[] = {
	{ V4L2_PIX_FMT_YUYV, "YUYV", { { 4, 2, 1 } }, yuyv_at, false, false },
	{ V4L2_PIX_FMT_YVYU, "YVYU", { { 4, 2, 1 } }, yvyu_at, false, false },
	{ V4L2_PIX_FMT_UYVY, "UYVY", { { 4, 2, 1 } }, uyvy_at, false, false },
	{ V4L2_PIX_FMT_NV12, "NV12", { { 1, 1, 1 }, { 2, 2, 2 } }, nv12_at, false, false },
	{ V4L2_PIX_FMT_NV21, "NV21", { { 1, 1, 1 }, { 2, 2, 2 } }, nv21_at, false, false },
	{ V4L2_PIX_FMT_NV16, "NV16", { { 1, 1, 1 }, { 2, 2, 1 } }, nv16_at, false, false },
	{ V4L2_PIX_FMT_NV24, "NV24", { { 1, 1, 1 }, { 2, 1, 1 } }, nv24_at, false, false },
	{ V4L2_PIX_FMT_YUV420, "YU12", { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } }, yu12_at, false,
		false },
	{ V4L2_PIX_FMT_YVU420, "YV12", { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } }, yv12_at, false,
		false },
	{ V4L2_PIX_FMT_RGB24, "RGB3", { { 3, 1, 1 } }, rgb24_at, false, true },
	{ V4L2_PIX_FMT_BGR24, "BGR3", { { 3, 1, 1 } }, bgr24_at, false, true },
	{ V4L2_PIX_FMT_RGB565, "RGBP", { { 2, 1, 1 } }, rgb565_at, false, true },
	{ V4L2_PIX_FMT_GREY, "GREY", { { 1, 1, 1 } }, grey_at, true, false },
};

/* Only encoders take it. */
static const struct source xbgr32_source = { V4L2_PIX_FMT_XBGR32, "XR24", { { 4, 1, 1 } },
	xbgr32_at, false, true };

/* A plane whose last byte is the last one that may be read. */
struct guarded {
	void *map;
	size_t map_size;
};

static inline void *guarded_create(struct guarded *out, size_t size)
{
	size_t pages = (size + PAGE - 1) / PAGE * PAGE;

	out->map_size = pages + PAGE;
	out->map = mmap(NULL, out->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	assert_true(out->map != MAP_FAILED);
	assert_int_equal(mprotect((char *)out->map + pages, PAGE, PROT_NONE), 0);
	return (char *)out->map + pages - size;
}

struct raw {
	struct frame frame;
	struct guarded memory[FRAME_PLANES];
};

static inline void raw_create(struct raw *out, const struct source *source, uint32_t width,
	uint32_t height, uint32_t extra_stride)
{
	struct frame *frame = &out->frame;

	*out = (struct raw){ .frame = { .format = source->fourcc,
				     .width = width,
				     .height = height,
				     .range = RANGE_FULL,
				     .matrix = MATRIX_601 } };
	for (int i = 0; i < FRAME_PLANES && source->plane[i].bytes; i++) {
		unsigned across = source->plane[i].across, down = source->plane[i].down;
		uint32_t row = (width + across - 1) / across * source->plane[i].bytes;
		uint32_t rows = (height + down - 1) / down;

		frame->plane[i].stride = row + extra_stride;
		frame->plane[i].size = (size_t)(rows - 1) * frame->plane[i].stride + row;
		frame->plane[i].data = guarded_create(&out->memory[i], frame->plane[i].size);
		for (size_t at = 0; at < frame->plane[i].size; at++)
			frame->plane[i].data[at] = random() >> 8;
	}
}

static inline void raw_finish(struct raw *picture)
{
	for (int i = 0; i < FRAME_PLANES; i++)
		if (picture->memory[i].map)
			munmap(picture->memory[i].map, picture->memory[i].map_size);
}

static inline double clamp(double value)
{
	return CLAMP(value, 0.0, 255.0);
}

static inline void stretch(struct colour *colour)
{
	colour->y = clamp((colour->y - 16) * 255 / 219);
	colour->u = clamp((colour->u - 128) * 255 / 224 + 128);
	colour->v = clamp((colour->v - 128) * 255 / 224 + 128);
}

/* By way of RGB, as the standards define both. */
static inline void turn_matrix(struct colour *colour)
{
	double r = colour->y + 1.5748 * (colour->v - 128);
	double b = colour->y + 1.8556 * (colour->u - 128);
	double g = (colour->y - 0.2126 * r - 0.0722 * b) / 0.7152;

	*colour = from_rgb(r, g, b);
	*colour = (struct colour){ clamp(colour->y), clamp(colour->u), clamp(colour->v) };
}

#endif
