/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memsinks and rings that the options ask for: see sink.h for what one does. */
#ifndef SHM_SINKS_H
#define SHM_SINKS_H

#include "pipeline/pipeline.h"
#include "shm/sink.h"

struct sinks;

enum sinks_kind { SINKS_MEMSINK, SINKS_RING, SINKS_KINDS };

/* Borrows both until it is destroyed. -errno when descriptors or threads run out. */
int sinks_create(struct sinks **out, const struct options *opt, struct pipeline *pipeline);
/* Before the pipeline is destroyed. NULL is fine. */
void sinks_destroy(struct sinks *sinks);

/* The rest may be called on any thread. */

/* False: there is no such sink, nothing is filled in. */
bool sinks_get_status(struct sinks *sinks, enum sinks_kind kind, enum medium medium,
	struct sink_status *out);
/* Whether somebody reads any of them. */
bool sinks_have_clients(struct sinks *sinks);

#endif
