/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An HDMI grabber behind uvcvideo: rules U1 to U15. */
#include "control.h"
#include "controls.h"
#include "picture.h"
#include "report.h"
#include "uvc.h"
#include "vb2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JPEG_MAX = 4 << 20 };

static const char *const mains[] = { "Disabled", "50 Hz", "60 Hz" };

static const struct control user_controls[] = {
	{ V4L2_CID_BRIGHTNESS, V4L2_CTRL_TYPE_INTEGER, 0, "Brightness", -64, 64, 1, 0, 0, NULL, 0,
		0 },
	{ V4L2_CID_CONTRAST, V4L2_CTRL_TYPE_INTEGER, 0, "Contrast", 0, 95, 1, 32, 32, NULL, 0, 0 },
	{ V4L2_CID_SATURATION, V4L2_CTRL_TYPE_INTEGER, 0, "Saturation", 0, 100, 5, 55, 55, NULL, 0,
		0 },
	{ V4L2_CID_HUE, V4L2_CTRL_TYPE_INTEGER, 0, "Hue", -2000, 2000, 1, 0, 0, NULL, 0, 0 },
	{ V4L2_CID_AUTO_WHITE_BALANCE, V4L2_CTRL_TYPE_BOOLEAN, 0, "White Balance, Automatic", 0, 1,
		1, 1, 1, NULL, 0, 0 },
	{ V4L2_CID_POWER_LINE_FREQUENCY, V4L2_CTRL_TYPE_MENU, 0, "Power Line Frequency", 0, 2, 1, 1,
		1, mains, 0, 0 },
};

static const struct size default_sizes[] = {
	{ 1920, 1080 },
	{ 1280, 720 },
	{ 1280, 960 },
	{ 1024, 768 },
	{ 800, 600 },
	{ 640, 480 },
	{ 320, 180 },
};

/* 60, 30, 25, 20, 15, 10 and 5 fps in 100 ns */
static const uint32_t default_rates[] = {
	166666,
	333333,
	400000,
	500000,
	666666,
	1000000,
	2000000,
};

void uvc_default_rate(struct device *dev)
{
	dev->interval_ns = (int64_t)dev->rates[dev->n_rates > 1 ? 1 : 0] * NS_PER_TICK;
}

/* By the overlap of the areas, like the driver. */
static struct size nearest_size(const struct device *dev, unsigned width, unsigned height)
{
	struct size best = dev->sizes[0];
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < dev->n_sizes; i++) {
		uint64_t w = dev->sizes[i].width, h = dev->sizes[i].height;
		uint64_t common = (w < width ? w : width) * (h < height ? h : height);
		uint64_t distance = w * h + (uint64_t)width * height - 2 * common;

		if (distance >= least)
			continue;
		least = distance;
		best = dev->sizes[i];
	}
	return best;
}

void uvc_fit(const struct device *dev, struct v4l2_pix_format *pix)
{
	struct size size = nearest_size(dev, pix->width, pix->height);
	uint32_t fourcc = dev->formats[0];

	for (unsigned i = 0; i < dev->n_formats; i++)
		if (dev->formats[i] == pix->pixelformat)
			fourcc = pix->pixelformat;
	memset(pix, 0, sizeof(*pix));
	pix->width = size.width;
	pix->height = size.height;
	pix->pixelformat = fourcc;
	pix->field = V4L2_FIELD_NONE;
	pix->bytesperline = format_bytesperline(fourcc, size.width);
	pix->sizeimage = format_is_jpeg(fourcc)
				 ? size.width * size.height * 2
				 : (uint32_t)format_size(fourcc, pix->bytesperline, size.height);
	pix->colorspace = V4L2_COLORSPACE_SRGB;
	pix->priv = V4L2_PIX_FMT_PRIV_MAGIC;
}

