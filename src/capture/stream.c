// SPDX-License-Identifier: GPL-3.0-or-later
/* The buffers of a capture device: see stream.h. */
#include "capture/stream.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/thread.h"
#include "base/util.h"
#include "base/wait.h"

#define LOG_TOPIC "v4l2"
#include "base/log.h"

#define RETURN_MS 300

/* Hardware may hold two, one waits: with fewer, a buffer that comes back is queued at once. */
#define LEAST_QUEUED 3

struct buffer {
	struct frame frame; /* first; valid while the buffer is out */
	struct stream *stream;
	struct buffer *next; /* under the stream's lock: in its list of those that came back */
	uint32_t index;
	uint8_t *memory[FRAME_PLANES];
	size_t length[FRAME_PLANES];
	struct frame_dmabuf dmabuf; /* of the whole buffer */
};

struct stream {
	int fd; /* set at creation, as all of this block */
	enum v4l2_buf_type type;
	unsigned memory_planes;
	uint64_t id; /* never used for another stream */
	int wake_fd; /* the owner's: it is to call stream_requeue() */
	unsigned n_buffers;
	struct buffer *buffer;

	pthread_mutex_t lock;
	pthread_cond_t returned; /* a buffer came back; CLOCK_MONOTONIC */
	unsigned out;            /* under lock: buffers that readers hold */
	unsigned queued;         /* under lock: buffers that the driver has */
	struct buffer *back;     /* under lock: those that came back, the oldest first */
	struct buffer **end;     /* under lock: where the next one goes */
	bool running;            /* under lock: whether the owner is to be woken for them */
};

static bool is_multiplanar(const struct stream *stream)
{
	return stream->type == V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
}

static void prepare(const struct stream *stream, struct v4l2_buffer *buf,
	struct v4l2_plane planes[VIDEO_MAX_PLANES])
{
	*buf = (struct v4l2_buffer){ .type = stream->type, .memory = V4L2_MEMORY_MMAP };
	if (is_multiplanar(stream)) {
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
	if (is_multiplanar(stream))
		buf.length = stream->memory_planes;
	return xioctl(stream->fd, VIDIOC_QBUF, &buf);
}

static void free_stream(struct stream *stream)
{
	for (unsigned i = 0; i < stream->n_buffers; i++) {
		for (unsigned p = 0; p < FRAME_PLANES; p++) {
			if (stream->buffer[i].memory[p])
				munmap(stream->buffer[i].memory[p], stream->buffer[i].length[p]);
		}
		if (stream->buffer[i].dmabuf.id)
			close(stream->buffer[i].dmabuf.fd);
	}
	pthread_cond_destroy(&stream->returned);
	pthread_mutex_destroy(&stream->lock);
	free(stream->buffer);
	free(stream);
}

static void stream_destroy(struct stream *stream)
{
	struct v4l2_requestbuffers none = { .type = stream->type, .memory = V4L2_MEMORY_MMAP };
	int fd = stream->fd;

	free_stream(stream);
	xioctl(fd, VIDIOC_REQBUFS, &none); /* a device that is gone says no: fine */
	close(fd);
}

static void append_locked(struct stream *stream, struct buffer *buffer)
{
	buffer->next = NULL;
	*stream->end = buffer;
	stream->end = &buffer->next;
}

/*
 * The release callback of frames: any thread, so it leaves the driver, which may hang, to the owner.
 * That one comes with the next frame, unless there may be none before.
 */
static void release_buffer(struct frame *frame)
{
	struct buffer *buffer = (struct buffer *)frame;
	struct stream *stream = buffer->stream;

	pthread_mutex_lock(&stream->lock);
	stream->out--;
	append_locked(stream, buffer);
	if (stream->running && stream->queued < LEAST_QUEUED)
		wake(stream->wake_fd); /* under lock: the owner may close it after stream_close() */
	pthread_cond_signal(&stream->returned);
	pthread_mutex_unlock(&stream->lock);
}

/* One that the driver did not take is tried again the next time. */
static void give_back(struct stream *stream, struct buffer *buffer)
{
	int res = queue_buffer(stream, buffer->index);

	if (res < 0)
		log_debug("buffer %u is not queued: %s", buffer->index, strerror(-res));
	pthread_mutex_lock(&stream->lock);
	if (res < 0)
		append_locked(stream, buffer);
	else
		stream->queued++;
	pthread_mutex_unlock(&stream->lock);
}

void stream_requeue(struct stream *stream)
{
	struct buffer *buffer, *next;

	pthread_mutex_lock(&stream->lock);
	buffer = stream->back;
	stream->back = NULL;
	stream->end = &stream->back;
	pthread_mutex_unlock(&stream->lock);
	for (; buffer; buffer = next) {
		next = buffer->next;
		give_back(stream, buffer);
	}
}

/* An encoder can then read the buffer where it lies. Many drivers cannot do it: fine. */
static void export_buffer(const struct stream *stream, struct buffer *buffer)
{
	struct v4l2_exportbuffer export = {
		.type = stream->type, .index = buffer->index, .flags = O_CLOEXEC | O_RDONLY
	};
	int res = xioctl(stream->fd, VIDIOC_EXPBUF, &export);

	if (res < 0) {
		log_debug("buffer %u has no dma-buf: %s", buffer->index, strerror(-res));
		return;
	}
	buffer->dmabuf = (struct frame_dmabuf){ .set = stream->id,
		.id = stream->id << 8 | buffer->index,
		.fd = export.fd,
		.size = buffer->length[0] };
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
		bool multi = is_multiplanar(stream);
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

static int map_buffers(struct stream *stream, uint32_t count, bool export)
{
	int res = 0;

	stream->buffer = xcalloc(count, sizeof(struct buffer));
	for (unsigned i = 0; i < count && res == 0; i++) {
		stream->n_buffers++;
		res = map_buffer(stream, i, export);
	}
	return res;
}

int stream_create(struct stream **out, int fd, enum v4l2_buf_type type, unsigned memory_planes,
	uint32_t count, bool export, int wake_fd, const char **what)
{
	static atomic_uint_least64_t created;
	struct v4l2_requestbuffers request = {
		.count = count, .type = type, .memory = V4L2_MEMORY_MMAP
	};
	struct stream *stream;
	pthread_condattr_t attr;
	int res = xioctl(fd, VIDIOC_REQBUFS, &request);

	*what = "no capture buffers (VIDIOC_REQBUFS)";
	if (res < 0)
		return res;
	stream = xcalloc(1, sizeof(*stream));
	stream->fd = fd;
	stream->type = type;
	stream->memory_planes = memory_planes;
	stream->id = atomic_fetch_add(&created, 1) + 1;
	stream->wake_fd = wake_fd;
	stream->end = &stream->back;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->returned, &attr);
	pthread_condattr_destroy(&attr);
	res = map_buffers(stream, request.count, export);
	if (res < 0) {
		*what = "cannot map and queue capture buffers";
		free_stream(stream); /* closing the descriptor frees the driver's side */
		return res;
	}
	stream->queued = stream->n_buffers;
	*out = stream;
	return 0;
}

int stream_start(struct stream *stream)
{
	int res = xioctl(stream->fd, VIDIOC_STREAMON, &stream->type);

	stream->running = res >= 0; /* no frame is out yet: no lock needed */
	return res;
}

static void describe(struct buffer *buffer, const struct v4l2_buffer *buf,
	struct stream_filled *out)
{
	const struct stream *stream = buffer->stream;

