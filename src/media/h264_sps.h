/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sequence parameter sets of H.264: what they say, and how they are made to say what samples mean. */
#ifndef MEDIA_H264_SPS_H
#define MEDIA_H264_SPS_H

#include "media/h264_bitstream.h"

/* What we need to know of a sequence parameter set. */
struct h264_sps {
	unsigned profile_idc, constraints, level_idc;
	uint32_t width, height; /* after cropping */
	bool has_colour;        /* video_signal_type with colour description */
	bool full_range;
	unsigned matrix; /* matrix_coefficients, Table E-5; 2 is unspecified */
};

/* Its name in MIME types (RFC 6381): "avc1.42C01F". */
#define H264_CODEC_SIZE 12
/* Writes nothing when the NAL unit is no sequence parameter set. */
void h264_name_codec(char name[H264_CODEC_SIZE], const struct h264_nal *sps);

#define H264_SPS_MAX 256 /* bytes; the longest we handle */

/* -EBADMSG when it is damaged or longer than H264_SPS_MAX. */
int h264_read_sps(struct h264_sps *out, const struct h264_nal *nal);

/*
 * Writes the parameter set again as it is, but with a VUI that says what the samples mean:
 * video_full_range_flag, primaries and transfer of BT.709, and the matrix of BT.709 or of BT.601;
 * and, where the stream says nothing about it, with a bitstream_restriction that rules out
 * reordering (max_num_reorder_frames 0), as none of our encoders reorders, so that no decoder
 * waits for a frame that might come. All else in it stays as it was.
 * Returns the bytes written (header byte first, no start code, with emulation prevention), at
 * most H264_SPS_MAX, or -EBADMSG.
 */
int h264_set_colour(uint8_t to[H264_SPS_MAX], const struct h264_nal *sps, bool full_range,
	bool is_709);

#endif
