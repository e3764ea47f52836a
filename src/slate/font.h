/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pictures of the printable ASCII characters in two sizes; font.c is made by tools/mkfont.py. */
#ifndef SLATE_FONT_H
#define SLATE_FONT_H

#include <stdint.h>

#define FONT_FIRST  32 /* the blank */
#define FONT_GLYPHS 95 /* up to '~' */

struct font {
	unsigned width, height; /* pixels, at most 32 wide */
	const uint32_t *rows;   /* height for each glyph; the highest bit is the leftmost pixel */
};

extern const struct font font_small; /* 8x16 */
extern const struct font font_large; /* 32x64 */

#endif
