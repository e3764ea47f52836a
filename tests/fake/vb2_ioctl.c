/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The requests that change a queue: what videobuf2 allows, and what it answers otherwise. */
#include "report.h"
#include "vb2.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Refuses like vb2, and notes it: a client of a device it has looked at never needs to err so. */
static int refuse(const struct handle *h, const char *rule, int error, const char *what)
{
	report_violation(rule, "%s: %s (%s)", handle_path(h), what, strerrorname_np(error));
	return -error;
}

static int check_type(const struct handle *h, uint32_t type, const char *what)
{
	if (type == h->queue->type && !h->meta)
		return 0;
	return refuse(h, "U1", EINVAL, what);
}

static bool foreign(const struct handle *h)
{
	return (h->queue->owner && h->queue->owner != h) ||
	       (h->dev->privileged && h->dev->privileged != h);
}

static int start(struct queue *q)
{
	int res = q->dev->ops->start(q->dev);

	if (res < 0)
		return res;
	q->started = true;
	q->sequence = 0;
	q->dev->next_ns = 0; /* the ticks before it are another stream's */
	return 0;
}

static int allocate(struct queue *q, struct v4l2_requestbuffers *req)
{
	unsigned want = req->count < q->min_buffers ? q->min_buffers : req->count;

	if (want > BUFFERS_MAX)
		want = BUFFERS_MAX;
	while (q->count < want) {
		q->buffers[q->count] = buffer_create(q->count, q->dev->pix.sizeimage,
			q->dev->ops->contiguous);
		if (!q->buffers[q->count])
			break;
		q->count++;
	}
	req->count = q->count;
	return q->count ? 0 : -ENOMEM;
}

static int vb2_reqbufs(struct handle *h, void *arg)
{
	struct v4l2_requestbuffers *req = arg;
	struct queue *q = h->queue;
	int res = check_type(h, req->type, "REQBUFS of a type that the node has not");

	if (res < 0)
		return res;
	counters.reqbufs++;
	req->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS;
	if (req->memory != V4L2_MEMORY_MMAP)
		return -EINVAL;
	if (foreign(h))
		return -EBUSY;
	if (q->streaming)
		return refuse(h, "VB2", EBUSY, "REQBUFS while streaming");
	if (q->in_dqbuf && req->count)
		return refuse(h, "VB2", EBUSY, "REQBUFS while a DQBUF waits");
	queue_cancel(q);
	queue_free_buffers(q);
	q->owner = req->count ? h : NULL;
	h->dev->privileged = req->count ? h : NULL;
	return req->count ? allocate(q, req) : 0;
}

static void describe(const struct queue *q, const struct buffer *buf, struct v4l2_buffer *b)
{
	b->index = buf->index;
	b->type = q->type;
	b->memory = V4L2_MEMORY_MMAP;
	b->m.offset = (uint32_t)buffer_offset(buf);
	b->length = (uint32_t)buf->length;
	b->bytesused = buf->bytesused;
	b->field = V4L2_FIELD_NONE;
	b->sequence = buf->sequence;
	b->timestamp.tv_sec = buf->timestamp_ns / NS_PER_S;
	b->timestamp.tv_usec = buf->timestamp_ns % NS_PER_S / 1000;
	memset(&b->timecode, 0, sizeof(b->timecode));
	b->reserved2 = 0;
	b->flags = q->timestamp_flags;
	if (buf->state == BUFFER_QUEUED)
		b->flags |= V4L2_BUF_FLAG_QUEUED;
	if (buf->state == BUFFER_DONE)
		b->flags |= V4L2_BUF_FLAG_DONE;
	if (buf->error && buf->state != BUFFER_QUEUED)
		b->flags |= V4L2_BUF_FLAG_ERROR;
	if (mapping_exists(q, buf))
		b->flags |= V4L2_BUF_FLAG_MAPPED;
}

static int vb2_querybuf(struct handle *h, void *arg)
{
	struct v4l2_buffer *b = arg;
	int res = check_type(h, b->type, "QUERYBUF of a type that the node has not");

	if (res < 0)
		return res;
	if (b->index >= h->queue->count)
		return refuse(h, "VB2", EINVAL, "QUERYBUF of an index that REQBUFS did not grant");
	describe(h->queue, h->queue->buffers[b->index], b);
	return 0;
}

static int check_qbuf(struct handle *h, const struct v4l2_buffer *b)
{
	struct queue *q = h->queue;
	int res = check_type(h, b->type, "QBUF of a type that the node has not");

	if (res < 0)
		return res;
	if (foreign(h))
		return -EBUSY;
	if (b->index >= q->count)
		return refuse(h, "VB2", EINVAL, "QBUF of an index that REQBUFS did not grant");
	if (b->memory != V4L2_MEMORY_MMAP)
		return refuse(h, "VB2", EINVAL, "QBUF with another memory than REQBUFS");
	if (q->buffers[b->index]->state != BUFFER_DEQUEUED)
		return refuse(h, "VB2", EINVAL, "QBUF of a buffer that is queued already");
	return q->error ? -EIO : 0;
}

