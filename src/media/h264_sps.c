// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Sequence parameter sets: see h264_sps.h. Names of syntax elements are those of ITU-T H.264, clause
 * 7.3.2.1 and Annex E.
 *
 * A set is read once, by parse(), which also notes where in it the VUI and its parts are. Writing it
 * again is copying the bits between those places, with our own in theirs.
 */
#include "media/h264_sps.h"

#include "base/util.h"

#define ASPECT_EXTENDED   255
#define BT_709            1 /* of primaries, transfer and matrix: Tables E-3 to E-5 */
#define UNSPECIFIED       2
#define SMPTE_170M        6 /* the matrix of BT.601 */
#define VIDEO_FORMAT_NONE 5 /* unspecified: neither PAL nor NTSC … */

/* ---- reading bits */

/* A parameter set without its emulation prevention, and how far it was read. */
struct reader {
	uint8_t data[H264_SPS_MAX];
	size_t n_bits, at;
	bool failed; /* read beyond the end, or a value that cannot be */
};

static int reader_load(struct reader *reader, const struct h264_nal *nal)
{
	size_t n = 0;
	unsigned zeros = 0;

	if (nal->size < 5 || nal->size > H264_SPS_MAX || (nal->data[0] & 0x9F) != H264_NAL_SPS)
		return -EBADMSG;
	for (size_t i = 0; i < nal->size; i++) {
		if (zeros >= 2 && nal->data[i] == 3) {
			zeros = 0;
			continue;
		}
		zeros = nal->data[i] ? 0 : zeros + 1;
		reader->data[n++] = nal->data[i];
	}
	reader->n_bits = n * 8;
	reader->at = 0;
	reader->failed = false;
	return 0;
}

static unsigned read_bit(struct reader *reader)
{
	size_t at = reader->at;

	if (at >= reader->n_bits) {
		reader->failed = true;
		return 0;
	}
	reader->at++;
	return (reader->data[at / 8] >> (7 - at % 8)) & 1;
}

/* At most 32 of them. */
static uint32_t read_bits(struct reader *reader, unsigned count)
{
	uint32_t value = 0;

	while (count--)
		value = value << 1 | read_bit(reader);
	return value;
}

/* ue(v) of clause 9.1, which has 31 leading zeros at most. */
static uint32_t read_ue(struct reader *reader)
{
	unsigned zeros = 0;

	while (!reader->failed && !read_bit(reader))
		zeros++;
	if (zeros > 31)
		reader->failed = true;
	return reader->failed ? 0 : (uint32_t)(1ULL << zeros) - 1 + read_bits(reader, zeros);
}

static uint32_t read_ue_up_to(struct reader *reader, uint32_t most)
{
	uint32_t value = read_ue(reader);

	if (value > most)
		reader->failed = true;
	return reader->failed ? 0 : value;
}

static int32_t read_se(struct reader *reader)
{
	int64_t code = read_ue(reader);

	return (int32_t)(code % 2 ? (code + 1) / 2 : -(code / 2));
}

/* ---- sequence parameter sets */

/* Bit positions of what h264_set_colour() replaces, and what it has to know for that. */
struct places {
	size_t vui; /* of vui_parameters_present_flag */
	bool has_vui;
	size_t signal, signal_end; /* from video_signal_type_present_flag on */
	size_t restriction;        /* of bitstream_restriction_flag */
	bool has_restriction;
	size_t end; /* of the stop bit */
	uint32_t max_num_ref_frames;
};

static bool has_chroma_format(unsigned profile_idc)
{
	static const uint8_t with[] = { 44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139,
		244 };

	return memchr(with, (int)profile_idc, sizeof(with));
}

static void skip_scaling_list(struct reader *reader, unsigned size)
{
	int last = 8, next = 8;

	for (unsigned i = 0; i < size && !reader->failed; i++) {
		if (next)
			next = (int)((unsigned)(last + read_se(reader)) & 0xFF);
		last = next ? next : last;
	}
}

/* Returns ChromaArrayType. */
static unsigned parse_chroma_format(struct reader *reader)
{
	unsigned format = read_ue_up_to(reader, 3);
	bool separate = format == 3 && read_bit(reader);

	read_ue_up_to(reader, 6); /* bit depths */
	read_ue_up_to(reader, 6);
	read_bit(reader); /* qpprime_y_zero_transform_bypass_flag */
	if (read_bit(reader)) {
		for (unsigned i = 0; i < (format == 3 ? 12U : 8U); i++) {
			if (read_bit(reader))
				skip_scaling_list(reader, i < 6 ? 16 : 64);
		}
	}
	return separate ? 0 : format;
}

static void skip_picture_order(struct reader *reader)
{
	unsigned type = read_ue_up_to(reader, 2);

	if (type == 0) {
		read_ue_up_to(reader, 12);
	} else if (type == 1) {
		unsigned count;

		read_bit(reader);
		read_se(reader);
		read_se(reader);
		count = read_ue_up_to(reader, 255);
		while (count-- && !reader->failed)
			read_se(reader);
	}
}

