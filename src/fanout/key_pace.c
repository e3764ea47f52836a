// SPDX-License-Identifier: GPL-3.0-or-later
/* How often key frames are asked for: see key_pace.h. */
#include "fanout/key_pace.h"

#include "base/util.h"

#define EVEN_NS (KEY_PACE_CONGESTED_MS * NS_PER_MS)

void key_pace_note_asked(struct key_pace *pace, int64_t now)
{
	pace->asked_ns = now;
	pace->even_ns = MAX(pace->even_ns + EVEN_NS, now);
	pace->is_asked = true;
}

void key_pace_note_came(struct key_pace *pace)
{
	pace->is_asked = false;
}

/* Newcomers may be ahead of the others' pace, but who comes again and again may not set one. */
int64_t key_pace_due_ns(const struct key_pace *pace, bool for_newcomer)
{
	if (!for_newcomer || pace->is_asked)
		return pace->asked_ns + EVEN_NS;
	return MAX(pace->asked_ns + KEY_PACE_NEWCOMER_MS * NS_PER_MS,
		pace->even_ns - (KEY_PACE_AHEAD - 1) * EVEN_NS);
}
