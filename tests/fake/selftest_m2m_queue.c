/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Buffers of an encoder: rules B. */
#include "selftest_m2m.h"

static const uint32_t mmap_memory = V4L2_MEMORY_MMAP, dmabuf_memory = V4L2_MEMORY_DMABUF;

static void b1_mmap_and_dmabuf_only(void **state)
{
	unsigned count = 2;

	(void)state;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, V4L2_MEMORY_USERPTR, &count), -EINVAL);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, dmabuf_memory, &count), 0);
	assert_int_equal(count, 2);
	count = 0;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, dmabuf_memory, &count), 0);
	count = 40;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &count), 0);
	assert_int_equal(count, 32);
}

static void b3_cma_is_limited(void **state)
{
	unsigned count = 4;

	(void)state;
	command("m2m.cma 8");
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 1920, 1080, 0, NULL), 0);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &count), 0);
	assert_int_equal(count, 2);
	count = 4;
	assert_int_equal(m2m_request(&m2m, M2M_CAP, mmap_memory, &count), 0);
	assert_int_equal(count, 4);
	command("m2m.cma 1");
	count = 0;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &count), 0);
	count = 1;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &count), -ENOMEM);
	command("m2m.cma 64");
}

static void b4_orphans_are_counted_until_they_are_unmapped(void **state)
{
	unsigned none = 0, two = 2;

	(void)state;
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 1280, 720, 0, NULL), 0);
	command("m2m.cma 4");
	m2m_map(&m2m, 2, 1);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &none), 0);
	m2m.out[0][0][0] = 1;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &two), -ENOMEM);
	for (unsigned i = 0; i < 2; i++)
		munmap(m2m.out[i][0], m2m.out_len[i][0]);
	m2m.n_out = 0;
	two = 2;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &two), 0);
	command("m2m.cma 64");
}

static void b4_reqbufs_while_streaming_is_a_mistake(void **state)
{
	unsigned count = 0;

	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &count), -EBUSY);
	assert_int_equal(violations("VB2"), 1);
}

static void b5_create_bufs_adds(void **state)
{
	struct v4l2_create_buffers c = { .count = 1, .memory = mmap_memory };
	unsigned count = 2;

	(void)state;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, mmap_memory, &count), 0);
	c.format.type = M2M_OUT;
	assert_int_equal(request(m2m.fd, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c.format.fmt.pix_mp.plane_fmt[0].sizeimage = 3072;
	assert_int_equal(request(m2m.fd, VIDIOC_CREATE_BUFS, &c), 0);
	assert_int_equal(c.index, 2);
	c.memory = dmabuf_memory;
	assert_int_equal(request(m2m.fd, VIDIOC_CREATE_BUFS, &c), -EINVAL);
	c.memory = mmap_memory;
	c.count = 30;
	assert_int_equal(request(m2m.fd, VIDIOC_CREATE_BUFS, &c), -ENOBUFS);
}

static void b6_planes_are_needed(void **state)
{
	struct v4l2_buffer b = { .type = M2M_OUT, .memory = V4L2_MEMORY_MMAP, .length = 1 };

	(void)state;
	m2m_map(&m2m, 1, 1);
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYBUF, &b), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
}

static void b7_offsets_tell_the_queues_apart(void **state)
{
	struct v4l2_plane plane;
	struct v4l2_buffer b = { .type = M2M_CAP, .memory = V4L2_MEMORY_MMAP, .length = 1 };

	(void)state;
	m2m_map(&m2m, 1, 1);
	b.m.planes = &plane;
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYBUF, &b), 0);
	assert_int_equal(plane.m.mem_offset, 1 << 30);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ, MAP_SHARED, m2m.fd, 12345), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
}

static int queue_raw(unsigned index, uint32_t bytesused, uint32_t offset)
{
	struct v4l2_plane plane = { .bytesused = bytesused, .data_offset = offset };
	struct v4l2_buffer b = {
		.index = index, .type = M2M_OUT, .memory = V4L2_MEMORY_MMAP, .length = 1
	};

	b.m.planes = &plane;
	return request(m2m.fd, VIDIOC_QBUF, &b);
}

