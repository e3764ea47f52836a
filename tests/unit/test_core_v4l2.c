// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Capture buffers that an encoder may read in place, and how many there are. v4l2.c and stream.c
 * are compiled in here, over a driver of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "driver.h"

#undef fail /* cmocka's; v4l2.c has its own */

#define FIRST_FD 1000
#define LENGTH   (64 * 32 * 2)

static int refusal, next_fd;
static struct v4l2_exportbuffer asked;

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	struct v4l2_exportbuffer *export = arg;

	(void)fd;
	if (request != VIDIOC_EXPBUF)
		return -ENOTTY;
	asked = *export;
	export->fd = next_fd++;
	return refusal;
}

#define source_v4l2   tested_v4l2
#define describe      describe_buffer /* v4l2.c has one of its own */
#define stream_create tested_create
#define stream_start  tested_start
#define stream_requeue tested_requeue
#define stream_take   tested_take
#define stream_close  tested_close
#include "../../src/capture/stream.c" /* NOLINT(bugprone-suspicious-include) */
#undef describe
#undef LOG_TOPIC
#include "../../src/capture/v4l2.c" /* NOLINT(bugprone-suspicious-include) */

static uint8_t memory[LENGTH + 64];
static struct stream stream;

static void export(struct buffer *buffer, uint32_t index, int answer)
{
	static uint64_t streams;

	stream = (struct stream){ .id = ++streams,
		.queue = { .fd = 3,
			.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE,
			.n_planes = 1,
			.n_buffers = 8 } };
	stream.queue.map[index][0] = (struct v4l2_map){ memory, sizeof(memory) };
	refusal = answer;
	next_fd = FIRST_FD + (int)index;
	*buffer = (struct buffer){ .stream = &stream, .index = index };
	export_buffer(&stream, buffer);
}

static void each_buffer_is_exported_under_a_name_of_its_own(void **state)
{
	struct buffer first, second;

	(void)state;
	export(&first, 4, 0);
	assert_int_equal(asked.index, 4);
	assert_int_equal(asked.type, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
	assert_true(asked.flags & O_CLOEXEC);
	assert_int_equal(first.dmabuf.fd, FIRST_FD + 4);
	assert_int_equal(first.dmabuf.size, sizeof(memory));
	export(&second, 4, 0); /* the same buffer of the next stream is other memory */
	assert_int_not_equal(first.dmabuf.id, 0);
	assert_int_not_equal(second.dmabuf.id, 0);
	assert_int_not_equal(first.dmabuf.id, second.dmabuf.id);
}

static void a_driver_that_cannot_export_is_fine(void **state)
{
	struct buffer buffer;

	(void)state;
	export(&buffer, 0, -ENOTTY);
	assert_int_equal(buffer.dmabuf.id, 0);
}

/* A picture that begins `offset` bytes into its memory. */
static uint64_t id_of_picture_at(uint32_t offset)
{
	struct v4l2_taken taken = { .used = { offset + LENGTH }, .offset = { offset } };
	struct stream_filled filled;
	struct buffer buffer;

	export(&buffer, 0, 0);
	describe_buffer(&buffer, &taken, &filled);
	assert_ptr_equal(filled.memory[0], memory + offset);
	assert_int_equal(filled.used[0], LENGTH);
	return filled.frame->dmabuf.id;
}

static void only_a_picture_at_the_first_byte_can_be_imported(void **state)
{
	(void)state;
	assert_int_not_equal(id_of_picture_at(0), 0);
	assert_int_equal(id_of_picture_at(64), 0);
}

static const char *raw_sink = "";

static uint32_t buffers(bool compressed, int asked_for, int workers, enum h264_choice choice)
{
	struct options opt = { .buffers = asked_for,
		.workers = workers,
		.h264_encoder = choice,
		.raw_sink.name = raw_sink };
	struct source_config config = { .opt = &opt };
	struct v4l2 dev = { .config = &config, .format = { .compressed = compressed } };

	return wanted_buffers(&dev);
}

static void a_raw_sink_may_hold_one_buffer_more(void **state)
{
	(void)state;
	raw_sink = "a.raw";
	assert_int_equal(buffers(false, 5, 4, H264_ENCODER_OFF), 7);
	assert_int_equal(buffers(true, 5, 4, H264_ENCODER_AUTO), 6);
	assert_int_equal(buffers(false, 32, 4, H264_ENCODER_OFF), 32);
	raw_sink = "";
}

static void an_encoder_may_hold_two_buffers_more(void **state)
{
	(void)state;
	assert_int_equal(buffers(false, 5, 4, H264_ENCODER_OFF), 6);
	assert_int_equal(buffers(false, 5, 4, H264_ENCODER_AUTO), 8);
	assert_int_equal(buffers(true, 5, 4, H264_ENCODER_AUTO), 5);
	assert_int_equal(buffers(false, 32, 4, H264_ENCODER_OFF), 32);
	assert_int_equal(buffers(false, 32, 4, H264_ENCODER_M2M), 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_buffer_is_exported_under_a_name_of_its_own),
		cmocka_unit_test(a_driver_that_cannot_export_is_fine),
		cmocka_unit_test(only_a_picture_at_the_first_byte_can_be_imported),
		cmocka_unit_test(an_encoder_may_hold_two_buffers_more),
		cmocka_unit_test(a_raw_sink_may_hold_one_buffer_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
