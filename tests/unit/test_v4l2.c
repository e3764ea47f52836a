// SPDX-License-Identifier: GPL-3.0-or-later
/* What the V4L2 layer makes of a driver's answers, by the single- and the multi-planar API alike. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <sys/mman.h>

#include "base/util.h"
#include "driver.h"
#include "encoder/m2m_unit.h"
#include "v4l2/control.h"
#include "v4l2/format.h"
#include "v4l2/queue.h"

#define LENGTH 4096U

static struct {
	int fd; /* behind the mappings */
	unsigned granted, n_planes;
	unsigned index;        /* of the buffer that is done */
	uint32_t used, offset; /* of each of its planes */
	struct v4l2_buffer given;
	struct v4l2_plane planes[VIDEO_MAX_PLANES]; /* of that */
	struct v4l2_format format;
	unsigned frees;
	unsigned answer_planes; /* of a format, if it is another number than was asked for */
	uint32_t control_flags;
} driver;

static bool is_multi(uint32_t type)
{
	return V4L2_TYPE_IS_MULTIPLANAR(type);
}

static int query_buffer(struct v4l2_buffer *buf)
{
	if (!is_multi(buf->type)) {
		buf->length = LENGTH;
		return 0;
	}
	assert_int_equal(buf->length, driver.n_planes);
	for (unsigned i = 0; i < driver.n_planes; i++)
		buf->m.planes[i].length = LENGTH;
	return 0;
}

static int take(struct v4l2_buffer *buf)
{
	buf->index = driver.index;
	buf->sequence = 7;
	buf->flags = V4L2_BUF_FLAG_KEYFRAME;
	buf->bytesused = driver.used;
	for (unsigned i = 0; is_multi(buf->type) && i < driver.n_planes; i++) {
		buf->m.planes[i].bytesused = driver.used;
		buf->m.planes[i].data_offset = driver.offset;
	}
	return 0;
}

static int give(const struct v4l2_buffer *buf)
{
	driver.given = *buf;
	if (is_multi(buf->type))
		memcpy(driver.planes, buf->m.planes, buf->length * sizeof(*driver.planes));
	return 0;
}

static int request(struct v4l2_requestbuffers *req)
{
	driver.frees += !req->count;
	req->count = req->count ? driver.granted : 0;
	return 0;
}

static int set_format(struct v4l2_format *format)
{
	driver.format = *format;
	if (driver.answer_planes)
		format->fmt.pix_mp.num_planes = (uint8_t)driver.answer_planes;
	return 0;
}

static int query_control(struct v4l2_queryctrl *query)
{
	query->id = V4L2_CID_CONTRAST;
	query->flags = driver.control_flags;
	return 0;
}

static int driver_ioctl(int fd, unsigned long request_, void *arg)
{
	(void)fd;
	switch (request_) {
	case VIDIOC_REQBUFS: return request(arg);
	case VIDIOC_QUERYBUF: return query_buffer(arg);
	case VIDIOC_QBUF: return give(arg);
	case VIDIOC_DQBUF: return take(arg);
	case VIDIOC_STREAMON:
	case VIDIOC_STREAMOFF: return 0;
	case VIDIOC_S_FMT: return set_format(arg);
	case VIDIOC_ENUM_FMT: return 0; /* for ever */
	case VIDIOC_QUERYCTRL: return query_control(arg);
	default: return -ENOTTY;
	}
}

static struct v4l2_queue queue;

static void open_queue(enum v4l2_buf_type type, unsigned n_planes)
{
	bool mapping;

	driver.granted = 2;
	driver.n_planes = n_planes;
	queue = (struct v4l2_queue){ .fd = driver.fd, .type = type, .n_planes = n_planes };
	assert_int_equal(v4l2_queue_allocate(&queue, V4L2_MEMORY_MMAP, 4, NULL, &mapping), 0);
	assert_int_equal(queue.n_buffers, 2);
}

static int setup(void **state)
{
	(void)state;
	memset(&driver, 0, sizeof(driver));
	driver.fd = memfd_create("driver", MFD_CLOEXEC);
	return ftruncate(driver.fd, LENGTH);
}

static int teardown(void **state)
{
	(void)state;
	v4l2_queue_free(&queue);
	close(driver.fd);
	return 0;
}

static void a_buffer_tells_where_its_bytes_are(void **state)
{
	struct v4l2_taken taken;

	(void)state;
	open_queue(V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, 2);
	driver.index = 1;
	driver.used = 100;
	driver.offset = 64;
	assert_int_equal(v4l2_queue_take(&queue, &taken), 0);
	assert_int_equal(taken.index, 1);
	assert_int_equal(taken.sequence, 7);
	assert_int_equal(taken.flags, V4L2_BUF_FLAG_KEYFRAME);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(taken.used[i], 100);
		assert_int_equal(taken.offset[i], 64);
	}
	assert_false(taken.lies);
}

