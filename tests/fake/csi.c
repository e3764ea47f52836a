/* SPDX-License-Identifier: GPL-3.0-or-later */
/* States of the HDMI link and the stream: T1 to T7, T10 to T16, T20. */
#include "csi.h"
#include "control.h"
#include "controls.h"
#include "picture.h"
#include "report.h"
#include "vb2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct control power_present = {
	V4L2_CID_DV_RX_POWER_PRESENT,
	V4L2_CTRL_TYPE_BITMASK,
	V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_VOLATILE,
	"Power Present",
	0,
	1,
	0,
	0,
	1,
	NULL,
	0,
	0,
};

struct csi *csi_of(const struct device *dev)
{
	return dev->priv;
}

bool mode_equal(const struct mode *a, const struct mode *b)
{
	return a->width == b->width && a->height == b->height && a->fps == b->fps &&
	       a->interlaced == b->interlaced;
}

bool mode_in_range(const struct mode *m)
{
	return m->width >= 640 && m->width <= 1920 && m->height >= 350 && m->height <= 1200 &&
	       !m->interlaced && (uint64_t)m->width * m->height * m->fps <= 150000000 && m->fps;
}

static enum link_state state_at(const struct csi *csi, int64_t now)
{
	if (!csi->cable || !csi->source || !csi->edid_blocks || now < csi->link_ns)
		return LINK_NONE;
	if (csi->unlockable || now < csi->lock_ns)
		return LINK_NO_LOCK;
	return mode_in_range(&csi->sent) ? LINK_OK : LINK_OUT_OF_RANGE;
}

/* Any change stops the chip, silently; only the event tells (T6, T7). */
enum link_state csi_look(struct device *dev, int64_t now)
{
	struct csi *csi = csi_of(dev);
	enum link_state state = state_at(csi, now);

	if (state != csi->seen || !mode_equal(&csi->sent, &csi->seen_mode)) {
		csi->running = false;
		csi->seen = state;
		csi->seen_mode = csi->sent;
		csi->event_ns = now + csi->event_ms * NS_PER_MS;
	}
	if (csi->event_ns && now >= csi->event_ns) {
		csi->event_ns = 0;
		for (unsigned i = 0; i < csi->burst; i++)
			device_event(dev, V4L2_EVENT_SOURCE_CHANGE, V4L2_EVENT_SRC_CH_RESOLUTION);
	}
	return state;
}

void csi_fit(const struct device *dev, struct v4l2_pix_format *pix)
{
	const struct csi *csi = csi_of(dev);
	uint32_t fourcc = dev->formats[0], hint = pix->bytesperline, least;

	for (unsigned i = 0; i < dev->n_formats; i++)
		if (dev->formats[i] == pix->pixelformat)
			fourcc = pix->pixelformat;
	memset(pix, 0, sizeof(*pix));
	pix->width = (csi->set.width + 2) / 4 * 4;
	pix->height = csi->set.height;
	pix->pixelformat = fourcc;
	pix->field = V4L2_FIELD_NONE;
	least = (format_bytesperline(fourcc, pix->width) + 31) & ~31u;
	hint = hint > 65536 ? 0 : (hint + 31) & ~31u;
	pix->bytesperline = hint > least ? hint : least;
	pix->sizeimage = pix->bytesperline * pix->height;
	pix->colorspace = format_depth(fourcc) == 24 ? V4L2_COLORSPACE_SRGB
						     : V4L2_COLORSPACE_SMPTE170M;
	pix->priv = V4L2_PIX_FMT_PRIV_MAGIC;
}

void csi_use_mode(struct device *dev, const struct mode *mode)
{
	csi_of(dev)->set = *mode;
	dev->interval_ns = NS_PER_S / (mode->fps ? mode->fps : 30);
	dev->pix.bytesperline = 0;
	csi_fit(dev, &dev->pix);
}

void csi_hotplug(struct device *dev)
{
	struct csi *csi = csi_of(dev);
	int64_t now = now_ns();

	csi->link_ns = now + csi->renegotiate_ms * NS_PER_MS * 6 / 10;
	csi->lock_ns = now + csi->renegotiate_ms * NS_PER_MS;
	csi_look(dev, now);
}

static void *zalloc(size_t size)
{
	void *mem = calloc(1, size);

	if (!mem)
		abort();
	return mem;
}

static void set_queue_rules(struct device *dev)
{
	dev->queue->min_buffers = 3;
	dev->queue->min_queued = 1;
}

