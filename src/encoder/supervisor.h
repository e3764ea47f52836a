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
#include "encoder/h264_status.h"
#include "encoder/retired.h"
#include "encoder/session.h"

/* How things were at the last supervisor_tend() or supervisor_submit(). */
struct supervisor_view {
	bool in_use;                 /* an encoder is being opened, or running */
	bool running;                /* frames may be handed over */
	uint64_t opened;             /* how many ever ran: so one is told from the next */
	struct session_view encoder; /* the one in use; zeroed: none */
};

/* Of supervisor.c alone. */
struct supervisor {
	struct fallback_policy policy;
	struct outlet *to;
	int wake_fd;

	struct session *session; /* the one in use, or NULL */
	const struct encoder_ops *ops;
	struct session_view view; /* its, as of the last look */
	bool announced;           /* it runs, and is counted and said to */
	bool trusted;
	bool in_place;         /* a frame was given to it to be read where it lies */
	struct session *probe; /* of hardware, while software is in use */
	struct session_view probe_view;
	struct retired retired;

	int64_t promised_ns; /* when supervisor_tend() was to be called at the latest; 0: no matter */
	int64_t patient_ns; /* nobody is judged by the clock before */

	struct encoder_config config; /* for every session; width 0: none is wanted */
	struct frame
		refused; /* hardware that was to read memory of such frames never gave a unit */
	uint64_t opened, failures;
};

/*
 * Units go to `to`; wake_fd is an eventfd that is written when supervisor_tend() has something to do.
 * device: the hardware's that was asked for; "": any.
 */
void supervisor_init(struct supervisor *supervisor, enum h264_choice choice, const char *device,
	struct outlet *to, int wake_fd);
/* Lets go of all sessions; waits for those that close in good time, at most timeout_ms. */
void supervisor_finish(struct supervisor *supervisor, int timeout_ms);

/*
 * From now on an encoder is to be for this. The one in use is kept, or tuned, or given up for another
 * where that can do what this one cannot: another size or profile, a level with room for the rate,
 * the source's memory read in place. Where there is none, one is opened if the time has come.
 */
void supervisor_want(struct supervisor *supervisor, const struct encoder_config *config,
	int64_t now);
/* Closes what is in use until supervisor_want(). */
void supervisor_rest(struct supervisor *supervisor, int64_t now);
/* Changes bitrate and so on of what is in use and of what will be. */
void supervisor_tune(struct supervisor *supervisor, const struct encoder_tuning *tuning);

/* Does what is due. */
void supervisor_tend(struct supervisor *supervisor, int64_t now);
/* When to call it again without a wake-up; INT64_MAX: not. */
int64_t supervisor_due_ns(const struct supervisor *supervisor);
void supervisor_get_view(const struct supervisor *supervisor, struct supervisor_view *out);
/* Sets what it knows of, and leaves the rest alone. wanted: whether anybody watches. */
void supervisor_describe(const struct supervisor *supervisor, bool wanted, int64_t now,
	struct h264_status *out);

/* ---- for frames; only while one is running */

/* Whether it reads this frame where it lies. */
bool supervisor_takes(struct supervisor *supervisor, const struct frame *frame);
/* The number of an input that may be filled, and its picture; -1: all are in use. */
int supervisor_input(const struct supervisor *supervisor, struct picture *out);
void supervisor_submit(struct supervisor *supervisor, const struct encoder_submission *in);

#endif
