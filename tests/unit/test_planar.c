// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Raw pictures as planar YUV, against a slow reference that looks at one pixel at a time. Each
 * plane lies at the end of a page before one that may not be touched, because no sanitizer sees
 * what libyuv's assembly reads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <math.h>
#include <sys/mman.h>

#include "convert/planar.h"
#include "util.h"

/* Rounding in the format's own step, in the range step and in the matrix step. */
#define TOLERANCE 2.0

#define PAGE 4096

struct colour {
	double y, u, v;
};

struct source {
	uint32_t fourcc;
	const char *name;
	/* bytes in a row and rows, for each plane */
	struct {
		unsigned bytes, across, down;
	} plane[FRAME_PLANES];
	struct colour (*at)(const struct frame *frame, uint32_t x, uint32_t y);
	bool grey, rgb;
};

static uint8_t byte(const struct frame *frame, int plane, uint32_t x, uint32_t y)
{
	return frame->plane[plane].data[(size_t)y * frame->plane[plane].stride + x];
}

static struct colour packed(const struct frame *f, uint32_t x, uint32_t y, int luma, int u, int v)
{
	uint32_t pair = x / 2 * 4;

	return (struct colour){ byte(f, 0, pair + luma + x % 2 * 2, y), byte(f, 0, pair + u, y),
		byte(f, 0, pair + v, y) };
}

static struct colour yuyv_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return packed(frame, x, y, 0, 1, 3);
}

static struct colour yvyu_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return packed(frame, x, y, 0, 3, 1);
}

static struct colour uyvy_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return packed(frame, x, y, 1, 0, 2);
}

static struct colour nv12_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2 * 2, y / 2),
		byte(frame, 1, x / 2 * 2 + 1, y / 2) };
}

static struct colour nv21_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2 * 2 + 1, y / 2),
		byte(frame, 1, x / 2 * 2, y / 2) };
}

static struct colour nv16_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2 * 2, y),
		byte(frame, 1, x / 2 * 2 + 1, y) };
}

static struct colour nv24_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x * 2, y),
		byte(frame, 1, x * 2 + 1, y) };
}

static struct colour yu12_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 1, x / 2, y / 2),
		byte(frame, 2, x / 2, y / 2) };
}

static struct colour yv12_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), byte(frame, 2, x / 2, y / 2),
		byte(frame, 1, x / 2, y / 2) };
}

static struct colour grey_at(const struct frame *frame, uint32_t x, uint32_t y)
{
	return (struct colour){ byte(frame, 0, x, y), 128, 128 };
}

static struct colour from_rgb(double r, double g, double b)
{
	double y = 0.299 * r + 0.587 * g + 0.114 * b;

	return (struct colour){ y, 128 + (b - y) / 1.772, 128 + (r - y) / 1.402 };
}

static struct colour rgb24_at(const struct frame *f, uint32_t x, uint32_t y)
{
	return from_rgb(byte(f, 0, 3 * x, y), byte(f, 0, 3 * x + 1, y), byte(f, 0, 3 * x + 2, y));
}

static struct colour bgr24_at(const struct frame *f, uint32_t x, uint32_t y)
{
	return from_rgb(byte(f, 0, 3 * x + 2, y), byte(f, 0, 3 * x + 1, y), byte(f, 0, 3 * x, y));
}

static struct colour rgb565_at(const struct frame *f, uint32_t x, uint32_t y)
{
	unsigned pixel = byte(f, 0, 2 * x, y) | byte(f, 0, 2 * x + 1, y) << 8;

	return from_rgb((pixel >> 11) * 255 / 31.0, (pixel >> 5 & 63) * 255 / 63.0,
		(pixel & 31) * 255 / 31.0);
}

