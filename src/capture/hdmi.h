/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HDMI receivers behind V4L2: cable, signal, DV timings. */
#ifndef CAPTURE_HDMI_H
#define CAPTURE_HDMI_H

#include <stdbool.h>
#include <stdint.h>

/* What the source sends. */
struct hdmi_mode {
	uint32_t width, height; /* pixels */
	unsigned mhz;           /* frames in 1000 s; 0: not known */
};

/* Whether the device's current input has DV timings (VIDIOC_ENUMINPUT). */
bool hdmi_has_timings(int fd);

/*
 * Waits until the source's timings are stable (at most about a second), sets them and tells what
 * they are. No buffers may be allocated.
 * -ENOTCONN no cable, -ENODATA no EDID (no machine sends to such a receiver), -ENOLINK no signal,
 * -ENOLCK no sync, -ERANGE mode out of the receiver's range, -ECANCELED when stop_fd becomes
 * readable.
 */
int hdmi_lock_timings(int fd, int stop_fd, struct hdmi_mode *out);

#endif
