// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Frames into encoders' memory: JPEGs against TurboJPEG's own YUV decode, to the bit; raw frames
 * against a slow reference that looks at one pixel at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <math.h>
#include <turbojpeg.h>

#include "base/util.h"
#include "convert/picture.h"
#include "jpegs.h"
#include "raws.h"

/* Rounding in the format's own step, in the range step, in the matrix step, and of R, G and B. */
#define TOLERANCE 2.6

static const uint32_t targets[] = { V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV21, V4L2_PIX_FMT_YUV420,
	V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_UYVY, V4L2_PIX_FMT_RGB24,
	V4L2_PIX_FMT_BGR24, V4L2_PIX_FMT_XBGR32 };

static struct picture_converter *converter;

/* ---- memory, counted where the program's own malloc can be put before the library's */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_MEMORY 0
static unsigned long taken;
#else
#define COUNTS_MEMORY 1
static _Atomic unsigned long taken;

void *__libc_malloc(size_t size);                     /* NOLINT: glibc's names */
void *__libc_calloc(size_t count, size_t size);       /* NOLINT */
void *__libc_realloc(void *memory, size_t size);      /* NOLINT */
void *__libc_memalign(size_t alignment, size_t size); /* NOLINT */

void *malloc(size_t size)
{
	taken++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	taken++;
	return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	taken++;
	return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	taken++;
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	taken++;
	*out = __libc_memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}
#endif

/* ---- pictures to convert into */

/* Each plane ends where it must not be written any more, right behind the last pixel. */
struct target {
	struct picture picture;
	const struct source *format; /* how it is read */
	struct raw raw;
};

static const struct source *format_of(uint32_t fourcc)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (sources[i].fourcc == fourcc)
			return &sources[i];
	assert_int_equal(fourcc, V4L2_PIX_FMT_XBGR32);
	return &xbgr32_source;
}

static void target_create(struct target *out, uint32_t format, uint32_t width, uint32_t height,
	uint32_t extra_stride)
{
	out->format = format_of(format);
	raw_create(&out->raw, out->format, width, height, extra_stride);
	out->picture = (struct picture){ .format = format, .width = width, .height = height };
	memcpy(out->picture.plane, out->raw.frame.plane, sizeof(out->picture.plane));
}

static void target_finish(struct target *target)
{
	raw_finish(&target->raw);
}

static int convert(struct target *target, const struct frame *frame, bool allow_truncated)
{
	const char *why = NULL;
	int res = picture_convert(converter, &target->picture, frame, allow_truncated, &why);

	assert_true(res == 0 || (why && *why));
	return res;
}

static struct colour colour_at(const struct target *target, uint32_t x, uint32_t y)
{
	struct frame view = { .width = target->picture.width, .height = target->picture.height };

	memcpy(view.plane, target->picture.plane, sizeof(view.plane));
	return target->format->at(&view, x, y);
}

static bool is_420(const struct source *format)
{
	return format->plane[1].down == 2;
}

/* ---- raw frames */

/* Colours that RGB has, too; no edges that would show how chroma is filtered. */
static void make_gentle(const struct raw *raw)
{
	for (int i = 0; i < FRAME_PLANES; i++)
		for (size_t at = 0; at < raw->frame.plane[i].size; at++)
			raw->frame.plane[i].data[at] = 105 + random() / 256 % 46;
}

static void squeeze(struct colour *colour)
{
	colour->y = 16 + colour->y * 219 / 255;
	colour->u = 128 + (colour->u - 128) * 224 / 255;
	colour->v = 128 + (colour->v - 128) * 224 / 255;
}

/* The mean colour of a pair of pixels, or of a square, which is what has one sample of chroma. */
static struct colour mean_colour(const struct source *source, const struct frame *frame, uint32_t x,
	uint32_t y, bool square)
{
	struct colour sum = { 0 };
	uint32_t first = square ? y & ~1U : y, last = square ? MIN(y | 1, frame->height - 1) : y;
	int n = 0;

	for (uint32_t at_y = first; at_y <= last; at_y++) {
		for (uint32_t at_x = x & ~1U; at_x <= MIN(x | 1, frame->width - 1); at_x++, n++) {
			struct colour colour = source->at(frame, at_x, at_y);

			sum.u += colour.u;
			sum.v += colour.v;
		}
	}
	return (struct colour){ source->at(frame, x, y).y, sum.u / n, sum.v / n };
}

