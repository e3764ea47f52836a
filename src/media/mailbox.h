/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A mailbox is the only door between threads; an outlet is where a producer publishes.
 *
 * The one overflow rule, for all media: a full mailbox empties itself and starts again at a frame
 * that decodes by itself. For raw pictures and JPEG, depth 1, that is "the newest wins"; for
 * H.264, depth N, it is "skip to a key frame". A mailbox is born waiting for a key frame.
 * The writer never waits, for anyone.
 *
 * Lock order: a downstream outlet, then an upstream outlet, then a mailbox. No callback of ours
 * runs under a mailbox's lock, and an outlet unreferences what it drops after it has let go of its
 * own.
 */
#ifndef MEDIA_MAILBOX_H
#define MEDIA_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "media/frame.h"
#include "media/latency.h"

struct mailbox;

/* depth: how many frames may wait, 1 or more. -errno when no eventfd can be had. */
int mailbox_create(struct mailbox **out, unsigned depth);
/* Must be attached nowhere. Unrefs what is left. NULL is fine. */
void mailbox_destroy(struct mailbox *mailbox);

/* Takes the reference. Returns true while the mailbox waits for a key frame. Any thread. */
bool mailbox_put(struct mailbox *mailbox, struct frame *frame);
/* Gives a reference, or NULL when empty. Never blocks. Any thread. */
struct frame *mailbox_take(struct mailbox *mailbox);
/* Readable (poll) while the mailbox is not empty, and at times once more; the mailbox's own. */
int mailbox_fd(const struct mailbox *mailbox);
/* Frames that were thrown away unread since creation. Any thread. */
uint64_t mailbox_dropped(struct mailbox *mailbox);

/*
 * What an outlet tells its producer; either may be NULL. Called under the outlet's lock, on the
 * thread that attached, detached or asked: do little, never call back into the same outlet.
 */
struct outlet_events {
	/*
	 * The first reader came, or the last one went. Returns a frame that is not wanted any more, or
	 * NULL: it is unreferenced when the lock is let go.
	 */
	struct frame *(*wanted)(void *arg, bool wanted);
	void (*need_key)(void *arg); /* a reader cannot go on without a key frame */
};

struct outlet;

/* events: NULL for a producer that publishes whether anyone reads or not. */
struct outlet *outlet_create(const struct outlet_events *events, void *arg);
/* Borrows what frames are counted in. Before the first is published. */
void outlet_measure(struct outlet *outlet, struct latency *latency);
/* No mailbox may be attached any more. NULL is fine. */
void outlet_destroy(struct outlet *outlet);

/* The mailbox gets every frame from now on, at once the last `keepable` one if that is current. */
void outlet_attach(struct outlet *outlet, struct mailbox *mailbox);
/* No frame is put after this returned; what already waits stays in the mailbox. */
void outlet_detach(struct outlet *outlet, struct mailbox *mailbox);
/* Borrows the frame, and dates it; each reader gets a reference of its own. Once for each frame. */
void outlet_publish(struct outlet *outlet, struct frame *frame);
/* A reader that skipped frames on its own cannot go on without a key frame. Any thread. */
void outlet_ask_key(struct outlet *outlet);
/* Whether anyone is attached. Any thread; already old when it returns. */
bool outlet_wanted(struct outlet *outlet);

#endif
