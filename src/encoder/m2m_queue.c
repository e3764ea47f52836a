// SPDX-License-Identifier: GPL-3.0-or-later
/* Buffer queues of V4L2: see m2m_queue.h. */
#include "encoder/m2m_queue.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/util.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

static const char *side_of(const struct m2m_queue *queue)
{
	return V4L2_TYPE_IS_OUTPUT(queue->type) ? "pictures" : "bitstream";
}

/* ---- both APIs as one */

static void prepare(const struct m2m_queue *queue, struct v4l2_buffer *buf,
	struct v4l2_plane planes[VIDEO_MAX_PLANES])
{
	*buf = (struct v4l2_buffer){ .type = queue->type, .memory = queue->memory };
	memset(planes, 0, VIDEO_MAX_PLANES * sizeof(*planes));
	if (m2m_is_mplane(queue->type)) {
		buf->m.planes = planes;
		buf->length = queue->n_planes;
	}
}

static int map_plane(const struct m2m_queue *queue, const struct v4l2_buffer *buf, unsigned plane,
	struct m2m_map *place, struct m2m_map *out)
{
	bool mplane = m2m_is_mplane(queue->type);
	size_t size = mplane ? buf->m.planes[plane].length : buf->length;
	/* Those of CAPTURE begin at 1 GiB. */
	off_t offset = mplane ? buf->m.planes[plane].m.mem_offset : buf->m.offset;
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

static int map_buffer(struct m2m_queue *queue, unsigned index, struct m2m_map *place)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	int res;

	prepare(queue, &buf, planes);
	buf.index = index;
	res = m2m_ioctl(queue->fd, VIDIOC_QUERYBUF, &buf);
	for (unsigned i = 0; res == 0 && i < queue->n_planes; i++)
		res = map_plane(queue, &buf, i, place ? &place[index] : NULL,
			&queue->map[index][i]);
	return res;
}

/* ---- life */

static void say_no_buffers(const struct m2m_queue *queue, enum v4l2_memory memory, int res)
{
	if (memory == V4L2_MEMORY_DMABUF)
		log_info("the encoder imports no buffers: %s", strerror(-res));
	else if (res == -ENOMEM)
		log_warn("no memory for the encoder's %s: the kernel needs more contiguous "
			 "memory (on a Pi dtoverlay=vc4-kms-v3d,cma-256, elsewhere cma=)",
			side_of(queue));
	else if (res == -EINVAL) /* what bcm2835 says when the firmware makes no component */
		log_error("the encoder refuses to start (VIDIOC_REQBUFS: %s): its firmware has no "
			  "encoder, no resources left, or hangs until the next reboot",
			strerror(-res));
	else
		log_error("no buffers for the encoder's %s (VIDIOC_REQBUFS): %s", side_of(queue),
			strerror(-res));
}

int m2m_queue_allocate(struct m2m_queue *queue, enum v4l2_memory memory, unsigned count,
	struct m2m_map *place)
{
	struct v4l2_requestbuffers req = { .type = queue->type, .memory = memory, .count = count };
	int res = m2m_ioctl(queue->fd, VIDIOC_REQBUFS, &req);

	if (res == 0 && !req.count)
		res = -ENOMEM;
	if (res < 0) {
		say_no_buffers(queue, memory, res);
		return res == -EINVAL ? -EIO : res;
	}
	queue->memory = memory;
	/* Drivers may give more than was asked for; the rest is left alone. */
	queue->n_buffers = MIN(req.count, M2M_BUFFERS);
	for (unsigned i = 0; memory == V4L2_MEMORY_MMAP && i < queue->n_buffers; i++) {
		res = map_buffer(queue, i, place && i < count ? place : NULL);
		if (res < 0) {
			log_error("cannot map the encoder's %s: %s", side_of(queue),
				strerror(-res));
			return res;
		}
	}
	return 0;
}

static void unmap(struct m2m_queue *queue)
{
	for (unsigned i = 0; i < M2M_BUFFERS; i++) {
		for (unsigned p = 0; p < FRAME_PLANES; p++) {
			struct m2m_map *map = &queue->map[i][p];

			if (map->at)
				munmap(map->at, map->size);
			*map = (struct m2m_map){ 0 };
		}
	}
}

void m2m_queue_free(struct m2m_queue *queue)
{
	struct v4l2_requestbuffers none = { .type = queue->type, .memory = queue->memory };
	int type = (int)queue->type;

	if (!queue->n_buffers)
		return;
	if (queue->streaming)
		m2m_ioctl(queue->fd, VIDIOC_STREAMOFF, &type);
	queue->streaming = false;
	unmap(queue);
	m2m_ioctl(queue->fd, VIDIOC_REQBUFS, &none);
	queue->n_buffers = 0;
}

