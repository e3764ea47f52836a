/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shows a slate for as long as there is no picture: at once, then once a second. One thread only. */
#ifndef SLATE_SHOW_H
#define SLATE_SHOW_H

#include <stdint.h>

#include "base/util.h"
#include "media/frame.h"

#define SLATE_SHOW_NS NS_PER_S

/* Zeroed memory: there is nothing to show. */
struct slate_show {
	struct frame *frame;
	int64_t due_ns;
};

/*
 * Draws it anew: see slate_draw(). device: what has no picture; since when is now. -errno: there is
 * nothing to show.
 */
int slate_show_draw(struct slate_show *show, uint32_t width, uint32_t height, const char *title,
	const char *hint, const char *device);
/* The slate, as of now, if it is due; or NULL. The caller owns it. */
struct frame *slate_show_take(struct slate_show *show, int64_t now);
/* When it is due; INT64_MAX: there is nothing to show. */
int64_t slate_show_due_ns(const struct slate_show *show);
/* A picture is there. */
void slate_show_end(struct slate_show *show);

#endif
