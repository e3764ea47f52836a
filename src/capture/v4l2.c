// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The V4L2 source: one capture node, its input, signal, format and rate, and the frames that come.
 */
#include "base/wait.h"
#include "capture/controls.h"
#include "capture/device.h"
#include "capture/format.h"
#include "capture/hdmi.h"
#include "capture/source.h"
#include "capture/stream.h"
#include "v4l2/ioctl.h"
#include "v4l2/queue.h"

#define LOG_TOPIC "v4l2"
#include "base/log.h"

#define MAX_IMPORTS 30 /* of those an encoder can import, beside two of its own */

struct v4l2 {
	struct source source;
	const struct source_config *config;
	struct v4l2_device device; /* the stream's, once there is one */
	enum v4l2_buf_type type;
	bool has_timings;
	struct hdmi_mode mode;   /* of the source, where it has timings */
	struct option_size size; /* to ask for */
	struct capture_format format;
	unsigned fps; /* as agreed on; 0: the device does not say */
	struct stream *stream;
	bool flows;              /* a picture came */
	uint32_t last_sequence;  /* the driver's */
	uint32_t shown_sequence; /* the driver's, of the last picture that was handed on */
	int64_t shown_ns;        /* when that was captured */
	uint64_t sequence;       /* ours: never goes back */
};

/* Logs an unexpected error, once while it lasts. Returns it. */
static int fail(struct v4l2 *dev, int error, const char *what)
{
	if (dev->config->memory->said != error) {
		errno = -error;
		log_error("%s: %s: %m", dev->config->opt->device, what);
	}
	dev->config->memory->said = error;
	return error;
}

/* Errors of open(2) and VIDIOC_QUERYCAP that need no word beside what the pipeline says. */
static bool says_it_all(int error)
{
	return error == -ENODEV || error == -EACCES || error == -EPERM || error == -EBUSY ||
	       error == -ENOTTY;
}

static bool makes_h264(const struct v4l2 *dev)
{
	return dev->config->opt->h264_encoder != H264_ENCODER_OFF;
}

/*
 * A raw picture is read while it is compressed: one is being filled then, and one waits. An H.264
 * encoder in hardware reads one or two more at the same time, and a raw sink one.
 */
static uint32_t wanted_buffers(const struct v4l2 *dev)
{
	const struct options *opt = dev->config->opt;
	int sink = *opt->raw_sink.name ? 1 : 0;
	int count = opt->buffers + sink;

	if (dev->format.compressed)
		return (uint32_t)MIN(count, V4L2_BUFFERS);
	count = MAX(count, opt->workers + 2 + sink);
	return (uint32_t)(makes_h264(dev) ? MIN(count + 2, MAX_IMPORTS) : MIN(count, V4L2_BUFFERS));
}

static int create_stream(struct v4l2 *dev)
{
	bool export = makes_h264(dev) && !dev->format.compressed && dev->format.memory_planes == 1;
	const char *what;
	int res = stream_create(&dev->stream, dev->device.fd, dev->type, dev->format.memory_planes,
		wanted_buffers(dev), export, dev->config->wake_fd, &what);

	return res < 0 ? fail(dev, res, what) : 0;
}

static int start_streaming(struct v4l2 *dev)
{
	int res = stream_start(dev->stream);

	if (res == -EINVAL && dev->has_timings)
		res = -EOVERFLOW; /* more CSI lanes needed than there are: tc358743.c */
	return res < 0 ? fail(dev, res, "cannot start capture (VIDIOC_STREAMON)") : 0;
}

static void watch_source_changes(const struct v4l2 *dev)
{
	struct v4l2_event_subscription change = { .type = V4L2_EVENT_SOURCE_CHANGE };
	struct v4l2_event_subscription end = { .type = V4L2_EVENT_EOS };

	/* Cameras have neither; time-outs serve them. */
	v4l2_ioctl(dev->device.fd, VIDIOC_SUBSCRIBE_EVENT, &change);
	v4l2_ioctl(dev->device.fd, VIDIOC_SUBSCRIBE_EVENT, &end);
}

static int choose_input(struct v4l2 *dev)
{
	int input = dev->config->opt->input, res;
	v4l2_std_id standard = (v4l2_std_id)dev->config->opt->tv_standard;

	res = v4l2_ioctl(dev->device.fd, VIDIOC_S_INPUT, &input);
	if (res < 0 && (input > 0 || res == -ENODEV))
		return fail(dev, res, "no such --input");
	if (standard && (res = v4l2_ioctl(dev->device.fd, VIDIOC_S_STD, &standard)) < 0)
		return fail(dev, res, "no such --tv-standard");
	return 0;
}

