/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The buffer queue, with videobuf2's rules: states, errno, flags and poll conditions. Shared by
 * every kind of device. All functions run under the device lock; 0 or -errno.
 */
#ifndef FAKE_VB2_H
#define FAKE_VB2_H

#include "device.h"

#include <sys/types.h>

#define FAKE_CONTIGUOUS "fake-contiguous"
#define FAKE_SCATTERED  "fake-scattered"

enum { BUFFERS_MAX = 32 };

enum buffer_state { BUFFER_DEQUEUED, BUFFER_QUEUED, BUFFER_DONE };

struct buffer {
	enum buffer_state state;
	unsigned index;
	int memfd;
	uint8_t *mem;          /* our own mapping */
	size_t length, mapped; /* as told; in whole pages */
	uint32_t bytesused, sequence;
	int64_t timestamp_ns;
	bool error;
	uint32_t drawn; /* picture.c: the stamp that is in it, plus 1 */
};

struct queue {
	struct device *dev;
	unsigned refs;
	uint32_t type, timestamp_flags;
	unsigned min_buffers; /* REQBUFS raises to it */
	unsigned min_queued;  /* the start waits for so many */
	struct buffer *buffers[BUFFERS_MAX];
	unsigned count;
	unsigned todo[BUFFERS_MAX], n_todo;
	unsigned done[BUFFERS_MAX], n_done;
	bool streaming, started, error, waiting, in_dqbuf, starving;
	int64_t touched_ns; /* last QBUF, DQBUF or STREAMON */
	uint32_t sequence;
	struct handle *owner;
};

struct queue *queue_create(struct device *dev, uint32_t type);
struct queue *queue_ref(struct queue *q);
void queue_unref(struct queue *q);

/* What the device does. */
struct buffer *queue_next(struct queue *q); /* the oldest queued one, stays queued; NULL */
void queue_done(struct queue *q, struct buffer *buf, bool error);
void queue_fail_all(struct queue *q);                  /* returns every queued buffer with ERROR */
void queue_starve(struct queue *q);                    /* a frame found no buffer */
void queue_release(struct queue *q, struct handle *h); /* h is being closed */

/* Between vb2.c and vb2_ioctl.c. */
/* A memfd named FAKE_CONTIGUOUS is what a device without an IOMMU can import. NULL: no memory. */
struct buffer *buffer_create(unsigned index, size_t length, bool contiguous);
void buffer_destroy(struct buffer *buf);
unsigned buffers_alive(void);                  /* each holds one descriptor; any thread */
off_t buffer_offset(const struct buffer *buf); /* what mmap takes */
void queue_free_buffers(struct queue *q);
void queue_cancel(struct queue *q);          /* STREAMOFF */
void queue_pop(unsigned *list, unsigned *n); /* drops the first of todo or done */

/* What poll() sees: POLLIN, POLLERR or 0. */
short queue_poll(const struct queue *q);

/* What mmap() needs: the buffer at this offset. */
struct buffer *queue_at(struct queue *q, off_t offset);

extern const struct ioctl_entry vb2_ioctls[];

/* mapping.c: the client's mappings of buffers; own lock, any thread. */
void *mapping_create(struct handle *h, void *addr, size_t len, int prot, int flags, off_t off);
void mapping_remove(void *addr, size_t len); /* before munmap; cheap if not ours */
bool mapping_exists(const void *queue, const struct buffer *buf);
void mapping_orphan(const void *queue, const char *why); /* its buffers are freed */
/* From now on the pages of the buffer that the client touches are counted, or the kernel for it. */
void mapping_forget(const void *queue, const struct buffer *buf);
unsigned mapping_touched(const void *queue, const struct buffer *buf); /* since then */
size_t mapping_orphan_bytes(const char *node); /* that freed buffers still hold */
void mapping_finish(void);                     /* at exit */

#endif
