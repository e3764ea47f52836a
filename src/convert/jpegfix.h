/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes a JPEG that any decoder takes out of what grabbers send: standard Huffman tables are put
 * in where there are none, an APP0 "AVI1" is left out, bytes after the end are cut off.
 * A pure function over bytes; never reads outside [data, data + size).
 */
#ifndef CONVERT_JPEGFIX_H
#define CONVERT_JPEGFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/drops.h"

/* Tables, end marker and two runs of the picture; the rest is for more than one AVI1 segment. */
#define JPEGFIX_PARTS 8

/* Below this there is no room for the tables and a frame header: not a picture. */
#define JPEGFIX_MIN_SIZE 125

/* Where the good parts of a JPEG are: a few runs of bytes, in order. */
struct jpegfix {
	struct {
		const uint8_t *data; /* into the input, or a constant table */
		size_t size;
	} part[JPEGFIX_PARTS];
	unsigned n_parts;
	size_t size;            /* of all parts */
	uint32_t width, height; /* as the frame header says: trust these */
};

/*
 * Returns 0, or -EBADMSG and in *why the reason the picture must be dropped for.
 * allow_truncated: a picture without an end gets one instead of being refused.
 * Pictures larger than 15360×8640 are refused as DROP_OVERSIZED.
 *
 * Only the structure is checked, not the entropy-coded data. Where the last bytes but padding are
 * an end marker, that is the end, although an older frame may have left it there behind the true
 * one: decoders stop at the first, so looking for that would cost a pass over every picture to
 * save a few bytes of a rare one. Otherwise the first end marker is searched for.
 */
int jpegfix_parse(struct jpegfix *out, const uint8_t *data, size_t size, bool allow_truncated,
	enum drop_reason *why);

/* Writes all parts to `to`, which has room for fix->size bytes. */
void jpegfix_write(const struct jpegfix *fix, uint8_t *to);

#endif
