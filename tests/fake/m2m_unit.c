/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Access units on their way into CAPTURE buffers: G9 to G11, G14 to G20, G28. */
#include "m2m.h"

#include <stdlib.h>
#include <string.h>

bool m2m_more_waits(const struct m2m_ctx *ctx)
{
	return ctx->out.n_todo && ctx->out.buffers[ctx->out.todo[0]]->submitted;
}

static struct m2m_buffer *next_capture(struct m2m_ctx *ctx)
{
	struct m2m_buffer *buf = ctx->cap.buffers[ctx->cap.todo[0]];

	queue_pop(ctx->cap.todo, &ctx->cap.n_todo);
	buf->plane[0].bytesused = 0;
	buf->plane[0].data_offset = 0;
	buf->timestamp = (struct timeval){ 0 };
	buf->sequence = ctx->variant->counts ? ctx->cap.sequence++ : 0; /* G14 */
	return buf;
}

void m2m_return_picture(struct m2m_ctx *ctx)
{
	struct m2m_buffer *buf = ctx->inside;

	if (!buf)
		return;
	ctx->inside = NULL;
	buf->sequence = ctx->variant->counts ? ctx->out.sequence++ : 0;
	m2m_done(&ctx->out, buf, 0);
}

/* G28 */
void m2m_send_last(struct m2m_ctx *ctx)
{
	struct m2m_buffer *buf = next_capture(ctx);

	ctx->drain = DRAIN_DONE;
	m2m_done(&ctx->cap, buf, V4L2_BUF_FLAG_LAST);
	m2m_event(ctx->h, V4L2_EVENT_EOS);
}

/* The specification lets the last picture itself be LAST. */
static uint32_t last_flag(struct m2m_ctx *ctx)
{
	if (!ctx->variant->drains || ctx->drain != DRAIN_ASKED || m2m_more_waits(ctx))
		return 0;
	ctx->drain = DRAIN_DONE;
	m2m_event(ctx->h, V4L2_EVENT_EOS);
	return V4L2_BUF_FLAG_LAST;
}

/* G17, G19: as many CAPTURE buffers as it takes, as far as there are any. */
void m2m_unit_push(struct m2m_ctx *ctx)
{
	while (ctx->unit_at < ctx->unit_size && ctx->cap.n_todo) {
		struct m2m_buffer *buf = next_capture(ctx);
		size_t left = ctx->unit_size - ctx->unit_at, n = buf->plane[0].length;

		if (n > left)
			n = left;
		memcpy(m2m_memory(buf, 0), ctx->unit + ctx->unit_at, n);
		buf->plane[0].bytesused = (uint32_t)n;
		buf->timestamp = ctx->unit_time;
		ctx->m2m->count.pieces += ctx->unit_at > 0;
		ctx->unit_at += n;
		m2m_done(&ctx->cap, buf,
			ctx->unit_flags | (ctx->unit_at == ctx->unit_size ? last_flag(ctx) : 0));
		ctx->unit_flags &= V4L2_BUF_FLAG_ERROR;
	}
	if (ctx->unit_at < ctx->unit_size)
		return;
	ctx->unit_size = 0;
	ctx->m2m->count.out++;
}

void m2m_unit_append(struct m2m_ctx *ctx, const uint8_t *data, size_t size)
{
	ctx->unit = realloc(ctx->unit, ctx->unit_size + size);
	if (!ctx->unit)
		abort();
	memcpy(ctx->unit + ctx->unit_size, data, size);
	ctx->unit_size += size;
}

/* G10: of their own, without a time. */
static void send_headers(struct m2m_ctx *ctx, const uint8_t *data, size_t size)
{
	struct m2m_buffer *buf = next_capture(ctx);

	memcpy(m2m_memory(buf, 0), data, size);
	buf->plane[0].bytesused = (uint32_t)size;
	m2m_done(&ctx->cap, buf, 0);
}

/* G9 to G11, G15 */
void m2m_unit_begin(struct m2m_ctx *ctx, bool idr)
{
	const uint8_t *headers;
	size_t size = m2m_encoder_headers(ctx->encoder, &headers);

	ctx->unit_size = ctx->unit_at = 0;
	ctx->unit_flags = idr ? V4L2_BUF_FLAG_KEYFRAME : 0;
	if (!idr && ctx->variant->counts)
		ctx->unit_flags = V4L2_BUF_FLAG_PFRAME;
	if (ctx->headers_due && ctx->settings.separate)
		send_headers(ctx, headers, size);
	else if (idr && (ctx->headers_due || ctx->settings.repeat))
		m2m_unit_append(ctx, headers, size);
	ctx->headers_due = false;
}

void m2m_unit_spoil(struct m2m_ctx *ctx)
{
	if (!ctx->m2m->error)
		return;
	ctx->m2m->error--;
	ctx->unit_flags |= V4L2_BUF_FLAG_ERROR;
	for (size_t i = ctx->unit_size / 2; i < ctx->unit_size; i += 7)
		ctx->unit[i] ^= 0x55;
}
