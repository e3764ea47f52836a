// SPDX-License-Identifier: GPL-3.0-or-later
/* Pictures that stand still: see still.h. */
#include "encoder/still.h"

#include "base/util.h"

#define LOG_TOPIC "h264"
#include "base/log.h"

#define SAMPLES 1024

/*
 * Reading memory that a device writes may be very slow, where it is not cached (ARM, contiguous
 * DMA memory). After that many comparisons in a row of more than that long, encoding is cheaper.
 */
#define SLOW_NS (8 * NS_PER_MS)
#define SLOW    3

static uint64_t mix(uint64_t hash, uint64_t word)
{
	return (hash ^ word) * 0x9e3779b97f4a7c15 >> 3 ^ hash << 29;
}

static uint64_t sample_plane(uint64_t hash, const struct frame_plane *plane)
{
	size_t step = MAX(plane->size / SAMPLES, sizeof(uint64_t));
	uint64_t word;

	/* Odd steps wander over the columns of the picture. */
	for (size_t at = 0; at + sizeof(word) <= plane->size; at += step | 1) {
		memcpy(&word, plane->data + at, sizeof(word));
		hash = mix(hash, word);
	}
	return mix(hash, plane->size);
}

static uint64_t sample_frame(const struct frame *frame)
{
	uint64_t hash = mix(frame->format, (uint64_t)frame->width << 32 | frame->height);

	hash = mix(hash, frame->online * 4 + frame->range * 2 + frame->matrix);
	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data; i++)
		hash = sample_plane(hash, &frame->plane[i]);
	return hash ? hash : 1;
}

static size_t bytes_of(const struct frame *frame)
{
	size_t sum = 0;

	for (unsigned i = 0; i < FRAME_PLANES; i++)
		sum += frame->plane[i].size;
	return sum;
}

/* Without memory for it, every picture is a new one. */
static void keep_copy(struct still *still, const struct frame *frame)
{
	uint8_t *to;

	still->size = bytes_of(frame);
	still->copied = false;
	if (still->capacity < still->size) {
		still->capacity = 0;
		free(still->copy);
		still->copy = malloc(still->size);
		if (!still->copy)
			return;
		still->capacity = still->size;
	}
	to = still->copy;
	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data; i++) {
		memcpy(to, frame->plane[i].data, frame->plane[i].size);
		to += frame->plane[i].size;
	}
	still->copied = true;
}

static bool equals_copy(struct still *still, const struct frame *frame)
{
	const uint8_t *at = still->copy;
	int64_t begin = now_ns();
	bool same = still->size == bytes_of(frame);

	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data && same; i++) {
		same = memcmp(at, frame->plane[i].data, frame->plane[i].size) == 0;
		at += frame->plane[i].size;
	}
	still->slow = now_ns() - begin > SLOW_NS ? still->slow + 1 : 0;
	if (still->slow == SLOW)
		log_verbose("pictures are not compared any more: reading them takes too long");
	return same;
}

bool still_is_same(struct still *still, const struct frame *frame)
{
	uint64_t sample;

	if (still->slow >= SLOW)
		return false;
	sample = sample_frame(frame);
	if (sample != still->sample) {
		still->sample = sample;
		still->copied = false;
		return false;
	}
	if (still->copied && equals_copy(still, frame))
		return true;
	keep_copy(still, frame);
	return false;
}

void still_reset(struct still *still)
{
	still->sample = 0;
	still->copied = false;
	still->slow = 0; /* a busy machine is slow for a while, too */
}

void still_finish(struct still *still)
{
	free(still->copy);
	*still = (struct still){ 0 };
}