static void count_pages(struct queue *q, const struct buffer *buf)
{
	struct device *dev = q->dev;

	if (!dev->count_pages)
		return;
	dev->pages = mapping_touched(q, buf);
	dev->returned++;
	counters.pages_read += dev->pages;
	report_max(&counters.max_pages, dev->pages);
}

static int vb2_qbuf(struct handle *h, void *arg)
{
	struct v4l2_buffer *b = arg;
	struct queue *q = h->queue;
	struct buffer *buf;
	int res = check_qbuf(h, b);

	if (res < 0)
		return res;
	buf = q->buffers[b->index];
	count_pages(q, buf);
	buf->state = BUFFER_QUEUED;
	buf->error = false;
	q->waiting = q->starving = false;
	q->touched_ns = now_ns();
	q->todo[q->n_todo++] = buf->index;
	if (h->dev->faults.poison)
		memset(buf->mem, 0xEE, buf->length);
	if (h->dev->faults.poison)
		buf->drawn = 0;
	if (q->streaming && !q->started && q->n_todo >= q->min_queued && (res = start(q)) < 0)
		return res;
	describe(q, buf, b);
	return 0;
}

/* Blocks on the condition of the device, as the kernel does without holding a mutex. */
static int wait_for_done(struct handle *h)
{
	struct queue *q = h->queue;
	int flags = fcntl(h->fd, F_GETFL);

	for (;;) {
		if (q->in_dqbuf)
			return refuse(h, "VB2", EBUSY, "two threads in DQBUF");
		if (!q->streaming)
			return -EINVAL;
		if (q->error)
			return -EIO;
		if (q->n_done)
			return 0;
		if (handle_gone(h))
			return -ENODEV;
		if (flags & O_NONBLOCK)
			return -EAGAIN;
		q->in_dqbuf = true;
		locks_wait_done(h);
		q->in_dqbuf = false;
	}
}

static int vb2_dqbuf(struct handle *h, void *arg)
{
	struct v4l2_buffer *b = arg;
	struct queue *q = h->queue;
	struct buffer *buf;
	int res = check_type(h, b->type, "DQBUF of a type that the node has not");

	if (res < 0)
		return res;
	if (foreign(h))
		return -EBUSY;
	if (!q->streaming)
		return refuse(h, "VB2", EINVAL, "DQBUF while not streaming");
	if ((res = wait_for_done(h)) < 0)
		return res;
	buf = q->buffers[q->done[0]];
	queue_pop(q->done, &q->n_done);
	q->touched_ns = now_ns();
	buf->state = BUFFER_DEQUEUED;
	describe(q, buf, b);
	if (q->dev->count_pages)
		mapping_forget(q, buf);
	counters.delivered++;
	report_max(&counters.max_held, q->count - q->n_todo - q->n_done);
	return 0;
}

static int vb2_streamon(struct handle *h, void *arg)
{
	struct queue *q = h->queue;
	int res = check_type(h, *(uint32_t *)arg, "STREAMON of a type that the node has not");

	if (res < 0)
		return res;
	if (foreign(h))
		return -EBUSY;
	if (q->streaming)
		return 0;
	if (!q->count)
		return refuse(h, "VB2", EINVAL, "STREAMON without buffers");
	counters.streamons++;
	q->touched_ns = now_ns();
	if (q->n_todo >= q->min_queued && (res = start(q)) < 0)
		return res;
	q->streaming = true;
	return 0;
}

static int vb2_streamoff(struct handle *h, void *arg)
{
	int res = check_type(h, *(uint32_t *)arg, "STREAMOFF of a type that the node has not");

	if (res < 0)
		return res;
	if (foreign(h))
		return -EBUSY;
	queue_cancel(h->queue);
	return 0;
}

static int vb2_expbuf(struct handle *h, void *arg)
{
	struct v4l2_exportbuffer *exp = arg;
	int res = check_type(h, exp->type, "EXPBUF of a type that the node has not");

	if (res < 0)
		return res;
	if (exp->flags & ~(uint32_t)(O_CLOEXEC | O_ACCMODE) || exp->index >= h->queue->count ||
		exp->plane)
		return refuse(h, "VB2", EINVAL, "EXPBUF with wrong flags, index or plane");
	exp->fd = fcntl(h->queue->buffers[exp->index]->memfd,
		exp->flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	return exp->fd < 0 ? -errno : 0;
}

const struct ioctl_entry vb2_ioctls[] = {
	{ VIDIOC_REQBUFS, "reqbufs", vb2_reqbufs },
	{ VIDIOC_QUERYBUF, "querybuf", vb2_querybuf },
	{ VIDIOC_QBUF, "qbuf", vb2_qbuf },
	{ VIDIOC_DQBUF, "dqbuf", vb2_dqbuf },
	{ VIDIOC_STREAMON, "streamon", vb2_streamon },
	{ VIDIOC_STREAMOFF, "streamoff", vb2_streamoff },
	{ VIDIOC_EXPBUF, "expbuf", vb2_expbuf },
	{ 0, NULL, NULL },
};
