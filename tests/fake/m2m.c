/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kind "m2m": handles, requests that are about no queue, and the summary. */
#include "m2m.h"
#include "real.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int m2m_refuse(const struct m2m_ctx *ctx, const char *rule, int error, const char *what)
{
	report_violation(rule, "%s: %s%s%s", handle_path(ctx->h), what, error ? ", " : "",
		error ? strerrorname_np(error) : "");
	return -error;
}

static int querycap(struct handle *h, void *arg)
{
	const struct m2m_variant *variant = ctx_of(h)->variant;
	struct v4l2_capability *cap = arg;

	memset(cap, 0, sizeof(*cap));
	snprintf((char *)cap->driver, sizeof(cap->driver), "%s", variant->driver);
	snprintf((char *)cap->card, sizeof(cap->card), "%s", variant->card);
	snprintf((char *)cap->bus_info, sizeof(cap->bus_info), "platform:%s", variant->driver);
	cap->version = 0x060100;
	cap->device_caps = variant->caps;
	cap->capabilities = variant->caps | V4L2_CAP_DEVICE_CAPS;
	return 0;
}

void m2m_event(struct handle *h, uint32_t type)
{
	struct v4l2_event *event = &h->events[h->n_events];

	if (!(ctx_of(h)->events >> type & 1) || h->n_events == EVENTS_MAX)
		return;
	*event = (struct v4l2_event){ .type = type, .sequence = h->event_sequence++ };
	clock_gettime(CLOCK_MONOTONIC, &event->timestamp);
	h->n_events++;
}

/* G36 */
static int subscribe(struct handle *h, void *arg)
{
	const struct v4l2_event_subscription *sub = arg;

	if (sub->type != V4L2_EVENT_EOS && sub->type != V4L2_EVENT_SOURCE_CHANGE &&
		sub->type != V4L2_EVENT_CTRL)
		return -EINVAL;
	ctx_of(h)->events |= 1u << sub->type;
	return 0;
}

static int unsubscribe(struct handle *h, void *arg)
{
	const struct v4l2_event_subscription *sub = arg;

	if (sub->type == V4L2_EVENT_ALL)
		ctx_of(h)->events = 0;
	else if (sub->type < 32)
		ctx_of(h)->events &= ~(1u << sub->type);
	return 0;
}

static int dequeue_event(struct handle *h, void *arg)
{
	if (!h->n_events)
		return -ENOENT;
	h->n_events--;
	*(struct v4l2_event *)arg = h->events[0];
	((struct v4l2_event *)arg)->pending = h->n_events;
	memmove(h->events, h->events + 1, h->n_events * sizeof(h->events[0]));
	return 0;
}

/* G27, G37 */
static int try_encoder_cmd(struct handle *h, void *arg)
{
	const struct v4l2_encoder_cmd *cmd = arg;

	if (!ctx_of(h)->variant->encoder)
		return -ENOTTY;
	return cmd->cmd == V4L2_ENC_CMD_START || cmd->cmd == V4L2_ENC_CMD_STOP ? 0 : -EINVAL;
}

static int encoder_cmd(struct handle *h, void *arg)
{
	struct m2m_ctx *ctx = ctx_of(h);
	const struct v4l2_encoder_cmd *cmd = arg;
	int res = try_encoder_cmd(h, arg);

	if (res < 0)
		return res;
	return cmd->cmd == V4L2_ENC_CMD_STOP ? m2m_vpu_stop(ctx) : m2m_vpu_resume(ctx);
}

/* What a probing client asks of every node, and what only an encoder answers. */
const struct ioctl_entry m2m_ioctls[] = {
	{ VIDIOC_QUERYCAP, "querycap", querycap },
	{ VIDIOC_ENUM_FMT, "enum_fmt", m2m_enum_fmt },
	{ VIDIOC_ENUM_FRAMESIZES, "enum_framesizes", m2m_enum_framesizes },
	{ VIDIOC_TRY_FMT, "try_fmt", m2m_try_fmt },
	{ VIDIOC_G_FMT, "g_fmt", m2m_g_fmt },
	{ VIDIOC_S_FMT, "s_fmt", m2m_s_fmt },
	{ VIDIOC_G_SELECTION, "g_selection", m2m_g_selection },
	{ VIDIOC_S_SELECTION, "s_selection", m2m_s_selection },
	{ VIDIOC_G_PARM, "g_parm", m2m_g_parm },
	{ VIDIOC_S_PARM, "s_parm", m2m_s_parm },
	{ VIDIOC_REQBUFS, "reqbufs", m2m_reqbufs },
	{ VIDIOC_CREATE_BUFS, "create_bufs", m2m_create_bufs },
	{ VIDIOC_QUERYBUF, "querybuf", m2m_querybuf },
	{ VIDIOC_QBUF, "qbuf", m2m_qbuf },
	{ VIDIOC_DQBUF, "dqbuf", m2m_dqbuf },
	{ VIDIOC_EXPBUF, "expbuf", m2m_expbuf },
	{ VIDIOC_STREAMON, "streamon", m2m_streamon },
	{ VIDIOC_STREAMOFF, "streamoff", m2m_streamoff },
	{ VIDIOC_SUBSCRIBE_EVENT, "subscribe_event", subscribe },
	{ VIDIOC_UNSUBSCRIBE_EVENT, "unsubscribe_event", unsubscribe },
	{ VIDIOC_DQEVENT, "dqevent", dequeue_event },
	{ VIDIOC_ENCODER_CMD, "encoder_cmd", encoder_cmd },
	{ VIDIOC_TRY_ENCODER_CMD, "try_encoder_cmd", try_encoder_cmd },
	{ 0, NULL, NULL },
};

