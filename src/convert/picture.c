// SPDX-License-Identifier: GPL-3.0-or-later
/* Frames into pictures: see picture.h, and picture_strip.h for how it is done. */
#include "convert/picture.h"

#include <libyuv.h>

#include "base/util.h"
#include "convert/jpegplanar.h"
#include "convert/picture_strip.h"

struct picture_converter {
	struct jpegplanar *jpeg;
	uint8_t *scratch; /* for a strip */
	size_t scratch_size;
};

bool picture_can_be(uint32_t format)
{
	return target_is_possible(pixel_format_find(format));
}

size_t picture_lay_out(struct picture *picture, uint8_t *memory, uint32_t stride, uint32_t rows)
{
	const struct pixel_format *target = pixel_format_find(picture->format);
	size_t at = 0;

	if (!target_is_possible(target))
		return 0;
	memset(picture->plane, 0, sizeof(picture->plane));
	for (unsigned i = 0; i < target->n_planes; i++) {
		const struct pixel_plane *layout = &target->plane[i];
		bool half = layout->bytes == 1 && layout->across == 2;
		struct frame_plane *plane = &picture->plane[i];

		plane->data = memory ? memory + at : NULL;
		plane->stride = half ? (stride + 1) / 2 : stride;
		plane->size = (size_t)plane->stride * pixel_rows(layout, rows);
		at += plane->size;
	}
	return at;
}

int picture_converter_create(struct picture_converter **out)
{
	struct picture_converter *converter = xcalloc(1, sizeof(*converter));
	int res = jpegplanar_create(&converter->jpeg);

	if (res < 0) {
		free(converter);
		return res;
	}
	*out = converter;
	return 0;
}

void picture_converter_destroy(struct picture_converter *converter)
{
	if (!converter)
		return;
	jpegplanar_destroy(converter->jpeg);
	free(converter->scratch);
	free(converter);
}

static int make_room(struct picture_converter *converter, uint32_t width)
{
	size_t size = strip_memory(width);

	if (converter->scratch_size >= size)
		return 0;
	free(converter->scratch);
	converter->scratch_size = 0;
	converter->scratch = aligned_alloc(64, size);
	if (!converter->scratch)
		return -ENOMEM;
	converter->scratch_size = size;
	return 0;
}

/* Points libjpeg at the rows of the strip; those below the picture are lost. */
static void list_rows(struct jpegplanar_rows *out, const struct strip *strip, bool grey)
{
	for (int p = 0; p < (grey ? 1 : 3); p++) {
		int down = p ? (int)strip->got_down : 1;
		int rows = (strip->rows + down - 1) / down;

		for (int i = 0; i < JPEGPLANAR_ROWS; i++)
			out->row[p][i] = i < rows ? strip->got[p].data +
							    (size_t)i * strip->got[p].stride
						  : strip->junk;
	}
}

static void place_jpeg(struct strip *strip, const struct jpegplanar_layout *layout)
{
	bool fits = strip->want[0].room >= layout->luma_bytes;

	strip->range = RANGE_FULL; /* JFIF */
	strip->matrix = MATRIX_601;
	strip->got[0] = fits ? strip->want[0] : strip->spare[0];
	if (!layout->grey)
		strip_place_chroma(strip, layout->across, layout->down, layout->chroma_bytes);
}

static int convert_jpeg(struct picture_converter *converter, const struct pixel_format *target,
	const struct picture *to, const struct frame *frame, bool allow_truncated)
{
	struct jpegplanar_layout layout;
	struct jpegplanar_rows rows = { 0 };
	struct strip strip;
	int res = jpegplanar_begin(converter->jpeg, frame->plane[0].data, frame->plane[0].size,
		to->width, to->height, allow_truncated, &layout);

	if (res < 0)
		return res;
	for (uint32_t row = 0; row < to->height; row += layout.rows) {
		strip_begin(&strip, target, to, row, layout.rows, converter->scratch);
		place_jpeg(&strip, &layout);
		list_rows(&rows, &strip, layout.grey);
		if ((res = jpegplanar_read(converter->jpeg, &rows)) < 0)
			return res;
		strip_end(&strip, target, to, row);
	}
	return jpegplanar_end(converter->jpeg);
}

static void convert_raw(struct picture_converter *converter, const struct pixel_format *target,
	const struct picture *to, const struct frame *frame, const struct pixel_format *source)
{
	struct strip strip;

	for (uint32_t row = 0; row < to->height; row += STRIP_ROWS) {
		strip_begin(&strip, target, to, row, STRIP_ROWS, converter->scratch);
		/* What becomes of RGB, see picture.h. */
		strip.range = source->model == PIXEL_IS_RGB ? RANGE_LIMITED : frame->range;
		strip.matrix = frame->matrix;
		raw_source_read(source, frame, row, &strip);
		strip_end(&strip, target, to, row);
	}
}

static void copy_planes(const struct picture *to, const struct frame *frame,
	const struct pixel_format *format)
{
	for (unsigned i = 0; i < format->n_planes; i++) {
		const struct pixel_plane *layout = &format->plane[i];

		CopyPlane(frame->plane[i].data, (int)frame->plane[i].stride, to->plane[i].data,
			(int)to->plane[i].stride, (int)pixel_row_bytes(layout, to->width),
			(int)pixel_rows(layout, to->height));
	}
}

static int take_raw(struct picture_converter *converter, const struct pixel_format *target,
	const struct picture *to, const struct frame *frame, const char **why)
{
	const struct pixel_format *source = pixel_format_find(frame->format);

	if (!source) {
		*why = "There is no conversion from this format";
		return -ENOTSUP;
	}
	if (frame->width != to->width || frame->height != to->height ||
		!pixel_format_fits(source, frame->plane, frame->width, frame->height)) {
		*why = "The raw picture is too small";
		return -EINVAL;
	}
	if (source == target)
		copy_planes(to, frame, source);
	else
		convert_raw(converter, target, to, frame, source);
	return 0;
}

/* What the numbers of the result mean; see picture.h. */
static void say_meaning(struct picture *to, const struct pixel_format *target,
	const struct frame *frame)
{
	const struct pixel_format *source = pixel_format_find(frame->format);
	bool to_rgb = target->model == PIXEL_IS_RGB;

	to->range = frame->range;
	to->matrix = frame->matrix;
	if (source->model != PIXEL_IS_JPEG && source->model != PIXEL_IS_RGB && !to_rgb)
		return;
	to->matrix = MATRIX_601;
	to->range = source->model == PIXEL_IS_JPEG || to_rgb ? RANGE_FULL : RANGE_LIMITED;
}

int picture_convert(struct picture_converter *converter, struct picture *to,
	const struct frame *frame, bool allow_truncated, const char **why)
{
	const struct pixel_format *target = pixel_format_find(to->format);
	int res;

	*why = "There is no conversion to this format";
	if (!target_is_possible(target))
		return -ENOTSUP;
	*why = "There is no room for the picture";
	if (!pixel_format_fits(target, to->plane, to->width, to->height))
		return -EINVAL;
	*why = "There is no memory to convert the picture";
	if ((res = make_room(converter, to->width)) < 0)
		return res;
	if (pixel_format_is_jpeg(frame->format)) {
		*why = jpegplanar_why(converter->jpeg);
		res = convert_jpeg(converter, target, to, frame, allow_truncated);
	} else {
		res = take_raw(converter, target, to, frame, why);
	}
	if (res == 0)
		say_meaning(to, target, frame);
	return res;
}