/* Without --dv-timings a receiver that can scale keeps to --resolution. */
static int follow_timings(struct v4l2 *dev)
{
	int res;

	dev->size = dev->config->opt->resolution;
	dev->has_timings = hdmi_has_timings(dev->device.fd);
	if (!dev->has_timings)
		return 0;
	res = hdmi_lock_timings(dev->device.fd, dev->config->stop_fd, &dev->mode);
	if (res == 0 && dev->config->opt->dv_timings)
		dev->size = (struct option_size){ dev->mode.width, dev->mode.height };
	return res;
}

static int set_format(struct v4l2 *dev)
{
	const struct options *opt = dev->config->opt;
	struct capture_format *format = &dev->format;
	unsigned mhz;
	int res = format_negotiate(dev->device.fd, dev->type, opt, dev->size, format);

	if (res < 0)
		return fail(dev, res, "no pixel format (VIDIOC_S_FMT)");
	/* unicam rounds the width up to a multiple of 4 and leaves those last columns unwritten. */
	if (dev->has_timings && format->width > dev->size.width &&
		format->width - dev->size.width < 4)
		format->width = dev->size.width;
	mhz = format_set_rate(dev->device.fd, dev->type, format, opt);
	if (!mhz) /* receivers have no rate of their own: it is the source's */
		mhz = dev->mode.mhz;
	dev->fps = (mhz + 500) / 1000;
	log_verbose("%s: %ux%u %.4s, stride %u, %u.%03u fps", dev->config->memory->identity.card,
		format->width, format->height, (char *)&format->driver_fourcc, format->stride[0],
		mhz / 1000, mhz % 1000);
	return 0;
}

/* Every step leaves what v4l2_close() needs to undo it. */
static int start(struct v4l2 *dev)
{
	int res = device_open(&dev->device, dev->config->opt->device,
		&dev->config->memory->identity, &dev->type);

	if (res < 0)
		return says_it_all(res) ? res : fail(dev, res, "cannot open it");
	if ((res = choose_input(dev)) < 0)
		return res;
	watch_source_changes(dev);
	if ((res = follow_timings(dev)) < 0 || (res = set_format(dev)) < 0)
		return res;
	controls_apply(dev->device.fd, dev->config->opt);
	if ((res = create_stream(dev)) < 0)
		return res;
	return start_streaming(dev);
}

static void v4l2_close(struct source *source)
{
	struct v4l2 *dev = (struct v4l2 *)source;

	if (dev->stream)
		stream_close(dev->stream);
	else
		v4l2_device_close(&dev->device);
	free(dev);
}

static int v4l2_open(struct source **out, const struct source_config *config)
{
	struct v4l2 *dev = xcalloc(1, sizeof(*dev));
	int res;

	dev->source.ops = &source_v4l2;
	dev->config = config;
	dev->device.fd = -1;
	res = start(dev);
	if (res < 0) {
		v4l2_close(&dev->source);
		return res;
	}
	*out = &dev->source;
	return 0;
}

/* Takes all pending events; -ERESTART when one says that the picture is another one now. */
static int read_events(struct v4l2 *dev)
{
	struct v4l2_event event = { 0 };
	int res = -EAGAIN;

	while (v4l2_ioctl(dev->device.fd, VIDIOC_DQEVENT, &event) == 0) {
		if (event.type == V4L2_EVENT_SOURCE_CHANGE || event.type == V4L2_EVENT_EOS)
			res = -ERESTART;
		else if (event.type == V4L2_EVENT_CTRL)
			dev->source.controls_changed = true;
	}
	return res;
}

/* 0 when there is a buffer to take. */
static int wait_for_buffer(struct v4l2 *dev, int64_t until_ns)
{
	struct pollfd on[] = {
		{ .fd = dev->device.fd, .events = POLLIN | POLLPRI },
		{ .fd = dev->config->stop_fd, .events = POLLIN },
		{ .fd = dev->config->wake_fd, .events = POLLIN },
	};
	int res = wait_for_events(on, ARRAY_SIZE(on), until_ns);

	if (on[1].revents)
		return -ECANCELED;
	if (res == 0)
		return -ETIMEDOUT;
	if (on[0].revents & (POLLHUP | POLLNVAL))
		return -ENODEV;
	if (on[0].revents & POLLPRI && (res = read_events(dev)) == -ERESTART)
		return res;
	return on[0].revents & (POLLIN | POLLERR) ? 0 : -ETIMEDOUT;
}

static int take_buffer(struct v4l2 *dev, struct stream_filled *filled)
{
	int res = stream_take(dev->stream, filled);

	if (res == -EAGAIN)
		return -ETIMEDOUT; /* not yet */
	if (res < 0 && res != -ENODEV)
		fail(dev, res, "cannot take a frame (VIDIOC_DQBUF)");
	return res;
}

