// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Strips into pictures: see picture_strip.h. Chroma is brought to the target's subsampling first,
 * by means of two or four samples; the loops are plain, over bytes, for the compiler to turn into
 * vector code.
 */
#include <libyuv.h>

#include "base/util.h"
#include "convert/picture.h"
#include "convert/picture_strip.h"

#define GREY_CHROMA 128

/* Scratch rows of full width: three planes from the source, two of chroma to go, ARGB, junk. */
#define SCRATCH_ROWS (STRIP_ROWS * (3 + 2 + 4) + 1)

/* `to` is the first plane at the strip's first row, or the plane that U and V share. */
typedef void packer(const struct strip *from, uint8_t *to, int stride);

/* ---- how the targets have them */

/* NOLINTNEXTLINE(readability-non-const-parameter): as the others */
static void pack_nothing(const struct strip *from, uint8_t *to, int stride)
{
	(void)from, (void)to, (void)stride;
}

static void merge(const struct strip *from, int first, int second, uint8_t *to, int stride)
{
	const struct strip_plane *a = &from->got[first], *b = &from->got[second];

	MergeUVPlane(a->data, a->stride, b->data, b->stride, to, stride, (from->width + 1) / 2,
		(from->rows + 1) / 2);
}

static void pack_nv12(const struct strip *from, uint8_t *to, int stride)
{
	merge(from, 1, 2, to, stride);
}

static void pack_nv21(const struct strip *from, uint8_t *to, int stride)
{
	merge(from, 2, 1, to, stride);
}

static void pack_yuyv(const struct strip *from, uint8_t *to, int stride)
{
	const struct strip_plane *y = &from->got[0], *u = &from->got[1], *v = &from->got[2];

	I422ToYUY2(y->data, y->stride, u->data, u->stride, v->data, v->stride, to, stride,
		from->width, from->rows);
}

static void pack_uyvy(const struct strip *from, uint8_t *to, int stride)
{
	const struct strip_plane *y = &from->got[0], *u = &from->got[1], *v = &from->got[2];

	I422ToUYVY(y->data, y->stride, u->data, u->stride, v->data, v->stride, to, stride,
		from->width, from->rows);
}

static const struct YuvConstants *constants(const struct strip *from)
{
	if (from->matrix == MATRIX_709)
		return from->range == RANGE_FULL ? &kYuvF709Constants : &kYuvH709Constants;
	return from->range == RANGE_FULL ? &kYuvJPEGConstants : &kYuvI601Constants;
}

/* The same, for U and V the other way round: so libyuv writes R, G, B in place of B, G, R. */
static const struct YuvConstants *mirrored_constants(const struct strip *from)
{
	if (from->matrix == MATRIX_709)
		return from->range == RANGE_FULL ? &kYvuF709Constants : &kYvuH709Constants;
	return from->range == RANGE_FULL ? &kYvuJPEGConstants : &kYvuI601Constants;
}

static void pack_rgb24(const struct strip *from, uint8_t *to, int stride)
{
	const struct strip_plane *y = &from->got[0], *u = &from->got[1], *v = &from->got[2];

	I422ToRGB24Matrix(y->data, y->stride, v->data, v->stride, u->data, u->stride, to, stride,
		mirrored_constants(from), from->width, from->rows);
}

static void pack_bgr24(const struct strip *from, uint8_t *to, int stride)
{
	const struct strip_plane *y = &from->got[0], *u = &from->got[1], *v = &from->got[2];

	I422ToRGB24Matrix(y->data, y->stride, u->data, u->stride, v->data, v->stride, to, stride,
		constants(from), from->width, from->rows);
}

static void pack_xbgr32(const struct strip *from, uint8_t *to, int stride)
{
	const struct strip_plane *y = &from->got[0], *u = &from->got[1], *v = &from->got[2];

	I422ToARGBMatrix(y->data, y->stride, u->data, u->stride, v->data, v->stride, to, stride,
		constants(from), from->width, from->rows);
}

static void pack_argb_as_rgb24(const struct strip *from, uint8_t *to, int stride)
{
	ARGBToRAW(from->argb.data, from->argb.stride, to, stride, from->width, from->rows);
}

static void pack_argb_as_bgr24(const struct strip *from, uint8_t *to, int stride)
{
	ARGBToRGB24(from->argb.data, from->argb.stride, to, stride, from->width, from->rows);
}

static void pack_argb_as_xbgr32(const struct strip *from, uint8_t *to, int stride)
{
	ARGBCopy(from->argb.data, from->argb.stride, to, stride, from->width, from->rows);
}