static void bytes_behind_the_memory_are_lies(void **state)
{
	static const enum v4l2_buf_type types[] = { V4L2_BUF_TYPE_VIDEO_CAPTURE,
		V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE };
	struct v4l2_taken taken;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		open_queue(types[i], 1);
		driver.used = LENGTH;
		assert_int_equal(v4l2_queue_take(&queue, &taken), 0);
		assert_false(taken.lies);
		driver.used = LENGTH + 1;
		assert_int_equal(v4l2_queue_take(&queue, &taken), 0);
		assert_true(taken.lies);
		v4l2_queue_free(&queue);
	}
	open_queue(V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, 1);
	driver.used = 10;
	driver.offset = 11;
	assert_int_equal(v4l2_queue_take(&queue, &taken), 0);
	assert_true(taken.lies);
}

static void a_buffer_that_there_is_not_is_an_error(void **state)
{
	struct v4l2_taken taken;

	(void)state;
	open_queue(V4L2_BUF_TYPE_VIDEO_CAPTURE, 1);
	driver.index = 2;
	assert_int_equal(v4l2_queue_take(&queue, &taken), -EIO);
}

static void what_is_given_says_how_long_it_is(void **state)
{
	struct v4l2_given given = { .index = 1, .timestamp_us = 5000007, .used = { 30, 20 } };

	(void)state;
	open_queue(V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, 2);
	assert_int_equal(v4l2_queue_put(&queue, &given), 0);
	assert_int_equal(driver.given.index, 1);
	assert_int_equal(driver.given.timestamp.tv_sec, 5);
	assert_int_equal(driver.given.timestamp.tv_usec, 7);
	assert_int_equal(driver.planes[0].bytesused, 30);
	assert_int_equal(driver.planes[1].bytesused, 20);
	assert_int_equal(driver.planes[1].length, LENGTH);
	v4l2_queue_free(&queue);
	open_queue(V4L2_BUF_TYPE_VIDEO_OUTPUT, 1);
	assert_int_equal(v4l2_queue_put(&queue, &given), 0);
	assert_int_equal(driver.given.bytesused, 30);
	assert_int_equal(driver.given.length, LENGTH);
}

static void no_buffers_are_no_memory(void **state)
{
	bool mapping;

	(void)state;
	queue = (struct v4l2_queue){
		.fd = driver.fd, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .n_planes = 1
	};
	assert_int_equal(v4l2_queue_allocate(&queue, V4L2_MEMORY_MMAP, 4, NULL, &mapping), -ENOMEM);
	assert_false(mapping);
}

static void memory_that_cannot_be_mapped_is_told_apart(void **state)
{
	bool mapping;

	(void)state;
	driver.granted = 2;
	queue = (struct v4l2_queue){ .fd = -1, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .n_planes = 1 };
	assert_int_equal(v4l2_queue_allocate(&queue, V4L2_MEMORY_MMAP, 4, NULL, &mapping), -EBADF);
	assert_true(mapping);
	v4l2_queue_free(&queue);
	assert_int_equal(driver.frees, 1);
}

static void both_apis_say_the_same_of_a_format(void **state)
{
	struct v4l2_layout layout = { .fourcc = V4L2_PIX_FMT_NV12,
		.width = 640,
		.height = 480,
		.n_planes = 1,
		.stride = { 704 },
		.size = { 704 * 720 },
		.colorspace = V4L2_COLORSPACE_REC709,
		.encoding = V4L2_YCBCR_ENC_709,
		.quantization = V4L2_QUANTIZATION_LIM_RANGE };
	struct v4l2_layout single = layout, multi = layout;

	(void)state;
	assert_int_equal(v4l2_format_set(3, V4L2_BUF_TYPE_VIDEO_OUTPUT, &single), 0);
	assert_int_equal(driver.format.fmt.pix.priv, V4L2_PIX_FMT_PRIV_MAGIC);
	assert_int_equal(driver.format.fmt.pix.bytesperline, 704);
	assert_int_equal(v4l2_format_set(3, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, &multi), 0);
	assert_int_equal(driver.format.fmt.pix_mp.plane_fmt[0].bytesperline, 704);
	assert_memory_equal(&single, &layout, sizeof(layout));
	assert_memory_equal(&multi, &layout, sizeof(layout));
}

static void each_plane_of_memory_has_its_stride_and_size(void **state)
{
	struct v4l2_layout three = { .fourcc = V4L2_PIX_FMT_YUV420M,
		.width = 640,
		.height = 480,
		.n_planes = 3,
		.stride = { 704, 352, 353 },
		.size = { 3, 2, 1 } };
	struct v4l2_layout was = three;

	(void)state;
	assert_int_equal(v4l2_format_set(3, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, &three), 0);
	assert_int_equal(driver.format.fmt.pix_mp.num_planes, 3);
	assert_int_equal(driver.format.fmt.pix_mp.plane_fmt[2].bytesperline, 353);
	assert_memory_equal(&three, &was, sizeof(was));
	driver.answer_planes = VIDEO_MAX_PLANES; /* more than any picture has */
	assert_int_equal(v4l2_format_set(3, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, &three), 0);
	assert_int_equal(three.n_planes, FRAME_PLANES);
}

