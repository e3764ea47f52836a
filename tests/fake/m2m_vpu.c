/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread that encodes, one frame at a time, for all handles: G2, G12, G16, G19 to G24. */
#include "m2m.h"
#include "report.h"
#include "script.h"

#include <signal.h>
#include <stdlib.h>

enum { BLOCKS_MAX = 8192, WEDGE_AFTER = 10, LOW_BITRATE = 100000, LATE_US = 300, SLACK_MS = 5 };

/* G12, G21, G22: it takes the frame, and that is the last one hears of it. */
static bool chokes(const struct m2m_ctx *ctx, const struct m2m_settings *want)
{
	uint64_t pixels = (uint64_t)want->width * want->height;

	if (!ctx->variant->firmware)
		return false;
	return want->gop == 1 || (want->fps_num < 9 * want->fps_den && pixels >= 1920 * 1080);
}

/* G4 */
static bool wedges(const struct m2m_ctx *ctx, const struct m2m_settings *want)
{
	return ctx->variant->firmware && ctx->frames >= WEDGE_AFTER &&
	       want->profile == V4L2_MPEG_VIDEO_H264_PROFILE_MAIN &&
	       want->width * want->height >= 1920 * 1080 &&
	       m2m_applied(ctx, V4L2_CID_MPEG_VIDEO_BITRATE_MODE, 0) ==
		       V4L2_MPEG_VIDEO_BITRATE_MODE_CBR;
}

/* G21 */
static void note_size(struct m2m_ctx *ctx, const struct m2m_settings *want, size_t bytes, bool idr)
{
	uint64_t budget = (uint64_t)want->bitrate * want->fps_den / want->fps_num;

	if (!ctx->variant->firmware || want->bitrate >= LOW_BITRATE || idr ||
		bytes * 8 < 2 * budget)
		return;
	ctx->hung = ctx->wedges_off = true;
}

static int64_t latency_of(const struct m2m *m2m, const struct m2m_settings *want)
{
	uint64_t blocks = (uint64_t)((want->width + 15) / 16) * ((want->height + 15) / 16);

	if (m2m->pace)
		return (int64_t)(blocks * NS_PER_S / m2m->pace); /* G23 */
	return m2m->latency_ms * NS_PER_MS;
}

/* False: the frame is lost. */
static bool hold(struct m2m_ctx *ctx, unsigned session, int64_t until)
{
	struct m2m *m2m = ctx->m2m;

	for (;;) {
		int64_t when = until > m2m->stall_until_ns ? until : m2m->stall_until_ns;

		if (ctx->session != session || m2m->wedged)
			return false;
		if (now_ns() >= when)
			return true;
		m2m_vpu_wait_until(m2m, ctx->h->dev, when);
	}
}

static bool renew(struct m2m_ctx *ctx, const struct m2m_settings *want, bool idr)
{
	if (ctx->encoder && !ctx->headers_due && (m2m_encoder_tune(ctx->encoder, want) || !idr))
		return true;
	m2m_encoder_close(ctx->encoder);
	ctx->encoder = NULL;
	ctx->settings = *want;
	return m2m_encoder_open(&ctx->encoder, want) == 0;
}

static void describe_picture(const struct m2m_ctx *ctx, const struct m2m_buffer *buf,
	struct m2m_picture *pic)
{
	uint8_t *memory[PLANES_MAX];
	uint32_t blocks = (ctx->settings.width + 15) / 16;

	for (unsigned i = 0; i < PLANES_MAX; i++)
		memory[i] = m2m_memory(buf, i);
	m2m_picture_init(pic, &ctx->raw, memory);
	pic->width = ctx->settings.width;
	pic->height = ctx->settings.height;
	pic->good_rows = BLOCKS_MAX / blocks * 16;       /* G24 */
	if (buf->plane[0].bytesused < ctx->out.sizes[0]) /* B10 */
		pic->good_rows = 0;
}

/* B13: what was queued is what has to be there, before and after it was read. */
static void check_torn(struct m2m_ctx *ctx, const struct m2m_buffer *buf)
{
	if (m2m_hash(&ctx->out, buf) == buf->hash)
		return;
	if (!ctx->m2m->count.torn++)
		m2m_refuse(ctx, "B13", 0, "a picture was written to before it was dequeued");
}

