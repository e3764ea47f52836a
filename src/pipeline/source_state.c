// SPDX-License-Identifier: GPL-3.0-or-later
/* The table of states: see source_state.h. */
#include "pipeline/source_state.h"

#include <errno.h>

/* clang-format off */
static const struct source_state states[] = {
	{ 0,           "online",           "Online",                   "", 0, false },
	{ 1,           "starting",         "Starting",                 "The device is being opened.", 0, false },
	{ -ENODEV,     "no-device",        "No capture device",        "Plug the grabber in, or name it with --device.", -1, true },
	{ -EACCES,     "no-permission",    "Device not allowed",       "Let the service's user into the group that owns the device (video).", -1, true },
	{ -EBUSY,      "busy",             "Device in use",            "Another program captures from this device: stop it.", -1, true },
	{ -ENOTTY,     "not-a-grabber",    "Not a capture device",     "Name a video capture node with --device.", -1, true },
	{ -ENOTSUP,    "no-format",        "No usable pixel format",   "The device offers none of the formats that --help lists.", -1, true },
	{ -ENOTCONN,   "no-cable",         "No HDMI cable",            "Plug the HDMI cable in at both ends.", 500, false },
	{ -ENODATA,    "no-edid",          "No EDID",                  "The grabber does not tell the machine what to send: load an EDID (v4l2-ctl --set-edid).", 500, false },
	{ -ENOLINK,    "no-signal",        "No signal",                "Check the HDMI cable and that the machine is on and awake.", 500, false },
	{ -ENOLCK,     "no-sync",          "No sync",                  "The machine is changing its video mode, or the cable is bad.", 500, false },
	{ -ERANGE,     "unsupported-mode", "Unsupported video mode",   "Set the machine to 1920x1080 at 60 Hz or less.", 500, false },
	{ -EOVERFLOW,  "too-fast",         "Video mode too fast",      "The link to the capture chip cannot carry it: choose a lower rate or size.", 1000, false },
	{ -ENOSPC,     "no-bandwidth",     "Not enough USB bandwidth", "Use --format=MJPEG, a smaller size, or another USB port.", -1, true },
	{ -ENOMEM,     "no-memory",        "Not enough memory",        "Use a smaller size or fewer --buffers.", -1, true },
	{ -ETIMEDOUT,  "no-frames",        "No frames",                "The device is open but sends nothing. Check the cable and the source.", 100, false },
	{ -EBADMSG,    "damaged-frames",   "Damaged frames",           "The grabber sends nothing that can be shown: try another cable, port or --format.", 100, false },
	{ -EIO,        "device-error",     "Capture device failed",    "It is being opened again. If this stays, plug it in again.", 200, true },
};

static const struct source_state other = {
	-EPROTO,       "device-error",     "Capture device failed",    "It is being opened again. The log has the details.", -1, true,
};
/* clang-format on */

const struct source_state *source_state_find(int error)
{
	if (error == -ENOENT || error == -ENXIO)
		error = -ENODEV;
	if (error == -EPERM)
		error = -EACCES;
	for (unsigned i = 0; i < sizeof(states) / sizeof(*states); i++) {
		if (states[i].error == error)
			return &states[i];
	}
	return &other;
}
