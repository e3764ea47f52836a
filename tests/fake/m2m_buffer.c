/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buffers as the client sees them: QUERYBUF, EXPBUF, QBUF. B6 to B14, G31, G32. */
#include "m2m.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The multi-planar API keeps planes beside the struct; B6. */
int m2m_check_planes(const struct m2m_ctx *ctx, const struct m2m_queue *q,
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

void m2m_describe(const struct m2m_ctx *ctx, const struct m2m_queue *q,
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
	if (m2m_check_planes(ctx, q, b) < 0)
		return -EINVAL;
	m2m_describe(ctx, q, q->buffers[b->index], b);
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

/* B8; of imports the client's own length counts, 0 included. */
static int check_payload(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct m2m_buffer *buf, const struct v4l2_plane *from)
{
	for (unsigned i = 0; i < q->n_planes; i++) {
		uint32_t length = q->memory == V4L2_MEMORY_DMABUF ? from[i].length
								  : buf->plane[i].length;

		if (from[i].bytesused > length ||
			(from[i].data_offset && from[i].data_offset >= from[i].bytesused))
			return m2m_refuse(ctx, "B8", EINVAL,
				"QBUF with more bytesused than length, or no data after "
				"data_offset");
	}
	return 0;
}

/* B9 to B11 */
static void take_payload(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	struct m2m_buffer *buf, const struct v4l2_plane *from)
{
	for (unsigned i = 0; i < q->n_planes; i++) {
		struct m2m_plane *plane = &buf->plane[i];

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
	return q->error ? -EIO : m2m_check_planes(ctx, q, b);
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
	if (q->output && (res = check_payload(ctx, q, buf, planes)) < 0)
		return res;
	if (q->memory == V4L2_MEMORY_DMABUF && (res = m2m_import(ctx, q, buf, planes)) < 0)
		return res;
	if (q->output)
		take_payload(ctx, q, buf, planes);
	buf->flags = 0;
	buf->submitted = buf->idr = buf->stop = false;
	if (q->output)
		note_frame(ctx, buf, b);
	buf->state = BUFFER_QUEUED;
	q->todo[q->n_todo++] = buf->index;
	m2m_submit(ctx);
	m2m_describe(ctx, q, buf, b);
	return 0;
}
