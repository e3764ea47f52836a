// SPDX-License-Identifier: GPL-3.0-or-later
/* The slate, again and again: see show.h. */
#include "slate/show.h"

#include <time.h>

#include "slate/slate.h"

int slate_show_draw(struct slate_show *show, uint32_t width, uint32_t height, const char *title,
	const char *hint, const char *device)
{
	char detail[256], when[32];
	time_t now = time(NULL);
	struct tm tm;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S %Z", localtime_r(&now, &tm));
	snprintf(detail, sizeof(detail), "%s, since %s", device, when);
	slate_show_end(show);
	return slate_draw(&show->frame, width, height, title, hint, detail);
}

struct frame *slate_show_take(struct slate_show *show, int64_t now)
{
	if (!show->frame || now < show->due_ns)
		return NULL;
	show->due_ns = now + SLATE_SHOW_NS;
	return slate_repeat(show->frame);
}

int64_t slate_show_due_ns(const struct slate_show *show)
{
	return show->frame ? show->due_ns : INT64_MAX;
}

void slate_show_end(struct slate_show *show)
{
	frame_unref(show->frame);
	*show = (struct slate_show){ 0 };
}
