/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Drawing on planar YU12 pictures of any size: what the no-signal picture and the test card are made
 * of. Everything is clipped to the picture; nobody else may see the frame yet.
 */
#ifndef SLATE_DRAW_H
#define SLATE_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* Full-range BT.601. */
struct draw_color {
	uint8_t y, u, v;
};

/* The eight colour bars of 75 % from white to black, left to right. */
#define DRAW_BARS 8
extern const struct draw_color draw_bars[DRAW_BARS];

/* The smallest text that can be read. */
#define DRAW_MIN_SIZE 16U

/* Bytes of a YU12 picture without padding; 64 bits so that no size overflows. */
uint64_t draw_bytes(uint32_t width, uint32_t height);
/* Makes a frame whose plane[0] holds draw_bytes() into a full-range BT.601 YU12 picture. */
void draw_shape(struct frame *frame, uint32_t width, uint32_t height);
/*
 * Such a frame on the heap, its content undefined; the last unref frees it. -EINVAL for an empty
 * picture, -ENOMEM.
 */
int draw_create(struct frame **out, uint32_t width, uint32_t height);

/* A chroma sample belongs to the rectangle when its first pixel does. */
void draw_fill(struct frame *to, int x, int y, int width, int height, struct draw_color color);
/* Brightness only: for grey things on grey ground, and for moving ones at odd positions. */
void draw_fill_luma(struct frame *to, int x, int y, int width, int height, uint8_t luma);
/* Copies brightness: `width` × `height` pixels of `from` at from_x, 0. */
void draw_copy_luma(struct frame *to, int x, int y, const struct frame *from, int from_x, int width,
	int height);

/*
 * Text in a cell of `size` pixels' height for each character, half as wide; `size` is even.
 * Changes the brightness only: the ink takes the hue of the ground. What is not printable ASCII
 * is drawn as '?'.
 */
void draw_text(struct frame *to, int x, int y, unsigned size, uint8_t luma, const char *text,
	size_t length);
/* Pixels that `length` characters take. */
int draw_text_width(unsigned size, size_t length);

/*
 * Takes the next line of at most `columns` characters off *rest: broken at blanks and line ends,
 * a longer word anywhere. Returns false when nothing is left.
 */
bool draw_wrap(const char **rest, unsigned columns, const char **line, size_t *length);

#endif
