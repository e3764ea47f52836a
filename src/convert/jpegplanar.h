/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JPEGs as planar YUV, a strip of a few rows at a time and into the caller's memory: libjpeg-turbo's
 * raw data, as it is coded, with its accurate DCT. No picture-sized memory; none is allocated after
 * creation, whatever a header claims.
 */
#ifndef CONVERT_JPEGPLANAR_H
#define CONVERT_JPEGPLANAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Rows of a strip at most. */
#define JPEGPLANAR_ROWS 16

/* How a JPEG is coded. */
struct jpegplanar_layout {
	bool grey;             /* no chroma; the rest of it is 0 then */
	unsigned across, down; /* pixels for one sample of chroma: 1, 2 or 4; 1 or 2 */
	unsigned rows;         /* of a strip: 8 or 16 */
	size_t luma_bytes;     /* that are written to each row: whole blocks, 8 pixels wide */
	size_t chroma_bytes;
};

/* Where the rows of a strip go: Y, U, V. Those below the picture are written, too. */
struct jpegplanar_rows {
	uint8_t *row[3][JPEGPLANAR_ROWS];
};

/* One for each thread. */
struct jpegplanar;

/* -ENOMEM. */
int jpegplanar_create(struct jpegplanar **out);
/* NULL is fine. */
void jpegplanar_destroy(struct jpegplanar *decoder);

/*
 * Reads the headers. data stays the caller's and must last until the last strip; a missing Huffman
 * table is the standard one, what stands behind the picture is left out (see jpegfix.h).
 * -EBADMSG: damaged; -EINVAL: not of this size; -ENOTSUP: progressive, arithmetic, several scans,
 * not YUV, or chroma that is not in step with luma. After any error, and at any time, another
 * picture may be begun.
 */
int jpegplanar_begin(struct jpegplanar *decoder, const uint8_t *data, size_t size, uint32_t width,
	uint32_t height, bool allow_truncated, struct jpegplanar_layout *out);

/* The next strip. -EBADMSG at libjpeg's first complaint; nothing is decoded behind it. */
int jpegplanar_read(struct jpegplanar *decoder, const struct jpegplanar_rows *rows);

/* After the last strip. -EBADMSG: there is more than a little left, so some of it got lost. */
int jpegplanar_end(struct jpegplanar *decoder);

/* What the last error was about, in one line; lasts until the next begin. */
const char *jpegplanar_why(const struct jpegplanar *decoder);

#endif
