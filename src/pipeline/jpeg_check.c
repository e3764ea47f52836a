// SPDX-License-Identifier: GPL-3.0-or-later
/* What a JPEG says of itself: see jpeg_check.h. */
#include "pipeline/jpeg_check.h"

#include "convert/jpegcheck.h"
#include "convert/jpegfix.h"

/*
 * A JPEG says itself how large it is, and a grabber may change that without a word. A size that
 * is not the device's mode is believed once a picture of it turned out to be whole.
 */
static bool believe_size(struct jpeg_check *check, const struct frame *frame,
	struct option_size size)
{
	const struct frame_plane *plane = &frame->plane[0];

	if ((size.width == frame->width && size.height == frame->height) ||
		(size.width == check->believed.width && size.height == check->believed.height))
		return true;
	if (!jpegcheck_is_whole(plane->data, plane->size))
		return false;
	check->believed = size;
	return true;
}

bool jpeg_check(struct jpeg_check *check, struct frame *frame)
{
	const struct frame_plane *plane = &frame->plane[0];
	enum drop_reason why;
	struct jpegfix fix;

	if (jpegfix_parse(&fix, plane->data, plane->size, check->opt->allow_truncated_frames,
		    &why) < 0) {
		drops_add(check->drops, why, "JPEG of %zu bytes", plane->size);
		return false;
	}
	if (!believe_size(check, frame, (struct option_size){ fix.width, fix.height })) {
		drops_add(check->drops, DROP_LYING, "JPEG that is not the %ux%u it claims to be",
			fix.width, fix.height);
		return false;
	}
	frame->width = fix.width;
	frame->height = fix.height;
	return true;
}
