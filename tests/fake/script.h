/* SPDX-License-Identifier: GPL-3.0-or-later */
/* HDMICAST_FAKE: the devices there are, and the events that happen to them in order. */
#ifndef FAKE_SCRIPT_H
#define FAKE_SCRIPT_H

#include "device.h"

/* Makes the devices, stores the events. Complains on stderr about what it does not understand. */
void script_load(const char *config);

/* Time 0 of the events. */
void script_begin(void);
bool script_exists(void);

/* Runs the events whose time has come; milliseconds until the next one, or -1. */
int script_run_timed(void);

/* Runs the events due before this frame of dev. No lock held. */
void script_frame(struct device *dev, uint32_t frame);
/* Whether there are any; lock-free, any lock may be held. */
bool script_due(const struct device *dev, uint32_t frame);

#endif
