/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Requests that every kind answers alike. */
#include "device.h"
#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int enum_fmt(struct handle *h, void *arg)
{
	struct v4l2_fmtdesc *f = arg;
	const struct device *dev = h->dev;
	uint32_t fourcc;

	if (h->meta || f->type != dev->ops->buf_type || f->index >= dev->n_formats)
		return -EINVAL;
	fourcc = dev->formats[f->index];
	f->flags = format_is_jpeg(fourcc) ? V4L2_FMT_FLAG_COMPRESSED : 0;
	f->pixelformat = fourcc;
	snprintf((char *)f->description, sizeof(f->description), "%s", format_description(fourcc));
	return 0;
}

static int get_fmt(struct handle *h, void *arg)
{
	struct v4l2_format *f = arg;

	if (h->meta || f->type != h->dev->ops->buf_type)
		return -EINVAL;
	f->fmt.pix = h->dev->pix;
	return 0;
}

static int enum_input(struct handle *h, void *arg)
{
	struct v4l2_input *in = arg;

	if (h->meta)
		return -ENOTTY;
	if (in->index)
		return -EINVAL;
	memset(in, 0, sizeof(*in));
	snprintf((char *)in->name, sizeof(in->name), "%s", h->dev->ops->kind);
	in->type = V4L2_INPUT_TYPE_CAMERA;
	if (h->dev->ops == &csi_ops)
		in->capabilities = V4L2_IN_CAP_DV_TIMINGS;
	return 0;
}

static int get_input(struct handle *h, void *arg)
{
	if (h->meta)
		return -ENOTTY;
	*(int *)arg = 0;
	return 0;
}

static int set_input(struct handle *h, void *arg)
{
	if (h->meta)
		return -ENOTTY;
	return *(const int *)arg ? -EINVAL : 0;
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

static int unsubscribe(struct handle *h, void *arg)
{
	const struct v4l2_event_subscription *sub = arg;

	if (sub->type == V4L2_EVENT_SOURCE_CHANGE || sub->type == V4L2_EVENT_ALL) {
		h->subscribed = false;
		h->n_events = 0;
	}
	return 0;
}

static int not_there(struct handle *h, void *arg)
{
	(void)h, (void)arg;
	return -ENOTTY;
}

/* What a client may ask of a kind that does not implement it: only for their names. */
const struct ioctl_entry foreign_ioctls[] = {
	{ VIDIOC_S_STD, "s_std", not_there },
	{ VIDIOC_G_PARM, "g_parm", not_there },
	{ VIDIOC_S_PARM, "s_parm", not_there },
	{ VIDIOC_ENUMINPUT, "enuminput", not_there },
	{ VIDIOC_G_INPUT, "g_input", not_there },
	{ VIDIOC_S_INPUT, "s_input", not_there },
	{ VIDIOC_ENUM_FRAMESIZES, "enum_framesizes", not_there },
	{ VIDIOC_ENUM_FRAMEINTERVALS, "enum_frameintervals", not_there },
	{ VIDIOC_QUERY_DV_TIMINGS, "query_dv_timings", not_there },
	{ VIDIOC_S_DV_TIMINGS, "s_dv_timings", not_there },
	{ VIDIOC_G_EDID, "g_edid", not_there },
	{ VIDIOC_S_EDID, "s_edid", not_there },
	{ VIDIOC_S_SELECTION, "s_selection", not_there },
	{ VIDIOC_ENCODER_CMD, "encoder_cmd", not_there },
	{ 0, NULL, NULL },
};

const struct ioctl_entry common_ioctls[] = {
	{ VIDIOC_ENUM_FMT, "enum_fmt", enum_fmt },
	{ VIDIOC_G_FMT, "g_fmt", get_fmt },
	{ VIDIOC_ENUMINPUT, "enuminput", enum_input },
	{ VIDIOC_G_INPUT, "g_input", get_input },
	{ VIDIOC_S_INPUT, "s_input", set_input },
	{ VIDIOC_DQEVENT, "dqevent", dequeue_event },
	{ VIDIOC_UNSUBSCRIBE_EVENT, "unsubscribe_event", unsubscribe },
	{ 0, NULL, NULL },
};
