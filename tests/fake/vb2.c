/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The queue and its buffers, as the device sees them; vb2_ioctl.c is the client's side. */
#include "vb2.h"
#include "real.h"
#include "report.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct queue *queue_create(struct device *dev, uint32_t type)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		abort();
	q->dev = dev;
	q->refs = 1;
	q->type = type;
	q->waiting = true;
	q->timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	return q;
}

struct queue *queue_ref(struct queue *q)
{
	q->refs++;
	return q;
}

static atomic_uint n_memfds; /* of ours */

unsigned buffers_alive(void)
{
	return n_memfds;
}

void buffer_destroy(struct buffer *buf)
{
	if (buf->mem)
		real()->munmap(buf->mem, buf->mapped);
	if (buf->memfd >= 0) {
		n_memfds--;
		real()->close(buf->memfd);
	}
	free(buf);
}

struct buffer *buffer_create(unsigned index, size_t length, bool contiguous)
{
	struct buffer *buf = calloc(1, sizeof(*buf));
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!buf)
		abort();
	buf->index = index;
	buf->length = length;
	buf->mapped = (length + page - 1) / page * page;
	buf->memfd = memfd_create(contiguous ? FAKE_CONTIGUOUS : FAKE_SCATTERED, MFD_CLOEXEC);
	n_memfds += buf->memfd >= 0;
	if (buf->memfd >= 0 && ftruncate(buf->memfd, (off_t)buf->mapped) == 0)
		buf->mem = real()->mmap(NULL, buf->mapped, PROT_READ | PROT_WRITE, MAP_SHARED,
			buf->memfd, 0);
	if (buf->mem == MAP_FAILED)
		buf->mem = NULL;
	if (!buf->mem) {
		buffer_destroy(buf);
		return NULL;
	}
	return buf;
}

void queue_free_buffers(struct queue *q)
{
	mapping_orphan(q, "its buffers were freed");
	for (unsigned i = 0; i < q->count; i++)
		buffer_destroy(q->buffers[i]);
	q->count = 0;
	q->n_todo = q->n_done = 0;
}

void queue_unref(struct queue *q)
{
	if (!q || --q->refs > 0)
		return;
	queue_free_buffers(q);
	free(q);
}

struct buffer *queue_next(struct queue *q)
{
	return q->n_todo ? q->buffers[q->todo[0]] : NULL;
}

void queue_pop(unsigned *list, unsigned *n)
{
	memmove(list, list + 1, --*n * sizeof(*list));
}

void queue_done(struct queue *q, struct buffer *buf, bool error)
{
	queue_pop(q->todo, &q->n_todo);
	buf->state = BUFFER_DONE;
	buf->error = error;
	q->done[q->n_done++] = buf->index;
}

void queue_fail_all(struct queue *q)
{
	struct buffer *buf;

	while ((buf = queue_next(q))) {
		buf->bytesused = 0;
		queue_done(q, buf, true);
	}
}

void queue_starve(struct queue *q)
{
	int64_t held = now_ns() - q->touched_ns;

	counters.lost++;
	/* Who is late on a busy machine has buffers to take; who has all of them is at fault. */
	if (q->starving || held < q->dev->starve_ms * NS_PER_MS || !q->count || q->n_done)
		return;
	q->starving = true;
	report_violation("STARVE",
		"no QBUF for %lld ms while frames were lost: all %u buffers are with the client",
		(long long)(held / NS_PER_MS), q->count);
}

void queue_cancel(struct queue *q)
{
	q->n_todo = q->n_done = 0;
	q->streaming = q->started = q->error = q->starving = false;
	q->waiting = true;
	for (unsigned i = 0; i < q->count; i++)
		q->buffers[i]->state = BUFFER_DEQUEUED;
	q->dev->silent = false;
}

void queue_release(struct queue *q, struct handle *h)
{
	if (q->owner != h)
		return;
	queue_cancel(q);
	queue_free_buffers(q);
	q->owner = NULL;
}

short queue_poll(const struct queue *q)
{
	if (!q->streaming || q->error || q->waiting)
		return POLLERR;
	return q->n_done ? POLLIN | POLLRDNORM : 0;
}

off_t buffer_offset(const struct buffer *buf)
{
	return (off_t)buf->index * (off_t)buf->mapped;
}

struct buffer *queue_at(struct queue *q, off_t offset)
{
	for (unsigned i = 0; i < q->count; i++)
		if (buffer_offset(q->buffers[i]) == offset)
			return q->buffers[i];
	return NULL;
}
