// SPDX-License-Identifier: GPL-3.0-or-later
/* Bitstream out of a hardware encoder: see m2m_unit.h. */
#include "encoder/m2m_unit.h"

#include "base/util.h"
#include "media/h264_bitstream.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/* A second piece is made together with the first; this is for drivers that are badly held up. */
#define PIECES_NS (100 * NS_PER_MS)

static int queue_buffer(struct m2m_unit *unit, unsigned index)
{
	struct v4l2_given buffer = { .index = index };
	int res = v4l2_queue_put(&unit->queue, &buffer);

	if (res < 0)
		log_error("cannot give a buffer to the encoder (VIDIOC_QBUF): %s", strerror(-res));
	return res;
}

int m2m_unit_open(struct m2m_unit *unit, const struct m2m_device *device, unsigned count)
{
	int res;

	unit->queue = (struct v4l2_queue){
		.fd = device->node.fd, .type = device->capture, .n_planes = 1
	};
	res = m2m_queue_allocate(&unit->queue, V4L2_MEMORY_MMAP, count, NULL);
	for (unsigned i = 0; res == 0 && i < unit->queue.n_buffers; i++)
		res = queue_buffer(unit, i);
	return res;
}

static bool make_room(struct m2m_unit *unit, size_t more)
{
	size_t room = MAX(unit->size + more, 2 * unit->room);
	uint8_t *data;

	if (unit->room - unit->size >= more)
		return true;
	data = realloc(unit->data, room);
	if (!data)
		return false;
	unit->data = data;
	unit->room = room;
	return true;
}

static bool has_slice(const uint8_t *at, const uint8_t *end)
{
	while ((at = h264_find_nal(at, end))) {
		unsigned type = *at & 0x1F;

		if (type >= H264_NAL_SLICE && type <= H264_NAL_IDR)
			return true;
	}
	return false;
}

static int64_t time_of(const struct v4l2_taken *buffer)
{
	return buffer->timestamp.tv_sec * 1000000LL + buffer->timestamp.tv_usec;
}

/*
 * One copy out of the driver's memory, which is not cached on a Pi and so must not be searched,
 * and the buffer goes back at once: the encoder stops when it has none.
 */
static int add_piece(struct m2m_unit *unit, const struct v4l2_taken *buffer)
{
	const struct v4l2_map *map = &unit->queue.map[buffer->index][0];
	size_t size = buffer->used[0] - buffer->offset[0];

	if (!unit->size) {
		unit->timestamp_us = time_of(buffer);
		unit->begin_ns = now_ns();
	}
	if (make_room(unit, size)) {
		memcpy(unit->data + unit->size, map->at + buffer->offset[0], size);
		unit->size += size;
		unit->has_slice = unit->has_slice || has_slice(unit->data, unit->data + unit->size);
	} else {
		unit->damaged = true;
	}
	unit->damaged |= (buffer->flags & V4L2_BUF_FLAG_ERROR) != 0;
	unit->is_cut = buffer->used[0] == map->size;
	return queue_buffer(unit, buffer->index);
}

int m2m_unit_read(struct m2m_unit *unit)
{
	struct v4l2_taken buffer = unit->held;
	int res = unit->has_held ? 0 : v4l2_queue_take(&unit->queue, &buffer);

	if (res < 0 || buffer.lies)
		return res < 0 ? res : -EIO;
	unit->has_held = false;
	/* Frames that were dropped, and ends of streams that nobody asked for. */
	if (buffer.used[0] == buffer.offset[0]) {
		unit->failed |= (buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
		return queue_buffer(unit, buffer.index);
	}
	if (unit->size && time_of(&buffer) != unit->timestamp_us) {
		unit->held = buffer;
		unit->has_held = unit->is_past = true;
		return 0;
	}
	return add_piece(unit, &buffer);
}

bool m2m_unit_is_whole(const struct m2m_unit *unit, int64_t now, bool *doubtful)
{
	*doubtful = false;
	if (!unit->size)
		return false;
	if (unit->is_past || (unit->has_slice && !unit->is_cut))
		return true;
	*doubtful = unit->has_slice;
	return now - unit->begin_ns > PIECES_NS;
}

void m2m_unit_reset(struct m2m_unit *unit)
{
	unit->size = 0;
	unit->has_slice = unit->is_cut = unit->is_past = unit->damaged = false;
}

void m2m_unit_close(struct m2m_unit *unit)
{
	v4l2_queue_free(&unit->queue);
	free(unit->data);
}