static const struct source sources[] = {
	{ V4L2_PIX_FMT_YUYV, "YUYV", { { 4, 2, 1 } }, yuyv_at, false, false },
	{ V4L2_PIX_FMT_YVYU, "YVYU", { { 4, 2, 1 } }, yvyu_at, false, false },
	{ V4L2_PIX_FMT_UYVY, "UYVY", { { 4, 2, 1 } }, uyvy_at, false, false },
	{ V4L2_PIX_FMT_NV12, "NV12", { { 1, 1, 1 }, { 2, 2, 2 } }, nv12_at, false, false },
	{ V4L2_PIX_FMT_NV21, "NV21", { { 1, 1, 1 }, { 2, 2, 2 } }, nv21_at, false, false },
	{ V4L2_PIX_FMT_NV16, "NV16", { { 1, 1, 1 }, { 2, 2, 1 } }, nv16_at, false, false },
	{ V4L2_PIX_FMT_NV24, "NV24", { { 1, 1, 1 }, { 2, 1, 1 } }, nv24_at, false, false },
	{ V4L2_PIX_FMT_YUV420, "YU12", { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } }, yu12_at, false,
		false },
	{ V4L2_PIX_FMT_YVU420, "YV12", { { 1, 1, 1 }, { 1, 2, 2 }, { 1, 2, 2 } }, yv12_at, false,
		false },
	{ V4L2_PIX_FMT_RGB24, "RGB3", { { 3, 1, 1 } }, rgb24_at, false, true },
	{ V4L2_PIX_FMT_BGR24, "BGR3", { { 3, 1, 1 } }, bgr24_at, false, true },
	{ V4L2_PIX_FMT_RGB565, "RGBP", { { 2, 1, 1 } }, rgb565_at, false, true },
	{ V4L2_PIX_FMT_GREY, "GREY", { { 1, 1, 1 } }, grey_at, true, false },
};

static const struct {
	uint32_t width, height;
} sizes[] = { { 1, 1 }, { 2, 2 }, { 3, 3 }, { 16, 16 }, { 33, 17 }, { 64, 35 }, { 1030, 5 },
	{ 1366, 48 } };

/* A plane whose last byte is the last one that may be read. */
struct guarded {
	void *map;
	size_t map_size;
};

