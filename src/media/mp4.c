// SPDX-License-Identifier: GPL-3.0-or-later
/* Fragmented MP4: see mp4.h. Boxes are written from front to back, their sizes when they end. */
#include "media/mp4.h"

#include <string.h>

#include "base/util.h"
#include "media/h264_sps.h"

#define TRACK       1
#define LENGTH_SIZE 4 /* bytes before each NAL unit */

/* Flags of a sample: what it depends on, and whether one may not begin with it. */
#define SAMPLE_KEY   0x02000000
#define SAMPLE_DELTA 0x01010000

#define PRFT_CAPTURED   24 /* the time of capture, as measured */
#define TKHD_SHOWN      3  /* enabled, in the movie */
#define TFHD_MOOF_BASE  0x020000
#define TFHD_DURATION   0x000008
#define TRUN_OFFSET     0x000001
#define TRUN_FIRST      0x000004 /* flags of the first sample */
#define TRUN_SIZE       0x000200
#define SECONDS_TO_1970 2208988800ULL /* since 1900, where NTP begins to count */

struct writer {
	uint8_t *to;
	size_t size, room; /* what does not fit is counted, not written */
};

static void put(struct writer *writer, const void *data, size_t size)
{
	if (writer->size + size <= writer->room)
		memcpy(writer->to + writer->size, data, size);
	writer->size += size;
}

static void put_number(struct writer *writer, unsigned size, uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
	put(writer, bytes, size);
}

static void put_u8(struct writer *writer, uint8_t value)
{
	put_number(writer, 1, value);
}

static void put_u16(struct writer *writer, uint16_t value)
{
	put_number(writer, 2, value);
}

static void put_u32(struct writer *writer, uint32_t value)
{
	put_number(writer, 4, value);
}

static void put_u64(struct writer *writer, uint64_t value)
{
	put_number(writer, 8, value);
}

static void put_zeros(struct writer *writer, unsigned size)
{
	while (size--)
		put_u8(writer, 0);
}

/* Returns where it begins, for end_box(). */
static size_t begin_box(struct writer *writer, const char type[4])
{
	size_t begin = writer->size;

	put_u32(writer, 0);
	put(writer, type, 4);
	return begin;
}

static size_t begin_full_box(struct writer *writer, const char type[4], unsigned version,
	uint32_t flags)
{
	size_t begin = begin_box(writer, type);

	put_u32(writer, version << 24 | flags);
	return begin;
}

static void end_box(struct writer *writer, size_t begin)
{
	struct writer head = { writer->to + begin, 0, LENGTH_SIZE };

	if (writer->size <= writer->room)
		put_u32(&head, (uint32_t)(writer->size - begin));
}

/* ---- NAL units */

static bool is_set(unsigned type)
{
	return type == H264_NAL_SPS || type == H264_NAL_PPS;
}

size_t mp4_convert(uint8_t *to, const uint8_t *unit, size_t size, size_t *sets_size)
{
	struct writer writer = { .room = MP4_CONVERTED_MAX(size) };
	struct h264_walk walk = { unit, unit + size };
	bool in_sets = true;
	struct h264_nal nal;

	writer.to = to;
	*sets_size = 0;
	while (h264_next_nal(&walk, &nal)) {
		put_u32(&writer, (uint32_t)nal.size);
		put(&writer, nal.data, nal.size);
		in_sets = in_sets && is_set(nal.type);
		if (in_sets)
			*sets_size = writer.size;
	}
	return writer.size;
}

/* What mp4_convert() wrote. False at the end, and when it is something else. */
static bool next_converted(struct h264_walk *walk, struct h264_nal *nal)
{
	size_t left = (size_t)(walk->end - walk->at);

	if (left <= LENGTH_SIZE)
		return false;
	nal->size = (size_t)walk->at[0] << 24 | walk->at[1] << 16 | walk->at[2] << 8 | walk->at[3];
	nal->data = walk->at + LENGTH_SIZE;
	if (!nal->size || nal->size > MIN(left - LENGTH_SIZE, UINT16_MAX))
		return false;
	nal->type = nal->data[0] & 0x1F;
	walk->at = nal->data + nal->size;
	return true;
}

/* ---- the initialization segment */

struct sets {
	struct h264_nal sps_nal;
	struct h264_sps sps;
	const uint8_t *data, *end;
	unsigned n_pps;
};

static int read_sets(struct sets *sets, const uint8_t *data, size_t size)
{
	struct h264_walk walk = { data, data + size };
	unsigned n_sps = 0;
	struct h264_nal nal;

	*sets = (struct sets){ .data = data, .end = data + size };
	while (next_converted(&walk, &nal)) {
		if (nal.type == H264_NAL_PPS) {
			sets->n_pps++;
		} else if (nal.type == H264_NAL_SPS) {
			sets->sps_nal = nal;
			n_sps++;
		}
	}
	if (walk.at != walk.end || n_sps != 1 || !sets->n_pps || sets->n_pps > UINT8_MAX)
		return -EBADMSG;
	return h264_read_sps(&sets->sps, &sets->sps_nal);
}

