// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Raw pictures as planar YUV: see planar.h.
 *
 * libyuv takes the formats apart. What it does not have, averaging the chroma rows of NV16 and
 * NV24, stretching limited range and turning BT.709 into BT.601, are plain loops over 8- and
 * 16-bit integers which the compiler turns into vector code. A picture that needs such a second
 * pass is done in bands of a few rows, so that the pass finds them in the cache.
 */
#include "convert/planar.h"

#include <linux/videodev2.h>

#include <libyuv.h>

#include "base/util.h"
#include "convert/picture_shape.h"

/* Even, for 4:2:0; 16 rows of 4K in and out are 350 KiB. */
#define BAND_ROWS 16

/* Chroma samples that are converted between matrices at a time. */
#define MATRIX_RUN 256

/* Some rows of the picture, on their way from the frame to the scratch. */
struct band {
	const uint8_t *src[FRAME_PLANES];
	int src_stride[FRAME_PLANES];
	uint8_t *dst[3];
	int dst_stride[3];
	uint8_t *spare; /* two rows of ARGB; only where the format asks for it */
	int width, height;
};

struct format {
	uint32_t fourcc;
	struct shapes shapes;
	enum { YUV, GREY, RGB } model;
	bool planar;      /* libjpeg could read it as it is */
	bool needs_spare; /* see struct band */
	void (*unpack)(const struct band *band);
};

static inline uint8_t saturate(int16_t value)
{
	return CLAMP(value, 0, 255);
}

static void unpack_yuyv(const struct band *b)
{
	YUY2ToI420(b->src[0], b->src_stride[0], b->dst[0], b->dst_stride[0], b->dst[1],
		b->dst_stride[1], b->dst[2], b->dst_stride[2], b->width, b->height);
}

static void unpack_yvyu(const struct band *b)
{
	YUY2ToI420(b->src[0], b->src_stride[0], b->dst[0], b->dst_stride[0], b->dst[2],
		b->dst_stride[2], b->dst[1], b->dst_stride[1], b->width, b->height);
}

static void unpack_uyvy(const struct band *b)
{
	UYVYToI420(b->src[0], b->src_stride[0], b->dst[0], b->dst_stride[0], b->dst[1],
		b->dst_stride[1], b->dst[2], b->dst_stride[2], b->width, b->height);
}

static void copy_luma(const struct band *b)
{
	CopyPlane(b->src[0], b->src_stride[0], b->dst[0], b->dst_stride[0], b->width, b->height);
}

static void unpack_nv12(const struct band *b)
{
	copy_luma(b);
	SplitUVPlane(b->src[1], b->src_stride[1], b->dst[1], b->dst_stride[1], b->dst[2],
		b->dst_stride[2], (b->width + 1) / 2, (b->height + 1) / 2);
}

static void unpack_nv21(const struct band *b)
{
	copy_luma(b);
	SplitUVPlane(b->src[1], b->src_stride[1], b->dst[2], b->dst_stride[2], b->dst[1],
		b->dst_stride[1], (b->width + 1) / 2, (b->height + 1) / 2);
}

/* Two rows of interleaved chroma, as wide as the result: the mean of each. */
static void average_rows(uint8_t *restrict u, uint8_t *restrict v, const uint8_t *restrict first,
	const uint8_t *restrict second, int n)
{
	for (int i = 0; i < n; i++) {
		u[i] = (first[2 * i] + second[2 * i] + 1) >> 1;
		v[i] = (first[2 * i + 1] + second[2 * i + 1] + 1) >> 1;
	}
}

/* Two rows of interleaved chroma, twice as wide as the result: the mean of each 2×2. */
static void average_squares(uint8_t *restrict u, uint8_t *restrict v, const uint8_t *restrict first,
	const uint8_t *restrict second, int n)
{
	for (int i = 0; i < n; i++) {
		const uint8_t *a = &first[4 * i], *b = &second[4 * i];

		u[i] = (uint16_t)(a[0] + a[2] + b[0] + b[2] + 2) >> 2;
		v[i] = (uint16_t)(a[1] + a[3] + b[1] + b[3] + 2) >> 2;
	}
}

/* The rows of chroma that make row `row` of the result; the last of an odd number counts twice. */
static const uint8_t *first_chroma(const struct band *b, int row)
{
	return b->src[1] + (size_t)2 * row * b->src_stride[1];
}

