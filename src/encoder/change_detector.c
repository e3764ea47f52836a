// SPDX-License-Identifier: GPL-3.0-or-later
/* Pictures that stand still: see change_detector.h. */
#include "encoder/change_detector.h"

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

/* Without memory for it, every picture is a new one. */
static void keep_copy(struct change_detector *detector, const struct frame *frame)
{
	uint8_t *to;

	detector->size = frame_size(frame);
	detector->copied = false;
	if (detector->capacity < detector->size) {
		detector->capacity = 0;
		free(detector->copy);
		detector->copy = malloc(detector->size);
		if (!detector->copy)
			return;
		detector->capacity = detector->size;
	}
	to = detector->copy;
	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data; i++) {
		memcpy(to, frame->plane[i].data, frame->plane[i].size);
		to += frame->plane[i].size;
	}
	detector->copied = true;
}

static bool equals_copy(struct change_detector *detector, const struct frame *frame)
{
	const uint8_t *at = detector->copy;
	int64_t begin = now_ns();
	bool same = detector->size == frame_size(frame);

	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data && same; i++) {
		same = memcmp(at, frame->plane[i].data, frame->plane[i].size) == 0;
		at += frame->plane[i].size;
	}
	detector->slow = now_ns() - begin > SLOW_NS ? detector->slow + 1 : 0;
	if (detector->slow == SLOW)
		log_verbose("pictures are not compared any more: reading them takes too long");
	return same;
}

bool change_detector_is_same(struct change_detector *detector, const struct frame *frame)
{
	uint64_t sample;

	if (detector->slow >= SLOW)
		return false;
	sample = sample_frame(frame);
	if (sample != detector->sample) {
		detector->sample = sample;
		detector->copied = false;
		return false;
	}
	if (detector->copied && equals_copy(detector, frame))
		return true;
	keep_copy(detector, frame);
	return false;
}

void change_detector_reset(struct change_detector *detector)
{
	detector->sample = 0;
	detector->copied = false;
	detector->slow = 0; /* a busy machine is slow for a while, too */
}

void change_detector_finish(struct change_detector *detector)
{
	free(detector->copy);
	*detector = (struct change_detector){ 0 };
}
