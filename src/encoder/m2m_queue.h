/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One of the two buffer queues of a V4L2 device, for the single- and the multi-planar API. */
#ifndef ENCODER_M2M_QUEUE_H
#define ENCODER_M2M_QUEUE_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encoder/m2m_device.h"
#include "media/frame.h"

#define M2M_BUFFERS 32 /* of a queue, at most: VB2_MAX_FRAME; imported ones take no memory */

struct m2m_map {
	uint8_t *at; /* NULL: not mapped */
	size_t size;
};

struct m2m_queue {
	int fd; /* borrowed */
	enum v4l2_buf_type type;
	enum v4l2_memory memory;
	unsigned n_planes;                             /* of memory */
	unsigned n_buffers;                            /* 0: none allocated */
	struct m2m_map map[M2M_BUFFERS][FRAME_PLANES]; /* V4L2_MEMORY_MMAP only */
	bool streaming;
};

struct m2m_buffer {
	unsigned index;
	int64_t timestamp_us;
	uint32_t used[FRAME_PLANES]; /* bytes of each memory plane */
	uint32_t offset;             /* taken only: where the first plane's bytes begin */
	uint32_t flags;              /* taken only: V4L2_BUF_FLAG_… */
	int dmabuf;                  /* put only, V4L2_MEMORY_DMABUF, which has one memory plane */
	uint32_t length;             /* the same: bytes of it that are the driver's to read */
};

/*
 * Allocates up to `count` buffers, and maps them. place: NULL, or for each buffer memory of ours,
 * of place[].size bytes, that the buffer's single plane is mapped over, at the same address;
 * place[].at is set to NULL where that happened. -ENOMEM: not even one; has logged any error.
 */
int m2m_queue_allocate(struct m2m_queue *queue, enum v4l2_memory memory, unsigned count,
	struct m2m_map *place);
/* Stops the queue and gives all buffers back. Fine at any time. */
void m2m_queue_free(struct m2m_queue *queue);

/* STREAMON. -ENODEV, else -EIO, and the device can only be closed. Has logged why. */
int m2m_queue_start(struct m2m_queue *queue);
/* QBUF */
int m2m_queue_put(struct m2m_queue *queue, const struct m2m_buffer *buffer);
/* DQBUF. -EAGAIN: none is done. Never another number than a buffer's, or more than it holds. */
int m2m_queue_take(struct m2m_queue *queue, struct m2m_buffer *out);
/* Exports a buffer of one plane. A descriptor, the caller's, or -errno. */
int m2m_queue_export(struct m2m_queue *queue, unsigned index);

#endif