static void *guarded_create(struct guarded *out, size_t size)
{
	size_t pages = (size + PAGE - 1) / PAGE * PAGE;

	out->map_size = pages + PAGE;
	out->map = mmap(NULL, out->map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	assert_true(out->map != MAP_FAILED);
	assert_int_equal(mprotect((char *)out->map + pages, PAGE, PROT_NONE), 0);
	return (char *)out->map + pages - size;
}

struct picture {
	struct frame frame;
	struct guarded memory[FRAME_PLANES];
};

static void picture_create(struct picture *out, const struct source *source, uint32_t width,
	uint32_t height, uint32_t extra_stride)
{
	struct frame *frame = &out->frame;

	*out = (struct picture){ .frame = { .format = source->fourcc,
					 .width = width,
					 .height = height,
					 .range = RANGE_FULL,
					 .matrix = MATRIX_601 } };
	for (int i = 0; i < FRAME_PLANES && source->plane[i].bytes; i++) {
		unsigned across = source->plane[i].across, down = source->plane[i].down;
		uint32_t row = (width + across - 1) / across * source->plane[i].bytes;
		uint32_t rows = (height + down - 1) / down;

		frame->plane[i].stride = row + extra_stride;
		frame->plane[i].size = (size_t)(rows - 1) * frame->plane[i].stride + row;
		frame->plane[i].data = guarded_create(&out->memory[i], frame->plane[i].size);
		for (size_t at = 0; at < frame->plane[i].size; at++)
			frame->plane[i].data[at] = random() >> 8;
	}
}

static void picture_finish(struct picture *picture)
{
	for (int i = 0; i < FRAME_PLANES; i++)
		if (picture->memory[i].map)
			munmap(picture->memory[i].map, picture->memory[i].map_size);
}

static double clamp(double value)
{
	return CLAMP(value, 0.0, 255.0);
}

static void stretch(struct colour *colour)
{
	colour->y = clamp((colour->y - 16) * 255 / 219);
	colour->u = clamp((colour->u - 128) * 255 / 224 + 128);
	colour->v = clamp((colour->v - 128) * 255 / 224 + 128);
}

/* By way of RGB, as the standards define both. */
static void turn_matrix(struct colour *colour)
{
	double r = colour->y + 1.5748 * (colour->v - 128);
	double b = colour->y + 1.8556 * (colour->u - 128);
	double g = (colour->y - 0.2126 * r - 0.0722 * b) / 0.7152;

	*colour = from_rgb(r, g, b);
	*colour = (struct colour){ clamp(colour->y), clamp(colour->u), clamp(colour->v) };
}

/* What the result should be at a pixel: its own brightness, the colour of its 2×2 square. */
static struct colour expected(const struct source *source, const struct frame *frame, uint32_t x,
	uint32_t y)
{
	struct colour sum = { 0 };
	int n = 0;

	for (uint32_t at_y = y & ~1u; at_y < MIN((y | 1) + 1, frame->height); at_y++) {
		for (uint32_t at_x = x & ~1u; at_x < MIN((x | 1) + 1, frame->width); at_x++) {
			struct colour colour = source->at(frame, at_x, at_y);

			sum.u += colour.u;
			sum.v += colour.v;
			n++;
		}
	}
	sum.u /= n;
	sum.v /= n;
	sum.y = source->at(frame, x, y).y;
	if (!source->rgb && frame->range == RANGE_LIMITED)
		stretch(&sum);
	if (!source->rgb && !source->grey && frame->matrix == MATRIX_709)
		turn_matrix(&sum);
	return sum;
}

static void assert_near(const struct source *source, const struct frame *frame, const char *what,
	double is, double should, uint32_t x, uint32_t y)
{
	if (fabs(is - should) > TOLERANCE)
		fail_msg("%s %ux%u stride %u %s %s: %s at %u,%u is %g, not %g", source->name,
			frame->width, frame->height, frame->plane[0].stride,
			frame->range == RANGE_FULL ? "full" : "limited",
			frame->matrix == MATRIX_601 ? "601" : "709", what, x, y, is, should);
}

/* The view is of the rows from `first` on. */
static void assert_shows(const struct planar *view, const struct source *source,
	const struct frame *frame, uint32_t first)
{
	assert_int_equal(view->subsampling, source->grey ? PLANAR_GREY : PLANAR_420);
	assert_int_equal(planar_is_grey(frame), source->grey);
	assert_int_equal(view->width, frame->width);
	for (uint32_t row = 0; row < view->height; row++) {
		for (uint32_t x = 0; x < frame->width; x++) {
			uint32_t y = first + row;
			struct colour should = expected(source, frame, x, y);

			assert_near(source, frame, "Y",
				view->plane[0][(size_t)row * view->stride[0] + x], should.y, x, y);
			if (source->grey)
				continue;
			assert_near(source, frame, "U",
				view->plane[1][(size_t)(row / 2) * view->stride[1] + x / 2],
				should.u, x, y);
			assert_near(source, frame, "V",
				view->plane[2][(size_t)(row / 2) * view->stride[2] + x / 2],
				should.v, x, y);
		}
	}
}

/* The whole picture, `rows` at a time. */
static void check_strips(const struct source *source, const struct frame *frame, uint32_t rows)
{
	uint8_t *scratch = NULL;
	size_t scratch_size = 0;

	for (uint32_t first = 0; first < frame->height; first += rows) {
		struct planar view;

		assert_int_equal(planar_rows(&view, frame, first, rows, &scratch, &scratch_size),
			0);
		assert_int_equal(view.height, MIN(rows, frame->height - first));
		assert_shows(&view, source, frame, first);
	}
	free(scratch);
}

static void check_all(enum frame_range range, enum frame_matrix matrix)
{
	srandom(1);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(sizes) * 2; k++) {
			struct picture picture;

			picture_create(&picture, &sources[i], sizes[k / 2].width,
				sizes[k / 2].height, k % 2 * 37);
			picture.frame.range = range;
			picture.frame.matrix = matrix;
			check_strips(&sources[i], &picture.frame, 8);
			check_strips(&sources[i], &picture.frame, 16);
			check_strips(&sources[i], &picture.frame, 64);
			picture_finish(&picture);
		}
	}
}

