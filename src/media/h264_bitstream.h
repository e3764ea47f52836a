/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts about H.264 bitstreams (ITU-T H.264, 2021-08), without any decoding of pictures: NAL
 * units in Annex B byte streams, parameter sets, levels. Pure functions over bytes; never read
 * outside what they are given, never trust it.
 */
#ifndef MEDIA_H264_BITSTREAM_H
#define MEDIA_H264_BITSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h264_nal_type {
	H264_NAL_SLICE = 1,
	H264_NAL_IDR = 5,
	H264_NAL_SEI = 6,
	H264_NAL_SPS = 7,
	H264_NAL_PPS = 8,
	H264_NAL_AUD = 9,
	H264_NAL_FILLER = 12,
};

struct h264_nal {
	const uint8_t *data; /* the header byte first, without start code */
	size_t size;         /* without the zero bytes that may trail it */
	unsigned type;       /* nal_unit_type */
};

/* Walks the NAL units of a byte stream: set it to { data, end } and call until it says false. */
struct h264_walk {
	const uint8_t *at, *end;
};

bool h264_next_nal(struct h264_walk *walk, struct h264_nal *nal);

/*
 * The header byte of the first NAL unit from `at` on, NULL when there is none. Unlike
 * h264_next_nal() it does not look for the end of it, which in a slice is far away.
 */
const uint8_t *h264_find_nal(const uint8_t *at, const uint8_t *end);

/* Profiles by profile_idc; constrained baseline is baseline with constraint_set1_flag. */
enum h264_profile { H264_CONSTRAINED_BASELINE, H264_BASELINE, H264_MAIN, H264_HIGH };

/* "constrained-baseline", …: as in --h264-profile. A constant. */
const char *h264_profile_name(enum h264_profile profile);

/* Macroblocks of a row or a column: 65536 pixels: far beyond any level, and no product overflows. */
#define H264_MAX_MBS 4096

/* One row of Table A-1. */
struct h264_level {
	unsigned level;       /* ten times the number: 40 is 4.0; 9 is 1b */
	uint32_t macroblocks; /* most of a picture: MaxFS */
	uint32_t per_second;  /* most macroblocks a second: MaxMBPS */
	uint32_t max_kbps[2]; /* MaxBR for baseline and main; for high */
};

/* The smallest level from `least` (40, say) on that has room for the size and rate; NULL: none. */
const struct h264_level *h264_level_for(uint32_t width, uint32_t height, unsigned fps,
	unsigned least);
/* The most kbit/s that level and profile allow. */
unsigned h264_max_kbps(const struct h264_level *level, enum h264_profile profile);

#endif