static const uint8_t *second_chroma(const struct band *b, int row)
{
	return first_chroma(b, row) + (2 * row + 1 < b->height ? b->src_stride[1] : 0);
}

static void unpack_nv16(const struct band *b)
{
	copy_luma(b);
	for (int row = 0; row < (b->height + 1) / 2; row++)
		average_rows(b->dst[1] + (size_t)row * b->dst_stride[1],
			b->dst[2] + (size_t)row * b->dst_stride[2], first_chroma(b, row),
			second_chroma(b, row), (b->width + 1) / 2);
}

static void unpack_nv24(const struct band *b)
{
	int pairs = b->width / 2;

	copy_luma(b);
	for (int row = 0; row < (b->height + 1) / 2; row++) {
		const uint8_t *first = first_chroma(b, row), *second = second_chroma(b, row);
		uint8_t *u = b->dst[1] + (size_t)row * b->dst_stride[1];
		uint8_t *v = b->dst[2] + (size_t)row * b->dst_stride[2];

		average_squares(u, v, first, second, pairs);
		if (b->width % 2)
			average_rows(u + pairs, v + pairs, first + 4 * pairs, second + 4 * pairs,
				1);
	}
}

static void copy_chroma(const struct band *b, int from, int to)
{
	CopyPlane(b->src[from], b->src_stride[from], b->dst[to], b->dst_stride[to],
		(b->width + 1) / 2, (b->height + 1) / 2);
}

static void unpack_yu12(const struct band *b)
{
	copy_luma(b);
	copy_chroma(b, 1, 1);
	copy_chroma(b, 2, 2);
}

static void unpack_yv12(const struct band *b)
{
	copy_luma(b);
	copy_chroma(b, 2, 1);
	copy_chroma(b, 1, 2);
}

/* V4L2 names the bytes in memory order, libyuv as a little-endian number: RAW is R, G, B. */
static void unpack_rgb24(const struct band *b)
{
	RAWToJ420(b->src[0], b->src_stride[0], b->dst[0], b->dst_stride[0], b->dst[1],
		b->dst_stride[1], b->dst[2], b->dst_stride[2], b->width, b->height);
}

static void unpack_bgr24(const struct band *b)
{
	RGB24ToJ420(b->src[0], b->src_stride[0], b->dst[0], b->dst_stride[0], b->dst[1],
		b->dst_stride[1], b->dst[2], b->dst_stride[2], b->width, b->height);
}

/* By way of ARGB, for libyuv goes to full range from there only; two rows stay in the cache. */
static void unpack_rgb565(const struct band *b)
{
	for (int row = 0; row < b->height; row += 2) {
		int rows = MIN(2, b->height - row);

		RGB565ToARGB(b->src[0] + (size_t)row * b->src_stride[0], b->src_stride[0], b->spare,
			4 * b->width, b->width, rows);
		ARGBToJ420(b->spare, 4 * b->width, b->dst[0] + (size_t)row * b->dst_stride[0],
			b->dst_stride[0], b->dst[1] + (size_t)(row / 2) * b->dst_stride[1],
			b->dst_stride[1], b->dst[2] + (size_t)(row / 2) * b->dst_stride[2],
			b->dst_stride[2], b->width, rows);
	}
}

static const struct format formats[] = {
	{ V4L2_PIX_FMT_YUYV, SHAPES_PACKED(4, 2), YUV, false, false, unpack_yuyv },
	{ V4L2_PIX_FMT_YVYU, SHAPES_PACKED(4, 2), YUV, false, false, unpack_yvyu },
	{ V4L2_PIX_FMT_UYVY, SHAPES_PACKED(4, 2), YUV, false, false, unpack_uyvy },
	{ V4L2_PIX_FMT_NV12, SHAPES_SEMI(2, 2), YUV, false, false, unpack_nv12 },
	{ V4L2_PIX_FMT_NV21, SHAPES_SEMI(2, 2), YUV, false, false, unpack_nv21 },
	{ V4L2_PIX_FMT_NV16, SHAPES_SEMI(2, 1), YUV, false, false, unpack_nv16 },
	{ V4L2_PIX_FMT_NV24, SHAPES_SEMI(1, 1), YUV, false, false, unpack_nv24 },
	{ V4L2_PIX_FMT_YUV420, SHAPES_TRIPLE, YUV, true, false, unpack_yu12 },
	{ V4L2_PIX_FMT_YVU420, SHAPES_TRIPLE, YUV, true, false, unpack_yv12 },
	{ V4L2_PIX_FMT_RGB24, SHAPES_PACKED(3, 1), RGB, false, false, unpack_rgb24 },
	{ V4L2_PIX_FMT_BGR24, SHAPES_PACKED(3, 1), RGB, false, false, unpack_bgr24 },
	{ V4L2_PIX_FMT_RGB565, SHAPES_PACKED(2, 1), RGB, false, true, unpack_rgb565 },
	{ V4L2_PIX_FMT_GREY, SHAPES_PACKED(1, 1), GREY, true, false, copy_luma },
};

