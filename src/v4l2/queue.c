// SPDX-License-Identifier: GPL-3.0-or-later
/* Buffer queues of V4L2: see v4l2/queue.h. */
#include "v4l2/queue.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/util.h"
#include "v4l2/ioctl.h"

/* ---- both APIs as one */

static bool is_multiplanar(const struct v4l2_queue *queue)
{
	return V4L2_TYPE_IS_MULTIPLANAR(queue->type);
}

static void prepare(const struct v4l2_queue *queue, unsigned index, struct v4l2_buffer *buf,
	struct v4l2_plane planes[VIDEO_MAX_PLANES])
{
	*buf = (struct v4l2_buffer){ .index = index, .type = queue->type, .memory = queue->memory };
	if (is_multiplanar(queue)) {
		memset(planes, 0, VIDEO_MAX_PLANES * sizeof(*planes));
		buf->m.planes = planes;
		buf->length = queue->n_planes;
	}
}

static int map_plane(const struct v4l2_queue *queue, const struct v4l2_buffer *buf, unsigned plane,
	struct v4l2_map *place, struct v4l2_map *out)
{
	bool multi = is_multiplanar(queue);
	size_t size = multi ? buf->m.planes[plane].length : buf->length;
	/* Those of an encoder's CAPTURE queue begin at 1 GiB. */
	off_t offset = multi ? buf->m.planes[plane].m.mem_offset : buf->m.offset;
	bool fixed = place && place->at;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (fixed && (size + page - 1) / page * page != place->size)
		return -EIO;
	out->at = mmap(fixed ? place->at : NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | (fixed ? MAP_FIXED : 0), queue->fd, offset);
	if (out->at == MAP_FAILED) {
		out->at = NULL;
		return -errno;
	}
	if (fixed)
		place->at = NULL;
	out->size = size;
	return 0;
}

static int map_buffer(struct v4l2_queue *queue, unsigned index, struct v4l2_map *place)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	int res;

	prepare(queue, index, &buf, planes);
	res = v4l2_ioctl(queue->fd, VIDIOC_QUERYBUF, &buf);
	for (unsigned i = 0; res == 0 && i < queue->n_planes; i++)
		res = map_plane(queue, &buf, i, place, &queue->map[index][i]);
	return res;
}

/* ---- life */

int v4l2_queue_allocate(struct v4l2_queue *queue, enum v4l2_memory memory, unsigned count,
	struct v4l2_map *place, bool *mapping)
{
	struct v4l2_requestbuffers req = { .type = queue->type, .memory = memory, .count = count };
	int res = v4l2_ioctl(queue->fd, VIDIOC_REQBUFS, &req);

	*mapping = false;
	if (res < 0 || !req.count)
		return res < 0 ? res : -ENOMEM;
	queue->memory = memory;
	/* Drivers may give more than was asked for; the rest is left alone. */
	queue->n_buffers = MIN(req.count, V4L2_BUFFERS);
	for (unsigned i = 0; memory == V4L2_MEMORY_MMAP && i < queue->n_buffers; i++) {
		res = map_buffer(queue, i, place && i < count ? &place[i] : NULL);
		*mapping = res < 0;
		if (res < 0)
			return res;
	}
	return 0;
}

static void unmap(struct v4l2_queue *queue)
{
	for (unsigned i = 0; i < V4L2_BUFFERS; i++) {
		for (unsigned p = 0; p < FRAME_PLANES; p++) {
			struct v4l2_map *map = &queue->map[i][p];

			if (map->at)
				munmap(map->at, map->size);
			*map = (struct v4l2_map){ 0 };
		}
	}
}

void v4l2_queue_free(struct v4l2_queue *queue)
{
	struct v4l2_requestbuffers none = { .type = queue->type, .memory = queue->memory };

	if (!queue->n_buffers)
		return;
	if (queue->streaming)
		v4l2_queue_stop(queue);
	unmap(queue);
	v4l2_ioctl(queue->fd, VIDIOC_REQBUFS, &none); /* one that is gone says no: fine */
	queue->n_buffers = 0;
}

int v4l2_queue_start(struct v4l2_queue *queue)
{
	int type = (int)queue->type;
	/* bcm2835 means its firmware's word by EINTR and EAGAIN, and keeps buffers on its lists
	 * when it failed to start (bcm2835_codec_start_streaming): so it is called once. */
	int res = v4l2_ioctl_once(queue->fd, VIDIOC_STREAMON, &type);

	queue->streaming = res == 0;
	return res;
}

void v4l2_queue_stop(struct v4l2_queue *queue)
{
	int type = (int)queue->type;

	v4l2_ioctl(queue->fd, VIDIOC_STREAMOFF, &type);
	queue->streaming = false;
}

/* ---- use */

int v4l2_queue_put(const struct v4l2_queue *queue, const struct v4l2_given *buffer)
{
	bool imported = queue->memory == V4L2_MEMORY_DMABUF, multi = is_multiplanar(queue);
	const struct v4l2_map *map = queue->map[buffer->index];
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;

	prepare(queue, buffer->index, &buf, planes);
	buf.field = V4L2_FIELD_NONE;
	buf.timestamp.tv_sec = buffer->timestamp_us / 1000000;
	buf.timestamp.tv_usec = buffer->timestamp_us % 1000000;
	for (unsigned i = 0; multi && i < queue->n_planes; i++) {
		planes[i].bytesused = buffer->used[i];
		/* 0 is not "all of it" here: vb2 compares bytesused with it (__verify_length). */
		planes[i].length = imported ? buffer->length : (uint32_t)map[i].size;
	}
	if (multi) {
		if (imported)
			planes[0].m.fd = buffer->dmabuf;
	} else {
		buf.bytesused = buffer->used[0];
		buf.length = imported ? buffer->length : (uint32_t)map[0].size;
		if (imported)
			buf.m.fd = buffer->dmabuf;
	}
	return v4l2_ioctl(queue->fd, VIDIOC_QBUF, &buf);
}

static void describe(const struct v4l2_queue *queue, const struct v4l2_buffer *buf,
	struct v4l2_taken *out)
{
	*out = (struct v4l2_taken){ .index = buf->index,
		.flags = buf->flags,
		.sequence = buf->sequence,
		.timestamp = buf->timestamp };
	for (unsigned i = 0; i < queue->n_planes; i++) {
		const struct v4l2_plane *plane = is_multiplanar(queue) ? &buf->m.planes[i] : NULL;

		out->offset[i] = plane ? plane->data_offset : 0;
		out->used[i] = plane ? plane->bytesused : buf->bytesused;
		if (queue->memory == V4L2_MEMORY_MMAP)
			out->lies |= out->used[i] > queue->map[buf->index][i].size ||
				     out->offset[i] > out->used[i];
	}
}

int v4l2_queue_take(const struct v4l2_queue *queue, struct v4l2_taken *out)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	int res;

	prepare(queue, 0, &buf, planes);
	res = v4l2_ioctl(queue->fd, VIDIOC_DQBUF, &buf);
	if (res < 0)
		return res;
	if (buf.index >= queue->n_buffers)
		return -EIO;
	describe(queue, &buf, out);
	return 0;
}

int v4l2_queue_export(const struct v4l2_queue *queue, unsigned index, int flags)
{
	struct v4l2_exportbuffer export = {
		.type = queue->type, .index = index, .flags = (uint32_t)(flags | O_CLOEXEC)
	};
	int res = v4l2_ioctl(queue->fd, VIDIOC_EXPBUF, &export);

	return res < 0 ? res : export.fd;
}
