/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The desk is where the network thread sees the controls of the capture device and asks for changes,
 * and where the capture thread, which alone talks to the device, makes them between two frames. A
 * driver may hold the capture thread for as long as it likes: nobody waits here.
 */
#ifndef DESK_H
#define DESK_H

#include <stdbool.h>

#include "capture/source.h"

struct desk;

struct desk_answer {
	int error; /* 0 or -errno, as source_ops.control; -ENODEV: no device is open */
	enum option_control_id which; /* is at fault */
};

/* wake_fd, borrowed: an eventfd that is written when there is work. 0 or -errno. */
int desk_create(struct desk **out, int wake_fd);
/* NULL is fine. */
void desk_destroy(struct desk *desk);

/* ---- network thread */

/* The controls there were a moment ago; none while no device is open. */
void desk_look(struct desk *desk, struct source_controls *out);
/* Asks for a change of those that are not CONTROL_KEEP. -EBUSY: another one has no answer yet. */
int desk_ask(struct desk *desk, const struct option_control wish[CONTROLS]);
/* Readable when there is an answer; the desk's own. */
int desk_fd(const struct desk *desk);
/* Takes it; false: there is none. */
bool desk_hear(struct desk *desk, struct desk_answer *out);
/* Nobody waits for the answer any more. True: it was not begun with, and will not be done. */
bool desk_withdraw(struct desk *desk);

/* ---- capture thread; source: NULL while none is open */

/* Lists the controls anew. */
void desk_show(struct desk *desk, struct source *source);
/* Does what was asked for, if anything. */
void desk_serve(struct desk *desk, struct source *source);

#endif