static void csi_init(struct device *dev)
{
	struct csi *csi = zalloc(sizeof(*csi));

	dev->priv = csi;
	snprintf(dev->meta, sizeof(dev->meta), "/dev/fake-csi-meta");
	dev->formats[0] = V4L2_PIX_FMT_UYVY;
	dev->formats[1] = V4L2_PIX_FMT_RGB24;
	dev->n_formats = 2;
	dev->controls = zalloc(sizeof(power_present));
	*dev->controls = power_present;
	dev->n_controls = 1;
	csi->cable = csi->source = true;
	csi->sent = csi->seen_mode = (struct mode){ 1920, 1080, 30, false };
	csi->lanes = 2;
	csi->link_mbit = 594;
	csi->settle_ms = 300;
	csi->renegotiate_ms = 1000;
	csi->burst = 2;
	set_queue_rules(dev);
	csi_use_mode(dev, &(struct mode){ 640, 480, 60, false });
}

static void csi_plugged(struct device *dev)
{
	set_queue_rules(dev);
	csi_fit(dev, &dev->pix);
}

static int check_lanes(struct device *dev)
{
	const struct csi *csi = csi_of(dev);
	uint64_t bits = (uint64_t)csi->set.width * csi->set.height * csi->set.fps *
			format_depth(dev->pix.pixelformat);
	uint64_t lane = csi->link_mbit * 1000000ull, need = (bits + lane - 1) / lane;

	if (need <= csi->lanes)
		return 0;
	report_debug("Device has requested %u data lanes, which is >%u configured in DT",
		(unsigned)need, csi->lanes);
	return -EINVAL;
}

static int csi_start(struct device *dev)
{
	struct csi *csi = csi_of(dev);
	struct picture_key key = { .size = { csi->set.width, csi->set.height },
		.frames = dev->frames,
		.look = dev->look };
	int res = check_lanes(dev);

	if (res < 0)
		return res;
	if (csi_look(dev, now_ns()) == LINK_OK && !mode_equal(&csi->set, &csi->sent) && !csi->mc)
		report_violation("T11",
			"%s: streaming %ux%u@%u without S_DV_TIMINGS while "
			"the source sends %ux%u@%u",
			dev->path, csi->set.width, csi->set.height, csi->set.fps, csi->sent.width,
			csi->sent.height, csi->sent.fps);
	if (!picture_is(dev->picture, &key)) {
		picture_destroy(dev->picture);
		dev->picture = picture_create(&key);
	}
	csi->running = true;
	device_start_clock(dev);
	return dev->thread ? 0 : -ENOMEM;
}

static bool csi_flowing(struct device *dev, int64_t now)
{
	const struct csi *csi = csi_of(dev);
	const struct queue *q = dev->queue;

	return csi_look(dev, now) == LINK_OK && dev->plugged && q->streaming && q->started &&
	       !q->error && csi->running && mode_equal(&csi->set, &csi->sent) && !dev->stalled &&
	       !dev->silent && !csi->meta_busy;
}

static int64_t csi_deadline(struct device *dev)
{
	const struct csi *csi = csi_of(dev);
	const int64_t due[] = { csi->link_ns, csi->lock_ns, csi->event_ns };
	int64_t now = now_ns(), first = INT64_MAX;

	for (unsigned i = 0; i < ARRAY_SIZE(due); i++)
		if (due[i] > now && due[i] < first)
			first = due[i];
	return first;
}

static bool csi_fill(struct device *dev, struct buffer *buf, uint32_t stamp)
{
	buf->bytesused = dev->pix.sizeimage;
	picture_draw(dev->picture, &dev->pix, buf, dev->frozen ? 0 : stamp, dev->cheap);
	if (dev->faults.error) {
		dev->faults.error--;
		buf->error = true;
	}
	return true;
}

/* none | nolock | outofrange | WxH[@FPS][i] */
static int run_signal(struct device *dev, int argc, char **argv, char *reply)
{
	struct csi *csi = csi_of(dev);
	const char *what = argc > 1 ? argv[1] : "";
	struct mode mode = { .fps = 60 };
	int fields = sscanf(what, "%ux%u@%u", &mode.width, &mode.height, &mode.fps);

	(void)reply;
	if (!strcmp(what, "outofrange"))
		mode = (struct mode){ 3840, 2160, 30, false };
	else if (fields < 2 && strcmp(what, "none") && strcmp(what, "nolock"))
		return -EINVAL;
	csi->source = strcmp(what, "none");
	csi->unlockable = !strcmp(what, "nolock");
	if (!csi->source || csi->unlockable)
		return 0;
	mode.interlaced = what[strlen(what) - 1] == 'i';
	csi->sent = mode;
	if (dev->thread)
		csi->lock_ns = now_ns() + csi->settle_ms * NS_PER_MS;
	return 0;
}

