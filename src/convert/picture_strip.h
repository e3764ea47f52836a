/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A few rows on their way from a source, raw or JPEG, to a picture. The source puts them where the
 * target wants them if it can, else elsewhere, and says where and how; the target does the rest
 * while they are in the cache. So each source knows of one form, planar YUV, and so does each
 * target; a sample that can be written to its place at once is written only once.
 */
#ifndef CONVERT_PICTURE_STRIP_H
#define CONVERT_PICTURE_STRIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"
#include "media/pixel_format.h"

struct picture;

/* Even, for 4:2:0; whole blocks, for JPEG. */
#define STRIP_ROWS 16

struct strip_plane {
	uint8_t *data;
	int stride;
	size_t room; /* bytes that may be written to each row */
};

/* All planes are in the order Y, U, V. */
struct strip {
	int width, rows; /* pixels */
	unsigned down;   /* rows for one row of chroma in `want`: 1 or 2; across it is 2 */
	struct strip_plane want[3];  /* where the target likes to have them */
	struct strip_plane spare[3]; /* room for any: STRIP_ROWS rows of full width */
	struct strip_plane argb;     /* the same, of 4 bytes */
	uint8_t *junk;               /* one row that nobody reads */

	/* Set by the source. */
	struct strip_plane got[3];     /* where they are; [1].data is NULL: no colour */
	unsigned got_across, got_down; /* pixels for one sample of chroma: 1, 2 or 4; 1 or 2 */
	bool is_argb;                  /* they are in argb, instead */
	enum frame_range range; /* what the numbers mean; in argb: what is to be made of them */
	enum frame_matrix matrix;
};

/* ---- targets: picture_target.c */

/* Whether strips can be brought to that format. */
bool target_is_possible(const struct pixel_format *target);

/* Bytes of memory that strips for pictures of that width need beside the picture. */
size_t strip_memory(uint32_t width);
/* Makes one ready for the source: rows `row` (even) and on. memory: of strip_memory() bytes. */
void strip_begin(struct strip *strip, const struct pixel_format *target, const struct picture *to,
	uint32_t row, unsigned rows, uint8_t *memory);
/* For sources: where chroma of that subsampling goes, `bytes` of each row; sets got, too. */
void strip_place_chroma(struct strip *strip, unsigned across, unsigned down, size_t bytes);
/* Brings what the source has put to the picture. */
void strip_end(struct strip *strip, const struct pixel_format *target, const struct picture *to,
	uint32_t row);

/* ---- raw sources: picture_source.c */

/* Row `row` of the frame, which has a raw format, and those behind it. */
void raw_source_read(const struct pixel_format *source, const struct frame *frame, uint32_t row,
	struct strip *strip);

#endif