static void parse_size(struct reader *reader, struct h264_sps *sps, unsigned chroma)
{
	uint64_t crop[4] = { 0 }; /* left, right, top, bottom; in units of chroma samples */
	uint64_t width = 16 * (1 + (uint64_t)read_ue_up_to(reader, H264_MAX_MBS - 1));
	uint64_t height = 16 * (1 + (uint64_t)read_ue_up_to(reader, H264_MAX_MBS - 1));
	unsigned frame_mbs_only = read_bit(reader);
	unsigned unit_x = chroma == 1 || chroma == 2 ? 2 : 1;
	unsigned unit_y = (chroma == 1 ? 2 : 1) * (2 - frame_mbs_only);

	height *= 2 - frame_mbs_only;
	if (!frame_mbs_only)
		read_bit(reader); /* mb_adaptive_frame_field_flag */
	read_bit(reader);         /* direct_8x8_inference_flag */
	if (read_bit(reader)) {
		for (unsigned i = 0; i < 4; i++)
			crop[i] = read_ue(reader);
	}
	if ((crop[0] + crop[1]) * unit_x >= width || (crop[2] + crop[3]) * unit_y >= height) {
		reader->failed = true;
		return;
	}
	sps->width = (uint32_t)(width - (crop[0] + crop[1]) * unit_x);
	sps->height = (uint32_t)(height - (crop[2] + crop[3]) * unit_y);
}

static void skip_hrd(struct reader *reader)
{
	unsigned count = 1 + read_ue_up_to(reader, 31);

	read_bits(reader, 4 + 4);
	while (count-- && !reader->failed) {
		read_ue(reader);
		read_ue(reader);
		read_bit(reader);
	}
	read_bits(reader, 5 + 5 + 5 + 5);
}

static void parse_signal(struct reader *reader, struct h264_sps *sps)
{
	if (!read_bit(reader))
		return;
	read_bits(reader, 3); /* video_format */
	sps->full_range = read_bit(reader);
	sps->has_colour = read_bit(reader);
	if (sps->has_colour) {
		read_bits(reader, 8 + 8);
		sps->matrix = read_bits(reader, 8);
	}
}

static void parse_vui(struct reader *reader, struct h264_sps *sps, struct places *places)
{
	bool nal_hrd, vcl_hrd;

	if (read_bit(reader) && read_bits(reader, 8) == ASPECT_EXTENDED)
		read_bits(reader, 16 + 16);
	if (read_bit(reader)) /* overscan_info_present_flag */
		read_bit(reader);
	places->signal = reader->at;
	parse_signal(reader, sps);
	places->signal_end = reader->at;
	if (read_bit(reader)) { /* chroma_loc_info_present_flag */
		read_ue_up_to(reader, 5);
		read_ue_up_to(reader, 5);
	}
	if (read_bit(reader)) { /* timing_info_present_flag */
		read_bits(reader, 32);
		read_bits(reader, 32);
		read_bit(reader);
	}
	if ((nal_hrd = read_bit(reader)))
		skip_hrd(reader);
	if ((vcl_hrd = read_bit(reader)))
		skip_hrd(reader);
	if (nal_hrd || vcl_hrd)
		read_bit(reader); /* low_delay_hrd_flag */
	read_bit(reader);         /* pic_struct_present_flag */
	places->restriction = reader->at;
	places->has_restriction = read_bit(reader);
	if (places->has_restriction) {
		read_bit(reader);
		for (unsigned i = 0; i < 6; i++)
			read_ue(reader);
	}
}

/* Whether nothing but rbsp_trailing_bits() is left: else there is something we do not know. */
static bool is_at_end(struct reader *reader)
{
	if (!read_bit(reader))
		return false;
	while (reader->at < reader->n_bits) {
		if (read_bit(reader))
			return false;
	}
	return true;
}

static int parse(struct reader *reader, struct h264_sps *sps, struct places *places)
{
	unsigned chroma = 1;

	*sps = (struct h264_sps){ .matrix = UNSPECIFIED };
	*places = (struct places){ 0 };
	read_bits(reader, 8); /* the NAL unit's header */
	sps->profile_idc = read_bits(reader, 8);
	sps->constraints = read_bits(reader, 8);
	sps->level_idc = read_bits(reader, 8);
	read_ue_up_to(reader, 31); /* seq_parameter_set_id */
	if (has_chroma_format(sps->profile_idc))
		chroma = parse_chroma_format(reader);
	read_ue_up_to(reader, 12); /* log2_max_frame_num_minus4 */
	skip_picture_order(reader);
	places->max_num_ref_frames = read_ue_up_to(reader, 16);
	read_bit(reader); /* gaps_in_frame_num_value_allowed_flag */
	parse_size(reader, sps, chroma);
	places->vui = reader->at;
	places->has_vui = read_bit(reader);
	if (places->has_vui)
		parse_vui(reader, sps, places);
	places->end = reader->at;
	return is_at_end(reader) && !reader->failed ? 0 : -EBADMSG;
}