static void put_set(struct writer *writer, const struct h264_nal *nal)
{
	put_u16(writer, (uint16_t)nal->size);
	put(writer, nal->data, nal->size);
}

/* AVCDecoderConfigurationRecord. */
static void put_avcc(struct writer *writer, const struct sets *sets)
{
	struct h264_walk walk = { sets->data, sets->end };
	size_t begin = begin_box(writer, "avcC");
	struct h264_nal nal;

	put_u8(writer, 1);
	put(writer, sets->sps_nal.data + 1, 3); /* profile, constraints, level */
	put_u8(writer, 0xFC | (LENGTH_SIZE - 1));
	put_u8(writer, 0xE0 | 1);
	put_set(writer, &sets->sps_nal);
	put_u8(writer, (uint8_t)sets->n_pps);
	while (next_converted(&walk, &nal)) {
		if (nal.type == H264_NAL_PPS)
			put_set(writer, &nal);
	}
	if (sets->sps.profile_idc == 100) { /* none of our encoders makes a higher one */
		put_u8(writer, 0xFC | 1);   /* 4:2:0 */
		put_u8(writer, 0xF8 | 0);   /* eight bits */
		put_u8(writer, 0xF8 | 0);
		put_u8(writer, 0); /* SPS extensions */
	}
	end_box(writer, begin);
}

static void put_sample_entry(struct writer *writer, const struct sets *sets)
{
	size_t begin = begin_box(writer, "avc1");

	put_zeros(writer, 6);
	put_u16(writer, 1); /* data_reference_index */
	put_zeros(writer, 16);
	put_u16(writer, (uint16_t)sets->sps.width);
	put_u16(writer, (uint16_t)sets->sps.height);
	put_u32(writer, 72 << 16); /* dots an inch, both ways */
	put_u32(writer, 72 << 16);
	put_u32(writer, 0);
	put_u16(writer, 1);          /* frame_count */
	put_zeros(writer, 32);       /* compressorname */
	put_u16(writer, 24);         /* depth: colour, no alpha */
	put_u16(writer, UINT16_MAX); /* pre_defined */
	put_avcc(writer, sets);
	end_box(writer, begin);
}

/* Tables of samples: all empty, for samples are in fragments. */
static void put_stbl(struct writer *writer, const struct sets *sets)
{
	static const char *const tables[] = { "stts", "stsc", "stsz", "stco" };
	size_t begin = begin_box(writer, "stbl"), child = begin_full_box(writer, "stsd", 0, 0);

	put_u32(writer, 1);
	put_sample_entry(writer, sets);
	end_box(writer, child);
	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		child = begin_full_box(writer, tables[i], 0, 0);
		put_zeros(writer, strcmp(tables[i], "stsz") == 0 ? 8 : 4);
		end_box(writer, child);
	}
	end_box(writer, begin);
}

/* The samples are in this very file. */
static void put_dinf(struct writer *writer)
{
	size_t begin = begin_box(writer, "dinf"), table = begin_full_box(writer, "dref", 0, 0);

	put_u32(writer, 1);
	end_box(writer, begin_full_box(writer, "url ", 0, 1));
	end_box(writer, table);
	end_box(writer, begin);
}

static void put_minf(struct writer *writer, const struct sets *sets)
{
	size_t begin = begin_box(writer, "minf"), child = begin_full_box(writer, "vmhd", 0, 1);

	put_zeros(writer, 8);
	end_box(writer, child);
	put_dinf(writer);
	put_stbl(writer, sets);
	end_box(writer, begin);
}

static void put_mdia(struct writer *writer, const struct sets *sets)
{
	size_t begin = begin_box(writer, "mdia"), child = begin_full_box(writer, "mdhd", 0, 0);

	put_zeros(writer, 8); /* when made */
	put_u32(writer, MP4_TIMESCALE);
	put_u32(writer, 0);      /* duration */
	put_u16(writer, 0x55C4); /* language: "und" */
	put_u16(writer, 0);
	end_box(writer, child);
	child = begin_full_box(writer, "hdlr", 0, 0);
	put_u32(writer, 0);
	put(writer, "vide", 4);
	put_zeros(writer, 12);
	put(writer, "hdmicast", sizeof("hdmicast"));
	end_box(writer, child);
	put_minf(writer, sets);
	end_box(writer, begin);
}

/* Nothing is turned, nothing is moved. */
static void put_matrix(struct writer *writer)
{
	for (unsigned i = 0; i < 9; i++)
		put_u32(writer, i == 8 ? 1U << 30 : i % 4 ? 0 : 1U << 16);
}