/* The driver's time where it can be believed: first frames may carry 0 or the old clock. */
static int64_t capture_time(const struct stream_filled *filled, int64_t now)
{
	int64_t at = filled->timestamp.tv_sec * NS_PER_S + filled->timestamp.tv_usec * NS_PER_US;
	bool monotonic = (filled->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) ==
			 V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;

	return monotonic && at > now - 2 * NS_PER_S && at <= now ? at : now;
}

/* The driver's count, gaps included, made to never go back. */
static uint64_t next_sequence(struct v4l2 *dev, uint32_t sequence)
{
	uint32_t gap = sequence - dev->last_sequence;

	dev->last_sequence = sequence;
	dev->sequence += gap > 0 && gap < 1000 ? gap : 1;
	return dev->sequence;
}

/*
 * uvcvideo copies the frames of a transfer on any thread of a work queue: on a busy machine the later
 * of two may be done first (uvc_video_copy_data_work).
 */
static bool is_overtaken(const struct v4l2 *dev, const struct stream_filled *filled)
{
	uint32_t behind = dev->shown_sequence - filled->sequence;

	return dev->flows && behind > 0 && behind < V4L2_BUFFERS &&
	       filled->frame->captured_ns < dev->shown_ns;
}

/* When it was captured, and its number. -EAGAIN: it is dropped and counted, as below. */
static int date(struct v4l2 *dev, const struct stream_filled *filled)
{
	struct frame *frame = filled->frame;

	frame->grabbed_ns = now_ns();
	frame->captured_ns = capture_time(filled, frame->grabbed_ns);
	if (is_overtaken(dev, filled)) {
		drops_add(dev->config->drops, DROP_OVERTAKEN, "the driver gave number %u before %u",
			dev->shown_sequence, filled->sequence);
		return -EAGAIN;
	}
	frame->sequence = next_sequence(dev, filled->sequence);
	return 0;
}

/* -EAGAIN: it is no picture, and counted as such. */
static int describe(struct v4l2 *dev, const struct stream_filled *filled)
{
	struct drops *drops = dev->config->drops;
	size_t used = filled->used[0], least = (size_t)dev->config->opt->min_frame_size;

	if (filled->flags & V4L2_BUF_FLAG_ERROR)
		drops_add(drops, DROP_FLAGGED, "the driver marked it as damaged");
	else if (filled->lies)
		drops_add(drops, DROP_MALFORMED, "it claims more bytes than its buffer has");
	else if (used == 0)
		drops_add(drops, DROP_EMPTY, "it has no bytes");
	else if (used < least)
		drops_add(drops, DROP_SMALL, "%zu bytes are less than --min-frame-size", used);
	else if (format_describe(&dev->format, filled->memory, filled->used, filled->frame) < 0)
		drops_add(drops, DROP_SHORT, "%zu bytes are too few for %ux%u", used,
			dev->format.width, dev->format.height);
	else
		return 0;
	return -EAGAIN;
}

static int v4l2_next(struct source *source, struct frame **out, int64_t until_ns)
{
	struct v4l2 *dev = (struct v4l2 *)source;
	struct stream_filled filled;
	struct frame *frame;
	int res;

	stream_requeue(dev->stream);
	if ((res = wait_for_buffer(dev, until_ns)) < 0 || (res = take_buffer(dev, &filled)) < 0)
		return res;
	frame = filled.frame;
	frame->key = frame->online = true;
	frame->fps = dev->fps;
	res = date(dev, &filled);
	if (res == 0)
		res = describe(dev, &filled);
	if (res < 0) {
		frame_unref(frame);
		return res;
	}
	/* Drivers may take seconds to tell them: the first picture does not wait for that. */
	source->controls_changed |= !dev->flows;
	dev->flows = true;
	dev->shown_sequence = filled.sequence;
	dev->shown_ns = frame->captured_ns;
	*out = frame;
	return 0;
}

static void v4l2_list(struct source *source, struct source_controls *out)
{
	source->controls_changed = false;
	controls_list(((struct v4l2 *)source)->device.fd, out);
}

static int v4l2_control(struct source *source, const struct option_control wish[CONTROLS],
	enum option_control_id *which)
{
	return controls_change(((struct v4l2 *)source)->device.fd, wish, which);
}

const struct source_ops source_v4l2 = {
	.name = "v4l2",
	.open = v4l2_open,
	.next = v4l2_next,
	.list = v4l2_list,
	.control = v4l2_control,
	.close = v4l2_close,
};
