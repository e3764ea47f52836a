/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long a source may be silent, and what its silence is called. Decisions only; the clock is the
 * caller's.
 */
#ifndef PIPELINE_PATIENCE_H
#define PIPELINE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct patience {
	int64_t timeout_ns;          /* without a frame */
	int64_t opened_ns, frame_ns; /* when the source was opened; when its last frame came */
	int64_t deadline_ns;         /* when it has to be opened again */
	int64_t damaged_ns;          /* when the last frame came that had to be dropped; 0: none */
};

/* A source was opened. desired_fps: as asked for; 0: as fast as it is. */
void patience_begin(struct patience *patience, int timeout_s, int desired_fps, int64_t now);
/* The source was talked to so long, and could not send anything. */
void patience_add(struct patience *patience, int64_t took_ns);
void patience_note_frame(struct patience *patience, int64_t now);
void patience_note_damage(struct patience *patience, int64_t now);

/*
 * 0: go on; else why the source has to be opened again. all_damaged_ns: since when all its JPEGs
 * could not be decoded, which is known only while somebody has them decoded; 0: that is not so.
 */
int patience_judge(const struct patience *patience, int64_t all_damaged_ns, int64_t now);
/* Whether there has been no picture for so long that people want to know why, … */
bool patience_is_silent(const struct patience *patience, int64_t now);
/* … which is -ETIMEDOUT, or -EBADMSG if what came was damaged. */
int patience_reason(const struct patience *patience, int64_t now);
/* When to look again. */
int64_t patience_wake_ns(const struct patience *patience, int64_t now);

#endif
