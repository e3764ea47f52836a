/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A thread that writes the frames of one outlet to an object in shared memory, a memsink or a ring:
 * all of them while a reader is there, and else none, or a memsink's one a second. It never keeps a
 * frame for longer than writing it takes, plus 2 ms for readers that hold a memsink's lock.
 */
#ifndef SHM_SINK_H
#define SHM_SINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/window.h"
#include "media/drops.h"
#include "media/mailbox.h"
#include "shm/sink_backend.h"

struct sink;

struct sink_config {
	const char *thread; /* its name */
	const struct backend_ops *ops;
	struct backend_config backend;
	struct outlet *outlet;
	struct drops *drops;
};

struct sink_status {
	const char *name; /* of the object */
	size_t capacity;  /* bytes that a frame may have; 0: there is no object */
	struct backend_view view;
	uint64_t written; /* frames */
	uint64_t skipped; /* because a reader held the lock, or an H.264 frame before was skipped */
	uint64_t late;    /* thrown away before we came to take them */
	uint64_t dropped; /* too large, or there was no memory */
	struct window_view latency; /* in ns, from capture until the frame could be read */
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
