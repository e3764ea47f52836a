/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames that were thrown away because something was wrong with them, counted by reason.
 * Frames skipped on purpose (a rate limit, a newer frame) are not drops.
 */
#ifndef MEDIA_DROPS_H
#define MEDIA_DROPS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/util.h"

enum drop_reason {
	DROP_EMPTY,     /* zero bytes */
	DROP_SMALL,     /* below --min-frame-size, or too small to be a picture */
	DROP_FLAGGED,   /* the driver marked the buffer as damaged */
	DROP_SHORT,     /* a raw picture with fewer bytes than its size needs */
	DROP_TRUNCATED, /* a JPEG without an end */
	DROP_MALFORMED, /* a JPEG whose structure is broken */
	DROP_OVERSIZED, /* a JPEG that claims an absurd size */
	DROP_CORRUPT,   /* a JPEG whose data are damaged, found when it was decoded */
	DROP_LYING,     /* a JPEG whose data are not of the size that its header claims */
	DROP_OVERTAKEN, /* the driver gave a later picture before it */
	DROP_NO_MEMORY,
	DROP_ENCODER, /* the encoder refused the picture */
	DROP_SINK,    /* a shared-memory sink had no room for it */
	DROP_REASONS
};

struct drops {
	atomic_uint_least64_t count[DROP_REASONS];
	atomic_int_least64_t logged_ns[DROP_REASONS];
};

/* The reason as it is called in /state. */
const char *drops_name(enum drop_reason reason);

/* Counts one and logs `detail` (printf), at most once a second for each reason. Any thread. */
void drops_add(struct drops *drops, enum drop_reason reason, const char *detail, ...) PRINTF(3, 4);
/* Counts one; the caller logs. */
void drops_count(struct drops *drops, enum drop_reason reason);
uint64_t drops_get(struct drops *drops, enum drop_reason reason);

#endif
