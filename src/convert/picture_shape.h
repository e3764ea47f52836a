/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the raw formats lie in memory, and whether a plane is large enough for a picture. */
#ifndef CONVERT_PICTURE_SHAPE_H
#define CONVERT_PICTURE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* More is not a picture, and would overflow libyuv's ints. */
#define PICTURE_MAX_SIDE   65535
#define PICTURE_MAX_STRIDE (1 << 20)

/* How a plane lies in memory: `bytes` for `across` pixels in a row, one row for `down` rows. */
struct shape {
	uint8_t bytes, across, down;
};

/* Each plane of a format; bytes is 0: no such plane. */
struct shapes {
	struct shape plane[FRAME_PLANES];
};

/* clang-format off */
#define SHAPES_PACKED(bytes, across) { { { bytes, across, 1 } } }
#define SHAPES_SEMI(across, down)    { { { 1, 1, 1 }, { 2, across, down } } }
#define SHAPES_TRIPLE                { { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } } }
/* clang-format on */

/* Bytes of a row, and rows, of the plane of a picture. */
size_t shape_row_bytes(const struct shape *shape, uint32_t width);
uint32_t shape_rows(const struct shape *shape, uint32_t height);

/* Whether a picture of that size, neither empty nor absurd, is in the planes from end to end. */
bool shapes_fit(const struct shapes *shapes, const struct frame_plane plane[FRAME_PLANES],
	uint32_t width, uint32_t height);

#endif
