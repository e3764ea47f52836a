/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Limits the H.264 encoder to what its viewers' lines take (--h264-adaptive): looks at them twice a
 * second while somebody watches, and does what adapt.c says. Network thread only.
 */
#ifndef HTTP_THROTTLE_H
#define HTTP_THROTTLE_H

#include <event2/event.h>
#include <jansson.h>

#include "http/video.h"
#include "pipeline/pipeline.h"
#include "settings/options.h"
#include "shm/sinks.h"

struct throttle;

/* Borrows all of it until it is destroyed. */
struct throttle *throttle_create(struct event_base *base, struct pipeline *pipeline,
	struct video *video, const struct options *opt);
/* NULL is fine. */
void throttle_destroy(struct throttle *throttle);
/* Whose readers have no lines; NULL: there are none. */
void throttle_set_sinks(struct throttle *throttle, struct sinks *sinks);
/* Somebody began to watch. */
void throttle_wake(struct throttle *throttle);
/* For /state: a new reference. */
json_t *throttle_describe(const struct throttle *throttle);

#endif