static void uvc_init(struct device *dev)
{
	struct v4l2_pix_format *pix = &dev->pix;

	snprintf(dev->meta, sizeof(dev->meta), "/dev/fake-uvc-meta");
	dev->formats[0] = V4L2_PIX_FMT_MJPEG;
	dev->formats[1] = V4L2_PIX_FMT_YUYV;
	dev->n_formats = 2;
	memcpy(dev->sizes, default_sizes, sizeof(default_sizes));
	dev->n_sizes = ARRAY_SIZE(default_sizes);
	memcpy(dev->rates, default_rates, sizeof(default_rates));
	dev->n_rates = ARRAY_SIZE(default_rates);
	dev->controls = malloc(sizeof(user_controls));
	if (!dev->controls)
		abort();
	memcpy(dev->controls, user_controls, sizeof(user_controls));
	dev->n_controls = ARRAY_SIZE(user_controls);
	dev->queue->timestamp_flags |= V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
	*pix = (struct v4l2_pix_format){ .width = 1920, .height = 1080 };
	uvc_fit(dev, pix);
	uvc_default_rate(dev);
}

/* A new plug is a new device: nothing of S_FMT and S_PARM is left. */
static void uvc_plugged(struct device *dev)
{
	dev->queue->timestamp_flags |= V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
	dev->pix = (struct v4l2_pix_format){ .width = dev->sizes[0].width,
		.height = dev->sizes[0].height };
	uvc_fit(dev, &dev->pix);
	uvc_default_rate(dev);
}

static void prepare_picture(struct device *dev)
{
	struct picture_key key = {
		.size = dev->faults.lie.width ? dev->faults.lie
					      : (struct size){ dev->pix.width, dev->pix.height },
		.frames = dev->frames,
		.quality = dev->quality,
		.look = dev->look,
		.jpeg = format_is_jpeg(dev->pix.pixelformat),
	};

	if (picture_is(dev->picture, &key))
		return;
	picture_destroy(dev->picture);
	dev->picture = picture_create(&key);
}

static int uvc_start(struct device *dev)
{
	prepare_picture(dev);
	device_start_clock(dev);
	return dev->thread ? 0 : -ENOMEM;
}

static bool uvc_flowing(struct device *dev, int64_t now)
{
	const struct queue *q = dev->queue;

	(void)now;
	return dev->plugged && q->streaming && q->started && !q->error && !dev->stalled &&
	       !dev->silent;
}

static int64_t uvc_deadline(struct device *dev)
{
	(void)dev;
	return INT64_MAX;
}

static bool fill_raw(struct device *dev, struct buffer *buf, uint32_t stamp)
{
	struct faults *f = &dev->faults;

	buf->bytesused = dev->pix.sizeimage;
	if (f->truncate) {
		f->truncate--;
		buf->bytesused = buf->bytesused * 6 / 10;
		buf->error = true;
	}
	picture_draw(dev->picture, &dev->pix, buf, dev->frozen ? 0 : stamp, dev->cheap);
	return f->nodrop || !buf->error;
}

static bool uvc_fill(struct device *dev, struct buffer *buf, uint32_t stamp)
{
	struct faults *f = &dev->faults;
	bool visible = true;

	prepare_picture(dev);
	if (format_is_jpeg(dev->pix.pixelformat))
		spoil_jpeg(dev, buf, dev->frozen ? 0 : stamp);
	else
		visible = fill_raw(dev, buf, stamp);
	if (f->zero) {
		f->zero--;
		buf->bytesused = 0;
	}
	if (f->error) {
		f->error--;
		buf->error = true;
		buf->bytesused /= 2;
		counters.injected++;
	}
	return visible;
}

static int run_sizes(struct device *dev, int argc, char **argv, char *reply)
{
	struct size size;
	char *save;

	(void)reply;
	dev->n_sizes = 0;
	for (char *word = argc > 1 ? strtok_r(argv[1], "+", &save) : NULL; word;
		word = strtok_r(NULL, "+", &save))
		if (dev->n_sizes < SIZES_MAX && parse_size(word, &size))
			dev->sizes[dev->n_sizes++] = size;
	if (!dev->n_sizes)
		dev->sizes[dev->n_sizes++] = (struct size){ 640, 480 };
	uvc_fit(dev, &dev->pix);
	return 0;
}

/* The size the device starts with; S_FMT may change it. */
static int run_size(struct device *dev, int argc, char **argv, char *reply)
{
	struct size size;

	(void)reply;
	if (argc < 2 || !parse_size(argv[1], &size) || dev->queue->count)
		return -EINVAL;
	dev->pix.width = size.width;
	dev->pix.height = size.height;
	uvc_fit(dev, &dev->pix);
	return 0;
}