static packer *const packers[PIXELS_RAW] = {
	[PIXEL_NV12] = pack_nv12,
	[PIXEL_NV21] = pack_nv21,
	[PIXEL_YUV420] = pack_nothing,
	[PIXEL_YVU420] = pack_nothing,
	[PIXEL_YUYV] = pack_yuyv,
	[PIXEL_UYVY] = pack_uyvy,
	[PIXEL_RGB24] = pack_rgb24,
	[PIXEL_BGR24] = pack_bgr24,
	[PIXEL_XBGR32] = pack_xbgr32,
};

/* From ARGB. */
static packer *const argb_packers[PIXELS_RAW] = {
	[PIXEL_RGB24] = pack_argb_as_rgb24,
	[PIXEL_BGR24] = pack_argb_as_bgr24,
	[PIXEL_XBGR32] = pack_argb_as_xbgr32,
};

bool target_is_possible(const struct pixel_format *target)
{
	return target && target->id < PIXELS_RAW && packers[target->id];
}

/* Plane 0 is Y alone. */
static bool has_luma(const struct pixel_format *target)
{
	return target->n_planes > 1;
}

/* The plane that U is in alone, or V; 0: it has none. */
static int plane_of_u(const struct pixel_format *target)
{
	return target->n_planes < 3 ? 0 : target->id == PIXEL_YVU420 ? 2 : 1;
}

static int plane_of_v(const struct pixel_format *target)
{
	return target->n_planes < 3 ? 0 : 3 - plane_of_u(target);
}

/* ---- chroma */

/* Rows of twice as many samples. */
static void average_squares(uint8_t *restrict to, const uint8_t *a, const uint8_t *b, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (uint16_t)(a[2 * i] + a[2 * i + 1] + b[2 * i] + b[2 * i + 1] + 2) >> 2;
}

/* Rows of half as many samples. */
static void stretch_rows(uint8_t *restrict to, const uint8_t *a, const uint8_t *b, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (a[i / 2] + b[i / 2] + 1) >> 1;
}

/* Rows of the strip in a plane that has one for `down`. */
static int rows_of(const struct strip *strip, unsigned down)
{
	return (strip->rows + (int)down - 1) / (int)down;
}

/* Row `i` of the result comes from the rows `first` and `second` of what there is. */
static void choose_rows(const struct strip *strip, int i, int *first, int *second)
{
	int last = rows_of(strip, strip->got_down) - 1;

	*first = i * (int)strip->down / (int)strip->got_down;
	*second = MIN(*first + (strip->got_down < strip->down), last);
}

/* 4:2:2 as most grabbers send it to 4:2:0 as most encoders want it: libyuv knows wider vectors. */
static void average_pairs(const struct strip_plane *from, const struct strip_plane *to, int width,
	int rows)
{
	int pairs = rows / 2;

	InterpolatePlane(from->data, 2 * from->stride, from->data + from->stride, 2 * from->stride,
		to->data, to->stride, width, pairs, 128);
	if (rows % 2) /* the last one is alone */
		CopyPlane(from->data + (size_t)2 * pairs * from->stride, from->stride,
			to->data + (size_t)pairs * to->stride, to->stride, width, 1);
}

static void fit_rows(const struct strip *strip, const struct strip_plane *from,
	const struct strip_plane *to, int width)
{
	for (int i = 0; i < rows_of(strip, strip->down); i++) {
		uint8_t *row = to->data + (size_t)i * to->stride;
		const uint8_t *a, *b;
		int first, second;

		choose_rows(strip, i, &first, &second);
		a = from->data + (size_t)first * from->stride;
		b = from->data + (size_t)second * from->stride;
		if (strip->got_across == 1)
			average_squares(row, a, b, width);
		else if (strip->got_across == 2)
			memcpy(row, a, width);
		else
			stretch_rows(row, a, b, width);
	}
}

static void fit_plane(struct strip *strip, int p)
{
	const struct strip_plane *from = &strip->got[p], *to = &strip->want[p];
	int width = (strip->width + 1) / 2;

	if (strip->got_across == 2 && strip->got_down < strip->down)
		average_pairs(from, to, width, strip->rows);
	else
		fit_rows(strip, from, to, width);
	strip->got[p] = *to;
}

/* So that each mean has two samples from side to side. Such planes are in the spare memory. */
static void double_last_column(const struct strip *strip, int p)
{
	const struct strip_plane *plane = &strip->got[p];

	for (int i = 0; i < rows_of(strip, strip->got_down); i++) {
		uint8_t *row = plane->data + (size_t)i * plane->stride;

		row[strip->width] = row[strip->width - 1];
	}
}

static void make_grey(struct strip *strip)
{
	for (int p = 1; p < 3; p++) {
		strip->got[p] = strip->want[p];
		SetPlane(strip->got[p].data, strip->got[p].stride, (strip->width + 1) / 2,
			rows_of(strip, strip->down), GREY_CHROMA);
	}
}

