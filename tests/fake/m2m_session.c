/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What requests want of the VPU: G2 to G7, G13, G27 to G35. */
#include "m2m.h"

#include <errno.h>

enum { FLUSH_MS = 2000 };

void m2m_vpu_wait_until(struct m2m *m2m, struct device *dev, int64_t when)
{
	struct timespec ts = { .tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S };

	pthread_cond_timedwait(&m2m->work, &dev->lock, &ts);
}

void m2m_vpu_kick(struct device *dev)
{
	pthread_cond_broadcast(&m2m_of(dev)->work);
}

int m2m_vpu_ask(struct m2m_ctx *ctx)
{
	struct device *dev = ctx->h->dev;
	int64_t end = now_ns() + SILENCE_MS * NS_PER_MS;

	if (!ctx->m2m->wedged)
		return 0;
	while (ctx->m2m->wedged && now_ns() < end)
		m2m_vpu_wait_until(ctx->m2m, dev, end);
	return -ETIME;
}

/* Nobody's stream survives the reboot that ends it. */
void m2m_vpu_wedge(struct device *dev, bool on)
{
	struct m2m *m2m = m2m_of(dev);

	m2m->count.wedges += on && !m2m->wedged;
	m2m->wedged = on;
	for (struct handle *h = dev->handles; h; h = h->next)
		ctx_of(h)->hung = ctx_of(h)->poisoned = true;
	m2m_vpu_kick(dev);
}

void m2m_vpu_flush(struct m2m_ctx *ctx)
{
	struct device *dev = ctx->h->dev;
	int64_t end = now_ns() + FLUSH_MS * NS_PER_MS;
	bool inside = ctx->busy || (ctx->hung && ctx->out.n_todo) || ctx->inside;

	while (inside && !ctx->m2m->wedged && now_ns() < end &&
		(ctx->hung || now_ns() < ctx->m2m->stall_until_ns))
		m2m_vpu_wait_until(ctx->m2m, dev, end);
	ctx->session++;
	m2m_vpu_kick(dev);
	while (ctx->busy)
		pthread_cond_wait(&ctx->m2m->work, &dev->lock);
	ctx->unit_size = 0;
	ctx->inside = NULL;
}

int m2m_vpu_check(struct m2m_ctx *ctx, const struct m2m_queue *q)
{
	if (!ctx->variant->firmware || !q->output)
		return 0;
	if (ctx->coded.width != ctx->raw.width || ctx->coded.height != ctx->raw.height)
		return m2m_refuse(ctx, "G5", ESRCH, "CAPTURE has another size than OUTPUT");
	if (ctx->raw.fourcc == V4L2_PIX_FMT_YUYV || ctx->raw.fourcc == V4L2_PIX_FMT_UYVY)
		if (ctx->raw.stride[0] % 64)
			return -ESRCH; /* G6 */
	if (ctx->coded.fourcc != V4L2_PIX_FMT_H264 || !ctx->crop_width || !ctx->crop_height)
		return -ESRCH;
	return m2m_check_level(ctx);
}

/* G13: a key frame is one for the next that comes in, not for those that are in already. */
void m2m_submit(struct m2m_ctx *ctx)
{
	struct m2m_counters *count = &ctx->m2m->count;
	unsigned inside = ctx->out.n_todo + (ctx->inside ? 1 : 0);

	if (!ctx->out.streaming || !ctx->cap.streaming || ctx->drain != DRAIN_NONE)
		return;
	for (unsigned i = 0; i < ctx->out.n_todo; i++) {
		struct m2m_buffer *buf = ctx->out.buffers[ctx->out.todo[i]];

		if (buf->submitted)
			continue;
		buf->submitted = true;
		buf->submitted_ns = now_ns();
		buf->idr = ctx->force_key;
		ctx->force_key = false;
	}
	if (inside > count->max_in_flight)
		count->max_in_flight = inside;
	m2m_vpu_start(ctx->h->dev);
	m2m_vpu_kick(ctx->h->dev);
}

int m2m_vpu_stop(struct m2m_ctx *ctx)
{
	if (!ctx->out.streaming || !ctx->cap.streaming)
		return ctx->variant->drains
			       ? 0
			       : m2m_refuse(ctx, "G30", 0, "STOP while a queue does not stream");
	if (ctx->drain == DRAIN_ASKED && ctx->variant->drains)
		return -EBUSY; /* G38 */
	if (ctx->drain == DRAIN_ASKED) {
		ctx->hung = true;
		return m2m_refuse(ctx, "G30", 0, "STOP again before LAST: it never comes");
	}
	ctx->drain = DRAIN_ASKED;
	m2m_vpu_kick(ctx->h->dev);
	return 0;
}

/* G29: bcm2835 does nothing here. */
int m2m_vpu_resume(struct m2m_ctx *ctx)
{
	if (!ctx->variant->drains)
		return 0;
	if (ctx->drain == DRAIN_ASKED)
		return -EBUSY;
	ctx->drain = DRAIN_NONE;
	ctx->cap.last_dequeued = false;
	m2m_submit(ctx);
	return 0;
}
