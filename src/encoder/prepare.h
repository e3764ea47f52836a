/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Puts frames into the memory of an encoder, as it wants them, and counts those that cannot be.
 * One thread only.
 */
#ifndef ENCODER_PREPARE_H
#define ENCODER_PREPARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "convert/picture.h"
#include "media/drops.h"
#include "media/frame.h"

struct prepare {
	struct picture_converter *converter;
	struct drops *drops;
	bool allow_truncated; /* as --allow-truncated-frames; set by the owner */
	int64_t took_ns;      /* what preparing takes, smoothed */
	atomic_int_least64_t
		damaged_ns; /* since when all JPEGs were damaged; 0: the last was not */
};

/* Borrows drops until prepare_finish(). 0 or -ENOMEM. */
int prepare_init(struct prepare *prepare, struct drops *drops);
/* Zeroed memory is fine. */
void prepare_finish(struct prepare *prepare);

/*
 * Converts the frame into `input`; origin's range, matrix and convert_begin_ns say what became of
 * it. An error was counted.
 */
int prepare(struct prepare *prepare, const struct frame *frame, struct picture *input,
	struct frame *origin);
/* Nobody looks at what comes: whether that is damaged is not known any more. */
void prepare_forget(struct prepare *prepare);

#endif
