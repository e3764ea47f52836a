/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where hdmicast-dump puts frames: their bytes, or a line of JSON for each, to a descriptor. */
#ifndef DUMP_OUTPUT_H
#define DUMP_OUTPUT_H

#include <signal.h>

#include "dump/input.h"
#include "dump/options.h"

struct output;

/*
 * -errno, logged. Without --output, nothing is written. is_stopped: set by a signal, which then ends
 * the write that is under way. Both are borrowed.
 */
int output_open(struct output **out, const struct dump_options *opt,
	const volatile sig_atomic_t *is_stopped);
/* Errors of a file that come late are logged here: -errno. NULL is fine. */
int output_close(struct output *output);

/* -EPIPE: who reads it has gone; -EINTR: it is stopped; else -errno, logged. */
int output_write(struct output *output, const struct dump_frame *frame);

#endif
