/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The raw formats that the encoder reads: those of the Raspberry Pi's encoder, laid out as it
 * wants them, and how they become planar 4:2:0. What is 4:2:0 already stays as it is, sample by
 * sample; of 4:2:2 each two rows' chroma is averaged, (a + b + 1) / 2; RGB becomes BT.601 in
 * limited range.
 */
#ifndef FORMAT_H
#define FORMAT_H

#include <linux/types.h>

#include "bitstream.h"

struct raw_format {
	u32 fourcc;
	u8 planes;    /* of colour; all in one piece of memory */
	u8 bytes;     /* from pixel to pixel of the first plane */
	u8 alignment; /* of rows, in bytes */
	u8 y, u, v;   /* which byte, or plane, is which; of RGB: red, green, blue */
	bool rgb;
};

/* Format number `index` in the driver's order, or NULL. */
const struct raw_format *format_at(unsigned int index);
/* Or NULL. */
const struct raw_format *format_find(u32 fourcc);

struct raw_layout {
	const struct raw_format *format;
	u32 width, height;
	u32 stride; /* of the first plane; chroma of three planes: half of it */
	u32 size;   /* bytes of the whole picture */
};

/* Makes the layout one that can be: even sizes in the limits, a stride that is wide enough. */
void layout_adjust(struct raw_layout *layout, u32 most_pixels, u32 height_alignment);

/* Into the padded picture of a stream that is not larger than the layout. */
void layout_to_planar(const struct raw_layout *layout, const u8 *memory,
	const struct stream *stream, u8 *to);

#endif
