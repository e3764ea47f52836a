// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The V4L2 source: memory-mapped streaming from one capture node, single- or multi-planar.
 *
 * Buffers outlive the source: a frame holds its stream, and the release callback queues the
 * buffer again, on whatever thread the last reference goes. Closing waits for frames that are
 * out, since a driver does not let go of a queue whose memory is mapped; one that does not come
 * back in time keeps the stream alive until it does.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "capture/controls.h"
#include "capture/device.h"
#include "capture/format.h"
#include "capture/hdmi.h"
#include "capture/source.h"

#define LOG_TOPIC "v4l2"
#include "log.h"

#define RETURN_MS   300
#define MAX_BUFFERS 32 /* of a queue, in all kernels before 6.9 */

struct stream;

struct buffer {
	struct frame frame; /* first; valid while the buffer is out */
	struct stream *stream;
	uint32_t index;
	uint8_t *memory[FRAME_PLANES];
	size_t length[FRAME_PLANES];
	struct frame_dmabuf dmabuf; /* of the whole buffer; for raw formats in one memory plane */
};

/* The driver's queue and its memory. */
struct stream {
	int fd; /* set at creation, as all of this block */
	enum v4l2_buf_type type;
	unsigned memory_planes;
	unsigned n_buffers;
	struct buffer *buffer;

	pthread_mutex_t lock;
	pthread_cond_t returned; /* a buffer came back; CLOCK_MONOTONIC */
	unsigned out;            /* under lock: buffers that readers hold */
	bool running;            /* under lock: whether a buffer is queued again */
	bool abandoned;          /* under lock: the last buffer destroys the stream */
};

struct v4l2 {
	struct source source;
	const struct source_config *config;
	int fd; /* the stream's, once there is one */
	enum v4l2_buf_type type;
	bool has_timings;
	struct option_size size; /* to ask for */
	struct capture_format format;
	unsigned fps; /* as agreed on; 0: the device does not say */
	struct stream *stream;
	uint32_t last_sequence; /* the driver's */
	uint64_t sequence;      /* ours: never goes back */
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

static bool is_multiplanar(enum v4l2_buf_type type)
{
	return type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

static void prepare(const struct stream *stream, struct v4l2_buffer *buf,
	struct v4l2_plane planes[VIDEO_MAX_PLANES])
{
	*buf = (struct v4l2_buffer){ .type = stream->type, .memory = V4L2_MEMORY_MMAP };
	if (is_multiplanar(stream->type)) {
		memset(planes, 0, VIDEO_MAX_PLANES * sizeof(*planes));
		buf->m.planes = planes;
		buf->length = VIDEO_MAX_PLANES;
	}
}

static int queue_buffer(const struct stream *stream, uint32_t index)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;

	prepare(stream, &buf, planes);
	buf.index = index;
	if (is_multiplanar(stream->type))
		buf.length = stream->memory_planes;
	return xioctl(stream->fd, VIDIOC_QBUF, &buf);
}

static void stream_destroy(struct stream *stream)
{
	struct v4l2_requestbuffers none = { .type = stream->type, .memory = V4L2_MEMORY_MMAP };

	for (unsigned i = 0; i < stream->n_buffers; i++) {
		for (unsigned p = 0; p < FRAME_PLANES; p++) {
			if (stream->buffer[i].memory[p])
				munmap(stream->buffer[i].memory[p], stream->buffer[i].length[p]);
		}
		if (stream->buffer[i].dmabuf.id)
			close(stream->buffer[i].dmabuf.fd);
	}
	if (stream->n_buffers)
		xioctl(stream->fd, VIDIOC_REQBUFS, &none); /* a device that is gone says no: fine */
	close(stream->fd);
	pthread_cond_destroy(&stream->returned);
	pthread_mutex_destroy(&stream->lock);
	free(stream->buffer);
	free(stream);
}

/* The release callback of frames: any thread. */
static void release_buffer(struct frame *frame)
{
	struct buffer *buffer = (struct buffer *)frame;
	struct stream *stream = buffer->stream;
	bool last;

	pthread_mutex_lock(&stream->lock);
	stream->out--;
	if (stream->running)
		queue_buffer(stream, buffer->index); /* the capture thread notices a dead device */
	pthread_cond_signal(&stream->returned);
	last = stream->abandoned && stream->out == 0;
	pthread_mutex_unlock(&stream->lock);
	if (last)
		stream_destroy(stream);
}

/* An encoder can then read the buffer where it lies. Many drivers cannot do it: fine. */
static void export_buffer(const struct stream *stream, struct buffer *buffer)
{
	static atomic_uint_least64_t exported;
	struct v4l2_exportbuffer export = {
		.type = stream->type, .index = buffer->index, .flags = O_CLOEXEC | O_RDONLY
	};
	int res = xioctl(stream->fd, VIDIOC_EXPBUF, &export);

	if (res < 0) {
		log_debug("buffer %u has no dma-buf: %s", buffer->index, strerror(-res));
		return;
	}
	buffer->dmabuf.id = atomic_fetch_add(&exported, 1) + 1;
	buffer->dmabuf.fd = export.fd;
	buffer->dmabuf.size = buffer->length[0];
}

static int map_buffer(struct stream *stream, unsigned index, bool export)
{
	struct buffer *buffer = &stream->buffer[index];
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	int res;

	prepare(stream, &buf, planes);
	buf.index = index;
	res = xioctl(stream->fd, VIDIOC_QUERYBUF, &buf);
	if (res < 0)
		return res;
	for (unsigned p = 0; p < stream->memory_planes; p++) {
		bool multi = is_multiplanar(stream->type);
		size_t length = multi ? planes[p].length : buf.length;
		off_t offset = multi ? planes[p].m.mem_offset : buf.m.offset;
		void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, stream->fd,
			offset);

		if (memory == MAP_FAILED)
			return -errno;
		buffer->memory[p] = memory;
		buffer->length[p] = length;
	}
	buffer->stream = stream;
	buffer->index = index;
	if (export)
		export_buffer(stream, buffer);
	return queue_buffer(stream, index);
}

