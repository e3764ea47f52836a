// SPDX-License-Identifier: GPL-2.0-only
/* See bitstream.h. Clauses and names are those of ITU-T H.264. */
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "bitstream.h"

#define MB               16 /* luma samples of a macroblock, each way */
#define PCM_BYTES        (MB * MB * 3 / 2)
#define MOST_BYTES_OF_MB (PCM_BYTES * 3 / 2 + 8) /* with emulation prevention, and its head */

enum { SLICE_P = 5, SLICE_I = 7 };                    /* slice_type, the same for all slices */
enum { MB_TYPE_I_PCM = 25, MB_TYPE_I_PCM_IN_P = 30 }; /* mb_type */
enum { NAL_SLICE = 0x41, NAL_IDR = 0x65, NAL_SPS = 0x67, NAL_PPS = 0x68 };
enum { LEVEL_4_0 = 40, BASELINE = 66, CONSTRAINED = 0xc0, FRAME_NUM_BITS = 8 };

struct writer {
	u8 *at, *end;
	u64 bits; /* not yet written, in the lowest `pending` bits */
	unsigned int pending, zeros;
	bool full;
};

static void put_raw(struct writer *to, u8 byte)
{
	if (to->at < to->end)
		*to->at++ = byte;
	else
		to->full = true;
}

/* With emulation prevention (7.4.1.1). */
static void put_byte(struct writer *to, u8 byte)
{
	if (to->zeros >= 2 && byte <= 3) {
		put_raw(to, 3);
		to->zeros = 0;
	}
	put_raw(to, byte);
	to->zeros = byte ? 0 : to->zeros + 1;
}

static void put_bits(struct writer *to, u32 value, unsigned int count)
{
	to->bits = to->bits << count | value;
	to->pending += count;
	while (to->pending >= 8) {
		to->pending -= 8;
		put_byte(to, to->bits >> to->pending);
	}
}

/* ue(v), 9.1. */
static void put_ue(struct writer *to, u32 value)
{
	unsigned int length = fls(value + 1) - 1;

	put_bits(to, 0, length);
	put_bits(to, value + 1, length + 1);
}

static void align_with_zeros(struct writer *to)
{
	if (to->pending)
		put_bits(to, 0, 8 - to->pending);
}

static void begin_nal(struct writer *to, u8 header)
{
	static const u8 start_code[] = { 0, 0, 0, 1 };
	unsigned int i;

	for (i = 0; i < sizeof(start_code); i++)
		put_raw(to, start_code[i]);
	put_raw(to, header);
	to->zeros = 0;
}

static void end_nal(struct writer *to)
{
	put_bits(to, 1, 1);
	align_with_zeros(to);
}

static bool has_zero_byte(u64 bytes)
{
	return (bytes - 0x0101010101010101ULL) & ~bytes & 0x8080808080808080ULL;
}

/* count: a multiple of 8. Eight bytes at once where none of them needs a look. */
static void copy_samples(struct writer *to, const u8 *from, unsigned int count)
{
	unsigned int i, k;
	u64 eight;

	for (i = 0; i < count; i += 8) {
		memcpy(&eight, from + i, 8);
		if (!to->zeros && to->end - to->at >= 8 && !has_zero_byte(eight)) {
			memcpy(to->at, &eight, 8);
			to->at += 8;
			continue;
		}
		for (k = 0; k < 8; k++)
			put_byte(to, from[i + k]);
	}
}

void stream_init(struct stream *stream, u32 width, u32 height)
{
	*stream = (struct stream){ .width = width,
		.height = height,
		.columns = (width + MB - 1) / MB,
		.rows = (height + MB - 1) / MB,
		.fps_num = 30,
		.fps_den = 1 };
}

size_t stream_picture_size(const struct stream *stream)
{
	return (size_t)stream->columns * stream->rows * PCM_BYTES;
}

size_t stream_most_bytes(u32 width, u32 height)
{
	return (size_t)((width + MB - 1) / MB) * ((height + MB - 1) / MB) * MOST_BYTES_OF_MB + 256;
}

/* E.1.1, timing alone. */
static void put_vui(struct writer *to, const struct stream *stream)
{
	put_bits(to, 0, 4); /* no aspect ratio, overscan, signal type, chroma location */
	put_bits(to, 1, 1); /* timing_info_present_flag */
	put_bits(to, stream->fps_den >> 16, 16);
	put_bits(to, stream->fps_den & 0xffff, 16);
	put_bits(to, (stream->fps_num * 2) >> 16, 16); /* ticks of fields */
	put_bits(to, (stream->fps_num * 2) & 0xffff, 16);
	put_bits(to, 1, 1); /* fixed_frame_rate_flag */
	put_bits(to, 0, 4); /* no HRD, picture structure, restrictions */
}