/*
 * What an errno of STREAMON means. bcm2835 returns the firmware's status with another sign
 * (mmal-vchiq.c), so that they look odd: its "invalid" is 3, ESRCH.
 */
static const char *meaning(int error)
{
	switch (error) {
	case ESRCH: return "it refuses this size, rate or bitrate";
	case EPERM: return "its firmware is out of memory";
	case ENOENT: return "its firmware is out of space";
	case EINTR: return "its firmware does not implement this";
	case E2BIG: return "its firmware has an I/O error";
	case ENOEXEC:
	case EBADF: return "its firmware refuses the data";
	case ECHILD:
	case EAGAIN: return "its firmware is not ready or set up wrongly";
	case EACCES: return "its firmware is not connected";
	case ETIME: return "its firmware does not answer; only a reboot helps if that stays so";
	case ENOMEM: return "no memory; the kernel may need more of it contiguous (cma=)";
	default: return strerror(error);
	}
}

int m2m_queue_start(struct m2m_queue *queue)
{
	int type = (int)queue->type, error;

	/* Once, whatever it says: EINTR and EAGAIN are final here, and a driver that failed to
	 * start keeps buffers on its lists (bcm2835_codec_start_streaming), so nobody tries again
	 * on this descriptor. */
	if (ioctl(queue->fd, VIDIOC_STREAMON, &type) == 0) {
		queue->streaming = true;
		return 0;
	}
	error = errno;
	log_error("the encoder does not start (VIDIOC_STREAMON of %s, errno %d): %s",
		side_of(queue), error, meaning(error));
	return error == ENODEV ? -ENODEV : -EIO;
}

/* ---- use */

int m2m_queue_put(struct m2m_queue *queue, const struct m2m_buffer *buffer)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;

	prepare(queue, &buf, planes);
	buf.index = buffer->index;
	buf.field = V4L2_FIELD_NONE;
	buf.timestamp.tv_sec = buffer->timestamp_us / 1000000;
	buf.timestamp.tv_usec = buffer->timestamp_us % 1000000;
	for (unsigned i = 0; m2m_is_mplane(queue->type) && i < queue->n_planes; i++) {
		planes[i].bytesused = buffer->used[i];
		/* 0 is not "all of it" here: vb2 compares bytesused with it (__verify_length). */
		planes[i].length = queue->memory == V4L2_MEMORY_DMABUF
					   ? buffer->length
					   : (uint32_t)queue->map[buffer->index][i].size;
	}
	buf.bytesused = buffer->used[0];
	if (queue->memory == V4L2_MEMORY_DMABUF && m2m_is_mplane(queue->type))
		planes[0].m.fd = buffer->dmabuf;
	else if (queue->memory == V4L2_MEMORY_DMABUF)
		buf.m.fd = buffer->dmabuf;
	if (!m2m_is_mplane(queue->type))
		buf.length = queue->memory == V4L2_MEMORY_DMABUF
				     ? buffer->length
				     : (uint32_t)queue->map[buffer->index][0].size;
	return m2m_ioctl(queue->fd, VIDIOC_QBUF, &buf);
}

int m2m_queue_take(struct m2m_queue *queue, struct m2m_buffer *out)
{
	struct v4l2_plane planes[VIDEO_MAX_PLANES];
	struct v4l2_buffer buf;
	size_t size;
	int res;

	prepare(queue, &buf, planes);
	res = m2m_ioctl(queue->fd, VIDIOC_DQBUF, &buf);
	if (res < 0)
		return res;
	if (buf.index >= queue->n_buffers)
		return -EIO;
	*out = (struct m2m_buffer){ .index = buf.index,
		.timestamp_us = buf.timestamp.tv_sec * 1000000LL + buf.timestamp.tv_usec,
		.flags = buf.flags,
		.dmabuf = -1 };
	size = queue->map[buf.index][0].size;
	out->used[0] = m2m_is_mplane(queue->type) ? planes[0].bytesused : buf.bytesused;
	out->offset = m2m_is_mplane(queue->type) ? planes[0].data_offset : 0;
	if (queue->memory == V4L2_MEMORY_MMAP &&
		(out->used[0] > size || out->offset > out->used[0]))
		return -EIO;
	return 0;
}

int m2m_queue_export(struct m2m_queue *queue, unsigned index)
{
	struct v4l2_exportbuffer export = {
		.type = queue->type, .index = index, .flags = O_RDWR | O_CLOEXEC
	};
	int res = m2m_ioctl(queue->fd, VIDIOC_EXPBUF, &export);

	return res < 0 ? res : export.fd;
}