static struct stream *stream_create(const struct v4l2 *dev)
{
	struct stream *stream = xcalloc(1, sizeof(*stream));
	pthread_condattr_t attr;

	stream->fd = dev->fd;
	stream->type = dev->type;
	stream->memory_planes = dev->format.memory_planes;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->returned, &attr);
	pthread_condattr_destroy(&attr);
	return stream;
}

static bool makes_h264(const struct v4l2 *dev)
{
	return dev->config->opt->h264_encoder != H264_ENCODER_OFF;
}

/*
 * A raw picture is read while it is compressed: one is being filled then, and one waits. An H.264
 * encoder in hardware reads one or two more at the same time.
 */
static uint32_t wanted_buffers(const struct v4l2 *dev)
{
	const struct options *opt = dev->config->opt;
	int count = opt->buffers;

	if (!dev->format.compressed)
		count = MAX(count, opt->workers + 2) + (makes_h264(dev) ? 2 : 0);
	return (uint32_t)MIN(count, MAX_BUFFERS);
}

static int map_buffers(struct v4l2 *dev)
{
	struct v4l2_requestbuffers request = {
		.count = wanted_buffers(dev), .type = dev->type, .memory = V4L2_MEMORY_MMAP
	};
	bool export = makes_h264(dev) && !dev->format.compressed && dev->format.memory_planes == 1;
	int res = xioctl(dev->fd, VIDIOC_REQBUFS, &request);

	if (res < 0)
		return fail(dev, res, "no capture buffers (VIDIOC_REQBUFS)");
	dev->stream = stream_create(dev);
	dev->stream->buffer = xcalloc(request.count, sizeof(struct buffer));
	for (unsigned i = 0; i < request.count && res == 0; i++) {
		dev->stream->n_buffers++;
		res = map_buffer(dev->stream, i, export);
	}
	return res < 0 ? fail(dev, res, "cannot map and queue capture buffers") : 0;
}

static int start_streaming(struct v4l2 *dev)
{
	int res = xioctl(dev->fd, VIDIOC_STREAMON, &dev->type);

	if (res == -EINVAL && dev->has_timings)
		res = -EOVERFLOW; /* more CSI lanes needed than there are: tc358743.c */
	if (res < 0)
		return fail(dev, res, "cannot start capture (VIDIOC_STREAMON)");
	dev->stream->running = true; /* no frame is out yet: no lock needed */
	return 0;
}

static void watch_source_changes(const struct v4l2 *dev)
{
	struct v4l2_event_subscription change = { .type = V4L2_EVENT_SOURCE_CHANGE };
	struct v4l2_event_subscription end = { .type = V4L2_EVENT_EOS };

	/* Cameras have neither; time-outs serve them. */
	xioctl(dev->fd, VIDIOC_SUBSCRIBE_EVENT, &change);
	xioctl(dev->fd, VIDIOC_SUBSCRIBE_EVENT, &end);
}