static struct colour expected(const struct source *source, const struct source *to,
	const struct frame *frame, uint32_t x, uint32_t y)
{
	struct colour colour;

	if (source->rgb && to->rgb)
		return source->at(frame, x, y);
	colour = mean_colour(source, frame, x, y, is_420(to));
	if (source->rgb)
		squeeze(&colour);
	if (!to->rgb)
		return colour;
	if (frame->range == RANGE_LIMITED)
		stretch(&colour);
	if (frame->matrix == MATRIX_709 && !source->grey)
		turn_matrix(&colour);
	return colour;
}

static void assert_colour(const struct target *target, const struct source *source,
	const struct frame *frame, uint32_t x, uint32_t y)
{
	struct colour is = colour_at(target, x, y);
	struct colour should = expected(source, target->format, frame, x, y);

	if (fabs(is.y - should.y) > TOLERANCE || fabs(is.u - should.u) > TOLERANCE ||
		fabs(is.v - should.v) > TOLERANCE)
		fail_msg("%s to %s, %ux%u, range %d matrix %d: at %u,%u is %g %g %g, not %g %g %g",
			source->name, target->format->name, frame->width, frame->height,
			frame->range, frame->matrix, x, y, is.y, is.u, is.v, should.y, should.u,
			should.v);
}

static void check_meaning(const struct target *target, const struct source *source,
	const struct frame *frame)
{
	if (target->format->rgb) {
		assert_int_equal(target->picture.range, RANGE_FULL);
	} else if (source->rgb) {
		assert_int_equal(target->picture.range, RANGE_LIMITED);
		assert_int_equal(target->picture.matrix, MATRIX_601);
	} else {
		assert_int_equal(target->picture.range, frame->range);
		assert_int_equal(target->picture.matrix, frame->matrix);
	}
}

static void check_raw(const struct source *source, uint32_t to, const struct frame *frame,
	uint32_t extra_stride)
{
	struct target target;

	target_create(&target, to, frame->width, frame->height, extra_stride);
	assert_int_equal(convert(&target, frame, false), 0);
	check_meaning(&target, source, frame);
	for (uint32_t y = 0; y < frame->height; y++)
		for (uint32_t x = 0; x < frame->width; x++)
			assert_colour(&target, source, frame, x, y);
	target_finish(&target);
}

static const struct {
	uint32_t width, height;
} raw_sizes[] = { { 1, 1 }, { 2, 2 }, { 17, 9 }, { 64, 34 }, { 131, 19 } };

static void check_size(const struct source *source, uint32_t width, uint32_t height,
	enum frame_range range, enum frame_matrix matrix)
{
	struct raw raw;

	for (uint32_t extra = 0; extra < 70; extra += 37) {
		raw_create(&raw, source, width, height, extra);
		make_gentle(&raw);
		raw.frame.range = range;
		raw.frame.matrix = matrix;
		for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
			check_raw(source, targets[i], &raw.frame, extra);
		raw_finish(&raw);
	}
}

static void check_source(const struct source *source)
{
	for (size_t k = 0; k < ARRAY_SIZE(raw_sizes); k++)
		for (int kind = 0; kind < 4; kind++)
			check_size(source, raw_sizes[k].width, raw_sizes[k].height,
				kind & 1 ? RANGE_FULL : RANGE_LIMITED,
				kind & 2 ? MATRIX_601 : MATRIX_709);
}

static void every_raw_format_becomes_every_target(void **state)
{
	(void)state;
	srandom(1);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		check_source(&sources[i]);
	check_source(&xbgr32_source);
}