static void read_picture(struct m2m_ctx *ctx, const struct m2m_buffer *buf)
{
	struct m2m_picture pic;

	describe_picture(ctx, buf, &pic);
	check_torn(ctx, buf);
	m2m_encoder_load(ctx->encoder, &pic);
	check_torn(ctx, buf);
}

/* G20: the picture may come back long before what was made of it. */
static void maybe_return(struct m2m_ctx *ctx, unsigned session)
{
	struct device *dev = ctx->h->dev;

	pthread_mutex_lock(&dev->lock);
	if (ctx->session == session && rand_r(&ctx->m2m->seed) % 2) {
		m2m_return_picture(ctx);
		device_update(dev);
		pthread_cond_broadcast(&dev->done);
	}
	pthread_mutex_unlock(&dev->lock);
}

/* Lets go of the lock. */
static size_t encode(struct m2m_ctx *ctx, bool idr, unsigned session, const uint8_t **data)
{
	pthread_mutex_t *lock = &ctx->h->dev->lock;
	int64_t begin = now_ns();
	size_t size;

	pthread_mutex_unlock(lock);
	read_picture(ctx, ctx->inside);
	maybe_return(ctx, session);
	size = m2m_encoder_encode(ctx->encoder, idr, data);
	pthread_mutex_lock(lock);
	ctx->m2m->usual_ns += (now_ns() - begin - ctx->m2m->usual_ns) / 4;
	return size;
}

/* G20: or a little later. */
static void push_unit(struct m2m_ctx *ctx)
{
	struct device *dev = ctx->h->dev;

	m2m_unit_push(ctx);
	if (ctx->unit_size || !ctx->inside)
		return;
	device_update(dev);
	pthread_cond_broadcast(&dev->done);
	ctx->busy = true;
	hold(ctx, ctx->session, now_ns() + LATE_US * 1000LL);
	ctx->busy = false;
	m2m_return_picture(ctx);
}

static void emit(struct m2m_ctx *ctx, const struct m2m_settings *want, bool idr,
	const uint8_t *data, size_t size)
{
	m2m_unit_begin(ctx, idr);
	m2m_unit_append(ctx, data, size);
	m2m_unit_spoil(ctx);
	note_size(ctx, want, size, idr);
	if (ctx->hung)
		return;
	ctx->since_idr = idr ? 1 : ctx->since_idr + 1;
	ctx->frames++;
	ctx->m2m->count.idr += idr;
	push_unit(ctx);
}

/* When hardware would have started, however late this thread woke up. */
static int64_t begin_of(const struct m2m *m2m, const struct m2m_buffer *buf)
{
	int64_t begin = now_ns() - SLACK_MS * NS_PER_MS;

	if (begin < m2m->free_ns)
		begin = m2m->free_ns;
	return begin < buf->submitted_ns ? buf->submitted_ns : begin;
}

static void run_picture(struct m2m_ctx *ctx, struct m2m_buffer *buf, unsigned session)
{
	struct m2m *m2m = ctx->m2m;
	struct m2m_settings want;
	int64_t begin = begin_of(m2m, buf), latency;
	const uint8_t *data;
	bool idr;
	size_t size;

	m2m_settings_get(ctx, &want);
	m2m->last = want;
	ctx->unit_time = buf->timestamp;
	m2m->count.sessions += ctx->headers_due;
	if (wedges(ctx, &want))
		m2m_vpu_wedge(ctx->h->dev, true);
	ctx->hung |= chokes(ctx, &want);
	latency = latency_of(m2m, &want);
	/* The picture is read as late as that allows. */
	if (ctx->hung || !hold(ctx, session, begin + latency - m2m->usual_ns))
		return;
	idr = ctx->headers_due || buf->idr || (want.gop && ctx->since_idr >= want.gop);
	if (!renew(ctx, &want, idr) || !(size = encode(ctx, idr, session, &data))) {
		m2m_refuse(ctx, "FAKE", 0, "x264 failed");
		ctx->hung = true;
		return;
	}
	m2m->free_ns = begin + latency > now_ns() ? begin + latency : now_ns();
	if (hold(ctx, session, begin + latency))
		emit(ctx, &want, idr, data, size);
}

