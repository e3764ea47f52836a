/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which encoder to open, and when: hardware, software, or none for now. Decisions only: no
 * threads, no devices; the clock is the caller's.
 *
 * A failed hardware encoder is opened again at once, a second time in a row not before a pause
 * that doubles; meanwhile x264 encodes, where it is allowed and built in. A hardware encoder that
 * does not even close is left alone until it has.
 */
#ifndef ENCODER_FAILOVER_H
#define ENCODER_FAILOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encoder/encoder.h"
#include "settings/options.h"

/* The owner may read all of it, and sets `stuck`. */
struct failover {
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

void failover_init(struct failover *failover, enum h264_choice choice);
/* What to open now; NULL: nothing before failover_next_ns(). */
const struct encoder_ops *failover_pick(const struct failover *failover, int64_t now);
/* When failover_pick() may say something else; INT64_MAX: not by itself. */
int64_t failover_next_ns(const struct failover *failover);
/* When the hardware may be tried while software encodes; INT64_MAX: not by itself. */
int64_t failover_probe_ns(const struct failover *failover);

/* An encoder could not be opened, failed, or hung (-ETIMEDOUT). */
void failover_note_failure(struct failover *failover, const struct encoder_ops *ops, int error,
	int64_t now);
/* It has made enough access units to be trusted again. */
void failover_note_success(struct failover *failover, const struct encoder_ops *ops);
/* The next frames have another size: what could not be opened for the last may be for this. */
void failover_note_size(struct failover *failover);

/* What is wrong and what to do, "" when all is well; ops: what is in use, or NULL. */
void failover_explain(const struct failover *failover, const struct encoder_ops *ops, int64_t now,
	char *text, size_t size);

#endif
