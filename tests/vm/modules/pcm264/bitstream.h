/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lossless H.264 of the simplest kind (ITU-T H.264, constrained baseline, CAVLC): macroblocks are
 * I_PCM, the samples themselves, or P_Skip where nothing has changed. No rate control, so that
 * what comes out of a decoder can be compared byte by byte with what went in.
 */
#ifndef BITSTREAM_H
#define BITSTREAM_H

#include <linux/types.h>

/* A picture in planar 4:2:0, padded to whole macroblocks; plane after plane in one piece. */
struct stream {
	u32 width, height; /* pixels shown, even */
	u32 columns, rows; /* macroblocks */
	u32 fps_num, fps_den;
	u32 frame_num, idr_id;
	bool has_reference; /* the picture before is what the decoder has */
};

void stream_init(struct stream *stream, u32 width, u32 height);
/* Bytes of a padded picture. */
size_t stream_picture_size(const struct stream *stream);
/* The most bytes that parameter sets and a picture of that size take. */
size_t stream_most_bytes(u32 width, u32 height);

/* Both return the bytes written to `out`, 0 when `size` does not do. */
size_t stream_write_headers(struct stream *stream, u8 *out, size_t size);
/* An IDR picture, or one with what differs from `reference`; then `picture` is the reference. */
size_t stream_write_picture(struct stream *stream, const u8 *picture, const u8 *reference, bool idr,
	u8 *out, size_t size);

#endif
