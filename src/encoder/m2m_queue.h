/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes wrong with an encoder's queues, in words: see v4l2/queue.h for the queues. */
#ifndef ENCODER_M2M_QUEUE_H
#define ENCODER_M2M_QUEUE_H

#include "v4l2/queue.h"

/* As v4l2_queue_allocate(). -ENOMEM: not even one buffer; -EIO: it refuses. Has logged any error. */
int m2m_queue_allocate(struct v4l2_queue *queue, enum v4l2_memory memory, unsigned count,
	struct v4l2_map *place);
/* STREAMON. -ENODEV, else -EIO, and the device can only be closed. Has logged why. */
int m2m_queue_start(struct v4l2_queue *queue);

#endif