static void every_format_becomes_planar(void **state)
{
	(void)state;
	check_all(RANGE_FULL, MATRIX_601);
}

static void limited_range_is_stretched(void **state)
{
	(void)state;
	check_all(RANGE_LIMITED, MATRIX_601);
}

static void bt_709_is_turned_into_bt_601(void **state)
{
	(void)state;
	check_all(RANGE_FULL, MATRIX_709);
}

static void limited_bt_709_is_stretched_and_turned(void **state)
{
	(void)state;
	check_all(RANGE_LIMITED, MATRIX_709);
}

static void black_white_and_grey_are_exact(void **state)
{
	static const uint8_t yuv[][2][3] = { { { 16, 128, 128 }, { 0, 128, 128 } },
		{ { 235, 128, 128 }, { 255, 128, 128 } }, { { 126, 128, 128 }, { 128, 128, 128 } },
		{ { 0, 128, 128 }, { 0, 128, 128 } }, { { 255, 128, 128 }, { 255, 128, 128 } } };
	uint8_t *scratch = NULL;
	size_t scratch_size = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yuv) * 2; i++) {
		struct picture picture;
		struct planar view;

		picture_create(&picture, &sources[7], 66, 18, 0);
		picture.frame.range = RANGE_LIMITED;
		picture.frame.matrix = i % 2 ? MATRIX_709 : MATRIX_601;
		for (int p = 0; p < 3; p++)
			memset(picture.frame.plane[p].data, yuv[i / 2][0][p],
				picture.frame.plane[p].size);
		assert_int_equal(planar_rows(&view, &picture.frame, 0, UINT32_MAX, &scratch,
					 &scratch_size),
			0);
		for (int p = 0; p < 3; p++)
			assert_int_equal(view.plane[p][0], yuv[i / 2][1][p]);
		picture_finish(&picture);
	}
	free(scratch);
}

static void what_is_planar_already_is_borrowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		uint32_t fourcc = sources[i].fourcc;
		bool planar = fourcc == V4L2_PIX_FMT_YUV420 || fourcc == V4L2_PIX_FMT_YVU420 ||
			      fourcc == V4L2_PIX_FMT_GREY;
		uint8_t *scratch = NULL;
		size_t scratch_size = 0;
		struct picture picture;
		struct planar view;

		picture_create(&picture, &sources[i], 64, 32, 0);
		assert_int_equal(planar_rows(&view, &picture.frame, 0, UINT32_MAX, &scratch,
					 &scratch_size),
			0);
		assert_int_equal(view.borrowed, planar);
		assert_int_equal(scratch == NULL, planar);
		assert_ptr_equal(view.plane[0], planar ? picture.frame.plane[0].data : scratch);

		/* Grey has no matrix; the others must not be changed where they are. */
		picture.frame.matrix = MATRIX_709;
		assert_int_equal(planar_rows(&view, &picture.frame, 0, UINT32_MAX, &scratch,
					 &scratch_size),
			0);
		assert_int_equal(view.borrowed, fourcc == V4L2_PIX_FMT_GREY);

		/* An encoder reads whole blocks, so a row must not end within one. */
		picture.frame.width = 60;
		picture.frame.matrix = MATRIX_601;
		assert_int_equal(planar_rows(&view, &picture.frame, 0, 64, &scratch, &scratch_size),
			0);
		assert_false(view.borrowed);
		free(scratch);
		picture_finish(&picture);
	}
}