static int run_rates(struct device *dev, int argc, char **argv, char *reply)
{
	char *save;

	(void)reply;
	dev->n_rates = 0;
	for (char *word = argc > 1 ? strtok_r(argv[1], "+", &save) : NULL; word;
		word = strtok_r(NULL, "+", &save))
		if (dev->n_rates < RATES_MAX && strtod(word, NULL) > 0)
			dev->rates[dev->n_rates++] = (uint32_t)(TICKS_PER_S / strtod(word, NULL));
	if (!dev->n_rates)
		dev->rates[dev->n_rates++] = TICKS_PER_S / 30;
	uvc_default_rate(dev);
	return 0;
}

/* Read once, so that a test may remove it. */
static int run_jpegs(struct device *dev, int argc, char **argv, char *reply)
{
	FILE *file = argc > 1 && strcmp(argv[1], "off") ? fopen(argv[1], "rb") : NULL;
	uint8_t *jpeg = NULL;

	(void)reply;
	if (argc < 2 || (!file && strcmp(argv[1], "off")))
		return argc < 2 ? -EINVAL : -errno;
	if (file && !(jpeg = malloc(JPEG_MAX)))
		abort();
	free(dev->jpeg);
	dev->jpeg = jpeg;
	dev->jpeg_size = file ? fread(jpeg, 1, JPEG_MAX, file) : 0;
	if (file)
		fclose(file);
	return 0;
}

static int run_intervals(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (argc < 2 || (strcmp(argv[1], "stuck") && strcmp(argv[1], "true")))
		return -EINVAL;
	dev->stuck_rates = argv[1][0] == 's';
	return 0;
}

/* Its mutexes are of the queue, of the format and of the controls; open() takes none of them. */
static unsigned uvc_mutexes(const struct handle *h, uint32_t call)
{
	switch (call) {
	case VIDIOC_REQBUFS:
	case VIDIOC_QUERYBUF:
	case VIDIOC_QBUF:
	case VIDIOC_DQBUF:
	case VIDIOC_EXPBUF:
	case CALL_POLL: return MUTEX_QUEUE;
	case CALL_CLOSE: return h->queue->owner == h ? MUTEX_QUEUE : 0;
	case VIDIOC_STREAMON:
	case VIDIOC_STREAMOFF: return MUTEX_QUEUE | MUTEX_FORMAT;
	case VIDIOC_G_FMT:
	case VIDIOC_S_FMT:
	case VIDIOC_TRY_FMT:
	case VIDIOC_G_PARM:
	case VIDIOC_S_PARM: return MUTEX_FORMAT;
	case VIDIOC_QUERYCTRL:
	case VIDIOC_QUERY_EXT_CTRL:
	case VIDIOC_QUERYMENU:
	case VIDIOC_G_CTRL:
	case VIDIOC_S_CTRL:
	case VIDIOC_G_EXT_CTRLS:
	case VIDIOC_S_EXT_CTRLS: return MUTEX_CONTROLS;
	default: return 0;
	}
}

static const struct command uvc_commands[] = {
	{ "size", "WxH", run_size },
	{ "sizes", "WxH+WxH…", run_sizes },
	{ "rates", "fps+fps…", run_rates },
	{ "intervals", "true|stuck: their list never ends", run_intervals },
	{ "jpegs", "file|off: what each picture is", run_jpegs },
	{ NULL, NULL, NULL },
};

static const char *called(const struct device *dev)
{
	(void)dev;
	return "Fake HDMI: USB Video";
}

const struct device_ops uvc_ops = {
	.kind = "uvc",
	.path = "/dev/fake-uvc",
	.parent = "/sys/devices/fake/usb1/1-1/1-1.1/1-1.1:1.0",
	.called = called,
	.buf_type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
	.ioctls = uvc_ioctls,
	.commands = uvc_commands,
	.init = uvc_init,
	.start = uvc_start,
	.flowing = uvc_flowing,
	.deadline = uvc_deadline,
	.fill = uvc_fill,
	.plugged = uvc_plugged,
	.mutexes = uvc_mutexes,
};
