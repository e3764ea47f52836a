/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Both queues of an encoder, with the rules of videobuf2 and mem2mem: B1 to B15, G1, G7, G25, G26. */
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

/* The multi-planar API keeps planes beside the struct; B6. */
static int check_planes(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct v4l2_buffer *b)
{
	if (!ctx->variant->mplane)
		return 0;
	if (!b->m.planes || b->length < q->n_planes || b->length > VIDEO_MAX_PLANES)
		return m2m_refuse(ctx, "VB2", EINVAL, "too few or no planes in v4l2_buffer");
	return 0;
}

static void describe_plane(const struct m2m_queue *q, const struct m2m_buffer *buf, unsigned i,
	struct v4l2_plane *to)
{
	const struct m2m_plane *plane = &buf->plane[i];

	memset(to, 0, sizeof(*to));
	to->bytesused = plane->bytesused;
	to->length = plane->length;
	to->data_offset = plane->data_offset;
	if (q->memory == V4L2_MEMORY_MMAP)
		to->m.mem_offset = (uint32_t)m2m_offset(q, buf->index, i);
	else
		to->m.fd = plane->fd;
}

static uint32_t flags_of(const struct m2m_queue *q, const struct m2m_buffer *buf)
{
	uint32_t flags = buf->flags | V4L2_BUF_FLAG_TIMESTAMP_COPY;

	if (buf->state == BUFFER_QUEUED)
		flags |= V4L2_BUF_FLAG_QUEUED;
	if (buf->state == BUFFER_DONE)
		flags |= V4L2_BUF_FLAG_DONE;
	if (buf->plane[0].mem && mapping_exists(q, buf->plane[0].mem))
		flags |= V4L2_BUF_FLAG_MAPPED;
	return flags;
}

static void describe(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct m2m_buffer *buf, struct v4l2_buffer *b)
{
	struct v4l2_plane plane;

	b->index = buf->index;
	b->type = q->type;
	b->memory = q->memory;
	b->flags = flags_of(q, buf);
	b->field = V4L2_FIELD_NONE;
	b->timestamp = buf->timestamp;
	b->sequence = buf->sequence;
	memset(&b->timecode, 0, sizeof(b->timecode));
	b->bytesused = 0;
	if (ctx->variant->mplane) {
		b->length = q->n_planes;
		for (unsigned i = 0; i < q->n_planes; i++)
			describe_plane(q, buf, i, &b->m.planes[i]);
		return;
	}
	describe_plane(q, buf, 0, &plane);
	b->bytesused = plane.bytesused;
	b->length = plane.length;
	if (q->memory == V4L2_MEMORY_MMAP)
		b->m.offset = plane.m.mem_offset;
	else
		b->m.fd = plane.m.fd;
}

int m2m_querybuf(struct handle *h, void *arg)
{
	struct v4l2_buffer *b = arg;
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, b->type);

	if (!q)
		return -EINVAL;
	if (b->index >= q->count)
		return m2m_refuse(ctx, "VB2", EINVAL,
			"QUERYBUF of an index that REQBUFS did not grant");
	if (check_planes(ctx, q, b) < 0)
		return -EINVAL;
	describe(ctx, q, q->buffers[b->index], b);
	return 0;
}

int m2m_expbuf(struct handle *h, void *arg)
{
	struct v4l2_exportbuffer *exp = arg;
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, exp->type);

	if (!q)
		return -EINVAL;
	if (q->memory != V4L2_MEMORY_MMAP || exp->index >= q->count || exp->plane >= q->n_planes ||
		exp->flags & ~(uint32_t)(O_CLOEXEC | O_ACCMODE))
		return m2m_refuse(ctx, "B14", EINVAL,
			"EXPBUF with wrong flags, index, plane or memory");
	exp->fd = fcntl(q->buffers[exp->index]->plane[exp->plane].mem->memfd,
		exp->flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	return exp->fd < 0 ? -errno : 0;
}