/* B12, B15: the firmware never sees it. */
static bool is_refused(struct m2m_ctx *ctx, struct m2m_buffer *buf)
{
	struct m2m *m2m = ctx->m2m;

	if (m2m->lose) {
		m2m->lose--;
		ctx->inside = NULL;
		return true;
	}
	if (!buf->fails)
		return false;
	ctx->force_key |= buf->idr;
	buf->flags |= V4L2_BUF_FLAG_ERROR;
	if (buf->fails == 'f')
		m2m_return_picture(ctx);
	ctx->inside = NULL;
	return true;
}

/* G16: true when the picture is not encoded. */
static bool is_dropped(struct m2m_ctx *ctx, struct m2m_buffer *buf)
{
	struct m2m *m2m = ctx->m2m;

	if (!m2m->drop)
		return false;
	m2m->drop--;
	m2m->count.dropped++;
	ctx->force_key |= buf->idr;
	m2m_return_picture(ctx);
	if (m2m->pre2022)
		queue_pop(ctx->cap.todo, &ctx->cap.n_todo);
	return true;
}

static void take_picture(struct m2m_ctx *ctx)
{
	struct m2m_buffer *buf = ctx->out.buffers[ctx->out.todo[0]];

	queue_pop(ctx->out.todo, &ctx->out.n_todo);
	ctx->inside = buf;
	ctx->h->dev->life++;
	ctx->m2m->count.in++;
	if (buf->stop && ctx->drain == DRAIN_NONE)
		ctx->drain = DRAIN_ASKED;
	if (is_refused(ctx, buf) || is_dropped(ctx, buf))
		return;
	ctx->busy = true;
	run_picture(ctx, buf, ctx->session);
	ctx->busy = false;
}

/* G2, G19; after STOP nothing is submitted (G31) */
static bool has_picture(const struct m2m_ctx *ctx)
{
	return m2m_more_waits(ctx) && !ctx->inside;
}

static bool is_ready(const struct m2m_ctx *ctx)
{
	if (!ctx->out.streaming || !ctx->cap.streaming || ctx->hung || !ctx->cap.n_todo ||
		handle_gone(ctx->h))
		return false;
	return ctx->unit_size || has_picture(ctx) || (ctx->drain == DRAIN_ASKED && !ctx->inside);
}

static void work(struct m2m_ctx *ctx)
{
	if (ctx->unit_size)
		push_unit(ctx);
	else if (has_picture(ctx))
		take_picture(ctx);
	else
		m2m_send_last(ctx);
}

/* In turn. */
static struct m2m_ctx *next_ready(struct device *dev)
{
	struct m2m *m2m = m2m_of(dev);
	struct m2m_ctx *first = NULL;
	unsigned i = 0;

	for (struct handle *h = dev->handles; h && !m2m->wedged; h = h->next, i++) {
		if (!is_ready(ctx_of(h)))
			continue;
		if (i >= m2m->turn) {
			m2m->turn = i + 1;
			return ctx_of(h);
		}
		first = first ? first : ctx_of(h);
	}
	m2m->turn = 1;
	return first;
}

static void *run(void *arg)
{
	struct device *dev = arg;
	struct m2m *m2m = m2m_of(dev);
	struct m2m_ctx *ctx;
	int64_t seen_us = 0;

	pthread_setname_np(pthread_self(), "fake-vpu");
	pthread_mutex_lock(&dev->lock);
	for (;;) {
		if (script_due(dev, dev->life)) {
			uint32_t frame = dev->life;

			pthread_mutex_unlock(&dev->lock);
			script_frame(dev, frame);
			pthread_mutex_lock(&dev->lock);
		}
		ctx = next_ready(dev);
		if (!ctx) {
			pthread_cond_wait(&m2m->work, &dev->lock);
			continue;
		}
		work(ctx);
		device_update(dev);
		pthread_cond_broadcast(&dev->done);
		report_cpu(&seen_us);
		m2m_vpu_kick(dev);
	}
	return NULL;
}

void m2m_vpu_start(struct device *dev)
{
	struct m2m *m2m = m2m_of(dev);
	sigset_t all, old;
	pthread_t thread;

	if (m2m->thread)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (pthread_create(&thread, NULL, run, dev) == 0) {
		pthread_detach(thread);
		m2m->thread = true;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
