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
};

struct control *control_find(struct device *dev, uint32_t id);

extern const struct ioctl_entry control_ioctls[];

#endif
