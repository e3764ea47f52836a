/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What --stats prints: once a second, about the last ten seconds; losses since the beginning. To
 * stdout, or, if frames go there, to stderr.
 */
#ifndef DUMP_STATS_H
#define DUMP_STATS_H

#include "dump/input.h"
#include "dump/options.h"

struct stats;

/* NULL without --stats, which all other functions take. opt: borrowed. */
struct stats *stats_create(const struct dump_options *opt);
/* Prints a last line. */
void stats_destroy(struct stats *stats);

void stats_add(struct stats *stats, const struct dump_frame *frame);
/*
 * Prints when it is time to. Call it ten times a second, or more. -EPIPE: nobody reads it any more.
 */
int stats_tick(struct stats *stats);

#endif
