/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why there is no picture: one row for each error a source can end with. The same words go to
 * /state, the log, systemd's STATUS and the slate.
 */
#ifndef PIPELINE_SOURCE_STATE_H
#define PIPELINE_SOURCE_STATE_H

#include <stdbool.h>

struct source_state {
	int error;        /* -errno */
	const char *name; /* for programs: lower case, hyphens */
	const char *text; /* for people */
	const char *hint; /* what to do about it */
	int retry_ms;     /* how soon to try again; -1: --device-error-delay */
	bool device;      /* the device is at fault, not the signal: see --exit-on-device-error */
};

/* Never NULL: unknown errors have a row as well. 0 is "online", 1 is "starting". */
const struct source_state *source_state_find(int error);

#endif
