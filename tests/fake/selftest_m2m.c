/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "selftest_m2m.h"

struct encoder m2m;

int m2m_set(struct encoder *e, uint32_t id, int32_t value)
{
	struct v4l2_control ctrl = { .id = id, .value = value };

	return request(e->fd, VIDIOC_S_CTRL, &ctrl);
}

int m2m_get(struct encoder *e, uint32_t id, int32_t *value)
{
	struct v4l2_control ctrl = { .id = id };
	int res = request(e->fd, VIDIOC_G_CTRL, &ctrl);

	*value = ctrl.value;
	return res;
}

int m2m_format(struct encoder *e, uint32_t type, uint32_t fourcc, unsigned w, unsigned h,
	unsigned stride, struct v4l2_pix_format_mplane *out)
{
	struct v4l2_format f = { .type = type };
	int res;

	f.fmt.pix_mp.pixelformat = fourcc;
	f.fmt.pix_mp.width = w;
	f.fmt.pix_mp.height = h;
	f.fmt.pix_mp.plane_fmt[0].bytesperline = stride;
	res = request(e->fd, VIDIOC_S_FMT, &f);
	if (out)
		*out = f.fmt.pix_mp;
	return res;
}

int m2m_request(struct encoder *e, uint32_t type, uint32_t memory, unsigned *count)
{
	struct v4l2_requestbuffers req = { .count = *count, .type = type, .memory = memory };
	int res = request(e->fd, VIDIOC_REQBUFS, &req);

	*count = req.count;
	return res;
}

static void map_one(struct encoder *e, uint32_t type, unsigned index, uint8_t **mem, size_t *len)
{
	struct v4l2_plane planes[3] = { 0 };
	struct v4l2_buffer b = {
		.index = index, .type = type, .memory = V4L2_MEMORY_MMAP, .length = 3
	};

	b.m.planes = planes;
	assert_int_equal(request(e->fd, VIDIOC_QUERYBUF, &b), 0);
	for (unsigned i = 0; i < b.length; i++) {
		len[i] = planes[i].length;
		mem[i] = mmap(NULL, len[i], PROT_READ | PROT_WRITE, MAP_SHARED, e->fd,
			planes[i].m.mem_offset);
		assert_ptr_not_equal(mem[i], MAP_FAILED);
	}
	if (type == M2M_OUT)
		e->n_planes = b.length;
}

void m2m_map(struct encoder *e, unsigned n_out, unsigned n_cap)
{
	assert_int_equal(m2m_request(e, M2M_OUT, V4L2_MEMORY_MMAP, &n_out), 0);
	assert_int_equal(m2m_request(e, M2M_CAP, V4L2_MEMORY_MMAP, &n_cap), 0);
	for (unsigned i = 0; i < n_out; i++)
		map_one(e, M2M_OUT, i, e->out[i], e->out_len[i]);
	for (unsigned i = 0; i < n_cap; i++)
		map_one(e, M2M_CAP, i, &e->cap[i], &e->cap_len[i]);
	e->n_out = n_out;
	e->n_cap = n_cap;
}

int m2m_stream(struct encoder *e, uint32_t type, bool on)
{
	return request(e->fd, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type);
}

int m2m_queue_capture(struct encoder *e, unsigned index)
{
	struct v4l2_plane plane = { 0 };
	struct v4l2_buffer b = {
		.index = index, .type = M2M_CAP, .memory = V4L2_MEMORY_MMAP, .length = 1
	};

	b.m.planes = &plane;
	return request(e->fd, VIDIOC_QBUF, &b);
}

static int queue_filled(struct encoder *e, unsigned index, int64_t time_us)
{
	struct v4l2_plane planes[3] = { 0 };
	struct v4l2_buffer b = { .index = index,
		.type = M2M_OUT,
		.memory = V4L2_MEMORY_MMAP,
		.length = e->n_planes,
		.timestamp = { time_us / 1000000, time_us % 1000000 } };

	b.m.planes = planes;
	for (unsigned i = 0; i < e->n_planes; i++)
		planes[i].bytesused = (uint32_t)e->out_len[index][i];
	return request(e->fd, VIDIOC_QBUF, &b);
}

int m2m_queue_picture(struct encoder *e, unsigned index, uint8_t grey, int64_t time_us)
{
	for (unsigned i = 0; i < e->n_planes; i++)
		memset(e->out[index][i], grey, e->out_len[index][i]);
	return queue_filled(e, index, time_us);
}

