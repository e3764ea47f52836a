// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the software encoder costs and how its pictures look: CPU and wall time for each frame,
 * bitrate, and the luma's PSNR of what ffmpeg decodes, for the whole and after each change.
 *
 *   x264 [SCENE [KBPS]]
 *
 * card: the test card. pages: dense text, another page each second. scroll: such a page moves.
 */
#include <math.h>

#include "base/util.h"
#include "capture/source.h"
#include "encoder/encoder.h"
#include "slate/draw.h"

#define N_FRAMES  90
#define PAGE      30 /* frames */
#define TEXT_SIZE 16
#define LINE      20
#define SCROLL    6 /* pixels a frame */

struct run {
	const char *scene;
	uint32_t width, height;
	unsigned fps, kbps;
};

struct result {
	int64_t cpu_ns, wall_ns, worst_ns;
	size_t bytes[N_FRAMES];
	double psnr[N_FRAMES];
};

static const struct run runs[] = {
	{ "card", 1920, 1080, 30, 5000 },
	{ "card", 1280, 720, 60, 5000 },
	{ "pages", 1920, 1080, 30, 5000 },
	{ "scroll", 1920, 1080, 30, 5000 },
};

static char bytes_path[64]; /* what the encoder gave, for ffmpeg */

static void expect(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "x264: %s\n", what);
		exit(1);
	}
}

/* ---- scenes */

static void read_card(const struct run *run, struct frame *frames[N_FRAMES])
{
	struct options opt = { .resolution = { run->width, run->height }, .desired_fps = 120 };
	struct drops drops = { 0 };
	struct source_config config = { .opt = &opt, .drops = &drops, .stop_fd = -1 };
	struct source *source;

	expect(source_testcard.open(&source, &config) == 0, "no test card");
	for (unsigned i = 0; i < N_FRAMES; i++)
		expect(source_testcard.next(source, &frames[i], now_ns() + 2 * NS_PER_S) == 0, "no frame");
	source_testcard.close(source);
}

/* Words of no language, the same ones for the same seed; dark on light, as most pages are. */
static void draw_text_line(struct frame *to, int y, uint32_t seed)
{
	char text[256];
	size_t most = MIN(sizeof(text), to->width * 2 / TEXT_SIZE - 8);
	size_t length = (size_t)((seed >> 8) % 100) * most / 150;

	/* Lines of any length, every fourth one empty: a page with some air. */
	if (seed % 4 == 0)
		return;
	for (size_t i = 0; i < length; i++) {
		seed = seed * 1664525 + 1013904223;
		text[i] = seed >> 28 < 3 ? ' ' : (char)('a' + (seed >> 16) % 26);
	}
	draw_text(to, 32, y, TEXT_SIZE, 16, text, length);
}

static struct frame *draw_page(const struct run *run, uint32_t seed, int scrolled)
{
	static const struct draw_color paper = { 235, 128, 128 }, bar = { 90, 170, 110 };
	struct frame *to;

	expect(draw_create(&to, run->width, run->height) == 0, "no memory");
	draw_fill(to, 0, 0, (int)run->width, (int)run->height, paper);
	draw_fill(to, 0, 0, (int)run->width, 2 * LINE, bar);
	for (int line = scrolled / LINE; line * LINE - scrolled < (int)run->height; line++)
		draw_text_line(to, line * LINE - scrolled + 2 * LINE,
			seed + (uint32_t)line * 2654435761U);
	return to;
}

static void make_frames(const struct run *run, struct frame *frames[N_FRAMES])
{
	bool scrolls = !strcmp(run->scene, "scroll");

	if (!strcmp(run->scene, "card")) {
		read_card(run, frames);
		return;
	}
	for (unsigned i = 0; i < N_FRAMES; i++) {
		frames[i] = scrolls ? draw_page(run, 1, (int)i * SCROLL)
				    : draw_page(run, i / PAGE, 0);
		frames[i]->captured_ns = (int64_t)(i + 1) * NS_PER_S / run->fps;
	}
}

/* ---- encoding */

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static void encode_all(struct encoder *encoder, struct frame *frames[N_FRAMES],
	struct result *result, FILE *to)
{
	for (unsigned i = 0; i < N_FRAMES; i++) {
		struct encoder_submission in = {
			.input = -1, .frame = frames[i], .origin = frames[i]
		};
		int64_t cpu = cpu_ns(), wall = now_ns();
		struct frame *unit;

		expect(encoder->ops->submit(encoder, &in) == 0, "submit");
		expect(encoder->ops->collect(encoder, &unit) == 0, "collect");
		wall = now_ns() - wall;
		result->cpu_ns += cpu_ns() - cpu;
		result->wall_ns += wall;
		result->worst_ns = MAX(result->worst_ns, wall);
		result->bytes[i] = unit->plane[0].size;
		expect(fwrite(unit->plane[0].data, unit->plane[0].size, 1, to) == 1, "write");
		frame_unref(unit);
	}
}