/* B9 to B11 */
static int take_payload(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	struct m2m_buffer *buf, const struct v4l2_plane *from)
{
	for (unsigned i = 0; i < q->n_planes; i++) {
		struct m2m_plane *plane = &buf->plane[i];

		if (from[i].bytesused > plane->length ||
			(from[i].data_offset && from[i].data_offset >= from[i].bytesused))
			return m2m_refuse(ctx, "B8", EINVAL,
				"QBUF with more bytesused than length, or no data after "
				"data_offset");
		if (!from[i].bytesused)
			m2m_refuse(ctx, "B9", 0,
				"a picture of 0 bytes: the whole buffer is encoded");
		else if (from[i].bytesused < q->sizes[i])
			m2m_refuse(ctx, "B10", 0, "a picture shorter than its format says");
		if (from[i].data_offset)
			m2m_refuse(ctx, "B11", 0, "data_offset is ignored");
		plane->bytesused = from[i].bytesused ? from[i].bytesused : plane->length;
		plane->data_offset = from[i].data_offset;
	}
	return 0;
}

static int check_qbuf(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct v4l2_buffer *b)
{
	if (b->index >= q->count)
		return m2m_refuse(ctx, "VB2", EINVAL,
			"QBUF of an index that REQBUFS did not grant");
	if (b->memory != q->memory)
		return m2m_refuse(ctx, "VB2", EINVAL, "QBUF with another memory than REQBUFS");
	if (q->buffers[b->index]->state != BUFFER_DEQUEUED)
		return m2m_refuse(ctx, "VB2", EINVAL, "QBUF of a buffer that is queued already");
	return q->error ? -EIO : check_planes(ctx, q, b);
}

static void planes_of(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct v4l2_buffer *b, struct v4l2_plane planes[PLANES_MAX])
{
	memset(planes, 0, PLANES_MAX * sizeof(*planes));
	if (ctx->variant->mplane) {
		memcpy(planes, b->m.planes, q->n_planes * sizeof(*planes));
		return;
	}
	planes[0].bytesused = b->bytesused;
	planes[0].length = b->length;
	planes[0].m.fd = b->m.fd;
}

static void note_frame(struct m2m_ctx *ctx, struct m2m_buffer *buf, const struct v4l2_buffer *b)
{
	struct m2m_counters *count = &ctx->m2m->count;

	if (ctx->out.memory == V4L2_MEMORY_DMABUF)
		count->dmabuf++;
	else
		count->copied++;
	buf->timestamp = b->timestamp;
	buf->stop = b->flags & V4L2_BUF_FLAG_LAST; /* G32 */
	buf->hash = m2m_hash(&ctx->out, buf);
	if (ctx->drain == DRAIN_NONE || ctx->variant->drains)
		return;
	m2m_refuse(ctx, "G31", 0, "QBUF of a picture after STOP: it is not encoded");
}

int m2m_qbuf(struct handle *h, void *arg)
{
	struct v4l2_buffer *b = arg;
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = m2m_queue_of(ctx, b->type);
	struct v4l2_plane planes[PLANES_MAX];
	struct m2m_buffer *buf;
	int res;

	if (!q)
		return -EINVAL;
	if ((res = check_qbuf(ctx, q, b)) < 0)
		return res;
	buf = q->buffers[b->index];
	planes_of(ctx, q, b, planes);
	if (q->memory == V4L2_MEMORY_DMABUF && (res = m2m_import(ctx, q, buf, planes)) < 0)
		return res;
	if (q->output && (res = take_payload(ctx, q, buf, planes)) < 0)
		return res;
	buf->flags = 0;
	buf->submitted = buf->idr = buf->stop = false;
	if (q->output)
		note_frame(ctx, buf, b);
	buf->state = BUFFER_QUEUED;
	q->todo[q->n_todo++] = buf->index;
	m2m_submit(ctx);
	describe(ctx, q, buf, b);
	return 0;
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
		pthread_cond_wait(&h->dev->done, &h->dev->lock);
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
	if ((res = check_planes(ctx, q, b)) < 0 || (res = wait_for_done(ctx, q)) < 0)
		return res;
	buf = q->buffers[q->done[0]];
	queue_pop(q->done, &q->n_done);
	buf->state = BUFFER_DEQUEUED;
	if (buf->flags & V4L2_BUF_FLAG_LAST && !q->output)
		q->last_dequeued = true;
	describe(ctx, q, buf, b);
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
		m2m_vpu_wedge(ctx->h->dev, true);
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
