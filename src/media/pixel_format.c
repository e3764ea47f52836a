// SPDX-License-Identifier: GPL-3.0-or-later
/* Pixel formats: see pixel_format.h. */
#include "media/pixel_format.h"

#include "base/util.h"

/* clang-format off */
#define ROW(name, multi, model, n_planes, ...) \
	{ PIXEL_##name, V4L2_PIX_FMT_##name, multi, #name, model, n_planes, __VA_ARGS__ },

static const struct pixel_format formats[] = {
	PIXEL_FORMATS_RAW(ROW)
	PIXEL_FORMATS_BESIDE(ROW)
	PIXEL_FORMATS_JPEG(ROW)
};
/* clang-format on */

_Static_assert(ARRAY_SIZE(formats) == PIXELS, "each has its id");

const struct pixel_format *pixel_format_find(uint32_t fourcc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		if (formats[i].fourcc == fourcc || (formats[i].multi && formats[i].multi == fourcc))
			return &formats[i];
	}
	return NULL;
}

bool pixel_format_is_jpeg(uint32_t fourcc)
{
	return fourcc == V4L2_PIX_FMT_MJPEG || fourcc == V4L2_PIX_FMT_JPEG;
}

static bool plane_fits(const struct frame_plane *plane, const struct pixel_plane *layout,
	uint32_t width, uint32_t height)
{
	size_t row = pixel_row_bytes(layout, width);
	uint32_t rows = pixel_rows(layout, height);

	return plane->data && plane->stride >= row && plane->stride <= PIXEL_MAX_STRIDE &&
	       plane->size >= (uint64_t)(rows - 1) * plane->stride + row;
}

bool pixel_format_fits(const struct pixel_format *format,
	const struct frame_plane plane[FRAME_PLANES], uint32_t width, uint32_t height)
{
	if (!width || width > PIXEL_MAX_SIDE || !height || height > PIXEL_MAX_SIDE)
		return false;
	for (unsigned i = 0; i < format->n_planes; i++) {
		if (!plane_fits(&plane[i], &format->plane[i], width, height))
			return false;
	}
	return true;
}
