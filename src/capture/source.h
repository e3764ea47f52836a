/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A source gives frames. The pipeline opens it, reads it on the capture thread, and closes and
 * opens it again after any error: a source keeps no state of its own across that.
 *
 * Errors speak the kernel's words; source_state.c maps each to what people read:
 *   -ENODEV, -ENOENT  no device           -ENOLINK  no signal
 *   -EACCES           not allowed         -ENOLCK   signal without sync
 *   -EBUSY            used by another     -ERANGE   mode that cannot be captured
 *   -ENOTCONN         no cable (+5 V)     -ENODATA  no EDID was loaded
 *   -ETIMEDOUT        no frame came in time
 *   -ERESTART         the source changed: open again at once
 *   -ECANCELED        the program stops
 */
#ifndef CAPTURE_SOURCE_H
#define CAPTURE_SOURCE_H

#include <stdbool.h>

#include "media/drops.h"
#include "media/frame.h"
#include "settings/options.h"

/* Which device it was, so that it is found again under another name. Zeroed at first. */
struct source_identity {
	char driver[16], card[32], bus[32];
	char parent[256]; /* as v4l2_node.parent */
};

/* What a source may remember from one open to the next; the pipeline clears `said` online. */
struct source_memory {
	struct source_identity identity;
	int said; /* the error that was logged last: not again while it lasts */
};

/* What every source is given; must outlive it. */
struct source_config {
	const struct options *opt;
	struct drops *drops;
	int stop_fd; /* readable when the program stops */
	int wake_fd; /* readable when next() is to return -ETIMEDOUT early; -1: none */
	struct source_memory *memory; /* capture thread only */
};

#define SOURCE_CONTROLS 64

/* A V4L2 control of the device, for people to see. */
struct source_control {
	uint32_t id, type, flags; /* V4L2's */
	char name[32];
	int64_t min, max, step, standard, value; /* value: 0 where has_value is not set */
	bool has_value;
	int option;   /* enum option_control_id, or -1: no option sets it */
	bool chooses; /* it is the switch that lets the device choose that option's value */
};

struct source_controls {
	unsigned count;
	struct source_control control[SOURCE_CONTROLS];
};

struct source_ops;

/* The head of each source's own struct. */
struct source {
	const struct source_ops *ops;
	/* list() has something new to tell: set by next() when somebody else changed one, and with the
	 * first frame; cleared by list(). */
	bool controls_changed;
};

struct source_ops {
	const char *name; /* as in --source */
	/* Logs what it found out; an unexpected error, once. May block as long as the driver does. */
	int (*open)(struct source **out, const struct source_config *config);
	/*
	 * The next frame, which the caller owns, or -ETIMEDOUT at until_ns (the source is still
	 * good), -EAGAIN for a frame that was dropped and counted, or an error after which it can
	 * only be closed. Frames may outlive the source.
	 */
	int (*next)(struct source *source, struct frame **out, int64_t until_ns);
	/* What controls there are, with their values; *out is zeroed before. */
	void (*list)(struct source *source, struct source_controls *out);
	/*
	 * Sets all image controls but those with CONTROL_KEEP, or none of them: then says which is at
	 * fault, the first one if it does not. -ENOENT: there is no such control; -ERANGE: no such value; else as the driver says.
	 */
	int (*control)(struct source *source, const struct option_control wish[CONTROLS],
		enum option_control_id *which);
	void (*close)(struct source *source);
};

extern const struct source_ops source_v4l2;
extern const struct source_ops source_testcard;

/* The source of that name, never NULL for a name that the options accept. */
const struct source_ops *source_find(const char *name);

#endif