int m2m_queue_noise(struct encoder *e, unsigned index, int64_t time_us)
{
	unsigned seed = (unsigned)time_us;

	for (size_t i = 0; i < e->out_len[index][0]; i++)
		e->out[index][0][i] = (uint8_t)rand_r(&seed);
	return queue_filled(e, index, time_us);
}

short m2m_ready(struct encoder *e, short events, int timeout_ms)
{
	struct pollfd on = { .fd = e->fd, .events = events };

	return poll(&on, 1, timeout_ms) > 0 ? on.revents : 0;
}

int m2m_dequeue_picture(struct encoder *e, unsigned *index)
{
	struct v4l2_plane planes[3] = { 0 };
	struct v4l2_buffer b = { .type = M2M_OUT, .memory = V4L2_MEMORY_MMAP, .length = 3 };
	int res;

	b.m.planes = planes;
	m2m_ready(e, POLLOUT, 2000);
	res = request(e->fd, VIDIOC_DQBUF, &b);
	*index = b.index;
	return res;
}

int m2m_dequeue(struct encoder *e, struct unit *unit)
{
	struct v4l2_plane plane = { 0 };
	struct v4l2_buffer b = { .type = M2M_CAP, .memory = V4L2_MEMORY_MMAP, .length = 1 };
	int res;

	b.m.planes = &plane;
	m2m_ready(e, POLLIN, 2000);
	res = request(e->fd, VIDIOC_DQBUF, &b);
	if (res < 0)
		return res;
	unit->index = b.index;
	unit->flags = b.flags;
	unit->sequence = b.sequence;
	unit->time_us = b.timestamp.tv_sec * 1000000LL + b.timestamp.tv_usec;
	unit->size = plane.bytesused;
	memcpy(unit->data, e->cap[b.index],
		unit->size < sizeof(unit->data) ? unit->size : sizeof(unit->data));
	return 0;
}

int m2m_command(struct encoder *e, uint32_t cmd)
{
	struct v4l2_encoder_cmd c = { .cmd = cmd };

	return request(e->fd, VIDIOC_ENCODER_CMD, &c);
}

void m2m_pass(struct encoder *e, uint8_t grey, int64_t time_us, struct unit *unit)
{
	static unsigned next;
	unsigned index = next++ % e->n_out;

	assert_int_equal(m2m_queue_picture(e, index, grey, time_us), 0);
	assert_int_equal(m2m_dequeue(e, unit), 0);
	assert_int_equal(m2m_queue_capture(e, unit->index), 0);
	assert_int_equal(m2m_dequeue_picture(e, &index), 0);
}

void m2m_start(struct encoder *e, unsigned width, unsigned height)
{
	assert_int_equal(m2m_format(e, M2M_CAP, V4L2_PIX_FMT_H264, width, height, 0, &e->coded), 0);
	assert_int_equal(m2m_format(e, M2M_OUT, V4L2_PIX_FMT_NV12, width, height, 0, &e->raw), 0);
	m2m_map(e, 2, 3);
	for (unsigned i = 0; i < e->n_cap; i++)
		assert_int_equal(m2m_queue_capture(e, i), 0);
	assert_int_equal(m2m_stream(e, M2M_OUT, true), 0);
	assert_int_equal(m2m_stream(e, M2M_CAP, true), 0);
}

void m2m_open(struct encoder *e, const char *path)
{
	*e = (struct encoder){ .fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) };
	assert_true(e->fd >= 0);
}

void m2m_close(struct encoder *e)
{
	for (unsigned i = 0; i < e->n_out; i++)
		for (unsigned p = 0; p < e->n_planes; p++)
			munmap(e->out[i][p], e->out_len[i][p]);
	for (unsigned i = 0; i < e->n_cap; i++)
		munmap(e->cap[i], e->cap_len[i]);
	close(e->fd);
}

bool has_nal(const struct unit *unit, unsigned type)
{
	size_t size = unit->size < sizeof(unit->data) ? unit->size : sizeof(unit->data);

	for (size_t i = 0; i + 3 < size; i++)
		if (!unit->data[i] && !unit->data[i + 1] && unit->data[i + 2] == 1 &&
			(unit->data[i + 3] & 31) == type)
			return true;
	return false;
}

int reset_m2m(void **state)
{
	(void)state;
	time_calm();
	command("m2m.variant bcm2835");
	command("m2m.latency 2");
	m2m_open(&m2m, "/dev/fake-m2m");
	violations("");
	return 0;
}

int finish_m2m(void **state)
{
	(void)state;
	m2m_close(&m2m);
	return 0;
}
