// SPDX-License-Identifier: GPL-3.0-or-later
/* NAL units and levels of H.264: see h264_bitstream.h. */
#include "media/h264_bitstream.h"

#include <string.h>

#include "base/util.h"

/* ---- NAL units */

const uint8_t *h264_find_nal(const uint8_t *at, const uint8_t *end)
{
	/* A start code is 00 00 01, and 01 is the byte of it that is rare. */
	for (at += MIN(2, end - at); at < end; at++) {
		at = memchr(at, 1, (size_t)(end - at));
		if (!at)
			return NULL;
		if (!at[-1] && !at[-2])
			return at + 1 < end ? at + 1 : NULL;
	}
	return NULL;
}

bool h264_next_nal(struct h264_walk *walk, struct h264_nal *nal)
{
	while ((walk->at = h264_find_nal(walk->at, walk->end))) {
		const uint8_t *next = h264_find_nal(walk->at, walk->end);
		const uint8_t *end = next ? next - 3 : walk->end;

		nal->data = walk->at;
		walk->at = end;
		while (end > nal->data && !end[-1])
			end--;
		nal->size = (size_t)(end - nal->data);
		if (nal->size) {
			nal->type = nal->data[0] & 0x1F;
			return true;
		}
	}
	walk->at = walk->end;
	return false;
}

/* ---- levels */

static const struct h264_level levels[] = {
	{ 10, 99, 1485, { 64, 80 } },
	{ 9, 99, 1485, { 128, 160 } },
	{ 11, 396, 3000, { 192, 240 } },
	{ 12, 396, 6000, { 384, 480 } },
	{ 13, 396, 11880, { 768, 960 } },
	{ 20, 396, 11880, { 2000, 2500 } },
	{ 21, 792, 19800, { 4000, 5000 } },
	{ 22, 1620, 20250, { 4000, 5000 } },
	{ 30, 1620, 40500, { 10000, 12500 } },
	{ 31, 3600, 108000, { 14000, 17500 } },
	{ 32, 5120, 216000, { 20000, 25000 } },
	{ 40, 8192, 245760, { 20000, 25000 } },
	{ 41, 8192, 245760, { 50000, 62500 } },
	{ 42, 8704, 522240, { 50000, 62500 } },
	{ 50, 22080, 589824, { 135000, 168750 } },
	{ 51, 36864, 983040, { 240000, 300000 } },
};

const struct h264_level *h264_level_for(uint32_t width, uint32_t height, unsigned fps,
	unsigned least)
{
	uint64_t columns = ((uint64_t)width + 15) / 16, rows = ((uint64_t)height + 15) / 16;

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		/* Clause A.3.1: neither side is longer than the square root of eight times MaxFS. */
		uint64_t room = levels[i].macroblocks, longest = MAX(columns, rows);

		if (levels[i].level >= least && longest <= H264_MAX_MBS &&
			longest * longest <= 8 * room && columns * rows <= room &&
			columns * rows * fps <= levels[i].per_second)
			return &levels[i];
	}
	return NULL;
}

unsigned h264_max_kbps(const struct h264_level *level, enum h264_profile profile)
{
	return level->max_kbps[profile == H264_HIGH];
}

const char *h264_profile_name(enum h264_profile profile)
{
	static const char *const names[] = {
		[H264_CONSTRAINED_BASELINE] = "constrained-baseline",
		[H264_BASELINE] = "baseline",
		[H264_MAIN] = "main",
		[H264_HIGH] = "high",
	};

	return names[profile];
}
