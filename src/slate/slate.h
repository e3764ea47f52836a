/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The slate: the no-signal picture that says why there is no picture. */
#ifndef SLATE_SLATE_H
#define SLATE_SLATE_H

#include <stdint.h>

#include "media/frame.h"

/*
 * Draws a slate: `title` large ("No signal"; shown in capitals), `hint` below it and word-wrapped,
 * `detail` small at the bottom edge (device, since when; '\n' starts a new line). Any may be "".
 * Sizes follow the picture's; where it is too small for all, first the detail goes, then the end
 * of the hint.
 *
 * *out: a full-range BT.601 YU12 frame on the heap with key, keepable, and not online; the caller
 * fills in number and times. -EINVAL for an empty picture, -ENOMEM. Any thread.
 */
int slate_draw(struct frame **out, uint32_t width, uint32_t height, const char *title,
	const char *hint, const char *detail);

/* The same picture once more, as of now: shares the slate's memory and keeps a reference on it. */
struct frame *slate_repeat(struct frame *slate);

#endif
