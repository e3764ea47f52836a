/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a frame is the same as the one before it, byte for byte. Pictures that move are told
 * apart by a sample of about a thousand words; only when that is equal are all bytes compared,
 * with a copy that is made when a picture stands still for the first time. One thread only.
 */
#ifndef ENCODER_CHANGE_DETECTOR_H
#define ENCODER_CHANGE_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* Zeroed memory is a fresh one. */
struct change_detector {
	uint64_t sample; /* of the last frame, its description included; 0: there is none */
	uint8_t *copy;   /* its bytes, when `copied` */
	size_t capacity, size;
	bool copied;
	unsigned slow; /* comparisons in a row that took too long */
};

/* Remembers the frame. */
bool change_detector_is_same(struct change_detector *detector, const struct frame *frame);
/* Forgets the last frame: the next one is another. */
void change_detector_reset(struct change_detector *detector);
void change_detector_finish(struct change_detector *detector);

#endif
