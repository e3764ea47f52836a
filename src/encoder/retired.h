/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sessions that are closing in their own time, and what all of them made. One thread only. */
#ifndef ENCODER_RETIRED_H
#define ENCODER_RETIRED_H

#include <stdbool.h>
#include <stdint.h>

#include "encoder/session.h"

#define RETIRED 4 /* more means that the driver is beyond hope */

/* Zeroed memory is an empty one. */
struct retired {
	struct {
		struct session *session; /* NULL: the place is free */
		bool is_hardware;
		int64_t since_ns;
	} old[RETIRED];
	uint64_t units, keys, lost;
};

/* Closes a session, without waiting for it, and takes it. */
void retired_add(struct retired *retired, struct session *session, bool is_hardware, int64_t now);
/* Frees what has closed. Whether hardware is left that should have. */
bool retired_reap(struct retired *retired, int64_t now);
/* When that may become true; INT64_MAX: not by itself. */
int64_t retired_due_ns(const struct retired *retired);
bool retired_has_hardware(const struct retired *retired);
bool retired_is_empty(const struct retired *retired);
/* Leaves behind what has not closed. */
void retired_finish(struct retired *retired);

#endif