	*out = (struct stream_filled){ .frame = &buffer->frame,
		.flags = buf->flags,
		.sequence = buf->sequence,
		.timestamp = buf->timestamp };
	for (unsigned p = 0; p < stream->memory_planes; p++) {
		const struct v4l2_plane *plane = is_multiplanar(stream) ? &buf->m.planes[p] : NULL;
		size_t skip = plane ? plane->data_offset : 0;
		size_t end = plane ? plane->bytesused : buf->bytesused;

		out->lies |= end > buffer->length[p] || skip > end;
		out->memory[p] = buffer->memory[p] + skip;
		out->used[p] = end - skip;
	}
	if (out->memory[0] == buffer->memory[0]) /* an importer would begin at the first byte */
		buffer->frame.dmabuf = buffer->dmabuf;
}

int stream_take(struct stream *stream, struct stream_filled *out)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	struct buffer *buffer;
	int res;

	prepare(stream, &buf, planes);
	res = xioctl(stream->fd, VIDIOC_DQBUF, &buf);
	if (res < 0)
		return res == -EINVAL ? -EIO : res; /* the driver stopped the queue under us */
	if (buf.index >= stream->n_buffers)
		return -EIO;
	buffer = &stream->buffer[buf.index];
	frame_init(&buffer->frame, release_buffer, NULL);
	pthread_mutex_lock(&stream->lock);
	stream->out++;
	stream->queued--;
	pthread_mutex_unlock(&stream->lock);
	describe(buffer, &buf, out);
	return 0;
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

/* Whatever holds the last buffer: it must not be the one to wait for the driver. */
static void close_late(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	while (stream->out > 0)
		pthread_cond_wait(&stream->returned, &stream->lock);
	pthread_mutex_unlock(&stream->lock);
	stream_destroy(stream);
}

static void *close_on_thread(void *arg)
{
	log_name_thread("capture-end");
	close_late(arg);
	return NULL;
}

void stream_close(struct stream *stream)
{
	bool all_back;
	int res;

	if (!stream)
		return;
	pthread_mutex_lock(&stream->lock);
	stream->running = false;
	pthread_mutex_unlock(&stream->lock);
	xioctl(stream->fd, VIDIOC_STREAMOFF, &stream->type);

	pthread_mutex_lock(&stream->lock);
	all_back = wait_for_buffers(stream);
	pthread_mutex_unlock(&stream->lock);
	if (all_back) {
		stream_destroy(stream);
		return;
	}
	log_warn("capture buffers are still being read; the device is let go with them");
	res = thread_start(NULL, close_on_thread, stream);
	if (res == 0)
		return;
	log_error("no thread to let go of the device (%s): it is waited for", strerror(-res));
	close_late(stream);
}