static void what_needs_no_arithmetic_is_exact(void **state)
{
	static const uint32_t pairs[][2] = { { V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_UYVY },
		{ V4L2_PIX_FMT_NV16, V4L2_PIX_FMT_YUYV },
		{ V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUV420 },
		{ V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_NV21 },
		{ V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_YUYV }, { V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12 },
		{ V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_UYVY },
		{ V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24 },
		{ V4L2_PIX_FMT_YVYU, V4L2_PIX_FMT_UYVY } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const struct source *source = format_of(pairs[i][0]);
		struct target target;
		struct raw raw;

		raw_create(&raw, source, 67, 35, 11);
		target_create(&target, pairs[i][1], 67, 35, 5);
		assert_int_equal(convert(&target, &raw.frame, false), 0);
		for (uint32_t y = 0; y < 35; y++) {
			for (uint32_t x = 0; x < 67; x++) {
				struct colour is = colour_at(&target, x, y);
				struct colour was = source->at(&raw.frame, x, y);

				assert_memory_equal(&is, &was, sizeof(is));
			}
		}
		target_finish(&target);
		raw_finish(&raw);
	}
}

static void planes_that_are_too_small_are_refused(void **state)
{
	struct target target;
	struct frame frame;
	struct raw raw;

	(void)state;
	raw_create(&raw, format_of(V4L2_PIX_FMT_YUYV), 32, 32, 0);
	target_create(&target, V4L2_PIX_FMT_YUV420, 32, 32, 0);
	frame = raw.frame;
	frame.plane[0].size--;
	assert_int_equal(convert(&target, &frame, false), -EINVAL);
	frame = raw.frame;
	frame.plane[0].stride = 63;
	assert_int_equal(convert(&target, &frame, false), -EINVAL);
	frame = raw.frame;
	frame.width = 30;
	assert_int_equal(convert(&target, &frame, false), -EINVAL);
	frame = raw.frame;
	frame.height = 30;
	assert_int_equal(convert(&target, &frame, false), -EINVAL);
	frame = raw.frame;
	frame.format = V4L2_PIX_FMT_H264;
	assert_int_equal(convert(&target, &frame, false), -ENOTSUP);
	for (int p = 0; p < 3; p++) {
		target.picture.plane[p].size--;
		assert_int_equal(convert(&target, &raw.frame, false), -EINVAL);
		target.picture.plane[p].size++;
	}
	target.picture.format = V4L2_PIX_FMT_NV16;
	assert_int_equal(convert(&target, &raw.frame, false), -ENOTSUP);
	target.picture.format = V4L2_PIX_FMT_YUV420;
	assert_int_equal(convert(&target, &raw.frame, false), 0);
	target_finish(&target);
	raw_finish(&raw);
}

static void the_layout_is_in_one_piece(void **state)
{
	struct picture picture = { .format = V4L2_PIX_FMT_YUV420, .width = 1366, .height = 767 };
	static uint8_t memory[1408 * 769 * 3 / 2 + 1408];

	(void)state;
	assert_int_equal(picture_lay_out(&picture, memory, 1408, 769), 1408 * 769 + 2 * 704 * 385);
	assert_ptr_equal(picture.plane[1].data, memory + 1408 * 769);
	assert_ptr_equal(picture.plane[2].data, memory + 1408 * 769 + 704 * 385);
	assert_int_equal(picture.plane[1].stride, 704);
	picture.format = V4L2_PIX_FMT_NV12;
	assert_int_equal(picture_lay_out(&picture, memory, 1408, 769), 1408 * 769 + 1408 * 385);
	assert_int_equal(picture.plane[1].stride, 1408);
	picture.format = V4L2_PIX_FMT_YUYV;
	assert_int_equal(picture_lay_out(&picture, NULL, 2732, 767), 2732 * 767);
	picture.format = V4L2_PIX_FMT_MJPEG;
	assert_int_equal(picture_lay_out(&picture, NULL, 1366, 767), 0);
	assert_false(picture_can_be(V4L2_PIX_FMT_MJPEG));
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		assert_true(picture_can_be(targets[i]));
}

/* ---- JPEG */

