/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fragmented MP4 (ISO/IEC 14496-12 and -15) with one H.264 track and one fragment for each access
 * unit: pure functions over bytes. Browsers take it for live, as no duration is in it anywhere.
 */
#ifndef MEDIA_MP4_H
#define MEDIA_MP4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP4_TIMESCALE 90000 /* units of media time in a second */
#define MP4_INIT_MAX  2048  /* bytes of an initialization segment */
#define MP4_HEAD_SIZE 140   /* bytes of a fragment before its sample */

/* What mp4_convert() may write of an access unit: a NAL unit of one byte grows by one. */
#define MP4_CONVERTED_MAX(size) ((size) + (size) / 4 + 4)

/*
 * Writes the NAL units of an Annex B byte stream with their lengths before them, which is what
 * samples are made of, and returns how many bytes that are. Up to *sets_size, they are the parameter
 * sets that the access unit begins with.
 */
size_t mp4_convert(uint8_t *to, const uint8_t *unit, size_t size, size_t *sets_size);

/*
 * Writes ftyp and moov for converted parameter sets: one SPS, any number of PPS. Returns their
 * size; -EBADMSG: the sets are damaged or incomplete, -EMSGSIZE: there is too much of them.
 */
int mp4_write_init(uint8_t to[MP4_INIT_MAX], const uint8_t *data, size_t size);

struct mp4_fragment {
	uint32_t sequence;    /* 1, 2, 3 … in each stream */
	uint64_t decode_time; /* the durations of all samples before it */
	uint32_t duration;
	uint32_t size; /* of the sample */
	bool key;
	int64_t captured_us; /* since 1970 */
};

/* Writes prft, moof and the head of mdat. The sample has to follow. */
void mp4_write_head(uint8_t to[MP4_HEAD_SIZE], const struct mp4_fragment *fragment);

#endif
