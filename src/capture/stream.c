// SPDX-License-Identifier: GPL-3.0-or-later
/* The buffers of a capture device: see stream.h. */
#include "capture/stream.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/thread.h"
#include "base/util.h"
#include "base/wait.h"
#include "v4l2/queue.h"

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
	struct frame_dmabuf dmabuf; /* of the whole buffer */
};

struct stream {
	struct v4l2_queue queue; /* the owner's; its descriptor is ours */
	uint64_t id;           /* never used for another stream; set at creation, as the next two */
	int wake_fd;           /* the owner's: it is to call stream_requeue() */
	struct buffer *buffer; /* one for each of the queue's */

	pthread_mutex_t lock;
	pthread_cond_t returned; /* a buffer came back; CLOCK_MONOTONIC */
	unsigned out;            /* under lock: buffers that readers hold */
	unsigned queued;         /* under lock: buffers that the driver has */
	struct buffer *back;     /* under lock: those that came back, the oldest first */
	struct buffer **end;     /* under lock: where the next one goes */
	bool running;            /* under lock: whether the owner is to be woken for them */
};

static int queue_buffer(const struct stream *stream, uint32_t index)
{
	struct v4l2_given buffer = { .index = index };

	return v4l2_queue_put(&stream->queue, &buffer);
}

/* All but the descriptor, which the owner keeps when there will be no stream. */
static void free_stream(struct stream *stream)
{
	for (unsigned i = 0; stream->buffer && i < stream->queue.n_buffers; i++) {
		if (stream->buffer[i].dmabuf.id)
			close(stream->buffer[i].dmabuf.fd);
	}
	v4l2_queue_free(&stream->queue);
	pthread_cond_destroy(&stream->returned);
	pthread_mutex_destroy(&stream->lock);
	free(stream->buffer);
	free(stream);
}

static void stream_destroy(struct stream *stream)
{
	int fd = stream->queue.fd;

	free_stream(stream);
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
	int fd = v4l2_queue_export(&stream->queue, buffer->index, O_RDONLY);

	if (fd < 0) {
		log_debug("buffer %u has no dma-buf: %s", buffer->index, strerror(-fd));
		return;
	}
	buffer->dmabuf = (struct frame_dmabuf){ .set = stream->id,
		.id = stream->id << 8 | buffer->index,
		.fd = fd,
		.size = stream->queue.map[buffer->index][0].size };
}

/* Exports all buffers, if that is wanted, and queues them. */
static int queue_buffers(struct stream *stream, bool export)
{
	int res = 0;

	stream->buffer = xcalloc(stream->queue.n_buffers, sizeof(struct buffer));
	for (unsigned i = 0; i < stream->queue.n_buffers && res == 0; i++) {
		stream->buffer[i].stream = stream;
		stream->buffer[i].index = i;
		if (export)
			export_buffer(stream, &stream->buffer[i]);
		res = queue_buffer(stream, i);
	}
	return res;
}

static struct stream *make_stream(const struct v4l2_queue *queue, int wake_fd)
{
	static atomic_uint_least64_t created;
	struct stream *stream = xcalloc(1, sizeof(*stream));
	pthread_condattr_t attr;

	stream->queue = *queue;
	stream->id = atomic_fetch_add(&created, 1) + 1;
	stream->wake_fd = wake_fd;
	stream->end = &stream->back;
	pthread_mutex_init(&stream->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&stream->returned, &attr);
	pthread_condattr_destroy(&attr);
	return stream;
}

int stream_create(struct stream **out, int fd, enum v4l2_buf_type type, unsigned memory_planes,
	uint32_t count, bool export, int wake_fd, const char **what)
{
	struct v4l2_queue queue = { .fd = fd, .type = type, .n_planes = memory_planes };
	struct stream *stream = make_stream(&queue, wake_fd);
	bool mapping;
	int res = v4l2_queue_allocate(&stream->queue, V4L2_MEMORY_MMAP, count, NULL, &mapping);

	*what = "no capture buffers (VIDIOC_REQBUFS)";
	if (res == 0 || mapping)
		*what = "cannot map and queue capture buffers";
	if (res == 0)
		res = queue_buffers(stream, export);
	if (res < 0) {
		free_stream(stream);
		return res;
	}
	stream->queued = stream->queue.n_buffers;
	*out = stream;
	return 0;
}

int stream_start(struct stream *stream)
{
	int res = v4l2_queue_start(&stream->queue);

	stream->running = res == 0; /* no frame is out yet: no lock needed */
	return res;
}

static void describe(struct buffer *buffer, const struct v4l2_taken *taken,
	struct stream_filled *out)
{
	const struct v4l2_queue *queue = &buffer->stream->queue;

	*out = (struct stream_filled){ .frame = &buffer->frame,
		.lies = taken->lies,
		.flags = taken->flags,
		.sequence = taken->sequence,
		.timestamp = taken->timestamp };
	for (unsigned p = 0; p < queue->n_planes; p++) {
		out->memory[p] = queue->map[taken->index][p].at + taken->offset[p];
		out->used[p] = taken->used[p] - taken->offset[p];
	}
	if (!taken->offset[0]) /* an importer would begin at the first byte */
		buffer->frame.dmabuf = buffer->dmabuf;
}

int stream_take(struct stream *stream, struct stream_filled *out)
{
	struct v4l2_taken taken;
	struct buffer *buffer;
	int res = v4l2_queue_take(&stream->queue, &taken);

	if (res < 0)
		return res == -EINVAL ? -EIO : res; /* the driver stopped the queue under us */
	buffer = &stream->buffer[taken.index];
	frame_init(&buffer->frame, release_buffer, NULL);
	pthread_mutex_lock(&stream->lock);
	stream->out++;
	stream->queued--;
	pthread_mutex_unlock(&stream->lock);
	describe(buffer, &taken, out);
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
	v4l2_queue_stop(&stream->queue);

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