static uint8_t *draw(uint32_t width, uint32_t height, int components)
{
	uint8_t *pixels = malloc((size_t)width * height * components);

	for (uint32_t y = 0; y < height; y++)
		for (uint32_t x = 0; x < width; x++)
			for (int c = 0; c < components; c++)
				pixels[((size_t)y * width + x) * components +
					c] = (x * (c + 1) + y * 3 + (x / 7 * 40 ^ y / 5 * 24)) +
					     random() % 16;
	return pixels;
}

static struct frame make_jpeg(struct jpegs_make make)
{
	uint8_t *pixels = draw(make.width, make.height, make.components);
	struct frame frame = {
		.format = V4L2_PIX_FMT_MJPEG, .width = make.width, .height = make.height
	};

	make.pixels = pixels;
	frame.plane[0].data = jpegs_encode(&make, &frame.plane[0].size);
	free(pixels);
	return frame;
}

struct truth {
	uint8_t *plane[3];
	int stride[3];
	unsigned across, down; /* 0: grey */
};

/* TurboJPEG's own planes. */
static struct truth decode(const struct frame *jpeg, unsigned across, unsigned down)
{
	struct truth truth = { .across = across, .down = down };
	tjhandle turbo = tjInitDecompress();

	for (int p = 0; p < 3; p++) {
		truth.stride[p] = ((int)jpeg->width + 63) / 32 * 32;
		truth.plane[p] = malloc((size_t)truth.stride[p] * (jpeg->height + 32));
	}
	assert_int_equal(tjDecompressToYUVPlanes(turbo, jpeg->plane[0].data, jpeg->plane[0].size,
				 truth.plane, 0, truth.stride, 0, 0),
		0);
	tjDestroy(turbo);
	return truth;
}

/* The mean of the samples that belong to a pair or a square of pixels, rounded up. */
static int true_chroma(const struct truth *truth, const struct frame *jpeg, int p, uint32_t x,
	uint32_t y, bool square)
{
	uint32_t first = square ? y & ~1U : y, last = square ? MIN(y | 1, jpeg->height - 1) : y;
	int sum = 0, n = 0;

	if (!truth->across)
		return 128;
	for (uint32_t at_y = first; at_y <= last; at_y++)
		for (uint32_t at_x = x & ~1U; at_x <= MIN(x | 1, jpeg->width - 1); at_x++, n++)
			sum += truth->plane[p][(size_t)(at_y / truth->down) * truth->stride[p] +
					       at_x / truth->across];
	return (sum + n / 2) / n;
}

static void assert_is_jpeg(const struct target *target, const struct frame *jpeg,
	const struct truth *truth)
{
	bool square = is_420(target->format);

	assert_int_equal(target->picture.range, RANGE_FULL);
	assert_int_equal(target->picture.matrix, MATRIX_601);
	for (uint32_t y = 0; y < jpeg->height; y++) {
		for (uint32_t x = 0; x < jpeg->width; x++) {
			struct colour is = colour_at(target, x, y);
			int luma = truth->plane[0][(size_t)y * truth->stride[0] + x];
			int u = true_chroma(truth, jpeg, 1, x, y, square);
			int v = true_chroma(truth, jpeg, 2, x, y, square);

			if ((int)is.y != luma || (int)is.u != u || (int)is.v != v)
				fail_msg("%s %ux%u chroma %ux%u at %u,%u: %g %g %g, not %d %d %d",
					target->format->name, jpeg->width, jpeg->height,
					truth->across, truth->down, x, y, is.y, is.u, is.v, luma, u,
					v);
		}
	}
}

static void check_jpeg(const struct frame *jpeg, const struct truth *truth, uint32_t format,
	uint32_t extra_stride)
{
	struct target target;

	target_create(&target, format, jpeg->width, jpeg->height, extra_stride);
	assert_int_equal(convert(&target, jpeg, false), 0);
	assert_is_jpeg(&target, jpeg, truth);
	target_finish(&target);
}