static void encode(const struct run *run, struct frame *frames[N_FRAMES], struct result *result)
{
	struct encoder_config config = {
		.width = run->width,
		.height = run->height,
		.like = { .format = frames[0]->format, .range = RANGE_FULL },
		.tuning = { .bitrate_kbps = run->kbps, .fps = run->fps },
		.device = "",
	};
	AUTO(auto_fclose) FILE *to = fopen(bytes_path, "wb");
	struct encoder *encoder;

	expect(to, "cannot write to /tmp");
	expect(encoder_x264.open(&encoder, &config) == 0, "open");
	encode_all(encoder, frames, result, to);
	encoder_x264.close(encoder);
}

/* ---- looking at it */

static double psnr(const uint8_t *a, const uint8_t *b, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += (uint64_t)((a[i] - b[i]) * (a[i] - b[i]));
	return sum ? 10 * log10(255.0 * 255.0 * (double)size / (double)sum) : 100;
}

static void compare(struct frame *frames[N_FRAMES], struct result *result)
{
	size_t luma = (size_t)frames[0]->width * frames[0]->height, size = luma + luma / 2;
	AUTO(auto_free) uint8_t *decoded = malloc(size);
	char command[160];
	FILE *from;

	snprintf(command, sizeof(command),
		"ffmpeg -v error -f h264 -i %s -fps_mode passthrough -f rawvideo -", bytes_path);
	from = popen(command, "r");
	expect(from && decoded, "no ffmpeg");
	for (unsigned i = 0; i < N_FRAMES; i++) {
		expect(fread(decoded, size, 1, from) == 1, "frames are missing");
		result->psnr[i] = psnr(decoded, frames[i]->plane[0].data, luma);
	}
	pclose(from);
	unlink(bytes_path);
}

static void show(const struct run *run, const struct result *result)
{
	static const unsigned after[] = { 0, 1, 2, 4, 8, 16 };
	double sum = 0, least = 100;
	size_t bytes = 0;

	for (unsigned i = 0; i < N_FRAMES; i++) {
		sum += result->psnr[i];
		least = fmin(least, result->psnr[i]);
		bytes += result->bytes[i];
	}
	printf("%-6s %ux%u %u fps, %u kbit/s at most: CPU %.2f ms a frame (%.2f of a core), wall "
	       "%.2f ms, worst %.2f; %.0f kbit/s, PSNR %.1f dB, least %.1f\n",
		run->scene, run->width, run->height, run->fps, run->kbps,
		(double)result->cpu_ns / N_FRAMES / NS_PER_MS,
		(double)result->cpu_ns / N_FRAMES / NS_PER_S * run->fps,
		(double)result->wall_ns / N_FRAMES / NS_PER_MS,
		(double)result->worst_ns / NS_PER_MS,
		(double)bytes * 8 * run->fps / N_FRAMES / 1000, sum / N_FRAMES, least);
	for (unsigned page = 0; page < N_FRAMES; page += PAGE) {
		printf("       frame %2u and 1, 2, 4, 8, 16 later:", page);
		for (size_t i = 0; i < ARRAY_SIZE(after); i++)
			printf("  %.1f dB %zu KiB", result->psnr[page + after[i]],
				result->bytes[page + after[i]] / 1024);
		printf("\n");
	}
}

static void do_run(const struct run *run)
{
	struct frame *frames[N_FRAMES];
	struct result result = { 0 };

	make_frames(run, frames);
	encode(run, frames, &result);
	compare(frames, &result);
	show(run, &result);
	for (unsigned i = 0; i < N_FRAMES; i++)
		frame_unref(frames[i]);
}

int main(int argc, char *argv[])
{
	/* With our pid: see tests/leftovers.py. */
	snprintf(bytes_path, sizeof(bytes_path), "/tmp/hdmicast-bench-%d-x264.h264", (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		struct run run = runs[i];

		if (argc > 1 && strcmp(argv[1], run.scene))
			continue;
		if (argc > 2)
			run.kbps = (unsigned)strtoul(argv[2], NULL, 10);
		do_run(&run);
	}
	return 0;
}