static int choose_input(struct v4l2 *dev)
{
	int input = dev->config->opt->input, res;
	v4l2_std_id standard = (v4l2_std_id)dev->config->opt->tv_standard;

	res = xioctl(dev->fd, VIDIOC_S_INPUT, &input);
	if (res < 0 && (input > 0 || res == -ENODEV))
		return fail(dev, res, "no such --input");
	if (standard && (res = xioctl(dev->fd, VIDIOC_S_STD, &standard)) < 0)
		return fail(dev, res, "no such --tv-standard");
	return 0;
}

/* Without --dv-timings a receiver that can scale keeps to --resolution. */
static int follow_timings(struct v4l2 *dev)
{
	struct option_size source;
	int res;

	dev->size = dev->config->opt->resolution;
	dev->has_timings = hdmi_has_timings(dev->fd);
	if (!dev->has_timings)
		return 0;
	res = hdmi_lock_timings(dev->fd, dev->config->stop_fd, &source);
	if (res == 0 && dev->config->opt->dv_timings)
		dev->size = source;
	return res;
}

static int set_format(struct v4l2 *dev)
{
	const struct options *opt = dev->config->opt;
	struct capture_format *format = &dev->format;
	unsigned mhz;
	int res = format_negotiate(dev->fd, dev->type, opt, dev->size, format);

	if (res < 0)
		return fail(dev, res, "no pixel format (VIDIOC_S_FMT)");
	/* unicam rounds the width up to a multiple of 4 and leaves those last columns unwritten. */
	if (dev->has_timings && format->width > dev->size.width &&
		format->width - dev->size.width < 4)
		format->width = dev->size.width;
	mhz = format_set_rate(dev->fd, dev->type, format, opt);
	dev->fps = (mhz + 500) / 1000;
	log_verbose("%s: %ux%u %.4s, stride %u, %u.%03u fps", dev->config->memory->identity.card,
		format->width, format->height, (char *)&format->driver_fourcc, format->stride[0],
		mhz / 1000, mhz % 1000);
	return 0;
}

/* Every step leaves what v4l2_close() needs to undo it. */
static int start(struct v4l2 *dev)
{
	int res = device_open(dev->config->opt->device, &dev->config->memory->identity, &dev->fd,
		&dev->type);

	if (res < 0)
		return says_it_all(res) ? res : fail(dev, res, "cannot open it");
	if ((res = choose_input(dev)) < 0)
		return res;
	watch_source_changes(dev);
	if ((res = follow_timings(dev)) < 0 || (res = set_format(dev)) < 0)
		return res;
	controls_apply(dev->fd, dev->config->opt);
	if ((res = map_buffers(dev)) < 0)
		return res;
	return start_streaming(dev);
}

/* Waits for frames that are out; false when some stay out. Called and returns with the lock. */
static bool wait_for_buffers(struct stream *stream)
{
	int64_t until_ns = now_ns() + RETURN_MS * NS_PER_MS;
	struct timespec until = { until_ns / NS_PER_S, until_ns % NS_PER_S };

	while (stream->out > 0) {
		if (pthread_cond_timedwait(&stream->returned, &stream->lock, &until))
			return false;
	}
	return true;
}

static void stop_stream(struct stream *stream)
{
	bool all_back;

	pthread_mutex_lock(&stream->lock);
	stream->running = false;
	pthread_mutex_unlock(&stream->lock);
	xioctl(stream->fd, VIDIOC_STREAMOFF, &stream->type);

	pthread_mutex_lock(&stream->lock);
	all_back = wait_for_buffers(stream);
	stream->abandoned = !all_back;
	pthread_mutex_unlock(&stream->lock);
	if (all_back)
		stream_destroy(stream);
	else
		log_warn("capture buffers are still being read; the device is let go with them");
}

static void v4l2_close(struct source *source)
{
	struct v4l2 *dev = (struct v4l2 *)source;

	if (dev->stream)
		stop_stream(dev->stream);
	else
		close_fd(&dev->fd);
	free(dev);
}

static int v4l2_open(struct source **out, const struct source_config *config)
{
	struct v4l2 *dev = xcalloc(1, sizeof(*dev));
	int res;

	dev->source.ops = &source_v4l2;
	dev->config = config;
	dev->fd = -1;
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

	while (xioctl(dev->fd, VIDIOC_DQEVENT, &event) == 0) {
		if (event.type == V4L2_EVENT_SOURCE_CHANGE || event.type == V4L2_EVENT_EOS)
			res = -ERESTART;
	}
	return res;
}