static void b8_to_b11_what_qbuf_refuses_and_what_it_only_notes(void **state)
{
	uint32_t size;

	(void)state;
	m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 320, 240, 0, NULL);
	m2m_map(&m2m, 3, 1);
	size = (uint32_t)m2m.out_len[0][0];
	assert_int_equal(queue_raw(9, size, 0), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
	assert_int_equal(queue_raw(0, size + 1, 0), -EINVAL);
	assert_int_equal(violations("B8"), 1);
	assert_int_equal(queue_raw(0, size, size), -EINVAL);
	assert_int_equal(violations("B8"), 1);
	assert_int_equal(queue_raw(0, 0, 0), 0);
	assert_int_equal(violations("B9"), 1);
	assert_int_equal(queue_raw(1, size - 1, 0), 0);
	assert_int_equal(violations("B10"), 1);
	assert_int_equal(queue_raw(2, size, 64), 0);
	assert_int_equal(violations("B11"), 1);
	assert_int_equal(queue_raw(2, size, 0), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
}

static int queue_dmabuf(unsigned index, int fd, uint32_t length, uint32_t used)
{
	struct v4l2_plane plane = { .bytesused = used, .length = length };
	struct v4l2_buffer b = {
		.index = index, .type = M2M_OUT, .memory = V4L2_MEMORY_DMABUF, .length = 1
	};

	b.m.planes = &plane;
	plane.m.fd = fd;
	return request(m2m.fd, VIDIOC_QBUF, &b);
}

static int export_from(int fd, uint32_t type, unsigned index)
{
	struct v4l2_exportbuffer exp = { .type = type, .index = index, .flags = O_CLOEXEC };

	assert_int_equal(request(fd, VIDIOC_EXPBUF, &exp), 0);
	return exp.fd;
}

/* T18, U14: a CSI receiver's memory is contiguous, that of a USB grabber is not. */
static void b12_only_contiguous_dmabufs_are_imported(void **state)
{
	static const char *const nodes[] = { "/dev/fake-uvc", "/dev/fake-csi" };
	static const int results[] = { -EFAULT, 0 };
	unsigned count = 2;
	uint32_t used = 640 * 480 * 2;

	(void)state;
	m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_YUYV, 640, 480, 0, NULL);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, dmabuf_memory, &count), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct client grabber = client_open(nodes[i]);
		int fd;

		set_format(grabber.fd, V4L2_PIX_FMT_YUYV, 1280, 720, NULL);
		client_buffers(&grabber, 3);
		fd = export_from(grabber.fd, V4L2_BUF_TYPE_VIDEO_CAPTURE, 0);
		assert_int_equal(queue_dmabuf(0, fd, used, used), results[i]);
		close(fd);
		client_close(&grabber);
	}
	assert_int_equal(queue_dmabuf(1, 1000, used, used), -EINVAL);
	assert_int_equal(queue_dmabuf(1, 0, used, used), -EINVAL);
}

static void b12_lengths_are_checked(void **state)
{
	struct encoder other;
	unsigned count = 1;
	int fd;

	(void)state;
	m2m_open(&other, "/dev/fake-m2m");
	m2m_format(&other, M2M_OUT, V4L2_PIX_FMT_NV12, 320, 240, 0, NULL);
	m2m_map(&other, 1, 1);
	fd = export_from(other.fd, M2M_OUT, 0);
	m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 320, 240, 0, NULL);
	assert_int_equal(m2m_request(&m2m, M2M_OUT, dmabuf_memory, &count), 0);
	assert_int_equal(queue_dmabuf(0, fd, 1000, 1000), -EINVAL);
	assert_int_equal(queue_dmabuf(0, fd, 1 << 20, 115200), -EFAULT);
	command("m2m.dmabuf-noncontiguous on");
	assert_int_equal(queue_dmabuf(0, fd, 115200, 115200), -EFAULT);
	command("m2m.dmabuf-noncontiguous off");
	assert_int_equal(violations("B8"), 0);
	assert_int_equal(queue_dmabuf(0, fd, 0, 115200), -EINVAL);
	assert_int_equal(violations("B8"), 1);
	assert_int_equal(queue_dmabuf(0, fd, 115200, 115200), 0);
	close(fd);
	m2m_close(&other);
}