static void the_scratch_grows_once_and_is_used_again(void **state)
{
	uint8_t *scratch = NULL, *large;
	struct picture small, big;
	size_t size = 0, large_size;
	struct planar view;

	(void)state;
	picture_create(&small, &sources[0], 32, 32, 0);
	picture_create(&big, &sources[0], 640, 480, 0);
	assert_int_equal(planar_rows(&view, &small.frame, 0, UINT32_MAX, &scratch, &size), 0);
	assert_int_equal(planar_rows(&view, &big.frame, 0, UINT32_MAX, &scratch, &size), 0);
	large = scratch;
	large_size = size;
	assert_true(size >= 640 * 480 * 3 / 2);
	assert_int_equal(planar_rows(&view, &small.frame, 0, UINT32_MAX, &scratch, &size), 0);
	assert_ptr_equal(scratch, large);
	assert_int_equal(size, large_size);
	assert_shows(&view, &sources[0], &small.frame, 0);
	free(scratch);
	picture_finish(&small);
	picture_finish(&big);
}

static void assert_fails(const struct frame *frame, int error)
{
	struct planar view = { .width = 4711 };
	uint8_t *scratch = NULL;
	size_t scratch_size = 0;

	assert_int_equal(planar_rows(&view, frame, 0, UINT32_MAX, &scratch, &scratch_size), error);
	assert_int_equal(view.width, 4711);
	assert_null(scratch);
}

static void a_plane_that_is_too_small_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		for (int p = 0; p < FRAME_PLANES && sources[i].plane[p].bytes; p++) {
			struct picture picture;
			struct frame frame;

			picture_create(&picture, &sources[i], 33, 17, 3);
			frame = picture.frame;
			frame.plane[p].size--;
			assert_fails(&frame, -EINVAL);
			frame = picture.frame;
			frame.plane[p].stride -= 4;
			assert_fails(&frame, -EINVAL);
			frame = picture.frame;
			frame.plane[p].stride = UINT32_MAX;
			frame.plane[p].size = SIZE_MAX;
			assert_fails(&frame, -EINVAL);
			frame = picture.frame;
			frame.plane[p].data = NULL;
			assert_fails(&frame, -EINVAL);
			picture_finish(&picture);
		}
	}
}

static void a_size_that_is_no_picture_is_refused(void **state)
{
	static const uint32_t wrong[] = { 0, 65536, UINT32_MAX };
	struct picture picture;

	(void)state;
	picture_create(&picture, &sources[0], 16, 16, 0);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct frame frame = picture.frame;

		frame.width = wrong[i];
		assert_fails(&frame, -EINVAL);
		frame = picture.frame;
		frame.height = wrong[i];
		frame.plane[0].size = SIZE_MAX;
		assert_fails(&frame, -EINVAL);
	}
	picture_finish(&picture);
}

static void formats_without_pixels_are_not_supported(void **state)
{
	struct picture picture;

	(void)state;
	picture_create(&picture, &sources[0], 16, 16, 0);
	picture.frame.format = V4L2_PIX_FMT_MJPEG;
	assert_fails(&picture.frame, -ENOTSUP);
	picture.frame.format = 0;
	assert_fails(&picture.frame, -ENOTSUP);
	picture_finish(&picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format_becomes_planar),
		cmocka_unit_test(limited_range_is_stretched),
		cmocka_unit_test(bt_709_is_turned_into_bt_601),
		cmocka_unit_test(limited_bt_709_is_stretched_and_turned),
		cmocka_unit_test(black_white_and_grey_are_exact),
		cmocka_unit_test(what_is_planar_already_is_borrowed),
		cmocka_unit_test(the_scratch_grows_once_and_is_used_again),
		cmocka_unit_test(a_plane_that_is_too_small_is_refused),
		cmocka_unit_test(a_size_that_is_no_picture_is_refused),
		cmocka_unit_test(formats_without_pixels_are_not_supported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
