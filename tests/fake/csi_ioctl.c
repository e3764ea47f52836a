/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The requests of unicam and its bridge: T1 to T4, T8, T9, T17, T19. */
#include "csi.h"
#include "picture.h"
#include "report.h"
#include "vb2.h"

#include <errno.h>
#include <string.h>

static int querycap(struct handle *h, void *arg)
{
	struct v4l2_capability *cap = arg;
	uint32_t common = V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT | V4L2_CAP_READWRITE;

	memset(cap, 0, sizeof(*cap));
	strcpy((char *)cap->driver, "unicam");
	strcpy((char *)cap->card, "unicam");
	strcpy((char *)cap->bus_info, "platform:fe801000.csi");
	cap->version = 0x060100;
	cap->device_caps = common | (h->meta ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
	cap->capabilities = common | V4L2_CAP_META_CAPTURE | V4L2_CAP_VIDEO_CAPTURE |
			    V4L2_CAP_DEVICE_CAPS;
	return 0;
}

static bool is_present(const struct v4l2_pix_format *now, const struct v4l2_pix_format *wish)
{
	return wish->pixelformat == now->pixelformat && wish->width == now->width &&
	       wish->height == now->height;
}

static int try_fmt(struct handle *h, void *arg)
{
	struct v4l2_format *f = arg;

	if (h->meta || f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
		return -EINVAL;
	if (csi_of(h->dev)->fixed && !is_present(&h->dev->pix, &f->fmt.pix))
		return -EINVAL;
	csi_fit(h->dev, &f->fmt.pix);
	return 0;
}

static int set_fmt(struct handle *h, void *arg)
{
	struct v4l2_format *f = arg;
	int res = try_fmt(h, f);

	if (res < 0 && csi_of(h->dev)->fixed)
		return res;
	if (res < 0) {
		report_violation("U1", "%s: S_FMT of a type that the node has not (EINVAL)",
			handle_path(h));
		return res;
	}
	if (h->queue->count && h->queue->owner == h)
		report_violation("T9", "%s: S_FMT with buffers allocated (EBUSY)", handle_path(h));
	if (h->queue->count)
		return -EBUSY;
	h->dev->pix = f->fmt.pix;
	return 0;
}

static void describe_mode(const struct mode *mode, struct v4l2_dv_timings *t)
{
	bool hd = mode->height >= 720;
	unsigned total_w = mode->width + (mode->width == 1280 ? 370 : hd ? 280 : 160);
	unsigned total_h = mode->height + (mode->height == 720 ? 30 : 45);

	memset(t, 0, sizeof(*t));
	t->type = V4L2_DV_BT_656_1120;
	t->bt.width = mode->width;
	t->bt.height = mode->height;
	t->bt.interlaced = mode->interlaced;
	t->bt.hsync = total_w - mode->width;
	t->bt.vsync = total_h - mode->height;
	t->bt.pixelclock = (uint64_t)total_w * total_h * mode->fps;
}

static struct mode mode_of(const struct v4l2_dv_timings *t)
{
	uint64_t total = (uint64_t)V4L2_DV_BT_FRAME_WIDTH(&t->bt) * V4L2_DV_BT_FRAME_HEIGHT(&t->bt);

	return (struct mode){
		.width = t->bt.width,
		.height = t->bt.height,
		.interlaced = t->bt.interlaced,
		.fps = total ? (unsigned)((t->bt.pixelclock + total / 2) / total) : 0,
	};
}

static bool without_bridge(const struct handle *h)
{
	return h->meta || csi_of(h->dev)->mc;
}

static int query_timings(struct handle *h, void *arg)
{
	struct csi *csi = csi_of(h->dev);
	int64_t now = now_ns();
	struct mode mode = csi->sent;

	if (without_bridge(h))
		return -ENOTTY;
	memset(arg, 0, sizeof(struct v4l2_dv_timings));
	switch (csi_look(h->dev, now)) {
	case LINK_NONE: return -ENOLINK;
	case LINK_NO_LOCK: return -ENOLCK;
	case LINK_OUT_OF_RANGE: describe_mode(&mode, arg); return -ERANGE;
	case LINK_OK: break;
	}
	if (now < csi->lock_ns + csi->flicker_ms * NS_PER_MS && csi->queries++ % 2 == 0)
		mode.height -= 2;
	describe_mode(&mode, arg);
	return 0;
}

static int get_timings(struct handle *h, void *arg)
{
	if (without_bridge(h))
		return -ENOTTY;
	describe_mode(&csi_of(h->dev)->set, arg);
	return 0;
}

static int set_timings(struct handle *h, void *arg)
{
	const struct v4l2_dv_timings *t = arg;
	struct csi *csi = csi_of(h->dev);
	struct mode mode = mode_of(t);

	if (without_bridge(h))
		return -ENOTTY;
	if (t->type != V4L2_DV_BT_656_1120)
		return -EINVAL;
	if (mode_equal(&mode, &csi->set))
		return 0;
	if (h->queue->count && h->queue->owner == h)
		report_violation("T8", "%s: S_DV_TIMINGS with buffers allocated (EBUSY)",
			handle_path(h));
	if (h->queue->count)
		return -EBUSY;
	if (!mode_in_range(&mode))
		return -ERANGE;
	csi_use_mode(h->dev, &mode);
	return 0;
}

static int timings_cap(struct handle *h, void *arg)
{
	struct v4l2_dv_timings_cap *cap = arg;

	if (without_bridge(h))
		return -ENOTTY;
	memset(cap, 0, sizeof(*cap));
	cap->type = V4L2_DV_BT_656_1120;
	cap->bt.min_width = 640;
	cap->bt.max_width = 1920;
	cap->bt.min_height = 350;
	cap->bt.max_height = 1200;
	cap->bt.min_pixelclock = 13000000;
	cap->bt.max_pixelclock = 165000000;
	cap->bt.capabilities = V4L2_DV_BT_CAP_PROGRESSIVE;
	return 0;
}

static int enum_timings(struct handle *h, void *arg)
{
	static const struct mode modes[] = {
		{ 640, 480, 60, false },
		{ 1280, 720, 60, false },
		{ 1920, 1080, 30, false },
		{ 1920, 1080, 60, false },
	};
	struct v4l2_enum_dv_timings *e = arg;

	if (without_bridge(h))
		return -ENOTTY;
	if (e->pad || e->index >= ARRAY_SIZE(modes))
		return -EINVAL;
	describe_mode(&modes[e->index], &e->timings);
	return 0;
}

static int get_edid(struct handle *h, void *arg)
{
	const struct csi *csi = csi_of(h->dev);
	struct v4l2_edid *e = arg;

	if (without_bridge(h))
		return -ENOTTY;
	if (e->pad)
		return -EINVAL;
	if (!e->start_block && !e->blocks) {
		e->blocks = csi->edid_blocks;
		return 0;
	}
	if (!csi->edid_blocks)
		return -ENODATA;
	if (e->start_block >= csi->edid_blocks || !e->blocks)
		return -EINVAL;
	if (e->blocks > csi->edid_blocks - e->start_block)
		e->blocks = csi->edid_blocks - e->start_block;
	memcpy(e->edid, csi->edid + e->start_block * EDID_BLOCK, (size_t)e->blocks * EDID_BLOCK);
	return 0;
}

static int set_edid(struct handle *h, void *arg)
{
	struct csi *csi = csi_of(h->dev);
	struct v4l2_edid *e = arg;

	if (without_bridge(h))
		return -ENOTTY;
	if (e->pad || e->start_block)
		return -EINVAL;
	if (e->blocks > EDID_BLOCKS_MAX) {
		e->blocks = EDID_BLOCKS_MAX;
		return -E2BIG;
	}
	memcpy(csi->edid, e->edid, (size_t)e->blocks * EDID_BLOCK);
	csi->edid_blocks = e->blocks;
	csi_hotplug(h->dev);
	return 0;
}

static int subscribe(struct handle *h, void *arg)
{
	const struct v4l2_event_subscription *sub = arg;

	if (sub->type == V4L2_EVENT_CTRL)
		return 0;
	if (without_bridge(h) || sub->type != V4L2_EVENT_SOURCE_CHANGE)
		return -EINVAL;
	h->subscribed = true;
	device_start_clock(h->dev);
	return 0;
}

const struct ioctl_entry csi_ioctls[] = {
	{ VIDIOC_QUERYCAP, "querycap", querycap },
	{ VIDIOC_TRY_FMT, "try_fmt", try_fmt },
	{ VIDIOC_S_FMT, "s_fmt", set_fmt },
	{ VIDIOC_QUERY_DV_TIMINGS, "query_dv_timings", query_timings },
	{ VIDIOC_G_DV_TIMINGS, "g_dv_timings", get_timings },
	{ VIDIOC_S_DV_TIMINGS, "s_dv_timings", set_timings },
	{ VIDIOC_DV_TIMINGS_CAP, "dv_timings_cap", timings_cap },
	{ VIDIOC_ENUM_DV_TIMINGS, "enum_dv_timings", enum_timings },
	{ VIDIOC_G_EDID, "g_edid", get_edid },
	{ VIDIOC_S_EDID, "s_edid", set_edid },
	{ VIDIOC_SUBSCRIBE_EVENT, "subscribe_event", subscribe },
	{ 0, NULL, NULL },
};