static const struct format *find_format(uint32_t fourcc)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].fourcc == fourcc)
			return &formats[i];
	return NULL;
}

static void borrow(struct planar *out, const struct frame *frame, uint32_t first)
{
	for (int i = 0; i < 3; i++) {
		/* YV12 has its chroma the other way round. */
		int at = i && frame->format == V4L2_PIX_FMT_YVU420 ? 3 - i : i;
		const struct frame_plane *from = &frame->plane[at];

		out->plane[i] = from->data + (size_t)(i ? first / 2 : first) * from->stride;
		out->stride[i] = from->stride;
	}
	out->borrowed = true;
}

/* Lays the view out in the scratch; the spare rows, when wanted, are behind the last plane. */
static int place(struct planar *out, bool spare, uint8_t **scratch, size_t *scratch_size)
{
	size_t luma = (out->width + 63) / 64 * 64, chroma = (luma / 2 + 63) / 64 * 64;
	size_t chroma_rows = out->subsampling == PLANAR_GREY ? 0 : (out->height + 1) / 2;
	size_t size = luma * out->height + 2 * chroma * chroma_rows + (spare ? 8 * luma : 0);

	if (*scratch_size < size) {
		free(*scratch);
		*scratch_size = 0;
		*scratch = aligned_alloc(64, size);
		if (!*scratch)
			return -ENOMEM;
		*scratch_size = size;
	}
	out->plane[0] = *scratch;
	out->stride[0] = luma;
	for (int i = 1; i < 3; i++) {
		out->plane[i] = i == 1 ? *scratch + luma * out->height
				       : out->plane[1] + chroma * chroma_rows;
		out->stride[i] = chroma;
	}
	return 0;
}

/*
 * Stretches limited range, 16 up to 16 + span: `gain` is in 1/256, `bias` what belongs to 16, with
 * the half for rounding. It saturates first and takes the upper half of a 16-bit product, for both
 * of which vector units have one instruction.
 */
static void stretch(uint8_t *row, int n, uint8_t span, uint16_t bias, uint16_t gain)
{
	for (int i = 0; i < n; i++) {
		uint8_t above = MAX(row[i], 16) - 16;
		uint8_t capped = MIN(above, span);
		uint16_t scaled = (capped << 8) + bias;

		row[i] = (uint32_t)scaled * gain >> 16;
	}
}

/* 16…235 to 0…255: 298/256 = 255/219. */
static void stretch_luma(uint8_t *row, int n)
{
	stretch(row, n, 219, 110, 298);
}

/* 16…240, grey at 128, to 1…255, grey at 128: 291/256 = 255/224. */
static void stretch_chroma(uint8_t *row, int n)
{
	stretch(row, n, 224, 267, 291);
}

static void stretch_range(const struct band *b, bool grey)
{
	for (int row = 0; row < b->height; row++)
		stretch_luma(b->dst[0] + (size_t)row * b->dst_stride[0], b->width);
	for (int row = 0; !grey && row < (b->height + 1) / 2; row++) {
		stretch_chroma(b->dst[1] + (size_t)row * b->dst_stride[1], (b->width + 1) / 2);
		stretch_chroma(b->dst[2] + (size_t)row * b->dst_stride[2], (b->width + 1) / 2);
	}
}

/*
 * BT.709 to BT.601, full range, in 1/512:
 *   Y' = Y + 0.1016 U + 0.1961 V    U' = 0.9899 U − 0.1107 V    V' = 0.9834 V − 0.0725 U
 * What the colour adds to the brightness goes to `add`, once for each of the two pixels.
 */