static int run_edid(struct device *dev, int argc, char **argv, char *reply)
{
	struct csi *csi = csi_of(dev);
	bool power_cycle = !strcmp(argv[0], "power-cycle");

	(void)reply;
	if (!power_cycle && (argc < 2 || (strcmp(argv[1], "set") && strcmp(argv[1], "clear"))))
		return -EINVAL;
	csi->edid_blocks = power_cycle || !strcmp(argv[1], "clear") ? 0 : 2;
	if (dev->thread || power_cycle)
		csi_hotplug(dev);
	if (power_cycle)
		csi_use_mode(dev, &(struct mode){ 640, 480, 60, false });
	return 0;
}

static int run_cable(struct device *dev, int argc, char **argv, char *reply)
{
	struct csi *csi = csi_of(dev);

	(void)reply;
	if (argc < 2 || (strcmp(argv[1], "in") && strcmp(argv[1], "out")))
		return -EINVAL;
	csi->cable = !strcmp(argv[1], "in");
	dev->controls[0].value = csi->cable;
	if (dev->thread)
		csi_hotplug(dev);
	return 0;
}

struct knob {
	const char *name;
	size_t offset;
};

static const struct knob knobs[] = {
	{ "lanes", offsetof(struct csi, lanes) },
	{ "link-mbit", offsetof(struct csi, link_mbit) },
	{ "settle", offsetof(struct csi, settle_ms) },
	{ "burst", offsetof(struct csi, burst) },
	{ "renegotiate", offsetof(struct csi, renegotiate_ms) },
	{ "event-delay", offsetof(struct csi, event_ms) },
	{ "flicker", offsetof(struct csi, flicker_ms) },
};

static int run_knob(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned value;

	(void)reply;
	if (argc < 2 || !parse_count(argv[1], 100000, &value))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(knobs); i++)
		if (!strcmp(knobs[i].name, argv[0]))
			memcpy((char *)dev->priv + knobs[i].offset, &value, sizeof(value));
	return 0;
}

static int run_flag(struct device *dev, int argc, char **argv, char *reply)
{
	struct csi *csi = csi_of(dev);
	bool on;

	(void)reply;
	if (!parse_switch(argc > 1 ? argv[1] : NULL, &on))
		return -EINVAL;
	*(!strcmp(argv[0], "mc")                   ? &csi->mc
		: !strcmp(argv[0], "fixed-format") ? &csi->fixed
						   : &csi->meta_busy) = on;
	return 0;
}

static const struct command csi_commands[] = {
	{ "signal", "none|nolock|outofrange|WxH[@fps][i]", run_signal },
	{ "edid", "set|clear", run_edid },
	{ "cable", "in|out", run_cable },
	{ "power-cycle", "the bridge forgets EDID and timings", run_edid },
	{ "lanes", "n", run_knob },
	{ "link-mbit", "of a lane", run_knob },
	{ "settle", "ms without lock after a change of mode", run_knob },
	{ "renegotiate", "ms from HPD to lock", run_knob },
	{ "event-delay", "ms", run_knob },
	{ "burst", "events a change", run_knob },
	{ "flicker", "ms of queries that disagree", run_knob },
	{ "meta-busy", "on|off", run_flag },
	{ "mc", "on|off, no bridge requests on the video node", run_flag },
	{ "fixed-format", "on|off, TRY_FMT and S_FMT of what is not there now are EINVAL",
		run_flag },
	{ NULL, NULL, NULL },
};

static const char *called(const struct device *dev)
{
	(void)dev;
	return "unicam-image";
}

const struct device_ops csi_ops = {
	.kind = "csi",
	.parent = "/sys/devices/platform/soc/fe801000.csi",
	.called = called,
	.contiguous = true,
	.path = "/dev/fake-csi",
	.buf_type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.ioctls = csi_ioctls,
	.commands = csi_commands,
	.init = csi_init,
	.start = csi_start,
	.flowing = csi_flowing,
	.deadline = csi_deadline,
	.fill = csi_fill,
	.plugged = csi_plugged,
};
