/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding and opening capture nodes: by what they can do, never by their number. */
#ifndef CAPTURE_DEVICE_H
#define CAPTURE_DEVICE_H

#include <linux/videodev2.h>

#include "capture/source.h"

/*
 * Opens the capture node at `path`. If it is another node of the grabber (its metadata), or is
 * gone and the grabber came back to its port under another number, finds the right one by
 * *identity, which is filled in at success. Gives the descriptor and the buffer type to use.
 * -ENODEV, -EACCES, -EBUSY; -ENOTTY: not a streaming capture device.
 */
int device_open(const char *path, struct source_identity *identity, int *out_fd,
	enum v4l2_buf_type *out_type);

#endif
