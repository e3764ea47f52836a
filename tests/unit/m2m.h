/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What cases for the hardware encoder are made of: pictures, an encoder on the fake one (see
 * tests/fake), and what a decoder makes of it. A check that fails ends the process.
 */
#ifndef TESTS_M2M_H
#define TESTS_M2M_H

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "encoder/encoder.h"
#include "m2m_play.h"

#define CHECK(...)                                                                    \
	do {                                                                          \
		if (!(__VA_ARGS__)) {                                                 \
			fprintf(stderr, "line %d: not %s\n", __LINE__, #__VA_ARGS__); \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

/* A command to the fake; its answer. */
static __attribute__((unused)) const char *command(const char *format, ...)
{
	static char answer[4096];
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	va_list args;
	ssize_t n;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", getenv("HDMICAST_FAKE_CTL"));
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	va_start(args, format);
	vdprintf(fd, format, args);
	va_end(args);
	CHECK(write(fd, "\n", 1) == 1);
	n = read(fd, answer, sizeof(answer) - 1);
	CHECK(n > 2 && !memcmp(answer, "ok", 2));
	answer[n] = '\0';
	close(fd);
	return answer;
}

/* One number of the fake's summary. */
static __attribute__((unused)) unsigned counted(const char *name)
{
	const char *at = command("summary");
	char key[64];

	snprintf(key, sizeof(key), " %s=", name);
	at = strstr(at, key);
	CHECK(at != NULL);
	return (unsigned)strtoul(at + strlen(key), NULL, 10);
}

/* ---- pictures: gradients that move, so that a lost, torn or skewed one is seen */

static uint8_t luma(const struct picture *like, uint32_t x, uint32_t y, unsigned number)
{
	uint32_t at = (x * 256 / like->width + y * 128 / like->height + number * 16) % 320;

	return (uint8_t)(40 + (at < 160 ? at : 320 - at));
}

static uint8_t chroma(const struct picture *like, uint32_t x, uint32_t y, unsigned plane)
{
	return (uint8_t)(96 + (plane == 1 ? x * 128 / like->width : y * 128 / like->height));
}

static uint8_t sample(const struct picture *like, unsigned plane, uint32_t x, uint32_t y,
	unsigned number)
{
	return plane ? chroma(like, x, y, plane) : luma(like, x, y, number);
}

static void draw(const struct picture *to, unsigned number)
{
	for (unsigned p = 0; p < 3; p++) {
		uint32_t width = p ? to->width / 2 : to->width;
		uint32_t height = p ? to->height / 2 : to->height;

		for (uint32_t y = 0; y < height; y++) {
			for (uint32_t x = 0; x < width; x++)
				to->plane[p].data[(size_t)y * to->plane[p].stride + x] = sample(to,
					p, x, y, number);
		}
	}
}

static struct picture_converter *converter;

static __attribute__((unused)) void *page_memory(size_t size, int fd)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void as_frame(const struct picture *picture, struct frame *frame)
{
	frame_init(frame, NULL, NULL);
	frame->format = picture->format;
	frame->width = picture->width;
	frame->height = picture->height;
	memcpy(frame->plane, picture->plane, sizeof(frame->plane));
}

/* Draws into a picture of any format. */
static void draw_any(struct picture *to, unsigned number)
{
	struct picture plain = {
		.format = V4L2_PIX_FMT_YUV420, .width = to->width, .height = to->height
	};
	size_t size = picture_lay_out(&plain, NULL, to->width, to->height);
	uint8_t *memory = malloc(size);
	struct frame frame;
	const char *why = "";

	picture_lay_out(&plain, memory, to->width, to->height);
	draw(&plain, number);
	as_frame(&plain, &frame);
	if (picture_convert(converter, to, &frame, false, &why) < 0) {
		fprintf(stderr, "cannot draw: %s\n", why);
		exit(1);
	}
	free(memory);
}

/* ---- an encoder and what comes out of it */

#define TAPE_FRAMES 512

static struct encoder *encoder;
static uint32_t width, height;
static unsigned n_units, n_keys, submitted;
static unsigned order[TAPE_FRAMES]; /* which picture each unit shows */
static bool keys[TAPE_FRAMES];
static size_t sizes[TAPE_FRAMES];
static FILE *tape;

static const struct m2m_case *self;

static struct encoder_config config_here(void)
{
	struct encoder_config config = { .width = self->width,
		.height = self->height,
		.tuning = { .bitrate_kbps = 8000, .gop = 30, .fps = 30, .max_qp = 51 },
		.profile = H264_CONSTRAINED_BASELINE,
		.device = NODE };

	config.like.format = self->format;
	config.like.width = self->width;
	config.like.height = self->height;
	return config;
}

static int start(const struct encoder_config *config)
{
	int res = encoder_m2m.open(&encoder, config);

	width = config->width;
	height = config->height;
	if (res == 0 && !tape)
		CHECK((tape = tmpfile()) != NULL);
	return res;
}

static void keep(struct frame *unit)
{
	CHECK(n_units < TAPE_FRAMES);
	order[n_units] = (unsigned)unit->sequence;
	keys[n_units] = unit->key;
	sizes[n_units++] = unit->plane[0].size;
	n_keys += unit->key;
	CHECK(unit->format == V4L2_PIX_FMT_H264 && unit->encode_end_ns >= unit->encode_begin_ns);
	CHECK(fwrite(unit->plane[0].data, 1, unit->plane[0].size, tape) == unit->plane[0].size);
	frame_unref(unit);
}

/* Takes what is there. 0, or the encoder's error. */
static int collect(void)
{
	struct frame *unit;
	int res;

	while ((res = encoder->ops->collect(encoder, &unit)) == 0)
		keep(unit);
	return res == -EAGAIN ? 0 : res;
}

/* Until no more than that many frames and inputs are out. Counts wake-ups against busy loops. */
static unsigned n_turns; /* of settle(), in all */

static int settle(unsigned pending, uint32_t busy, int64_t deadline_ms)
{
	int64_t end = now_ns() + deadline_ms * NS_PER_MS;
	unsigned turns = 0;
	int res = collect();

	while (res == 0 && (encoder_count_pending(encoder) > pending ||
				   (unsigned)__builtin_popcount(encoder->busy_inputs) > busy)) {
		struct pollfd on = { .fd = encoder->fd, .events = encoder->events };

		CHECK(turns++ < 10000);
		n_turns++;
		if (now_ns() > end)
			return -ETIMEDOUT;
		poll(&on, 1, 20);
		res = collect();
	}
	return res;
}

#define PATIENCE_MS 60000 /* with what must come: only a hang takes longer */

static __attribute__((unused)) int settle_all(void)
{
	return settle(0, 0, PATIENCE_MS);
}

static int submit(int input, struct frame *frame, bool want_key)
{
	struct frame origin;
	struct encoder_submission in = {
		.input = input, .frame = frame, .origin = &origin, .want_key = want_key
	};

	frame_init(&origin, NULL, NULL);
	origin.sequence = submitted;
	origin.captured_ns = now_ns();
	return encoder->ops->submit(encoder, &in);
}

static int free_input(void)
{
	for (unsigned i = 0; i < encoder->n_inputs; i++) {
		if (!(encoder->busy_inputs & 1U << i))
			return (int)i;
	}
	return -1;
}

/* The time of the program that is waited for without a look at it. */
static __attribute__((unused)) void hurry(void)
{
	calm_set(10, 1);
	alarm(1500);
}

/* One more picture through an input, when there is a free one. */
static __attribute__((unused)) int feed(bool want_key)
{
	int input, res = settle(ENCODER_INPUTS - 1, encoder->n_inputs - 1, PATIENCE_MS);

	if (res < 0)
		return res;
	input = free_input();
	CHECK(input >= 0);
	draw_any(&encoder->input[input], submitted);
	res = submit(input, NULL, want_key);
	submitted++;
	return res;
}

static __attribute__((unused)) int feed_many(unsigned count)
{
	int res = 0;

	while (res == 0 && count--)
		res = feed(false);
	return res < 0 ? res : settle_all();
}

/* ---- what a decoder makes of it */

static double difference(const uint8_t *shown, unsigned number)
{
	struct picture like = { .width = width, .height = height };
	uint64_t sum = 0, count = 0;

	for (unsigned p = 0; p < 3; p++) {
		uint32_t w = p ? width / 2 : width, h = p ? height / 2 : height;

		for (uint32_t y = 0; y < h; y += 3) {
			for (uint32_t x = 0; x < w; x += 3, count++)
				sum += (uint64_t)abs(shown[(size_t)y * w + x] -
						     sample(&like, p, x, y, number));
		}
		shown += (size_t)w * h;
	}
	return (double)sum / (double)count;
}

/* Decodes the tape: every unit without a complaint, and each shows the picture that went in. */
static __attribute__((unused)) void check_pictures(double most)
{
	size_t size = (size_t)width * height * 3 / 2;
	uint8_t *shown = malloc(size);
	char line[256];
	FILE *decoder;

	fflush(tape);
	unsetenv("LD_PRELOAD");
	snprintf(line, sizeof(line),
		"timeout 500 ffmpeg -nostdin -v error -xerror -f h264 -i /proc/%d/fd/%d -vsync 0 "
		"-f rawvideo -pix_fmt yuv420p - 2>&1",
		getpid(), fileno(tape));
	decoder = popen(line, "r");
	CHECK(decoder != NULL);
	for (unsigned i = 0; i < n_units; i++) {
		double off;

		CHECK(fread(shown, 1, size, decoder) == size);
		off = difference(shown, order[i]);
		if (off > most) {
			fprintf(stderr, "unit %u, picture %u: off by %.1f\n", i, order[i], off);
			exit(1);
		}
	}
	CHECK(fread(shown, 1, 1, decoder) == 0 && pclose(decoder) == 0);
	free(shown);
}

static __attribute__((unused)) void stop(void)
{
	encoder->ops->close(encoder);
	encoder = NULL;
}

static int run_child(const struct m2m_case *it)
{
	preload_calmed();
	alarm(150);
	self = it;
	log_init(LOG_LEVEL_INFO, LOG_COLOUR_NEVER);
	CHECK(picture_converter_create(&converter) == 0);
	it->run();
	picture_converter_destroy(converter);
	if (tape)
		fclose(tape);
	return 0;
}

#endif
