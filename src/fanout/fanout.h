/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fan-out takes the units of one medium (JPEG pictures, H.264 access units) out of one mailbox and
 * delivers each to everyone who watches, by reference, over whatever transport that viewer has. The
 * mailbox is attached only while somebody watches, so that nothing is made for nobody. Network
 * thread only.
 *
 * What a viewer is and gets is in viewer.h, and what it needs is a state of it, and counted.
 */
#ifndef FANOUT_FANOUT_H
#define FANOUT_FANOUT_H

#include <event2/event.h>

#include "fanout/viewer.h"
#include "media/mailbox.h"

struct fanout;

extern const struct fanout_rule fanout_rule_jpeg, fanout_rule_h264;

/* Borrows base, outlet and rule->drop_same. -errno when no eventfd can be had. */
int fanout_create(struct fanout **out, struct event_base *base, struct outlet *outlet,
	const struct fanout_rule *rule);
/* Nobody may watch any more. NULL is fine. */
void fanout_destroy(struct fanout *fanout);

/* Borrows the viewer until fanout_unwatch(). It asks for a key frame. */
void fanout_watch(struct fanout *fanout, struct viewer *viewer, const struct viewer_ops *ops);
/* When its transport is gone, or before its first unit. */
void fanout_unwatch(struct viewer *viewer);
/* The viewer's line may be clear: delivers what waits. May be the end of the viewer. */
void fanout_go_on(struct viewer *viewer);
/* Somebody who is no viewer wants a key frame: when KEY_PACE_CONGESTED_MS have passed. */
void fanout_ask_key(struct fanout *fanout);

unsigned fanout_viewers(const struct fanout *fanout);
/* Units in the last second that were not like the one before. */
unsigned fanout_fps(const struct fanout *fanout);
/* Units that viewers did not get because their lines were too slow, since the start. */
uint64_t fanout_skipped(const struct fanout *fanout);
/* As in "avc1.42C01F": of the last key frame that somebody watched; "" before the first. */
const char *fanout_codec(const struct fanout *fanout);

/* What was seen of the viewers' lines since the last look. */
void fanout_measure(struct fanout *fanout, struct fanout_load *out);

#endif