static void turn_chroma(uint8_t *restrict u, uint8_t *restrict v, int16_t *restrict add, int n)
{
	for (int i = 0; i < n; i++) {
		int16_t cb = u[i] - 128, cr = v[i] - 128;

		add[2 * i] = add[2 * i + 1] = (int16_t)(cb * 52 + cr * 100 + 256) >> 9;
		u[i] = saturate(u[i] + ((int16_t)(cb * -5 + cr * -57 + 256) >> 9));
		v[i] = saturate(v[i] + ((int16_t)(cb * -37 + cr * -9 + 256) >> 9));
	}
}

static void turn_luma(uint8_t *restrict row, const int16_t *restrict add, int n)
{
	for (int i = 0; i < n; i++)
		/* NOLINTNEXTLINE(clang-analyzer-core.*): turn_chroma() has filled it */
		row[i] = saturate(row[i] + add[i]);
}

static void turn_matrix(const struct band *b)
{
	int16_t add[2 * MATRIX_RUN];

	for (int row = 0; row < b->height; row += 2) {
		uint8_t *u = b->dst[1] + (size_t)(row / 2) * b->dst_stride[1];
		uint8_t *v = b->dst[2] + (size_t)(row / 2) * b->dst_stride[2];
		uint8_t *y = b->dst[0] + (size_t)row * b->dst_stride[0];

		for (int x = 0; x < b->width; x += 2 * MATRIX_RUN) {
			int n = MIN(2 * MATRIX_RUN, b->width - x);

			turn_chroma(u + x / 2, v + x / 2, add, (n + 1) / 2);
			turn_luma(y + x, add, n);
			if (row + 1 < b->height)
				turn_luma(y + b->dst_stride[0] + x, add, n);
		}
	}
}

/* Rows of the view, whose row 0 is row `first` of the frame. */
static void convert_band(const struct planar *to, const struct frame *frame,
	const struct format *format, uint32_t first, uint32_t row, uint32_t rows)
{
	struct band band = { .width = to->width };
	bool grey = format->model == GREY;

	band.height = MIN(rows, to->height - row);
	for (int i = 0; i < FRAME_PLANES && format->shapes.plane[i].bytes; i++) {
		const struct frame_plane *plane = &frame->plane[i];

		band.src[i] = plane->data + (size_t)((first + row) / format->shapes.plane[i].down) *
						    plane->stride;
		band.src_stride[i] = plane->stride;
	}
	for (int i = 0; i < 3; i++) {
		band.dst[i] = to->plane[i] + (size_t)(i ? row / 2 : row) * to->stride[i];
		band.dst_stride[i] = to->stride[i];
	}
	if (format->needs_spare)
		band.spare = to->plane[2] + (size_t)(to->height + 1) / 2 * to->stride[2];

	format->unpack(&band);
	if (format->model != RGB && frame->range == RANGE_LIMITED)
		stretch_range(&band, grey);
	if (format->model == YUV && frame->matrix == MATRIX_709)
		turn_matrix(&band);
}

static bool needs_second_pass(const struct frame *frame, const struct format *format)
{
	return format->model != RGB &&
	       (frame->range == RANGE_LIMITED ||
		       (format->model == YUV && frame->matrix == MATRIX_709));
}

bool planar_is_grey(const struct frame *frame)
{
	const struct format *format = find_format(frame->format);

	return format && format->model == GREY;
}

int planar_rows(struct planar *out, const struct frame *frame, uint32_t first, uint32_t rows,
	uint8_t **scratch, size_t *scratch_size)
{
	const struct format *format = find_format(frame->format);
	struct planar view = { .width = frame->width };
	int res;

	if (!format)
		return -ENOTSUP;
	if (!shapes_fit(&format->shapes, frame->plane, frame->width, frame->height))
		return -EINVAL;
	view.height = MIN(rows, frame->height - first);
	view.subsampling = format->model == GREY ? PLANAR_GREY : PLANAR_420;
	if (format->planar && frame->width % 16 == 0 && !needs_second_pass(frame, format)) {
		borrow(&view, frame, first);
		*out = view;
		return 0;
	}
	if ((res = place(&view, format->needs_spare, scratch, scratch_size)) < 0)
		return res;
	for (uint32_t row = 0; row < view.height; row += BAND_ROWS)
		convert_band(&view, frame, format, first, row, BAND_ROWS);
	*out = view;
	return 0;
}
