// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What it costs to turn a 1080p JPEG with 4:2:2 chroma into an encoder's input, against decoding
 * the same JPEG to RGB by TurboJPEG, in the same process; and raw frames for comparison.
 *
 *   convert                 nanoseconds for each frame, and what that is of TurboJPEG's
 *   convert CASE FRAMES     does only one, so that its instructions can be counted:
 *                           valgrind --tool=callgrind --toggle-collect=measured \
 *                               build/bench/convert jpeg-nv12 5
 *   convert … FILE          the same with a 1920x1080 JPEG of yours
 *
 * The picture is like a desktop: windows with text, and a photograph. What can be saved is what
 * comes after a JPEG's Huffman codes and DCT, so the share depends on how many bytes it has.
 */
#include <linux/videodev2.h>
#include <turbojpeg.h>

#include "base/util.h"
#include "convert/picture.h"

#define WIDTH    1920
#define HEIGHT   1080
#define FRAMES   100
#define QUALITY  80
#define MAX_FILE (8 * 1024 * 1024)

struct bench {
	uint8_t *rgb;
	struct frame jpeg, yuyv;
	struct picture_converter *converter;
	tjhandle turbo;
	uint8_t *memory;
};

struct one_case {
	const char *name;
	uint32_t from, to; /* to: 0 for TurboJPEG */
};

