/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All that a reader knows of a frame, as a line: for readers of other word sizes to be compared. */
#ifndef RINGLINES_H
#define RINGLINES_H

#include <inttypes.h>
#include <stdio.h>

#include "shm/hdmicast-ring.h"

#define RINGLINE_SIZE 512

static inline uint32_t sum_of(const uint8_t *bytes, size_t size)
{
	uint32_t sum = 2166136261u;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return sum;
}

static inline void describe_frame(char out[RINGLINE_SIZE], const struct hdmicast_frame *frame)
{
	snprintf(out, RINGLINE_SIZE,
		"%" PRIu64 " %" PRIu64 " lost %" PRIu64 " flags %" PRIu32 " fourcc %" PRIu32
		" %" PRIu32 "x%" PRIu32 " stride %" PRIu32 " %" PRIu32 " planes %" PRIu32
		" %" PRIu32 " times %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " source %" PRIu64
		" dropped %" PRIu64 " oversized %" PRIu64 " bytes %zu sum %" PRIu32,
		frame->epoch, frame->sequence, frame->lost, frame->flags, frame->fourcc,
		frame->width, frame->height, frame->stride, frame->stride2, frame->plane_offset[0],
		frame->plane_offset[1], frame->captured_ns, frame->published_ns,
		frame->encode_begin_ns, frame->encode_end_ns, frame->source_sequence,
		frame->dropped, frame->oversized, frame->size, sum_of(frame->data, frame->size));
}

#endif