static void opened(struct handle *h)
{
	struct m2m_ctx *ctx = calloc(1, sizeof(*ctx));

	if (!ctx)
		abort();
	ctx->h = h;
	ctx->m2m = m2m_of(h->dev);
	ctx->variant = ctx->m2m->variant;
	ctx->component = !ctx->variant->firmware;
	ctx->headers_due = true;
	ctx->m2m->count.opens++;
	h->instance = ctx;
	m2m_controls_init(ctx);
	m2m_formats_init(ctx);
}

/* G35: a wedged VPU holds up the close for up to ten seconds. */
static void closed(struct handle *h)
{
	struct m2m_ctx *ctx = ctx_of(h);

	m2m_queue_off(ctx, &ctx->out);
	m2m_queue_off(ctx, &ctx->cap);
	if (ctx->component)
		m2m_vpu_ask(ctx);
	m2m_vpu_flush(ctx);
	m2m_queue_free(&ctx->out);
	m2m_queue_free(&ctx->cap);
	m2m_encoder_close(ctx->encoder);
	free(ctx->unit);
	free(h->controls);
	/* Until the handle is out of the device's list it is looked at. */
	memset(ctx, 0, sizeof(*ctx));
	ctx->h = h;
}

static void injected(struct handle *h, const struct ioctl_entry *entry)
{
	struct m2m_ctx *ctx = ctx_of(h);

	if (entry->request == VIDIOC_STREAMON)
		ctx->poisoned = ctx->variant->firmware; /* G7 */
}

/* What closes it would wait for ever, or is doing so now. */
static bool hangs(const struct handle *h)
{
	return m2m_of(h->dev)->wedged || h->refs > 1;
}

static const struct instance_ops instance = {
	.opened = opened,
	.closed = closed,
	.poll = m2m_poll,
	.buffer_at = m2m_buffer_at,
	.control = m2m_control,
	.injected = injected,
	.hangs = hangs,
};

static void init(struct device *dev)
{
	struct m2m *m2m = calloc(1, sizeof(*m2m));
	pthread_condattr_t attr;

	if (!m2m)
		abort();
	m2m->variant = m2m_variant_named("bcm2835");
	m2m->latency_ms = 3;
	m2m->cma_bytes = 64 << 20;
	m2m->seed = 1;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m2m->work, &attr);
	pthread_condattr_destroy(&attr);
	dev->priv = m2m;
}

/* One mutex of a node for bcm2835; one of a handle elsewhere. */
static unsigned mutexes(const struct handle *h, uint32_t call)
{
	if (!strcmp(m2m_of(h->dev)->variant->driver, "bcm2835-codec"))
		return MUTEX_DEVICE;
	return call == CALL_OPEN ? 0 : MUTEX_HANDLE;
}

static void plugged(struct device *dev)
{
	m2m_vpu_kick(dev);
}

static const char *called(const struct device *dev)
{
	return m2m_of(dev)->variant->called;
}

const struct device_ops m2m_ops = {
	.kind = "m2m",
	.path = "/dev/fake-m2m",
	.parent = "/sys/devices/platform/bcm2835-codec",
	.called = called,
	.contiguous = true,
	.ioctls = m2m_ioctls,
	.commands = m2m_commands,
	.init = init,
	.plugged = plugged,
	.mutexes = mutexes,
	.instance = &instance,
};

/* Without locks: at exit a thread may hold them for ever. Numbers may be a moment old. */
void m2m_summary(char *buf, size_t size)
{
	const struct m2m_counters *n;
	const struct m2m_settings *s;
	const struct device *dev = devices;

	buf[0] = '\0';
	while (dev && (dev->ops != &m2m_ops || !m2m_of(dev)->variant->encoder))
		dev = dev->next;
	if (!dev)
		return;
	n = &m2m_of(dev)->count;
	s = &m2m_of(dev)->last;
	snprintf(buf, size,
		" m2m_opens=%u sessions=%u in=%u out=%u idr=%u forced=%u dropped=%u pieces=%u "
		"reimports=%u dmabuf=%u copied=%u max_in_flight=%u torn=%u wedges=%u format=%.4s "
		"width=%u height=%u stride=%u fps=%u/%u bitrate=%u gop=%u profile=%u level=%u "
		"min_qp=%u max_qp=%u repeat=%d",
		n->opens, n->sessions, n->in, n->out, n->idr, n->forced, n->dropped, n->pieces,
		n->reimports, n->dmabuf, n->copied, n->max_in_flight, n->torn, n->wedges,
		s->format ? (const char *)&s->format : "none", s->width, s->height, s->stride,
		s->fps_num, s->fps_den ? s->fps_den : 1, s->bitrate, s->gop, s->profile, s->level,
		s->min_qp, s->max_qp, s->repeat);
}