/* 0 when there is a buffer to take. */
static int wait_for_buffer(struct v4l2 *dev, int timeout_ms)
{
	struct pollfd on[] = {
		{ .fd = dev->fd, .events = POLLIN | POLLPRI },
		{ .fd = dev->config->stop_fd, .events = POLLIN },
	};
	int res = poll(on, ARRAY_SIZE(on), timeout_ms);

	if (res < 0)
		return errno == EINTR ? -ETIMEDOUT : -errno;
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

static int dequeue(struct v4l2 *dev, struct v4l2_buffer *buf,
	struct v4l2_plane planes[VIDEO_MAX_PLANES])
{
	int res;

	prepare(dev->stream, buf, planes);
	res = xioctl(dev->fd, VIDIOC_DQBUF, buf);
	if (res == -EINVAL)
		res = -EIO; /* the driver stopped the queue under us */
	if (res == -EAGAIN)
		res = -ETIMEDOUT; /* not yet */
	else if (res < 0 && res != -ENODEV)
		fail(dev, res, "cannot take a frame (VIDIOC_DQBUF)");
	return res;
}

/* The driver's time where it can be believed: first frames may carry 0 or the old clock. */
static int64_t capture_time(const struct v4l2_buffer *buf, int64_t now)
{
	int64_t at = buf->timestamp.tv_sec * NS_PER_S + buf->timestamp.tv_usec * NS_PER_US;
	bool monotonic = (buf->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) ==
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

static int describe(struct v4l2 *dev, const struct v4l2_buffer *buf, struct buffer *buffer)
{
	struct drops *drops = dev->config->drops;
	uint8_t *memory[FRAME_PLANES];
	size_t used[FRAME_PLANES] = { 0 }, least = (size_t)dev->config->opt->min_frame_size;
	bool lies = false;

	for (unsigned p = 0; p < dev->stream->memory_planes; p++) {
		const struct v4l2_plane *plane = is_multiplanar(buf->type) ? &buf->m.planes[p]
									   : NULL;
		size_t skip = plane ? plane->data_offset : 0;
		size_t end = plane ? plane->bytesused : buf->bytesused;

		lies |= end > buffer->length[p] || skip > end;
		memory[p] = buffer->memory[p] + skip;
		used[p] = end - skip;
	}
	if (buf->flags & V4L2_BUF_FLAG_ERROR)
		drops_add(drops, DROP_FLAGGED, "the driver marked it as damaged");
	else if (lies)
		drops_add(drops, DROP_MALFORMED, "it claims more bytes than its buffer has");
	else if (used[0] == 0)
		drops_add(drops, DROP_EMPTY, "it has no bytes");
	else if (used[0] < least)
		drops_add(drops, DROP_SMALL, "%zu bytes are less than --min-frame-size", used[0]);
	else if (format_describe(&dev->format, memory, used, &buffer->frame) < 0)
		drops_add(drops, DROP_SHORT, "%zu bytes are too few for %ux%u", used[0],
			dev->format.width, dev->format.height);
	else {
		if (memory[0] == buffer->memory[0]) /* an importer would begin at the first byte */
			buffer->frame.dmabuf = buffer->dmabuf;
		return 0;
	}
	return -EAGAIN;
}

static int v4l2_next(struct source *source, struct frame **out, int timeout_ms)
{
	struct v4l2 *dev = (struct v4l2 *)source;
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	struct buffer *buffer;
	int res;

	if ((res = wait_for_buffer(dev, timeout_ms)) < 0 || (res = dequeue(dev, &buf, planes)) < 0)
		return res;
	if (buf.index >= dev->stream->n_buffers)
		return fail(dev, -EIO, "the driver gave a buffer that does not exist");
	buffer = &dev->stream->buffer[buf.index];
	frame_init(&buffer->frame, release_buffer, NULL);
	buffer->frame.key = buffer->frame.online = true;
	buffer->frame.fps = dev->fps;
	buffer->frame.grabbed_ns = now_ns();
	buffer->frame.captured_ns = capture_time(&buf, buffer->frame.grabbed_ns);
	buffer->frame.sequence = next_sequence(dev, buf.sequence);
	pthread_mutex_lock(&dev->stream->lock);
	dev->stream->out++;
	pthread_mutex_unlock(&dev->stream->lock);
	res = describe(dev, &buf, buffer);
	if (res < 0) {
		frame_unref(&buffer->frame);
		return res;
	}
	*out = &buffer->frame;
	return 0;
}

const struct source_ops source_v4l2 = {
	.name = "v4l2",
	.open = v4l2_open,
	.next = v4l2_next,
	.close = v4l2_close,
};