static void put_trak(struct writer *writer, const struct sets *sets)
{
	size_t begin = begin_box(writer, "trak");
	size_t child = begin_full_box(writer, "tkhd", 0, TKHD_SHOWN);

	put_zeros(writer, 8);
	put_u32(writer, TRACK);
	put_zeros(writer, 4 + 4 + 8 + 8); /* duration 0, layer, group, volume */
	put_matrix(writer);
	put_u32(writer, sets->sps.width << 16);
	put_u32(writer, sets->sps.height << 16);
	end_box(writer, child);
	put_mdia(writer, sets);
	end_box(writer, begin);
}

static void put_mvhd(struct writer *writer)
{
	size_t begin = begin_full_box(writer, "mvhd", 0, 0);

	put_zeros(writer, 8);
	put_u32(writer, MP4_TIMESCALE);
	put_u32(writer, 0);       /* duration: any other, and browsers take it for a recording */
	put_u32(writer, 1 << 16); /* rate */
	put_u16(writer, 1 << 8);  /* volume */
	put_zeros(writer, 10);
	put_matrix(writer);
	put_zeros(writer, 24);
	put_u32(writer, TRACK + 1); /* next_track_ID */
	end_box(writer, begin);
}

static void put_mvex(struct writer *writer)
{
	size_t begin = begin_box(writer, "mvex"), child = begin_full_box(writer, "trex", 0, 0);

	put_u32(writer, TRACK);
	put_u32(writer, 1); /* sample description */
	put_u32(writer, 0);
	put_u32(writer, 0);
	put_u32(writer, SAMPLE_DELTA);
	end_box(writer, child);
	end_box(writer, begin);
}

int mp4_write_init(uint8_t to[MP4_INIT_MAX], const uint8_t *data, size_t size)
{
	struct writer writer = { .room = MP4_INIT_MAX };
	struct sets sets;
	size_t begin;

	if (read_sets(&sets, data, size) < 0)
		return -EBADMSG;
	writer.to = to;
	begin = begin_box(&writer, "ftyp");
	put(&writer, "iso6\0\0\0\0iso6mp41", 16);
	end_box(&writer, begin);
	begin = begin_box(&writer, "moov");
	put_mvhd(&writer);
	put_trak(&writer, &sets);
	put_mvex(&writer);
	end_box(&writer, begin);
	return writer.size <= MP4_INIT_MAX ? (int)writer.size : -EMSGSIZE;
}

/* ---- fragments */

static uint64_t ntp_of(int64_t us)
{
	uint64_t seconds = (uint64_t)us / 1000000, rest = (uint64_t)us % 1000000;

	return (seconds + SECONDS_TO_1970) << 32 | (rest << 32) / 1000000;
}

static void put_prft(struct writer *writer, const struct mp4_fragment *fragment)
{
	size_t begin = begin_full_box(writer, "prft", 1, PRFT_CAPTURED);

	put_u32(writer, TRACK);
	put_u64(writer, ntp_of(fragment->captured_us));
	put_u64(writer, fragment->decode_time);
	end_box(writer, begin);
}

static void put_traf(struct writer *writer, const struct mp4_fragment *fragment, size_t moof)
{
	size_t begin = begin_box(writer, "traf");
	size_t child = begin_full_box(writer, "tfhd", 0, TFHD_MOOF_BASE | TFHD_DURATION);

	put_u32(writer, TRACK);
	put_u32(writer, fragment->duration);
	end_box(writer, child);
	child = begin_full_box(writer, "tfdt", 1, 0);
	put_u64(writer, fragment->decode_time);
	end_box(writer, child);
	child = begin_full_box(writer, "trun", 0, TRUN_OFFSET | TRUN_FIRST | TRUN_SIZE);
	put_u32(writer, 1);
	put_u32(writer, (uint32_t)(MP4_HEAD_SIZE - moof));
	put_u32(writer, fragment->key ? SAMPLE_KEY : SAMPLE_DELTA);
	put_u32(writer, fragment->size);
	end_box(writer, child);
	end_box(writer, begin);
}

void mp4_write_head(uint8_t to[MP4_HEAD_SIZE], const struct mp4_fragment *fragment)
{
	struct writer writer = { .room = MP4_HEAD_SIZE };
	size_t moof, child;

	writer.to = to;
	put_prft(&writer, fragment);
	moof = begin_box(&writer, "moof");
	child = begin_full_box(&writer, "mfhd", 0, 0);
	put_u32(&writer, fragment->sequence);
	end_box(&writer, child);
	put_traf(&writer, fragment, moof);
	end_box(&writer, moof);
	put_u32(&writer, 8 + fragment->size);
	put(&writer, "mdat", 4);
}