static const struct one_case cases[] = {
	{ "turbojpeg-rgb", V4L2_PIX_FMT_MJPEG, 0 },
	{ "jpeg-nv12", V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_NV12 },
	{ "jpeg-yu12", V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_YUV420 },
	{ "jpeg-yuyv", V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_YUYV },
	{ "yuyv-nv12", V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12 },
	{ "yuyv-yu12", V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_YUV420 },
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static uint32_t mix(uint32_t x)
{
	x = (x ^ x >> 16) * 0x45d9f3bU;
	x = (x ^ x >> 16) * 0x45d9f3bU;
	return x ^ x >> 16;
}

/* Letters of 8×12 pixels, of strokes two pixels wide, in lines of different length. */
static bool is_ink(uint32_t x, uint32_t y)
{
	uint32_t line = y / 20, column = x % 640 / 8, letter = mix(x / 8 * 7919 + line) % 32;

	if (y % 20 >= 12 || column < 3 || column > 3 + mix(line + x / 640 * 99) % 60)
		return false;
	return letter > 5 && mix(letter * 64 + y % 20 / 3 * 8 + x % 8 / 2) % 5 < 2 && x % 8 < 6;
}

/* Windows with text on the left, on the right a photograph. */
static void draw_pixel(uint8_t *rgb, uint32_t x, uint32_t y)
{
	uint32_t noise = mix(y / 2 * WIDTH + x / 2) % 3;

	if (x < WIDTH * 2 / 3) {
		bool ink = is_ink(x, y);

		rgb[0] = ink ? 32 : 250;
		rgb[1] = ink ? 48 : 250;
		rgb[2] = ink ? 96 : y < 40 ? 160 : 250;
		return;
	}
	rgb[0] = x / 8 + noise;
	rgb[1] = y / 5 + noise;
	rgb[2] = 128 + (x ^ y) / 32 + noise;
}

static void draw(struct bench *bench)
{
	bench->rgb = malloc((size_t)WIDTH * HEIGHT * 3);
	if (!bench->rgb)
		fail("malloc", "no memory");
	for (uint32_t y = 0; y < HEIGHT; y++)
		for (uint32_t x = 0; x < WIDTH; x++)
			draw_pixel(bench->rgb + 3 * ((size_t)y * WIDTH + x), x, y);
}

static void make_jpeg(struct bench *bench)
{
	tjhandle maker = tjInitCompress();
	unsigned long size = 0;
	uint8_t *data = NULL;

	if (tjCompress2(maker, bench->rgb, WIDTH, 0, HEIGHT, TJPF_RGB, &data, &size, TJSAMP_422,
		    QUALITY, 0) < 0)
		fail("tjCompress2", tjGetErrorStr2(maker));
	tjDestroy(maker);
	bench->jpeg.plane[0] = (struct frame_plane){ .data = data, .size = size };
}

static void read_jpeg(struct bench *bench, const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = malloc(MAX_FILE);

	if (!file || !data)
		fail(path, "cannot be read");
	bench->jpeg.plane[0] = (struct frame_plane){ .data = data,
		.size = fread(data, 1, MAX_FILE, file) };
	fclose(file);
}

static void prepare(struct bench *bench, const char *path)
{
	size_t raw = (size_t)WIDTH * HEIGHT * 4;

	draw(bench);
	bench->jpeg = (struct frame){
		.format = V4L2_PIX_FMT_MJPEG, .width = WIDTH, .height = HEIGHT
	};
	if (path)
		read_jpeg(bench, path);
	else
		make_jpeg(bench);
	bench->yuyv = (struct frame){ .format = V4L2_PIX_FMT_YUYV,
		.width = WIDTH,
		.height = HEIGHT,
		.plane[0] = { bench->rgb, WIDTH * 2, (size_t)WIDTH * 2 * HEIGHT } };
	bench->turbo = tjInitDecompress();
	bench->memory = aligned_alloc(64, raw);
	if (!bench->turbo || !bench->memory || picture_converter_create(&bench->converter) < 0)
		fail("prepare", "no memory");
	memset(bench->memory, 0, raw); /* so that no page is missing when it is measured */
}

/* By its own name for callgrind. */
__attribute__((noinline)) void measured(struct bench *bench, const struct one_case *what);

void measured(struct bench *bench, const struct one_case *what)
{
	const struct frame *from = what->from == V4L2_PIX_FMT_YUYV ? &bench->yuyv : &bench->jpeg;
	struct picture to = { .format = what->to, .width = WIDTH, .height = HEIGHT };
	bool packed = what->to == V4L2_PIX_FMT_YUYV;
	const char *why;

	if (!what->to) {
		if (tjDecompress2(bench->turbo, from->plane[0].data, from->plane[0].size,
			    bench->memory, WIDTH, 0, HEIGHT, TJPF_RGB, 0) < 0)
			fail("tjDecompress2", tjGetErrorStr2(bench->turbo));
		return;
	}
	picture_lay_out(&to, bench->memory, packed ? 2 * WIDTH : WIDTH, HEIGHT);
	if (picture_convert(bench->converter, &to, from, false, &why) < 0)
		fail("picture_convert", why);
}

static int64_t run(struct bench *bench, const struct one_case *what, int frames)
{
	int64_t best = INT64_MAX;

	for (int i = 0; i < frames; i++) {
		int64_t begin = now_ns();

		measured(bench, what);
		best = MIN(best, now_ns() - begin);
	}
	return best;
}

static void run_all(struct bench *bench)
{
	int64_t turbo = run(bench, &cases[0], FRAMES);

	printf("JPEG %ux%u, %zu bytes; nanoseconds for a frame, the best of %d\n", WIDTH, HEIGHT,
		bench->jpeg.plane[0].size, FRAMES);
	printf("%-14s %10lld\n", cases[0].name, (long long)turbo);
	for (size_t i = 1; i < ARRAY_SIZE(cases); i++) {
		int64_t ours = run(bench, &cases[i], FRAMES);

		printf("%-14s %10lld %5.2f\n", cases[i].name, (long long)ours,
			(double)ours / (double)turbo);
	}
}

int main(int argc, char **argv)
{
	struct bench bench = { 0 };

	prepare(&bench, argc % 2 == 0 ? argv[argc - 1] : NULL);
	if (argc < 3) {
		run_all(&bench);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (strcmp(argv[1], cases[i].name) == 0) {
			run(&bench, &cases[i], atoi(argv[2]));
			return 0;
		}
	}
	fail(argv[1], "no such case");
}
