/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How often a fan-out asks for key frames: as few times as possible, for they are big: they would
 * fill the very line that needs relief, and everyone else's. Pure; the clock is the caller's.
 */
#ifndef FANOUT_KEY_PACE_H
#define FANOUT_KEY_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Between two requests for a key frame. */
#define KEY_PACE_NEWCOMER_MS  100 /* for who has no picture yet; but no more than … */
#define KEY_PACE_AHEAD        8 /* … ahead of one in 500 ms, should somebody come again and again */
#define KEY_PACE_CONGESTED_MS 500 /* for all who fell behind together, and when one was not heard */

/* Zeroed memory: none was asked for yet. */
struct key_pace {
	int64_t asked_ns; /* when one was asked for last */
	int64_t even_ns;  /* when it would have been, had all come 500 ms apart */
	bool is_asked;    /* and none has come since */
};

void key_pace_note_asked(struct key_pace *pace, int64_t now);
void key_pace_note_came(struct key_pace *pace);
/* When the next may be asked for; for_newcomer: for somebody who has no picture yet. */
int64_t key_pace_due_ns(const struct key_pace *pace, bool for_newcomer);

#endif
