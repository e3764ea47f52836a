/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hub takes JPEG pictures out of one mailbox and shows each to everyone who watches. The
 * mailbox is attached only while somebody does, so that nothing is encoded for nobody. Network
 * thread only.
 */
#ifndef HTTP_HUB_H
#define HTTP_HUB_H

#include <stdbool.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "base/rate.h"
#include "media/mailbox.h"
#include "settings/options.h"

/* A picture as the network thread handles it. */
struct exposure {
	struct frame *frame; /* borrowed */
	uint64_t number;     /* counts the pictures that were not left out */
	bool same;           /* --drop-same-frames leaves it out: like the one before */
	unsigned dropped;    /* pictures left out just before this one */
	int64_t begin_ns;    /* taken from the mailbox */
	int64_t cmp_ns;      /* compared with the one before */
	int64_t end_ns;      /* ready to be sent */
};

struct watcher {
	TAILQ_ENTRY(watcher) link; /* the hub's */
	/* A new picture. May unwatch this watcher, but no other. */
	void (*show)(struct watcher *watcher, const struct exposure *exposure);
};

struct hub;

int hub_create(struct hub **out, struct event_base *base, struct outlet *jpeg,
	const struct options *opt);
/* Nobody may watch any more. NULL is fine. */
void hub_destroy(struct hub *hub);

void hub_watch(struct hub *hub, struct watcher *watcher);
void hub_unwatch(struct hub *hub, struct watcher *watcher);
/* What was shown last, or NULL when nothing was since somebody began to watch. */
const struct exposure *hub_latest(const struct hub *hub);
/* Pictures shown in the last second. */
unsigned hub_fps(const struct hub *hub);

#endif
