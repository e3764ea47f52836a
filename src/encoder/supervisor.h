/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The supervisor has one encoder running, as long as one can be had: it opens sessions, gives up those
 * that fail or hang, and changes between hardware and software as fallback_policy.h decides. One thread
 * only, which never waits for a driver.
 */
#ifndef ENCODER_SUPERVISOR_H
#define ENCODER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "encoder/fallback_policy.h"
#include "encoder/session.h"

#define SUPERVISOR_OLD 4 /* sessions that are closing; more means that the driver is beyond hope */

struct supervisor_old {
	struct session *session; /* NULL: the place is free */
	bool is_hardware;
	int64_t since_ns;
};

/* The owner may read all of it. */
struct supervisor {
	struct fallback_policy policy;
	struct outlet *to;
	int wake_fd;

	struct session *session; /* the one in use, or NULL */
	const struct encoder_ops *ops;
	struct session_view view; /* the session's, as of the last supervisor_tend() */
	bool announced, trusted;
	struct session *probe; /* of hardware, while software is in use */
	struct session_view probe_view;
	struct supervisor_old old[SUPERVISOR_OLD];

	int64_t promised_ns; /* when supervisor_tend() was to be called at the latest; 0: no matter */
	int64_t patient_ns; /* nobody is judged by the clock before */

	struct encoder_config config; /* for every session; width 0: none is wanted */
	uint64_t opened, failures;
	uint64_t units, keys, lost; /* of sessions that are gone */
};

/* Units go to `to`; wake_fd is an eventfd that is written when supervisor_tend() has something to do. */
void supervisor_init(struct supervisor *supervisor, enum h264_choice choice, struct outlet *to,
	int wake_fd);
/* Lets go of all sessions; waits for those that close in good time, at most timeout_ms. */
void supervisor_finish(struct supervisor *supervisor, int timeout_ms);

/* From now on encoders are for this. The one in use is closed when its size or
 * profile is another. */
void supervisor_want(struct supervisor *supervisor, const struct encoder_config *config,
	int64_t now);
/* Closes what is in use until supervisor_want(). */
void supervisor_rest(struct supervisor *supervisor, int64_t now);
/* Changes bitrate and so on of what is in use and of what will be. */
void supervisor_tune(struct supervisor *supervisor, const struct encoder_tuning *tuning);

/* Does what is due. The view is new after it. */
void supervisor_tend(struct supervisor *supervisor, int64_t now);
/* When to call it again without a wake-up; INT64_MAX: not. */
int64_t supervisor_due_ns(const struct supervisor *supervisor);
/* Whether frames may be handed to supervisor->session. */
bool supervisor_is_running(const struct supervisor *supervisor);

#endif
