/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both queues of an encoder, with the rules of videobuf2 and mem2mem: B1 to B5, G1, G7, G25, G26, G33. */
#include "m2m.h"
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/time.h>

enum { EPIPES_MAX = 100 };

struct m2m_queue *m2m_queue_of(struct m2m_ctx *ctx, uint32_t type)
{
	if (!ctx->variant->encoder)
		m2m_refuse(ctx, "E18", EINVAL, "a queue of a node that is no H.264 encoder");
	else if (type == ctx->out.type)
		return &ctx->out;
	else if (type == ctx->cap.type)
		return &ctx->cap;
	return NULL;
}

void m2m_queue_free(struct m2m_queue *q)
{
	mapping_orphan(q, "its buffers were freed");
	for (unsigned i = 0; i < q->count; i++)
		m2m_buffer_destroy(q->buffers[i]);
	q->count = q->n_todo = q->n_done = 0;
}

/* B3 */
static unsigned allocate(struct m2m_ctx *ctx, struct m2m_queue *q, unsigned want)
{
	unsigned had = q->count;
	size_t each = 0;

	for (unsigned i = 0; q->memory == V4L2_MEMORY_MMAP && i < q->n_planes; i++)
		each += (q->sizes[i] + 4095) & ~4095u;
	while (q->count < had + want && q->count < BUFFERS_MAX) {
		if (m2m_cma_free(ctx->m2m, ctx->h->dev) < each)
			break;
		q->buffers[q->count] = m2m_buffer_create(q, q->count);
		if (!q->buffers[q->count])
			break;
		q->count++;
	}
	return q->count - had;
}

/* B2: the firmware makes the encoder now, and hears of the controls (C5). */
static int make_component(struct m2m_ctx *ctx)
{
	if (ctx->component)
		return 0;
	if (m2m_vpu_ask(ctx) < 0)
		return -EINVAL;
	ctx->component = true;
	if (ctx->variant->firmware)
		m2m_controls_replay(ctx);
	return 0;
}

int m2m_reqbufs(struct handle *h, void *arg)
{
	struct v4l2_requestbuffers *req = arg;
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, req->type);
	unsigned want = req->count;

	if (!q)
		return -EINVAL;
	req->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP | V4L2_BUF_CAP_SUPPORTS_DMABUF |
			    V4L2_BUF_CAP_SUPPORTS_ORPHANED_BUFS;
	if (req->memory != V4L2_MEMORY_MMAP && req->memory != V4L2_MEMORY_DMABUF)
		return -EINVAL; /* B1 */
	if (q->streaming)
		return m2m_refuse(ctx, "VB2", EBUSY, "REQBUFS while streaming");
	m2m_queue_free(q);
	if (!want)
		return 0;
	if (make_component(ctx) < 0)
		return -EINVAL;
	if (q->output && want < ctx->variant->min_outputs)
		want = ctx->variant->min_outputs;
	q->memory = req->memory;
	req->count = allocate(ctx, q, want);
	return req->count ? 0 : -ENOMEM;
}

/* B5 */
int m2m_create_bufs(struct handle *h, void *arg)
{
	struct v4l2_create_buffers *req = arg;
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, req->format.type);
	const struct v4l2_pix_format_mplane *mp = &req->format.fmt.pix_mp;
	uint32_t size;

	if (!q)
		return -EINVAL;
	size = ctx->variant->mplane ? mp->plane_fmt[0].sizeimage : req->format.fmt.pix.sizeimage;
	req->index = q->count;
	if (!req->count)
		return 0;
	if (size < q->sizes[0] || (q->count && q->memory != req->memory))
		return -EINVAL;
	if (req->memory != V4L2_MEMORY_MMAP && req->memory != V4L2_MEMORY_DMABUF)
		return -EINVAL;
	if (q->count + req->count > BUFFERS_MAX)
		return -ENOBUFS;
	if (make_component(ctx) < 0)
		return -EINVAL;
	q->memory = req->memory;
	req->count = allocate(ctx, q, req->count);
	return req->count ? 0 : -ENOMEM;
}