/* across 0: grey. */
static void check_sampling(uint32_t width, uint32_t height, unsigned across, unsigned down)
{
	struct frame jpeg = make_jpeg((struct jpegs_make){ .width = (int)width,
		.height = (int)height,
		.components = across ? 3 : 1,
		.across = (int)across,
		.down = (int)down });
	struct truth truth = decode(&jpeg, across, down);
	bool large = width > 1000;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		for (uint32_t extra = large ? 32 : 0; extra < 70 && !format_of(targets[i])->rgb;
			extra += large ? 64 : 32)
			check_jpeg(&jpeg, &truth, targets[i], extra);
	for (int p = 0; p < 3; p++)
		free(truth.plane[p]);
	free(jpeg.plane[0].data);
}

static const struct {
	unsigned across, down;
} samplings[] = { { 2, 2 }, { 2, 1 }, { 1, 1 }, { 1, 2 }, { 4, 1 }, { 0, 0 } };

static void jpegs_are_as_turbojpeg_decodes_them(void **state)
{
	static const struct {
		uint32_t width, height;
	} sizes[] = { { 1, 1 }, { 2, 2 }, { 17, 9 }, { 33, 31 }, { 64, 48 }, { 720, 576 },
		{ 1365, 767 }, { 1366, 768 }, { 1920, 1080 } };

	(void)state;
	srandom(1);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
		for (size_t i = 0; i < ARRAY_SIZE(samplings); i++)
			if (sizes[k].width < 1000 || i < 2)
				check_sampling(sizes[k].width, sizes[k].height, samplings[i].across,
					samplings[i].down);
}

static void jpegs_without_huffman_tables_are_decoded(void **state)
{
	struct frame jpeg = make_jpeg((struct jpegs_make){
		.width = 64, .height = 48, .components = 3, .no_tables = true });
	struct truth truth = decode(&jpeg, 2, 2);

	(void)state;
	check_jpeg(&jpeg, &truth, V4L2_PIX_FMT_NV12, 0);
	for (int p = 0; p < 3; p++)
		free(truth.plane[p]);
	free(jpeg.plane[0].data);
}

/* Eight bars of 32×64, of which the middle is looked at. No colour is so bright that it is cut off. */
static void colour_bars_keep_their_colours(void **state)
{
	struct jpegs_make make = { .width = 256, .height = 64, .components = 3, .quality = 95 };
	struct frame jpeg = { .format = V4L2_PIX_FMT_JPEG, .width = 256, .height = 64 };
	uint8_t *pixels = malloc((size_t)256 * 64 * 3);

	(void)state;
	for (int at = 0; at < 256 * 64 * 3; at++)
		pixels[at] = (at / 3 % 256 / 32) >> (at % 3) & 1 ? 192 : 64;
	make.pixels = pixels;
	jpeg.plane[0].data = jpegs_encode(&make, &jpeg.plane[0].size);
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct target target;

		target_create(&target, targets[i], 256, 64, 0);
		assert_int_equal(convert(&target, &jpeg, false), 0);
		for (int bar = 0; bar < 8; bar++) {
			struct colour is = colour_at(&target, bar * 32 + 16, 32);
			struct colour should = from_rgb(bar & 1 ? 192 : 64, bar & 2 ? 192 : 64,
				bar & 4 ? 192 : 64);

			assert_true(fabs(is.y - should.y) <= 2 && fabs(is.u - should.u) <= 2 &&
				    fabs(is.v - should.v) <= 2);
		}
		target_finish(&target);
	}
	free(pixels);
	free(jpeg.plane[0].data);
}

/* ---- damage */

static int convert_bytes(const uint8_t *data, size_t size, bool allow_truncated)
{
	struct frame frame = { .format = V4L2_PIX_FMT_MJPEG, .width = 160, .height = 96 };
	uint8_t *exact = malloc(size);
	struct target target;
	int res;

	memcpy(exact, data, size); /* so that a sanitizer sees what is read behind it */
	frame.plane[0] = (struct frame_plane){ .data = exact, .size = size };
	target_create(&target, V4L2_PIX_FMT_NV12, 160, 96, 0);
	res = convert(&target, &frame, allow_truncated);
	target_finish(&target);
	free(exact);
	return res;
}

