/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The side of a hardware encoder where the bitstream comes out: its CAPTURE queue, and the access
 * unit that is being put together of what comes from there. One frame gives none, one or several
 * buffers, all with its timestamp; nothing but the next timestamp says for sure that one was the
 * last.
 */
#ifndef ENCODER_M2M_UNIT_H
#define ENCODER_M2M_UNIT_H

#include "encoder/m2m_device.h"
#include "encoder/m2m_queue.h"

struct m2m_unit {
	struct v4l2_queue queue;
	struct v4l2_taken held; /* dequeued, and belongs to the unit after this one */
	bool has_held;
	bool failed; /* a frame was lost without leaving a byte; the owner clears it */

	/* The unit. */
	uint8_t *data;
	size_t size, room;    /* size 0: there is none */
	int64_t timestamp_us; /* 0: of no frame: parameter sets alone */
	int64_t begin_ns;     /* when its first piece came */
	bool has_slice;
	bool is_cut;  /* its last piece filled its buffer: more may come */
	bool is_past; /* a piece of another unit came: no more can */
	bool damaged; /* by the driver's word, or ours: no memory for it */
};

/* Allocates `count` buffers, or fewer, and queues them all. */
int m2m_unit_open(struct m2m_unit *unit, const struct m2m_device *device, unsigned count);
/* Takes one piece from the driver. -EAGAIN: none is there. */
int m2m_unit_read(struct m2m_unit *unit);
/* Whether it can be given out; *doubtful: its end may be missing all the same. */
bool m2m_unit_is_whole(const struct m2m_unit *unit, int64_t now_ns, bool *doubtful);
/* Done with it: makes room for the next one. */
void m2m_unit_reset(struct m2m_unit *unit);
void m2m_unit_close(struct m2m_unit *unit);

#endif
