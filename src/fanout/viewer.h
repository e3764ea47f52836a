/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A viewer of a fan-out, over whatever transport: what it gets at once, what waits for it, and what
 * is thrown away.
 *
 * One overflow rule, as in mailboxes: a unit is delivered when the viewer's line is clear, else it
 * waits; when too much waits, or for too long, all that waits is thrown away and the viewer goes on
 * with a unit that decodes by itself. At depth 1, for JPEG, that is "the newest wins"; for H.264,
 * "skip to a key frame". What was begun is always completed, so that every viewer sees whole units,
 * in order.
 */
#ifndef FANOUT_VIEWER_H
#define FANOUT_VIEWER_H

#include <stdbool.h>
#include <sys/queue.h>

#include "media/frame.h"

struct fanout;
struct viewer;

#define FANOUT_QUEUE 12 /* at most; 100 ms at 120 fps */

/* What may wait for a viewer that is busy with what was delivered to it. */
struct fanout_rule {
	unsigned patient; /* units that always may, as long as these are, … */
	unsigned most;    /* … and more while the oldest has waited less than … */
	int patient_ms; /* … this; then none of them is delivered. 0: however long they waited */
	bool has_keys;  /* most units need those before them */
	bool looks;     /* at lines that are not clear: they do not say so by fanout_go_on() */
	bool keeps_latest; /* for newcomers, and to tell whether the next is like it */
	unsigned mailbox;  /* units that wait for the network thread */
	/* So many in a row that are like the one before are not delivered; NULL: all are. */
	const int *drop_same;
};

/* What one viewer gets: borrowed, times of CLOCK_MONOTONIC. */
struct delivery {
	struct frame *unit;   /* as it came */
	struct frame *packed; /* what viewer_ops.pack() made of it, or the unit */
	bool is_first;        /* of this viewer */
	bool is_same;         /* like the one before: for who wants_same */
	unsigned dropped;     /* that were like the one before, just before this one */
	int64_t begin_ns;     /* taken from the mailbox */
	int64_t cmp_ns;       /* compared with the one before */
};

/* What a transport is to the fan-out. */
struct viewer_ops {
	/*
	 * Makes what is sent of a unit: once, for all viewers with the same function. It has the unit's
	 * key, times and rate. NULL without memory: they go on with the next that decodes by itself.
	 * Without this function it is the unit.
	 */
	struct frame *(*pack)(struct frame_pool *pool, const struct frame *unit);
	/*
	 * Whether what is sent now is not held up by what was sent before: each transport's own rule.
	 * Asked of who is_new, too: say so without asking the kernel. When it becomes true, the
	 * transport has to call fanout_go_on(), unless the rule looks.
	 */
	bool (*is_clear)(struct viewer *viewer);
	/* May end the viewer. */
	void (*send)(struct viewer *viewer, const struct delivery *delivery);
	/* Bytes that its peer has; NULL: nobody knows. */
	uint64_t (*acked)(struct viewer *viewer);
};

/* What has to happen before a viewer is sent something. */
enum viewer_need {
	VIEWER_NEEDS_NOTHING,
	VIEWER_NEEDS_FIRST, /* a unit that decodes by itself, for it has got none yet */
	VIEWER_NEEDS_KEY,   /* the same: it fell behind, and its line is clear again */
	VIEWER_NEEDS_LINE,  /* its line has to become clear */
	VIEWER_NEEDS
};

/* Part of what a transport keeps for a viewer, zeroed; the fan-out fills it. */
struct viewer {
	TAILQ_ENTRY(viewer) link;
	struct fanout *fanout;
	struct viewer_common *common;
	const struct viewer_ops *ops;
	bool is_new;        /* nothing was sent to it yet */
	bool waits_for_key; /* only what decodes by itself can be sent next */
	bool wants_same;    /* set by the transport: a unit like the one before is delivered, too */
	bool wants_latest; /* the same, before it watches: to begin with the newest that there was */
	enum viewer_need need;
	uint64_t sent;              /* units */
	uint64_t skipped;           /* units that it did not get, since its first */
	unsigned n_offered, n_held; /* units since the last look; not sent at once */
	uint64_t acked;             /* bytes that its peer had then */
	unsigned head, used;
	struct {
		struct delivery delivery; /* holds references */
		int64_t since_ns;
	} queue[FANOUT_QUEUE]; /* a ring */
};

/* A transport threw away what it was given, for something newer. */
void viewer_count_skipped(struct viewer *viewer, unsigned n);

/* What was seen of the viewers' lines since the last look. */
struct fanout_load {
	unsigned viewers;     /* that have pictures */
	unsigned congested;   /* of them: half of what came could not be sent at once */
	unsigned line_kbps;   /* what the fastest of those took; 0: not known */
	unsigned stream_kbps; /* what came */
};

/* ---- for fanout.c alone */

/* What all viewers of a fan-out share. */
struct viewer_common {
	struct fanout_rule rule;
	unsigned n_needing[VIEWER_NEEDS];
	uint64_t skipped;
};

void delivery_hold(struct delivery *delivery);
void delivery_let_go(struct delivery *delivery);

void viewer_begin(struct viewer *viewer, struct viewer_common *common,
	const struct viewer_ops *ops);
void viewer_end(struct viewer *viewer);
/* Borrows what is delivered; packed NULL: it cannot be. May be the end of the viewer. */
void viewer_offer(struct viewer *viewer, struct delivery *delivery);
/* It waits until the line is clear, by the one overflow rule. */
void viewer_enqueue(struct viewer *viewer, struct delivery *delivery);
/* If the line is clear, what waits is delivered. May be the end of the viewer. */
void viewer_go_on(struct viewer *viewer);
/* Adds what was seen of its line since the last look. */
void viewer_measure(struct viewer *viewer, int64_t period_ns, struct fanout_load *load);

#endif
