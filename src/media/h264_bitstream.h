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

enum avc_nal_type {
	AVC_NAL_SLICE = 1,
	AVC_NAL_IDR = 5,
	AVC_NAL_SEI = 6,
	AVC_NAL_SPS = 7,
	AVC_NAL_PPS = 8,
	AVC_NAL_AUD = 9,
	AVC_NAL_FILLER = 12,
};

struct avc_nal {
	const uint8_t *data; /* the header byte first, without start code */
	size_t size;         /* without the zero bytes that may trail it */
	unsigned type;       /* nal_unit_type */
};

/* Walks the NAL units of a byte stream: set it to { data, end } and call until it says false. */
struct avc_walk {
	const uint8_t *at, *end;
};

bool avc_next_nal(struct avc_walk *walk, struct avc_nal *nal);

/*
 * The header byte of the first NAL unit from `at` on, NULL when there is none. Unlike
 * avc_next_nal() it does not look for the end of it, which in a slice is far away.
 */
const uint8_t *avc_find_nal(const uint8_t *at, const uint8_t *end);

/* Profiles by profile_idc; constrained baseline is baseline with constraint_set1_flag. */
enum avc_profile { AVC_CONSTRAINED_BASELINE, AVC_BASELINE, AVC_MAIN, AVC_HIGH };

/* "constrained-baseline", …: as in --h264-profile. A constant. */
const char *avc_profile_name(enum avc_profile profile);

/* One row of Table A-1. */
struct avc_level {
	unsigned level;       /* ten times the number: 40 is 4.0; 9 is 1b */
	uint32_t macroblocks; /* most of a picture: MaxFS */
	uint32_t per_second;  /* most macroblocks a second: MaxMBPS */
	uint32_t max_kbps[2]; /* MaxBR for baseline and main; for high */
};

/* The smallest level from `least` (40, say) on that has room for the size and rate; NULL: none. */
const struct avc_level *avc_level_for(uint32_t width, uint32_t height, unsigned fps,
	unsigned least);
/* The most kbit/s that level and profile allow. */
unsigned avc_max_kbps(const struct avc_level *level, enum avc_profile profile);

/* What we need to know of a sequence parameter set. */
struct avc_sps {
	unsigned profile_idc, constraints, level_idc;
	uint32_t width, height; /* after cropping */
	bool has_colour;        /* video_signal_type with colour description */
	bool full_range;
	unsigned matrix; /* matrix_coefficients, Table E-5; 2 is unspecified */
};

/* Its name in MIME types (RFC 6381): "avc1.42C01F". */
#define AVC_CODEC_SIZE 12
/* Writes nothing when the NAL unit is no sequence parameter set. */
void avc_name_codec(char name[AVC_CODEC_SIZE], const struct avc_nal *sps);

#define AVC_SPS_MAX 256 /* bytes; the longest we handle */

/* -EBADMSG when it is damaged or longer than AVC_SPS_MAX. */
int avc_read_sps(struct avc_sps *out, const struct avc_nal *nal);

/*
 * Writes the parameter set again as it is, but with a VUI that says what the samples mean:
 * video_full_range_flag, primaries and transfer of BT.709, and the matrix of BT.709 or of BT.601;
 * and, where the stream says nothing about it, with a bitstream_restriction that rules out
 * reordering (max_num_reorder_frames 0), as none of our encoders reorders, so that no decoder
 * waits for a frame that might come. All else in it stays as it was.
 * Returns the bytes written (header byte first, no start code, with emulation prevention), at
 * most AVC_SPS_MAX, or -EBADMSG.
 */
int avc_set_colour(uint8_t to[AVC_SPS_MAX], const struct avc_nal *sps, bool full_range,
	bool is_709);

#endif
