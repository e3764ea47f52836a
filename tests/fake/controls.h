/* SPDX-License-Identifier: GPL-3.0-or-later */
/* User controls of a device, with the control framework's rules. */
#ifndef FAKE_CONTROLS_H
#define FAKE_CONTROLS_H

#include "device.h"

struct control {
	uint32_t id, type, flags;
	const char *name;
	int32_t min, max, step, def, value;
	const char *const *menu;
	uint32_t absent; /* a bit for each menu item that is left out */
	int32_t applied; /* m2m: what the firmware was told last */
};

struct control *control_find(struct handle *h, uint32_t id);

extern const struct ioctl_entry control_ioctls[];

#endif