int h264_read_sps(struct h264_sps *out, const struct h264_nal *nal)
{
	struct reader reader;
	struct places places;
	struct h264_sps sps;

	if (reader_load(&reader, nal) < 0 || parse(&reader, &sps, &places) < 0)
		return -EBADMSG;
	*out = sps;
	return 0;
}

void h264_name_codec(char name[H264_CODEC_SIZE], const struct h264_nal *sps)
{
	if (sps->type == H264_NAL_SPS && sps->size >= 4)
		snprintf(name, H264_CODEC_SIZE, "avc1.%02X%02X%02X", sps->data[1], sps->data[2],
			sps->data[3]);
}

/* ---- writing them */

/* Puts emulation prevention between the bytes. */
struct writer {
	uint8_t *to;
	size_t size;
	unsigned zeros;           /* bytes of that value at the end */
	unsigned partial, n_bits; /* of the byte that is not complete yet */
	bool failed;              /* no room */
};

static void write_byte(struct writer *writer, uint8_t byte)
{
	if (writer->size + 2 > H264_SPS_MAX) {
		writer->failed = true;
		return;
	}
	if (writer->zeros >= 2 && byte <= 3) {
		writer->to[writer->size++] = 3;
		writer->zeros = 0;
	}
	writer->to[writer->size++] = byte;
	writer->zeros = byte ? 0 : writer->zeros + 1;
}

static void write_bits(struct writer *writer, unsigned count, uint32_t value)
{
	while (count--) {
		writer->partial = writer->partial << 1 | (value >> count & 1);
		if (++writer->n_bits == 8) {
			write_byte(writer, (uint8_t)writer->partial);
			writer->partial = writer->n_bits = 0;
		}
	}
}

/* ue(v); value is at most 2^16. */
static void write_ue(struct writer *writer, uint32_t value)
{
	unsigned length = 31 - (unsigned)__builtin_clz(value + 1);

	write_bits(writer, length, 0);
	write_bits(writer, length + 1, value + 1);
}

/* Copies the bits up to `end`. */
static void copy_bits(struct writer *writer, struct reader *from, size_t end)
{
	while (from->at < end)
		write_bits(writer, 1, read_bit(from));
}

/*
 * A computer's display has the primaries and the transfer of BT.709, whatever matrix stands between
 * them and the samples: with others, browsers would turn the colours that they show.
 */
static void write_signal(struct writer *writer, bool full_range, bool is_709)
{
	write_bits(writer, 1, 1);
	write_bits(writer, 3, VIDEO_FORMAT_NONE);
	write_bits(writer, 1, full_range);
	write_bits(writer, 1, 1);
	write_bits(writer, 8, BT_709);
	write_bits(writer, 8, BT_709);
	write_bits(writer, 8, is_709 ? BT_709 : SMPTE_170M);
}

/* Says no more than that nothing is reordered: the other values are those of silence. */
static void write_restriction(struct writer *writer, uint32_t max_num_ref_frames)
{
	write_bits(writer, 1, 1);
	write_bits(writer, 1, 1);             /* motion_vectors_over_pic_boundaries_flag */
	write_ue(writer, 0);                  /* max_bytes_per_pic_denom: no limit */
	write_ue(writer, 0);                  /* max_bits_per_mb_denom: no limit */
	write_ue(writer, 15);                 /* log2_max_mv_length_horizontal */
	write_ue(writer, 15);                 /* log2_max_mv_length_vertical */
	write_ue(writer, 0);                  /* max_num_reorder_frames */
	write_ue(writer, max_num_ref_frames); /* max_dec_frame_buffering */
}

int h264_set_colour(uint8_t to[H264_SPS_MAX], const struct h264_nal *sps, bool full_range,
	bool is_709)
{
	struct writer writer = { 0 };
	struct reader reader;
	struct places places;
	struct h264_sps ignored;

	if (reader_load(&reader, sps) < 0 || parse(&reader, &ignored, &places) < 0)
		return -EBADMSG;
	writer.to = to;
	reader.at = 0;
	copy_bits(&writer, &reader, places.vui);
	write_bits(&writer, 1, 1);
	reader.at++;
	if (places.has_vui)
		copy_bits(&writer, &reader, places.signal);
	else
		write_bits(&writer, 2, 0); /* no aspect ratio, no overscan */
	write_signal(&writer, full_range, is_709);
	reader.at = places.has_vui ? places.signal_end : reader.at;
	if (places.has_vui)
		copy_bits(&writer, &reader, places.restriction);
	else
		write_bits(&writer, 5, 0); /* no chroma location, timing, HRDs, pic_struct */
	if (places.has_restriction)
		copy_bits(&writer, &reader, places.end);
	else
		write_restriction(&writer, places.max_num_ref_frames);
	write_bits(&writer, 1, 1);
	while (writer.n_bits)
		write_bits(&writer, 1, 0);
	return writer.failed ? -EBADMSG : (int)writer.size;
}