/* 7.3.2.1.1. */
static void put_sps(struct writer *to, const struct stream *stream)
{
	u32 right = (stream->columns * MB - stream->width) / 2;
	u32 bottom = (stream->rows * MB - stream->height) / 2;

	begin_nal(to, NAL_SPS);
	put_bits(to, BASELINE, 8);
	put_bits(to, CONSTRAINED, 8);
	put_bits(to, LEVEL_4_0, 8);
	put_ue(to, 0); /* seq_parameter_set_id */
	put_ue(to, FRAME_NUM_BITS - 4);
	put_ue(to, 2); /* pic_order_cnt_type: pictures are shown in the order of decoding */
	put_ue(to, 1); /* max_num_ref_frames */
	put_bits(to, 0, 1);
	put_ue(to, stream->columns - 1);
	put_ue(to, stream->rows - 1);
	put_bits(to, 1, 1); /* frame_mbs_only_flag */
	put_bits(to, 1, 1); /* direct_8x8_inference_flag */
	put_bits(to, right || bottom, 1);
	if (right || bottom) {
		put_ue(to, 0);
		put_ue(to, right);
		put_ue(to, 0);
		put_ue(to, bottom);
	}
	put_bits(to, 1, 1);
	put_vui(to, stream);
	end_nal(to);
}

/* 7.3.2.2. */
static void put_pps(struct writer *to)
{
	begin_nal(to, NAL_PPS);
	put_ue(to, 0);
	put_ue(to, 0);
	put_bits(to, 0, 2); /* CAVLC, no order of fields */
	put_ue(to, 0);      /* one slice group */
	put_ue(to, 0);
	put_ue(to, 0);
	put_bits(to, 0, 3); /* no weighted prediction */
	put_ue(to, 0);      /* QP 26, also of SP, chroma: nothing is quantized */
	put_ue(to, 0);
	put_ue(to, 0);
	put_bits(to, 1, 1); /* deblocking_filter_control_present_flag */
	put_bits(to, 0, 2);
	end_nal(to);
}

size_t stream_write_headers(struct stream *stream, u8 *out, size_t size)
{
	struct writer to = { .at = out, .end = out + size };

	put_sps(&to, stream);
	put_pps(&to);
	return to.full ? 0 : to.at - out;
}

/* 7.3.3. */
static void put_slice_header(struct writer *to, struct stream *stream, bool idr)
{
	begin_nal(to, idr ? NAL_IDR : NAL_SLICE);
	put_ue(to, 0); /* first_mb_in_slice */
	put_ue(to, idr ? SLICE_I : SLICE_P);
	put_ue(to, 0);
	put_bits(to, stream->frame_num & 0xff, FRAME_NUM_BITS);
	if (idr) {
		put_ue(to, stream->idr_id++ & 0xff);
		put_bits(to, 0,
			2); /* dec_ref_pic_marking: output as it is, a short-term reference */
	} else {
		put_bits(to, 0, 2); /* the reference of the PPS, lists as they are */
		put_bits(to, 0, 1); /* sliding window */
	}
	put_ue(to, 0); /* slice_qp_delta */
	put_ue(to, 1); /* disable_deblocking_filter_idc */
}

/* One of a macroblock's three blocks of samples. */
struct block {
	size_t offset; /* in the picture */
	u32 stride, side;
};

static void locate_blocks(const struct stream *stream, u32 column, u32 row, struct block block[3])
{
	u32 stride = stream->columns * MB;
	size_t luma = (size_t)stride * stream->rows * MB, plane;
	unsigned int i;

	block[0] = (struct block){ ((size_t)row * stride + column) * MB, stride, MB };
	for (i = 1; i < 3; i++) {
		plane = luma + (i - 1) * luma / 4;
		block[i] = (struct block){ plane + ((size_t)row * stride / 2 + column) * MB / 2,
			stride / 2, MB / 2 };
	}
}

static bool is_same(const u8 *picture, const u8 *reference, const struct block block[3])
{
	size_t at;
	u32 i, y;

	for (i = 0; i < 3; i++) {
		for (y = 0; y < block[i].side; y++) {
			at = block[i].offset + (size_t)y * block[i].stride;
			if (memcmp(picture + at, reference + at, block[i].side))
				return false;
		}
	}
	return true;
}

/* 7.3.5, I_PCM. */
static void put_samples(struct writer *to, const u8 *picture, const struct block block[3])
{
	u32 i, y;

	align_with_zeros(to);
	for (i = 0; i < 3; i++) {
		for (y = 0; y < block[i].side; y++)
			copy_samples(to, picture + block[i].offset + (size_t)y * block[i].stride,
				block[i].side);
	}
}

/* Returns how many macroblocks are skipped now, this one included. */
static u32 put_macroblock(struct writer *to, const struct block block[3], const u8 *picture,
	const u8 *reference, u32 skipped)
{
	if (reference) {
		if (is_same(picture, reference, block))
			return skipped + 1;
		put_ue(to, skipped); /* mb_skip_run */
	}
	put_ue(to, reference ? MB_TYPE_I_PCM_IN_P : MB_TYPE_I_PCM);
	put_samples(to, picture, block);
	return 0;
}

size_t stream_write_picture(struct stream *stream, const u8 *picture, const u8 *reference, bool idr,
	u8 *out, size_t size)
{
	struct writer to = { .at = out, .end = out + size };
	struct block block[3];
	u32 column, row, skipped = 0;

	if (idr || !stream->has_reference) {
		reference = NULL;
		stream->frame_num = 0;
	}
	put_slice_header(&to, stream, !reference);
	for (row = 0; row < stream->rows && !to.full; row++) {
		for (column = 0; column < stream->columns; column++) {
			locate_blocks(stream, column, row, block);
			skipped = put_macroblock(&to, block, picture, reference, skipped);
		}
		cond_resched();
	}
	if (skipped)
		put_ue(&to, skipped);
	end_nal(&to);
	stream->frame_num++;
	stream->has_reference = !to.full;
	return to.full ? 0 : to.at - out;
}
