/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a JPEG of a grabber is one, and how large it is. One thread only. */
#ifndef PIPELINE_JPEG_CHECK_H
#define PIPELINE_JPEG_CHECK_H

#include <stdbool.h>

#include "media/drops.h"
#include "media/frame.h"
#include "settings/options.h"

struct jpeg_check {
	struct drops *drops;         /* borrowed, as opt */
	const struct options *opt;   /* allow_truncated_frames */
	struct option_size believed; /* that is not the device's mode, and was seen to be true */
};

/* Sets the frame's size to that of its JPEG. False: it is to be dropped, and was counted. */
bool jpeg_check(struct jpeg_check *check, struct frame *frame);

#endif
