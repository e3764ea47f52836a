/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a frame is the same as the one before it, byte for byte. Pictures that move are told
 * apart by a sample of about a thousand words; only when that is equal are all bytes compared,
 * with a copy that is made when a picture stands still for the first time. One thread only.
 */
#ifndef ENCODER_STILL_H
#define ENCODER_STILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* Zeroed memory is a fresh one. */
struct still {
	uint64_t sample; /* of the last frame, its description included; 0: there is none */
	uint8_t *copy;   /* its bytes, when `copied` */
	size_t capacity, size;
	bool copied;
	unsigned slow; /* comparisons in a row that took too long */
};

/* Remembers the frame. */
bool still_is_same(struct still *still, const struct frame *frame);
/* Forgets the last frame: the next one is another. */
void still_reset(struct still *still);
void still_finish(struct still *still);

#endif