static void a_list_of_formats_without_end_has_one(void **state)
{
	uint32_t list[5] = { [4] = 4711 };

	(void)state;
	assert_int_equal(v4l2_format_list(3, V4L2_BUF_TYPE_VIDEO_OUTPUT, list, 4), 4);
	assert_int_equal(list[4], 4711);
}

static void more_buffers_than_there_is_room_for_are_left_alone(void **state)
{
	bool mapping;

	(void)state;
	driver.granted = 64;
	queue = (struct v4l2_queue){
		.fd = driver.fd, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .n_planes = 1
	};
	assert_int_equal(v4l2_queue_allocate(&queue, V4L2_MEMORY_DMABUF, 4, NULL, &mapping), 0);
	assert_int_equal(queue.n_buffers, V4L2_BUFFERS);
}

static struct v4l2_map own_memory(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return (struct v4l2_map){ at, size };
}

static void a_buffer_takes_the_place_of_memory_of_its_size(void **state)
{
	struct v4l2_map place[3] = { own_memory(LENGTH), own_memory(LENGTH), own_memory(LENGTH) };
	void *first = place[0].at;
	bool mapping;

	(void)state;
	driver.granted = 3;
	queue = (struct v4l2_queue){
		.fd = driver.fd, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .n_planes = 1
	};
	assert_int_equal(v4l2_queue_allocate(&queue, V4L2_MEMORY_MMAP, 2, place, &mapping), 0);
	assert_ptr_equal(queue.map[0][0].at, first);
	assert_null(place[0].at);
	assert_null(place[1].at);
	assert_non_null(place[2].at); /* one more than was asked for is not ours to place */
	munmap(place[2].at, LENGTH);
	v4l2_queue_free(&queue);

	place[0] = own_memory(2 * LENGTH);
	assert_int_equal(v4l2_queue_allocate(&queue, V4L2_MEMORY_MMAP, 1, place, &mapping), -EIO);
	assert_true(mapping);
	assert_non_null(place[0].at);
	munmap(place[0].at, 2 * LENGTH);
}

static void imported_memory_is_named_with_its_length(void **state)
{
	static const enum v4l2_buf_type types[] = { V4L2_BUF_TYPE_VIDEO_OUTPUT,
		V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE };
	struct v4l2_given given = { .used = { 30 }, .dmabuf = 42, .length = 50 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		queue = (struct v4l2_queue){
			.type = types[i], .memory = V4L2_MEMORY_DMABUF, .n_planes = 1
		};
		assert_int_equal(v4l2_queue_put(&queue, &given), 0);
		assert_int_equal(i ? driver.planes[0].m.fd : driver.given.m.fd, 42);
		assert_int_equal(i ? driver.planes[0].length : driver.given.length, 50);
		assert_int_equal(i ? driver.planes[0].bytesused : driver.given.bytesused, 30);
	}
}

static void a_control_that_is_switched_off_is_none(void **state)
{
	struct v4l2_queryctrl query;

	(void)state;
	assert_int_equal(v4l2_control_find(3, V4L2_CID_CONTRAST, &query), 0);
	driver.control_flags = V4L2_CTRL_FLAG_DISABLED;
	assert_int_equal(v4l2_control_find(3, V4L2_CID_CONTRAST, &query), -ENOENT);
	assert_int_equal(v4l2_control_find(3, 0, &query), -ENOENT);
}

static void a_list_of_controls_that_goes_round_in_circles_ends(void **state)
{
	struct v4l2_queryctrl query = { .id = 0 };

	(void)state;
	assert_true(v4l2_control_next(3, &query));
	assert_false(v4l2_control_next(3, &query));
}

static void an_encoder_that_lies_about_its_bytes_is_given_up(void **state)
{
	struct m2m_unit unit = { .size = 0 };

	(void)state;
	open_queue(V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, 1);
	unit.queue = queue;
	driver.used = LENGTH + 1;
	assert_int_equal(m2m_unit_read(&unit), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_buffer_tells_where_its_bytes_are, setup,
			teardown),
		cmocka_unit_test_setup_teardown(bytes_behind_the_memory_are_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_that_there_is_not_is_an_error, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_is_given_says_how_long_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(no_buffers_are_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_that_cannot_be_mapped_is_told_apart, setup,
			teardown),
		cmocka_unit_test_setup_teardown(both_apis_say_the_same_of_a_format, setup,
			teardown),
		cmocka_unit_test_setup_teardown(each_plane_of_memory_has_its_stride_and_size, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_list_of_formats_without_end_has_one, setup,
			teardown),
		cmocka_unit_test_setup_teardown(more_buffers_than_there_is_room_for_are_left_alone,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_buffer_takes_the_place_of_memory_of_its_size,
			setup, teardown),
		cmocka_unit_test_setup_teardown(imported_memory_is_named_with_its_length, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_control_that_is_switched_off_is_none, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_list_of_controls_that_goes_round_in_circles_ends,
			setup, teardown),
		cmocka_unit_test_setup_teardown(an_encoder_that_lies_about_its_bytes_is_given_up,
			setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
