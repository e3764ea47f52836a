/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding and opening capture nodes: by what they can do, never by their number. */
#ifndef CAPTURE_DEVICE_H
#define CAPTURE_DEVICE_H

#include "capture/source.h"
#include "v4l2/device.h"

/*
 * Opens the capture node at `path`. If it is another node of the grabber (its metadata), or is
 * gone and the grabber came back to its port under another number, finds the right one by
 * *identity, which is filled in at success; no node is opened for that of which /sys says that it
 * belongs to something else. Gives the buffer type to use.
 * -ENODEV, -EACCES, -EBUSY; -ENOTTY: not a streaming capture device.
 */
int device_open(struct v4l2_device *out, const char *path, struct source_identity *identity,
	enum v4l2_buf_type *out_type);

#endif
