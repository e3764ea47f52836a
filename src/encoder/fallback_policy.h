/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which encoder to open, and when: hardware, software, or none for now. Decisions only: no
 * threads, no devices; the clock is the caller's.
 *
 * A failed hardware encoder is opened again at once, a second time in a row not before a pause
 * that doubles; meanwhile x264 encodes, where it is allowed and built in. A hardware encoder that
 * does not even close is left alone until it has.
 */
#ifndef ENCODER_FALLBACK_POLICY_H
#define ENCODER_FALLBACK_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encoder/encoder.h"
#include "settings/options.h"

/* The owner may read all of it, and sets `stuck`. */
struct fallback_policy {
	const struct encoder_ops *hardware; /* NULL: not allowed */
	const struct encoder_ops *software; /* NULL: not allowed or not built in */
	const char *device;                 /* the node that was asked for; NULL or "": any */
	bool stuck;                 /* a hardware encoder has not come back from its driver */
	bool was_stuck;             /* and none has worked since one had not */
	unsigned failures;          /* of the hardware, in a row */
	int error;                  /* the last one's -errno; 0: none since it last worked */
	int software_error;         /* the same for software */
	int64_t retry_ns, delay_ns; /* when the hardware may be tried again; the last pause */
	int64_t software_retry_ns;
};

void fallback_init(struct fallback_policy *policy, enum h264_choice choice);
/* What to open now; NULL: nothing before fallback_next_ns(). */
const struct encoder_ops *fallback_pick(const struct fallback_policy *policy, int64_t now);
/* When fallback_pick() may say something else; INT64_MAX: not by itself. */
int64_t fallback_next_ns(const struct fallback_policy *policy);
/* When the hardware may be tried while software encodes; INT64_MAX: not by itself. */
int64_t fallback_probe_ns(const struct fallback_policy *policy);

/* An encoder could not be opened, failed, or hung (-ETIMEDOUT). */
void fallback_note_failure(struct fallback_policy *policy, const struct encoder_ops *ops, int error,
	int64_t now);
/* It has made enough access units to be trusted again. */
void fallback_note_success(struct fallback_policy *policy, const struct encoder_ops *ops);
/* The next frames have another size: what could not be opened for the last may be for this. */
void fallback_note_size(struct fallback_policy *policy);

/* What is wrong and what to do, "" when all is well; ops: what is in use, or NULL. */
void fallback_explain(const struct fallback_policy *policy, const struct encoder_ops *ops,
	int64_t now, char *text, size_t size);

#endif
