/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The requests of uvcvideo: U1 to U5, U12, U15. */
#include "picture.h"
#include "report.h"
#include "uvc.h"
#include "vb2.h"

#include <errno.h>
#include <string.h>

static int uvc_querycap(struct handle *h, void *arg)
{
	struct v4l2_capability *cap = arg;
	uint32_t common = V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT;

	memset(cap, 0, sizeof(*cap));
	strcpy((char *)cap->driver, "uvcvideo");
	strcpy((char *)cap->card, "Fake HDMI: USB Video");
	strcpy((char *)cap->bus_info, "usb-fake-1.1");
	cap->version = 0x060100;
	cap->device_caps = common | (h->meta ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
	cap->capabilities = common | V4L2_CAP_META_CAPTURE | V4L2_CAP_VIDEO_CAPTURE |
			    V4L2_CAP_DEVICE_CAPS;
	return 0;
}

static bool is_video(const struct handle *h, uint32_t type)
{
	return !h->meta && type == V4L2_BUF_TYPE_VIDEO_CAPTURE;
}

/* One handle at a time may change the device. */
static int take_privilege(struct handle *h)
{
	if (h->dev->privileged && h->dev->privileged != h)
		return -EBUSY;
	h->dev->privileged = h;
	return 0;
}

static int uvc_try_fmt(struct handle *h, void *arg)
{
	struct v4l2_format *f = arg;

	if (!is_video(h, f->type))
		return -EINVAL;
	uvc_fit(h->dev, &f->fmt.pix);
	return 0;
}

static int uvc_s_fmt(struct handle *h, void *arg)
{
	struct v4l2_format *f = arg;
	int res;

	if (!is_video(h, f->type)) {
		report_violation("U1", "%s: S_FMT of a type that the node has not (EINVAL)",
			handle_path(h));
		return -EINVAL;
	}
	if ((res = take_privilege(h)) < 0)
		return res;
	if (h->queue->count) {
		report_violation("U3", "%s: S_FMT with buffers allocated (EBUSY)", handle_path(h));
		return -EBUSY;
	}
	uvc_fit(h->dev, &f->fmt.pix);
	h->dev->pix = f->fmt.pix;
	uvc_default_rate(h->dev);
	return 0;
}

static int uvc_enum_sizes(struct handle *h, void *arg)
{
	struct v4l2_frmsizeenum *f = arg;
	const struct device *dev = h->dev;
	bool known = false;

	for (unsigned i = 0; i < dev->n_formats; i++)
		known |= dev->formats[i] == f->pixel_format;
	if (h->meta || !known || f->index >= dev->n_sizes)
		return -EINVAL;
	f->type = V4L2_FRMSIZE_TYPE_DISCRETE;
	f->discrete.width = dev->sizes[f->index].width;
	f->discrete.height = dev->sizes[f->index].height;
	return 0;
}

/* The simplest fraction within the driver's tolerance: 333333 of 10000000 is 1/30. */
static struct v4l2_fract simplify(uint32_t ticks)
{
	uint32_t h0 = 0, h1 = 1, k0 = 1, k1 = 0, x = ticks, y = TICKS_PER_S;

	for (unsigned i = 0; i < 8 && y; i++) {
		uint32_t a = x / y, rest = x % y, h = a * h1 + h0, k = a * k1 + k0;

		if (a >= 333 && i)
			break;
		h0 = h1;
		h1 = h;
		k0 = k1;
		k1 = k;
		x = y;
		y = rest;
	}
	return (struct v4l2_fract){ h1, k1 };
}

static int uvc_enum_rates(struct handle *h, void *arg)
{
	struct v4l2_frmivalenum *f = arg;
	const struct device *dev = h->dev;

	if (dev->stuck_rates)
		f->index = 0;
	if (h->meta || f->index >= dev->n_rates)
		return -EINVAL;
	for (unsigned i = 0; i < dev->n_sizes; i++)
		if (dev->sizes[i].width == f->width && dev->sizes[i].height == f->height) {
			f->type = V4L2_FRMIVAL_TYPE_DISCRETE;
			f->discrete = simplify(dev->rates[f->index]);
			return 0;
		}
	return -EINVAL;
}

static int uvc_g_parm(struct handle *h, void *arg)
{
	struct v4l2_streamparm *p = arg;

	if (!is_video(h, p->type))
		return -EINVAL;
	memset(&p->parm, 0, sizeof(p->parm));
	p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
	p->parm.capture.timeperframe = simplify((uint32_t)(h->dev->interval_ns / NS_PER_TICK));
	return 0;
}

static uint32_t nearest_rate(const struct device *dev, struct v4l2_fract want)
{
	uint64_t ticks = UINT32_MAX;
	uint32_t best = dev->rates[0];
	uint64_t least = UINT64_MAX;

	if (want.denominator)
		ticks = (uint64_t)want.numerator * TICKS_PER_S / want.denominator;
	for (unsigned i = 0; i < dev->n_rates; i++) {
		uint64_t rate = dev->rates[i], d = rate > ticks ? rate - ticks : ticks - rate;

		if (d >= least)
			continue;
		least = d;
		best = dev->rates[i];
	}
	return best;
}

static int uvc_s_parm(struct handle *h, void *arg)
{
	struct v4l2_streamparm *p = arg;
	int res;

	if (!is_video(h, p->type))
		return -EINVAL;
	if ((res = take_privilege(h)) < 0)
		return res;
	if (h->queue->streaming) {
		report_violation("U3", "%s: S_PARM while streaming (EBUSY)", handle_path(h));
		return -EBUSY;
	}
	h->dev->interval_ns = (int64_t)nearest_rate(h->dev, p->parm.capture.timeperframe) *
			      NS_PER_TICK;
	return uvc_g_parm(h, arg);
}

static int uvc_subscribe(struct handle *h, void *arg)
{
	const struct v4l2_event_subscription *sub = arg;

	(void)h;
	return sub->type == V4L2_EVENT_CTRL ? 0 : -EINVAL;
}

const struct ioctl_entry uvc_ioctls[] = {
	{ VIDIOC_QUERYCAP, "querycap", uvc_querycap },
	{ VIDIOC_TRY_FMT, "try_fmt", uvc_try_fmt },
	{ VIDIOC_S_FMT, "s_fmt", uvc_s_fmt },
	{ VIDIOC_ENUM_FRAMESIZES, "enum_framesizes", uvc_enum_sizes },
	{ VIDIOC_ENUM_FRAMEINTERVALS, "enum_frameintervals", uvc_enum_rates },
	{ VIDIOC_G_PARM, "g_parm", uvc_g_parm },
	{ VIDIOC_S_PARM, "s_parm", uvc_s_parm },
	{ VIDIOC_SUBSCRIBE_EVENT, "subscribe_event", uvc_subscribe },
	{ 0, NULL, NULL },
};