static int dequeue_imported(uint32_t *flags)
{
	struct v4l2_plane plane = { 0 };
	struct v4l2_buffer b = { .type = M2M_OUT, .memory = V4L2_MEMORY_DMABUF, .length = 1 };
	int res;

	b.m.planes = &plane;
	res = request(m2m.fd, VIDIOC_DQBUF, &b);
	*flags = b.flags;
	return res < 0 ? res : (int)b.index;
}

static void b12_an_import_may_fail_at_qbuf_or_later(void **state)
{
	static struct unit unit;
	struct encoder other;
	unsigned count = 3;
	uint32_t flags;
	int fd;

	(void)state;
	m2m_open(&other, "/dev/fake-m2m");
	m2m_format(&other, M2M_OUT, V4L2_PIX_FMT_NV12, 320, 240, 0, NULL);
	m2m_map(&other, 1, 1);
	fd = export_from(other.fd, M2M_OUT, 0);
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, false), 0);
	for (unsigned i = 0; i < 2; i++)
		munmap(m2m.out[i][0], m2m.out_len[i][0]);
	m2m.n_out = 0;
	assert_int_equal(m2m_request(&m2m, M2M_OUT, dmabuf_memory, &count), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), 0);
	command("m2m.import-error 1 qbuf");
	assert_int_equal(queue_dmabuf(0, fd, 115200, 115200), -ENOMEM);
	command("m2m.import-error 1 flag");
	assert_int_equal(queue_dmabuf(0, fd, 115200, 115200), 0);
	assert_int_equal(m2m_ready(&m2m, POLLOUT | POLLIN, 5000), POLLOUT);
	assert_int_equal(dequeue_imported(&flags), 0);
	assert_true(flags & V4L2_BUF_FLAG_ERROR);
	command("m2m.import-error 1 lost");
	assert_int_equal(queue_dmabuf(1, fd, 115200, 115200), 0);
	assert_int_equal(queue_dmabuf(2, fd, 115200, 115200), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(m2m_ready(&m2m, POLLOUT, 5000), POLLOUT);
	assert_int_equal(dequeue_imported(&flags), 2);
	assert_false(flags & V4L2_BUF_FLAG_ERROR);
	assert_int_equal(dequeue_imported(&flags), -EAGAIN);
	close(fd);
	m2m_close(&other);
}

static void b13_a_picture_that_changes_too_early_is_torn(void **state)
{
	static struct unit unit;

	(void)state;
	command("m2m.latency 100");
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	memset(m2m.out[0][0], 200, m2m.out_len[0][0]);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(violations("B13"), 1);
}

static void b14_own_buffers_are_exported(void **state)
{
	struct v4l2_exportbuffer exp = { .type = M2M_CAP, .flags = O_NONBLOCK };

	(void)state;
	m2m_map(&m2m, 1, 1);
	close(export_from(m2m.fd, M2M_OUT, 0));
	close(export_from(m2m.fd, M2M_CAP, 0));
	assert_int_equal(request(m2m.fd, VIDIOC_EXPBUF, &exp), -EINVAL);
	assert_int_equal(violations("B14"), 1);
}

static void b15_a_signal_loses_the_picture(void **state)
{
	static struct unit unit;

	(void)state;
	m2m_start(&m2m, 320, 240);
	command("m2m.signal-loss 1");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 1, 10, 2), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(unit.time_us, 2);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 3), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_queue_tests[] = {
	TEST(b1_mmap_and_dmabuf_only),
	TEST(b3_cma_is_limited),
	TEST(b4_orphans_are_counted_until_they_are_unmapped),
	TEST(b4_reqbufs_while_streaming_is_a_mistake),
	TEST(b5_create_bufs_adds),
	TEST(b6_planes_are_needed),
	TEST(b7_offsets_tell_the_queues_apart),
	TEST(b8_to_b11_what_qbuf_refuses_and_what_it_only_notes),
	TEST(b12_only_contiguous_dmabufs_are_imported),
	TEST(b12_lengths_are_checked),
	TEST(b12_an_import_may_fail_at_qbuf_or_later),
	TEST(b13_a_picture_that_changes_too_early_is_torn),
	TEST(b14_own_buffers_are_exported),
	TEST(b15_a_signal_loses_the_picture),
};

const size_t n_m2m_queue_tests = sizeof(m2m_queue_tests) / sizeof(m2m_queue_tests[0]);