static struct frame make_small(struct jpegs_make make)
{
	make.width = 160;
	make.height = 96;
	make.components = 3;
	return make_jpeg(make);
}

static size_t find_marker(const struct frame *jpeg, uint8_t marker)
{
	const uint8_t *data = jpeg->plane[0].data;
	size_t at = 0;

	while (data[at] != 0xFF || data[at + 1] != marker)
		at++;
	return at;
}

static void a_jpeg_that_ends_early_is_damaged_unless_that_is_allowed(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ 0 });
	size_t size = jpeg.plane[0].size;

	(void)state;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size, false), 0);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size / 2, false), -EBADMSG);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size / 2, true), 0);
	/* its end is there, but not its middle */
	memmove(jpeg.plane[0].data + size / 2, jpeg.plane[0].data + size - 2, 2);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size / 2 + 2, false), -EBADMSG);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size / 2 + 2, true), 0);
	free(jpeg.plane[0].data);
}

static void a_lost_restart_marker_is_damage(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ .restart_rows = 1 });
	size_t at = find_marker(&jpeg, 0xD1);

	(void)state;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), 0);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, at, true), 0);
	jpeg.plane[0].data[at + 1] = 0xD5;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -EBADMSG);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, true), -EBADMSG);
	free(jpeg.plane[0].data);
}

static void a_marker_in_the_middle_is_damage(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ 0 });
	size_t middle = jpeg.plane[0].size / 2;

	(void)state;
	jpeg.plane[0].data[middle] = 0xFF;
	jpeg.plane[0].data[middle + 1] = 0xD3;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -EBADMSG);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, true), -EBADMSG);
	free(jpeg.plane[0].data);
}

/* A height that was cut in half: the rest of the picture is left over. */
static void much_data_behind_the_picture_is_damage(void **state)
{
	struct frame jpeg = make_jpeg((struct jpegs_make){
		.width = 160, .height = 192, .components = 3 });
	size_t sof = find_marker(&jpeg, 0xC0);

	(void)state;
	jpeg.plane[0].data[sof + 6] = 96;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -EBADMSG);
	free(jpeg.plane[0].data);
}

static void junk_around_the_end_is_left_out(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ 0 });
	size_t size = jpeg.plane[0].size;
	uint8_t *longer = malloc(size + 100);

	(void)state;
	memcpy(longer, jpeg.plane[0].data, size);
	memset(longer + size, 0x55, 100);
	assert_int_equal(convert_bytes(longer, size + 100, false), 0);
	/* a few bytes, then padding, before the end marker */
	memset(longer + size - 2, 0x00, 50);
	memset(longer + size - 2, 0x11, 20);
	memcpy(longer + size + 48, (uint8_t[]){ 0xFF, 0xD9 }, 2);
	assert_int_equal(convert_bytes(longer, size + 50, false), 0);
	free(longer);
	free(jpeg.plane[0].data);
}

static void what_would_need_the_whole_picture_is_not_supported(void **state)
{
	static const struct jpegs_make makes[] = { { .progressive = true }, { .separate = true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(makes); i++) {
		struct frame jpeg = make_small(makes[i]);

		assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false),
			-ENOTSUP);
		free(jpeg.plane[0].data);
	}
}

static void a_size_other_than_the_targets_is_refused(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ 0 });
	size_t sof = find_marker(&jpeg, 0xC0);

	(void)state;
	memset(jpeg.plane[0].data + sof + 5, 0x3B, 4); /* within jpegfix's limits for width */
	jpeg.plane[0].data[sof + 5] = 0x21;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -EINVAL);
	memset(jpeg.plane[0].data + sof + 5, 0xFF, 4);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -EBADMSG);
	free(jpeg.plane[0].data);
}

static void odd_sampling_is_not_supported(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ 0 });
	size_t sof = find_marker(&jpeg, 0xC0);

	(void)state;
	jpeg.plane[0].data[sof + 11] = 0x11; /* luma; chroma has more */
	jpeg.plane[0].data[sof + 14] = 0x22;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -ENOTSUP);
	jpeg.plane[0].data[sof + 11] = 0x31;
	jpeg.plane[0].data[sof + 14] = 0x11;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), -ENOTSUP);
	free(jpeg.plane[0].data);
}