/* G26; a second waiter is refused, and a descriptor that is closed wakes the first. */
static int wait_for_done(struct m2m_ctx *ctx, struct m2m_queue *q)
{
	struct handle *h = ctx->h;
	int flags = fcntl(h->fd, F_GETFL);

	for (;;) {
		if (q->in_dqbuf)
			return m2m_refuse(ctx, "VB2", EBUSY, "two threads in DQBUF of one queue");
		if (!q->streaming)
			return m2m_refuse(ctx, "VB2", EINVAL, "DQBUF while not streaming");
		if (q->error)
			return -EIO;
		if (!q->n_done && q->last_dequeued) {
			if (++ctx->epipes == EPIPES_MAX)
				m2m_refuse(ctx, "G29", EPIPE, "100 times DQBUF after LAST");
			return -EPIPE;
		}
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

int m2m_dqbuf(struct handle *h, void *arg)
{
	struct v4l2_buffer *b = arg;
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, b->type);
	struct m2m_buffer *buf;
	int res;

	if (!q)
		return -EINVAL;
	if ((res = m2m_check_planes(ctx, q, b)) < 0 || (res = wait_for_done(ctx, q)) < 0)
		return res;
	buf = q->buffers[q->done[0]];
	queue_pop(q->done, &q->n_done);
	buf->state = BUFFER_DEQUEUED;
	if (buf->flags & V4L2_BUF_FLAG_LAST && !q->output)
		q->last_dequeued = true;
	m2m_describe(ctx, q, buf, b);
	return 0;
}

void m2m_done(struct m2m_queue *q, struct m2m_buffer *buf, uint32_t flags)
{
	buf->flags |= flags;
	buf->state = BUFFER_DONE;
	q->done[q->n_done++] = buf->index;
}

int m2m_streamon(struct handle *h, void *arg)
{
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, *(uint32_t *)arg);
	int res;

	if (!q)
		return -EINVAL;
	if (q->streaming)
		return 0;
	if (!q->count)
		return m2m_refuse(ctx, "VB2", EINVAL, "STREAMON without buffers (G1)");
	if (ctx->poisoned)
		return m2m_refuse(ctx, "G7", EINVAL, "STREAMON after one that failed: close it");
	if ((res = m2m_vpu_ask(ctx)) == 0)
		res = m2m_vpu_check(ctx, q);
	if (res < 0) {
		ctx->poisoned = ctx->variant->firmware;
		return res;
	}
	q->streaming = true;
	m2m_submit(ctx);
	return 0;
}

void m2m_queue_off(struct m2m_ctx *ctx, struct m2m_queue *q)
{
	if (!q->streaming)
		return;
	m2m_vpu_ask(ctx);
	m2m_vpu_flush(ctx);
	if (!q->output)
		ctx->headers_due = true; /* G34 */
	q->streaming = q->error = q->last_dequeued = false;
	q->n_todo = q->n_done = 0;
	q->sequence = 0;
	for (unsigned i = 0; i < q->count; i++)
		q->buffers[i]->state = BUFFER_DEQUEUED;
	ctx->drain = DRAIN_NONE;
	ctx->hung = false;
	ctx->epipes = 0;
	if (!ctx->out.streaming && !ctx->cap.streaming)
		ctx->force_key = false;
	if (ctx->wedges_off)
		m2m_vpu_wedge(ctx->h->dev, true); /* G21 */
	ctx->wedges_off = false;
}

int m2m_streamoff(struct handle *h, void *arg)
{
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, *(uint32_t *)arg);

	if (!q)
		return -EINVAL;
	m2m_queue_off(ctx, q);
	pthread_cond_broadcast(&h->dev->done);
	return 0;
}

static bool is_idle(const struct m2m_queue *q)
{
	bool empty = true;

	for (unsigned i = 0; i < q->count && empty; i++)
		empty = q->buffers[i]->state == BUFFER_DEQUEUED;
	return !q->streaming || q->error || (empty && !q->last_dequeued);
}

/* G25, as v4l2_m2m_poll() has it: an error only if neither queue will ever have anything. */
short m2m_poll(const struct handle *h)
{
	const struct m2m_ctx *ctx = ctx_of(h);
	short on = 0;

	if (is_idle(&ctx->out) && is_idle(&ctx->cap))
		return POLLERR;
	if (ctx->out.n_done)
		on |= POLLOUT | POLLWRNORM;
	if (ctx->cap.n_done || ctx->cap.last_dequeued)
		on |= POLLIN | POLLRDNORM;
	return on;
}