static void fit_chroma(struct strip *strip)
{
	if (!strip->got[1].data) {
		make_grey(strip);
		return;
	}
	if (strip->got_across == 2 && strip->got_down == strip->down)
		return;
	for (int p = 1; p < 3; p++) {
		if (strip->got_across == 1 && strip->width % 2)
			double_last_column(strip, p);
		fit_plane(strip, p);
	}
}

/* ---- strips */

static size_t scratch_stride(uint32_t width)
{
	/* More than whole JPEG blocks of any subsampling, and one sample; vectors stay aligned. */
	return (width + 63) / 64 * 64 + 64;
}

size_t strip_memory(uint32_t width)
{
	return scratch_stride(width) * SCRATCH_ROWS;
}

static struct strip_plane take_rows(uint8_t **memory, size_t row_bytes)
{
	struct strip_plane plane = { *memory, (int)row_bytes, row_bytes };

	*memory += row_bytes * STRIP_ROWS;
	return plane;
}

/* A plane of the picture from that row on. */
static struct strip_plane plane_at(const struct pixel_format *target, const struct picture *to,
	int p, uint32_t row)
{
	const struct frame_plane *plane = &to->plane[p];
	const struct pixel_plane *layout = &target->plane[p];
	size_t before = (size_t)(pixel_rows(layout, to->height) - 1) * plane->stride;
	size_t room = MIN(plane->stride, plane->size - before);

	return (struct strip_plane){
		.data = plane->data + (size_t)(row / layout->down) * plane->stride,
		.stride = (int)plane->stride,
		.room = room,
	};
}

void strip_begin(struct strip *strip, const struct pixel_format *target, const struct picture *to,
	uint32_t row, unsigned rows, uint8_t *memory)
{
	size_t stride = scratch_stride(to->width);

	*strip = (struct strip){
		.width = (int)to->width,
		.down = has_luma(target) ? target->plane[1].down : 1,
	};
	strip->rows = (int)MIN(rows, to->height - row);
	for (int p = 0; p < 3; p++)
		strip->spare[p] = take_rows(&memory, stride);
	strip->want[0] = has_luma(target) ? plane_at(target, to, 0, row) : strip->spare[0];
	strip->want[1] = take_rows(&memory, stride);
	strip->want[2] = take_rows(&memory, stride);
	if (plane_of_u(target)) {
		strip->want[1] = plane_at(target, to, plane_of_u(target), row);
		strip->want[2] = plane_at(target, to, plane_of_v(target), row);
	}
	strip->argb = take_rows(&memory, 4 * stride);
	strip->junk = memory;
}

void strip_place_chroma(struct strip *strip, unsigned across, unsigned down, size_t bytes)
{
	bool fits = across == 2 && down == strip->down && strip->want[1].room >= bytes &&
		    strip->want[2].room >= bytes;

	strip->got[1] = fits ? strip->want[1] : strip->spare[1];
	strip->got[2] = fits ? strip->want[2] : strip->spare[2];
	strip->got_across = across;
	strip->got_down = down;
}

static void copy_home(const struct strip *strip, int p)
{
	const struct strip_plane *from = &strip->got[p], *to = &strip->want[p];
	int width = p ? (strip->width + 1) / 2 : strip->width;
	int rows = rows_of(strip, p ? strip->down : 1);

	if (from->data != to->data)
		CopyPlane(from->data, from->stride, to->data, to->stride, width, rows);
}

static void read_argb(struct strip *strip)
{
	const struct strip_plane *from = &strip->argb, *to = strip->want;

	bool full = strip->range == RANGE_FULL;

	(strip->down == 1 ? (full ? ARGBToJ422 : ARGBToI422)
			  : (full ? ARGBToJ420 : ARGBToI420))(from->data, from->stride, to[0].data,
		to[0].stride, to[1].data, to[1].stride, to[2].data, to[2].stride, strip->width,
		strip->rows);
	memcpy(strip->got, strip->want, sizeof(strip->got));
	strip->got_across = 2;
	strip->got_down = strip->down;
}

void strip_end(struct strip *strip, const struct pixel_format *target, const struct picture *to,
	uint32_t row)
{
	bool is_semi = target->n_planes == 2;
	struct strip_plane out = plane_at(target, to, is_semi, row);

	if (strip->is_argb && argb_packers[target->id]) {
		argb_packers[target->id](strip, out.data, out.stride);
		return;
	}
	if (strip->is_argb)
		read_argb(strip);
	fit_chroma(strip);
	if (has_luma(target))
		copy_home(strip, 0);
	if (plane_of_u(target)) {
		copy_home(strip, 1);
		copy_home(strip, 2);
	}
	packers[target->id](strip, out.data, out.stride);
}
