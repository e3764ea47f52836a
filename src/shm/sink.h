/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thread that writes the frames of one outlet to a memsink: all of them while a reader is there,
 * and else one a second, because some readers say that they are there only when they take a frame.
 * It never keeps a frame for longer than writing it takes, plus 2 ms for readers that hold the lock.
 */
#ifndef SHM_SINK_H
#define SHM_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "drops.h"
#include "mailbox.h"
#include "options.h"

struct sink;

struct sink_config {
	const char *thread; /* its name */
	const struct option_sink *opt;
	unsigned abi;  /* 7 or 10 */
	unsigned gop;  /* told to readers */
	bool is_video; /* frames lean on those before them */
	struct outlet *outlet;
	struct drops *drops;
};

struct sink_status {
	bool has_clients;
	uint64_t written; /* frames */
	uint64_t skipped; /* because a reader held the lock, or an H.264 frame before was skipped */
	uint64_t dropped; /* too large, or there was no memory */
};

/*
 * Copies the config, borrows what it points to. An object that cannot be opened is logged, and
 * tried again every 10 s. -errno when descriptors or threads run out.
 */
int sink_create(struct sink **out, const struct sink_config *config);
/* Removes the object if its options say so. NULL is fine. */
void sink_destroy(struct sink *sink);
/* Any thread. */
void sink_get_status(struct sink *sink, struct sink_status *out);

#endif