static void nothing_of_one_picture_is_left_for_the_next(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ 0 });
	size_t size = jpeg.plane[0].size, dqt = find_marker(&jpeg, 0xDB);
	size_t length = 2 + jpeg.plane[0].data[dqt + 3];

	(void)state;
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size, false), 0);
	memmove(jpeg.plane[0].data + dqt, jpeg.plane[0].data + dqt + length, size - dqt - length);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, size - length, false), -EBADMSG);
	free(jpeg.plane[0].data);
}

static void no_damage_upsets_the_converter(void **state)
{
	struct frame jpeg = make_small((struct jpegs_make){ .restart_rows = 2 });
	uint8_t *data = malloc(jpeg.plane[0].size);
	unsigned refused = 0;

	(void)state;
	srandom(2);
	for (int i = 0; i < 3000; i++) {
		memcpy(data, jpeg.plane[0].data, jpeg.plane[0].size);
		for (int k = i % 4; k >= 0; k--)
			data[random() % jpeg.plane[0].size] ^= 1 << random() % 8;
		refused += convert_bytes(data, jpeg.plane[0].size, i % 2) < 0;
	}
	assert_true(refused > 500);
	assert_int_equal(convert_bytes(jpeg.plane[0].data, jpeg.plane[0].size, false), 0);
	free(data);
	free(jpeg.plane[0].data);
}

/* ---- memory */

static unsigned long count_taken(struct target *target, const struct frame *frame)
{
	unsigned long before;

	assert_int_equal(convert(target, frame, false), 0);
	before = taken;
	for (int i = 0; i < 3; i++)
		assert_int_equal(convert(target, frame, false), 0);
	return taken - before;
}

static void nothing_is_allocated_for_a_frame(void **state)
{
	struct frame jpeg;

	(void)state;
	if (!COUNTS_MEMORY) {
		print_message("skipped: the sanitizer has a malloc of its own\n");
		skip();
	}
	jpeg = make_jpeg((struct jpegs_make){
		.width = 321, .height = 200, .components = 3, .across = 2, .down = 1 });
	for (size_t k = 0; k < ARRAY_SIZE(targets); k++) {
		struct target target;

		target_create(&target, targets[k], 321, 200, 0);
		assert_int_equal(count_taken(&target, &jpeg), 0);
		for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
			struct raw raw;

			raw_create(&raw, &sources[i], 321, 200, 0);
			if (count_taken(&target, &raw.frame))
				fail_msg("%s to %s", sources[i].name, target.format->name);
			raw_finish(&raw);
		}
		target_finish(&target);
	}
	free(jpeg.plane[0].data);
}

static int create_converter(void **state)
{
	(void)state;
	return picture_converter_create(&converter);
}

static int destroy_converter(void **state)
{
	(void)state;
	picture_converter_destroy(converter);
	picture_converter_destroy(NULL);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create_converter, destroy_converter)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_raw_format_becomes_every_target),
		TEST(what_needs_no_arithmetic_is_exact),
		TEST(planes_that_are_too_small_are_refused),
		TEST(the_layout_is_in_one_piece),
		TEST(jpegs_are_as_turbojpeg_decodes_them),
		TEST(jpegs_without_huffman_tables_are_decoded),
		TEST(colour_bars_keep_their_colours),
		TEST(a_jpeg_that_ends_early_is_damaged_unless_that_is_allowed),
		TEST(a_lost_restart_marker_is_damage),
		TEST(a_marker_in_the_middle_is_damage),
		TEST(much_data_behind_the_picture_is_damage),
		TEST(junk_around_the_end_is_left_out),
		TEST(what_would_need_the_whole_picture_is_not_supported),
		TEST(a_size_other_than_the_targets_is_refused),
		TEST(odd_sampling_is_not_supported),
		TEST(nothing_of_one_picture_is_left_for_the_next),
		TEST(no_damage_upsets_the_converter),
		TEST(nothing_is_allocated_for_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
