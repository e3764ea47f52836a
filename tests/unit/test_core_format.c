// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Where each format has its colour planes in memory, by the kernel's pages pixfmt-*.rst, with and
 * without padding, in one piece and in several; and that no byte outside is ever promised.
 */
#include "capture/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"

#define WIDTH  64U
#define HEIGHT 32U
#define PAD    16U

static uint8_t memory[3][64 * 1024];

struct expected {
	uint32_t fourcc;
	unsigned planes;
	/* of each colour plane, in the order of the frame's: bytes of a row, stride, rows, offset */
	struct {
		unsigned row, stride, rows, offset;
	} plane[FRAME_PLANES];
};

#define STRIDE(bytes) ((bytes)*WIDTH + PAD)

static const struct expected single[] = {
	{ V4L2_PIX_FMT_YUYV, 1, { { 2 * WIDTH, STRIDE(2), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_YVYU, 1, { { 2 * WIDTH, STRIDE(2), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_UYVY, 1, { { 2 * WIDTH, STRIDE(2), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_RGB24, 1, { { 3 * WIDTH, STRIDE(3), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_BGR24, 1, { { 3 * WIDTH, STRIDE(3), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_RGB565, 1, { { 2 * WIDTH, STRIDE(2), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_GREY, 1, { { WIDTH, STRIDE(1), HEIGHT, 0 } } },
	{ V4L2_PIX_FMT_NV12, 2,
		{ { WIDTH, STRIDE(1), HEIGHT, 0 },
			{ WIDTH, STRIDE(1), HEIGHT / 2, STRIDE(1) * HEIGHT } } },
	{ V4L2_PIX_FMT_NV21, 2,
		{ { WIDTH, STRIDE(1), HEIGHT, 0 },
			{ WIDTH, STRIDE(1), HEIGHT / 2, STRIDE(1) * HEIGHT } } },
	{ V4L2_PIX_FMT_NV16, 2,
		{ { WIDTH, STRIDE(1), HEIGHT, 0 },
			{ WIDTH, STRIDE(1), HEIGHT, STRIDE(1) * HEIGHT } } },
	{ V4L2_PIX_FMT_NV24, 2,
		{ { WIDTH, STRIDE(1), HEIGHT, 0 },
			{ 2 * WIDTH, 2 * STRIDE(1), HEIGHT, STRIDE(1) * HEIGHT } } },
	{ V4L2_PIX_FMT_YUV420, 3,
		{ { WIDTH, STRIDE(1), HEIGHT, 0 },
			{ WIDTH / 2, STRIDE(1) / 2, HEIGHT / 2, STRIDE(1) * HEIGHT },
			{ WIDTH / 2, STRIDE(1) / 2, HEIGHT / 2, STRIDE(1) * HEIGHT * 5 / 4 } } },
	/* V comes before U in memory, and so in the frame. */
	{ V4L2_PIX_FMT_YVU420, 3,
		{ { WIDTH, STRIDE(1), HEIGHT, 0 },
			{ WIDTH / 2, STRIDE(1) / 2, HEIGHT / 2, STRIDE(1) * HEIGHT },
			{ WIDTH / 2, STRIDE(1) / 2, HEIGHT / 2, STRIDE(1) * HEIGHT * 5 / 4 } } },
};

static struct capture_format format_of(const struct expected *of)
{
	return (struct capture_format){ .fourcc = of->fourcc,
		.driver_fourcc = of->fourcc,
		.width = WIDTH,
		.height = HEIGHT,
		.memory_planes = 1,
		.stride = { of->plane[0].stride },
		.range = RANGE_FULL,
		.matrix = MATRIX_709 };
}

static int describe(const struct capture_format *format, const size_t used[3], struct frame *frame)
{
	uint8_t *const at[] = { memory[0], memory[1], memory[2] };

	*frame = (struct frame){ 0 };
	return format_describe(format, at, used, frame);
}

/* Bytes from the start to the last pixel: a driver need not pad the last row. */
static size_t least(const struct expected *of)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < of->planes; i++)
		bytes = MAX(bytes, of->plane[i].offset +
					   (size_t)of->plane[i].stride * (of->plane[i].rows - 1) +
					   of->plane[i].row);
	return bytes;
}

static void each_format_has_its_planes_where_the_kernel_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(single); i++) {
		const struct expected *of = &single[i];
		struct capture_format format = format_of(of);
		struct frame frame;

		assert_int_equal(describe(&format, (size_t[3]){ least(of), 0, 0 }, &frame), 0);
		assert_int_equal(frame.format, of->fourcc);
		assert_true(frame.width == WIDTH && frame.height == HEIGHT);
		assert_true(frame.range == RANGE_FULL && frame.matrix == MATRIX_709);
		for (unsigned p = 0; p < FRAME_PLANES; p++) {
			if (p >= of->planes) {
				assert_null(frame.plane[p].data);
				continue;
			}
			assert_ptr_equal(frame.plane[p].data, memory[0] + of->plane[p].offset);
			assert_int_equal(frame.plane[p].stride, of->plane[p].stride);
			assert_in_range(frame.plane[p].size,
				(of->plane[p].rows - 1) * of->plane[p].stride + of->plane[p].row,
				of->plane[p].rows * of->plane[p].stride);
			assert_true(frame.plane[p].data + frame.plane[p].size <=
				    memory[0] + least(of));
		}
	}
}

static void one_byte_less_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(single); i++) {
		struct capture_format format = format_of(&single[i]);
		struct frame frame;

		assert_int_equal(describe(&format, (size_t[3]){ least(&single[i]) - 1, 0, 0 },
					 &frame),
			-EBADMSG);
		assert_int_equal(describe(&format, (size_t[3]){ 0, 0, 0 }, &frame), -EBADMSG);
	}
}

static void a_stride_below_the_width_is_refused(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(single); i++) {
		struct capture_format format = format_of(&single[i]);
		struct frame frame;

		format.stride[0] = single[i].plane[0].row - 1;
		assert_int_equal(describe(&format, (size_t[3]){ sizeof(memory[0]), 0, 0 }, &frame),
			-EBADMSG);
	}
}

static void planes_in_memory_of_their_own_have_strides_of_their_own(void **state)
{
	static const struct {
		uint32_t fourcc;
		unsigned planes;
		uint32_t stride[3];
		unsigned rows[3];
		unsigned from[3]; /* the memory that each plane of the frame lies in */
	} multi[] = {
		{ V4L2_PIX_FMT_NV12, 2, { 80, 96 }, { HEIGHT, HEIGHT / 2 }, { 0, 1 } },
		{ V4L2_PIX_FMT_NV21, 2, { 80, 96 }, { HEIGHT, HEIGHT / 2 }, { 0, 1 } },
		{ V4L2_PIX_FMT_NV16, 2, { 80, 96 }, { HEIGHT, HEIGHT }, { 0, 1 } },
		{ V4L2_PIX_FMT_YUV420, 3, { 80, 48, 40 }, { HEIGHT, HEIGHT / 2, HEIGHT / 2 },
			{ 0, 1, 2 } },
		{ V4L2_PIX_FMT_YVU420, 3, { 80, 48, 40 }, { HEIGHT, HEIGHT / 2, HEIGHT / 2 },
			{ 0, 1, 2 } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(multi); i++) {
		struct capture_format format = { .fourcc = multi[i].fourcc,
			.width = WIDTH,
			.height = HEIGHT,
			.memory_planes = multi[i].planes };
		size_t used[3] = { 0 };
		struct frame frame;

		for (unsigned p = 0; p < multi[i].planes; p++) {
			format.stride[p] = multi[i].stride[p];
			used[p] = (size_t)multi[i].stride[p] * multi[i].rows[p];
		}
		assert_int_equal(describe(&format, used, &frame), 0);
		for (unsigned p = 0; p < multi[i].planes; p++) {
			assert_ptr_equal(frame.plane[p].data, memory[multi[i].from[p]]);
			assert_int_equal(frame.plane[p].stride, multi[i].stride[multi[i].from[p]]);
		}
		for (unsigned p = 0; p < multi[i].planes; p++) {
			size_t full = used[p];

			used[p] = full / 2;
			assert_int_equal(describe(&format, used, &frame), -EBADMSG);
			used[p] = full;
		}
	}
}

static void odd_sizes_round_their_chroma_up(void **state)
{
	struct capture_format format = { .fourcc = V4L2_PIX_FMT_NV12,
		.width = 65,
		.height = 33,
		.memory_planes = 2,
		.stride = { 66, 66 } };
	size_t used[3] = { 66 * 33, 66 * 17, 0 };
	struct frame frame;

	(void)state;
	assert_int_equal(describe(&format, used, &frame), 0);
	used[1] = 66 * 16;
	assert_int_equal(describe(&format, used, &frame), -EBADMSG);
}

static void compressed_pictures_are_their_bytes(void **state)
{
	static const uint32_t fourccs[] = { V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_JPEG };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(fourccs); i++) {
		struct capture_format format = { .fourcc = fourccs[i],
			.compressed = true,
			.width = WIDTH,
			.height = HEIGHT,
			.memory_planes = 1 };
		struct frame frame;

		assert_int_equal(describe(&format, (size_t[3]){ 777, 0, 0 }, &frame), 0);
		assert_int_equal(frame.format, fourccs[i]);
		assert_ptr_equal(frame.plane[0].data, memory[0]);
		assert_int_equal(frame.plane[0].size, 777);
		assert_int_equal(frame.plane[0].stride, 0);
		assert_null(frame.plane[1].data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_format_has_its_planes_where_the_kernel_says),
		cmocka_unit_test(one_byte_less_is_refused),
		cmocka_unit_test(a_stride_below_the_width_is_refused),
		cmocka_unit_test(planes_in_memory_of_their_own_have_strides_of_their_own),
		cmocka_unit_test(odd_sizes_round_their_chroma_up),
		cmocka_unit_test(compressed_pictures_are_their_bytes),
	};

	return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
