/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Limits the H.264 encoder to what its viewers' lines take (--h264-adaptive): looks at them twice a
 * second while somebody watches, and does what adaptation.c says. Network thread only.
 */
#ifndef FANOUT_ARBITER_H
#define FANOUT_ARBITER_H

#include <event2/event.h>

#include "fanout/fanout.h"
#include "pipeline/pipeline.h"
#include "settings/options.h"
#include "shm/sinks.h"

struct arbiter;

/* Borrows all of it until it is destroyed. */
struct arbiter *arbiter_create(struct event_base *base, struct pipeline *pipeline,
	struct fanout *h264, const struct options *opt);
/* NULL is fine. */
void arbiter_destroy(struct arbiter *arbiter);
/* Whose readers have no lines; NULL: there are none. */
void arbiter_set_sinks(struct arbiter *arbiter, struct sinks *sinks);
/* Somebody began to watch. */
void arbiter_wake(struct arbiter *arbiter);

struct arbiter_view {
	bool enabled;
	struct encoder_limit limit; /* as it holds */
	const char *reason;         /* a constant, for people; "" without a limit */
};

void arbiter_get_view(const struct arbiter *arbiter, struct arbiter_view *out);

#endif
