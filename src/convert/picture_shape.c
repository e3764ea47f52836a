// SPDX-License-Identifier: GPL-3.0-or-later
/* Shapes of planes: see picture_shape.h. */
#include "convert/picture_shape.h"

size_t shape_row_bytes(const struct shape *shape, uint32_t width)
{
	return (size_t)(width + shape->across - 1) / shape->across * shape->bytes;
}

uint32_t shape_rows(const struct shape *shape, uint32_t height)
{
	return (height + shape->down - 1) / shape->down;
}

static bool plane_fits(const struct frame_plane *plane, const struct shape *shape, uint32_t width,
	uint32_t height)
{
	size_t row = shape_row_bytes(shape, width);
	uint32_t rows = shape_rows(shape, height);

	return plane->data && plane->stride >= row && plane->stride <= PICTURE_MAX_STRIDE &&
	       plane->size >= (uint64_t)(rows - 1) * plane->stride + row;
}

bool shapes_fit(const struct shapes *shapes, const struct frame_plane plane[FRAME_PLANES],
	uint32_t width, uint32_t height)
{
	if (!width || width > PICTURE_MAX_SIDE || !height || height > PICTURE_MAX_SIDE)
		return false;
	for (int i = 0; i < FRAME_PLANES && shapes->plane[i].bytes; i++)
		if (!plane_fits(&plane[i], &shapes->plane[i], width, height))
			return false;
	return true;
}
