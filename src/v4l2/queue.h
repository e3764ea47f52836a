/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One buffer queue of a V4L2 device, for the single- and the multi-planar API: allocated, mapped,
 * started, and buffers given and taken. Not thread-safe: whoever owns the device owns its queues.
 * Nothing is logged here; users know what it means to them.
 */
#ifndef V4L2_QUEUE_H
#define V4L2_QUEUE_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#include "media/frame.h"

#define V4L2_BUFFERS 32 /* of a queue, at most: VB2_MAX_FRAME, in all kernels before 6.9 */

struct v4l2_map {
	uint8_t *at; /* NULL: not mapped */
	size_t size;
};

struct v4l2_queue {
	int fd; /* borrowed */
	enum v4l2_buf_type type;
	enum v4l2_memory memory;
	unsigned n_planes;                               /* of memory */
	unsigned n_buffers;                              /* 0: none allocated */
	struct v4l2_map map[V4L2_BUFFERS][FRAME_PLANES]; /* V4L2_MEMORY_MMAP only */
	bool streaming;
};

/* A buffer as the driver is given it: what it has to know of it. */
struct v4l2_given {
	unsigned index;
	int64_t timestamp_us;        /* OUTPUT, as is the next one; 0 for CAPTURE */
	uint32_t used[FRAME_PLANES]; /* bytes of each memory plane */
	int dmabuf;                  /* V4L2_MEMORY_DMABUF, which has one memory plane */
	uint32_t length;             /* the same: bytes of it that are the driver's to read */
};

/* A buffer as the driver gives it back. */
struct v4l2_taken {
	unsigned index; /* never another number than a buffer's */
	uint32_t flags; /* V4L2_BUF_FLAG_… */
	uint32_t sequence;
	struct timeval timestamp;
	uint32_t offset[FRAME_PLANES]; /* of each memory plane: where its bytes begin */
	uint32_t used[FRAME_PLANES];   /* and where they end, counted from the plane's first byte */
	bool lies;                     /* they would lie outside of its memory */
};

/*
 * Allocates about `count` buffers, and maps them. place: NULL, or for each buffer memory of ours,
 * of place[].size bytes, that the buffer's single plane is mapped over, at the same address;
 * place[].at is set to NULL where that happened. -errno of REQBUFS, -ENOMEM also for not even one;
 * *mapping: it was no error of that one, but of mapping what there is.
 */
int v4l2_queue_allocate(struct v4l2_queue *queue, enum v4l2_memory memory, unsigned count,
	struct v4l2_map *place, bool *mapping);
/* Gives all buffers back, stopped before if it runs. Fine at any time. */
void v4l2_queue_free(struct v4l2_queue *queue);

/* STREAMON, once: a driver that failed to start is asked again by nobody on this descriptor. */
int v4l2_queue_start(struct v4l2_queue *queue);
/* STREAMOFF, also of one that did not start: no buffer is the driver's any more. */
void v4l2_queue_stop(struct v4l2_queue *queue);
/* QBUF */
int v4l2_queue_put(const struct v4l2_queue *queue, const struct v4l2_given *buffer);
/* DQBUF. -EAGAIN: none is done; -EIO: the driver names a buffer that there is not. */
int v4l2_queue_take(const struct v4l2_queue *queue, struct v4l2_taken *out);
/* EXPBUF of a buffer of one plane. flags: O_RDONLY or O_RDWR. A descriptor, the caller's, or -errno. */
int v4l2_queue_export(const struct v4l2_queue *queue, unsigned index, int flags);

#endif
