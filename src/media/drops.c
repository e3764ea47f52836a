// SPDX-License-Identifier: GPL-3.0-or-later
/* Counts of bad frames: see drops.h. */
#include "media/drops.h"

#include <stdarg.h>

#define LOG_TOPIC "frames"
#include "base/log.h"

static const char *const names[DROP_REASONS] = {
	[DROP_EMPTY] = "empty",
	[DROP_SMALL] = "small",
	[DROP_FLAGGED] = "flagged",
	[DROP_SHORT] = "short",
	[DROP_TRUNCATED] = "truncated",
	[DROP_MALFORMED] = "malformed",
	[DROP_OVERSIZED] = "oversized",
	[DROP_CORRUPT] = "corrupt",
	[DROP_LYING] = "lying",
	[DROP_OVERTAKEN] = "overtaken",
	[DROP_NO_MEMORY] = "no_memory",
	[DROP_ENCODER] = "encoder",
	[DROP_SINK] = "sink",
};

const char *drops_name(enum drop_reason reason)
{
	return names[reason];
}

void drops_add(struct drops *drops, enum drop_reason reason, const char *detail, ...)
{
	uint64_t count = atomic_fetch_add(&drops->count[reason], 1) + 1;
	int64_t now = now_ns(), last = atomic_load(&drops->logged_ns[reason]);
	char text[256];
	va_list args;

	if (last && now - last < NS_PER_S)
		return;
	if (!atomic_compare_exchange_strong(&drops->logged_ns[reason], &last, now))
		return;
	va_start(args, detail);
	vsnprintf(text, sizeof(text), detail, args);
	va_end(args);
	log_warn("frame dropped: %s (%s, %llu so far)", text, names[reason],
		(unsigned long long)count);
}

void drops_count(struct drops *drops, enum drop_reason reason)
{
	atomic_fetch_add(&drops->count[reason], 1);
}

uint64_t drops_get(struct drops *drops, enum drop_reason reason)
{
	return atomic_load(&drops->count[reason]);
}
