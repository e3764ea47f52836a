/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the client did wrong, and counters for the summary. Any thread, any lock may be held. */
#ifndef FAKE_REPORT_H
#define FAKE_REPORT_H

#include "fake.h"

#include <stdatomic.h>

struct counters {
	atomic_ulong opens, closes, streamons, reqbufs;
	atomic_ulong made;       /* ticks of the sensor while streaming */
	atomic_ulong lost;       /* of those, for want of a queued buffer */
	atomic_ulong injected;   /* of those, swallowed or spoilt on command */
	atomic_ulong delivered;  /* handed out by DQBUF */
	atomic_ulong max_held;   /* most buffers in the client's hands while streaming */
	atomic_ulong pages_read; /* touched by the client, with "count-pages" */
	atomic_ulong max_pages;  /* of one buffer */
	atomic_ulong orphans;    /* mappings alive after their device was closed */
	atomic_ulong violations;
	atomic_ulong cpu_us; /* spent by our own threads */
};

extern struct counters counters;

/* Appends "RULE text" to the report. The first of a kind per process is enough for a test, but
 * all are written, up to a cap. */
void report_violation(const char *rule, const char *fmt, ...) PRINTF(2, 3);

/* To stderr, with HDMICAST_FAKE_DEBUG only. */
void report_debug(const char *fmt, ...) PRINTF(1, 2);

/* One line "summary key=value …" into buf. */
void report_summary(char *buf, size_t size);

/* At exit: appends the summary. */
void report_finish(void);

/* Per frame, with HDMICAST_FAKE_LOG only. */
void report_frame(uint32_t stamp, uint32_t sequence, int64_t timestamp_ns, uint32_t bytes);

/* Adds what the calling thread used since *seen_us, which begins with 0. */
void report_cpu(int64_t *seen_us);

void report_max(atomic_ulong *counter, unsigned long value);

#endif
