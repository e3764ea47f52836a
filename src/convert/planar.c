// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Raw pictures as planar YUV: see planar.h.
 *
 * They are strips on their way to a picture, as for an encoder of video (picture_strip.h). What
 * JPEG wants beside that, full range and BT.601, is made of each strip while it is in the cache, by
 * plain loops over 8- and 16-bit integers which the compiler turns into vector code.
 */
#include "convert/planar.h"

#include <libyuv.h>

#include "base/util.h"
#include "convert/picture.h"
#include "convert/picture_strip.h"

/* Chroma samples that are converted between matrices at a time. */
#define MATRIX_RUN 256

static inline uint8_t saturate(int16_t value)
{
	return CLAMP(value, 0, 255);
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

/* Rows of a view from `row` on. */
struct band {
	uint8_t *plane[3];
	const uint32_t *stride;
	int width, height;
};

static void stretch_range(const struct band *b, bool grey)
{
	for (int row = 0; row < b->height; row++)
		stretch_luma(b->plane[0] + (size_t)row * b->stride[0], b->width);
	for (int row = 0; !grey && row < (b->height + 1) / 2; row++) {
		stretch_chroma(b->plane[1] + (size_t)row * b->stride[1], (b->width + 1) / 2);
		stretch_chroma(b->plane[2] + (size_t)row * b->stride[2], (b->width + 1) / 2);
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
		uint8_t *u = b->plane[1] + (size_t)(row / 2) * b->stride[1];
		uint8_t *v = b->plane[2] + (size_t)(row / 2) * b->stride[2];
		uint8_t *y = b->plane[0] + (size_t)row * b->stride[0];

		for (int x = 0; x < b->width; x += 2 * MATRIX_RUN) {
			int n = MIN(2 * MATRIX_RUN, b->width - x);

			turn_chroma(u + x / 2, v + x / 2, add, (n + 1) / 2);
			turn_luma(y + x, add, n);
			if (row + 1 < b->height)
				turn_luma(y + b->stride[0] + x, add, n);
		}
	}
}

/* What the numbers of the frame have to become, in the rows of the view from `row` on. */
static void mend(const struct planar *view, const struct frame *frame,
	const struct pixel_format *format, uint32_t row)
{
	struct band band = { .stride = view->stride, .width = (int)view->width };

	band.height = (int)MIN(STRIP_ROWS, view->height - row);
	for (int i = 0; i < 3; i++)
		band.plane[i] = view->plane[i] + (size_t)(i ? row / 2 : row) * view->stride[i];
	if (frame->range == RANGE_LIMITED)
		stretch_range(&band, format->model == PIXEL_IS_GREY);
	if (format->model == PIXEL_IS_YUV && frame->matrix == MATRIX_709)
		turn_matrix(&band);
}

static bool is_to_mend(const struct frame *frame, const struct pixel_format *format)
{
	return format->model != PIXEL_IS_RGB &&
	       (frame->range == RANGE_LIMITED ||
		       (format->model == PIXEL_IS_YUV && frame->matrix == MATRIX_709));
}

/* libjpeg could read it as it is: planes of 4:2:0, or of grey alone. */
static bool is_planar(const struct pixel_format *format)
{
	return format->n_planes == 3 || format->model == PIXEL_IS_GREY;
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

/* Lays the view out in the scratch, and behind it the memory for strips. */
static int place(struct planar *out, struct picture *picture, uint8_t **strips, uint8_t **scratch,
	size_t *scratch_size)
{
	uint32_t stride = (out->width + 127) / 128 * 128; /* half of it is for vectors, too */
	size_t view = picture_lay_out(picture, NULL, stride, out->height);
	size_t size = (view + 63) / 64 * 64 + strip_memory(out->width);

	if (*scratch_size < size) {
		free(*scratch);
		*scratch_size = 0;
		*scratch = aligned_alloc(64, size);
		if (!*scratch)
			return -ENOMEM;
		*scratch_size = size;
	}
	picture_lay_out(picture, *scratch, stride, out->height);
	for (int i = 0; i < 3; i++) {
		out->plane[i] = picture->plane[i].data;
		out->stride[i] = picture->plane[i].stride;
	}
	*strips = *scratch + (view + 63) / 64 * 64;
	return 0;
}

static void convert_strip(struct planar *view, const struct picture *to, uint32_t row,
	const struct frame *frame, const struct pixel_format *format, uint32_t first,
	uint8_t *memory)
{
	struct strip strip;

	strip_begin(&strip, pixel_format_find(to->format), to, row, STRIP_ROWS, memory);
	strip.range = format->model == PIXEL_IS_RGB ? RANGE_FULL : frame->range;
	strip.matrix = frame->matrix;
	raw_source_read(format, frame, first + row, &strip);
	if (format->model == PIXEL_IS_GREY)
		CopyPlane(strip.got[0].data, strip.got[0].stride, strip.want[0].data,
			strip.want[0].stride, strip.width, strip.rows);
	else
		strip_end(&strip, pixel_format_find(to->format), to, row);
	if (is_to_mend(frame, format))
		mend(view, frame, format, row);
}

bool planar_is_grey(const struct frame *frame)
{
	return frame->format == V4L2_PIX_FMT_GREY;
}

int planar_rows(struct planar *out, const struct frame *frame, uint32_t first, uint32_t rows,
	uint8_t **scratch, size_t *scratch_size)
{
	const struct pixel_format *format = pixel_format_find(frame->format);
	struct planar view = { .width = frame->width };
	struct picture picture = { .format = V4L2_PIX_FMT_YUV420, .width = frame->width };
	uint8_t *strips;
	int res;

	if (!format || format->model == PIXEL_IS_JPEG)
		return -ENOTSUP;
	if (!pixel_format_fits(format, frame->plane, frame->width, frame->height))
		return -EINVAL;
	view.height = picture.height = MIN(rows, frame->height - first);
	view.subsampling = format->model == PIXEL_IS_GREY ? PLANAR_GREY : PLANAR_420;
	if (is_planar(format) && frame->width % 16 == 0 && !is_to_mend(frame, format)) {
		borrow(&view, frame, first);
		*out = view;
		return 0;
	}
	if ((res = place(&view, &picture, &strips, scratch, scratch_size)) < 0)
		return res;
	for (uint32_t row = 0; row < view.height; row += STRIP_ROWS)
		convert_strip(&view, &picture, row, frame, format, first, strips);
	*out = view;
	return 0;
}
