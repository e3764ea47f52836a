/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the network thread sees the controls of the capture device and asks for changes,
 * and where the capture thread, which alone talks to the device, makes them between two frames. A
 * driver may hold the capture thread for as long as it likes: nobody waits here.
 */
#ifndef PIPELINE_DEVICE_CONTROLS_H
#define PIPELINE_DEVICE_CONTROLS_H

#include <stdbool.h>

#include "capture/source.h"

struct device_controls;

struct device_controls_answer {
	int error; /* 0 or -errno, as source_ops.control; -ENODEV: no device is open */
	enum option_control_id which; /* is at fault */
};

/* wake_fd, borrowed: an eventfd that is written when there is work. 0 or -errno. */
int device_controls_create(struct device_controls **out, int wake_fd);
/* NULL is fine. */
void device_controls_destroy(struct device_controls *device);

/* ---- network thread */

/* The controls there were a moment ago; none before a device gives pictures. */
void device_controls_look(struct device_controls *device, struct source_controls *out);
/* Asks for a change of those that are not CONTROL_KEEP. -EBUSY: another one has no answer yet. */
int device_controls_ask(struct device_controls *device, const struct option_control wish[CONTROLS]);
/* Readable when there is an answer; the object's own. */
int device_controls_fd(const struct device_controls *device);
/* Takes it; false: there is none. */
bool device_controls_hear(struct device_controls *device, struct device_controls_answer *out);
/* Nobody waits for the answer any more. True: it was not begun with, and will not be done. */
bool device_controls_withdraw(struct device_controls *device);

/* ---- capture thread; source: NULL while none is open */

/* Lists the controls anew. */
void device_controls_show(struct device_controls *device, struct source *source);
/* Does what was asked for, if anything. True: that took the source's driver its time. */
bool device_controls_serve(struct device_controls *device, struct source *source);

#endif
