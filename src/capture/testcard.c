// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A source without a device: colour bars, a moving bar, a clock and a frame number, at any size
 * and rate. From top to bottom, in 1/100 of the height:
 *
 *    0-45   the eight bars of draw_bars[]
 *   45-52   black, with a white bar that crosses the picture once in four seconds
 *   52-94   on black: UTC of the capture time, frame number (without leading zeros, which text
 *           recognition takes for letters), size and rate
 *   94-100  the frame number in binary for programs: 32 equal cells, highest bit first, white = 1
 *
 * All but what changes is drawn once, into a template that each frame starts as a copy of.
 */
#include "capture/source.h"

#include <inttypes.h>
#include <sys/timerfd.h>

#include "base/util.h"
#include "base/wait.h"
#include "slate/draw.h"

#define LOG_TOPIC "testcard"
#include "base/log.h"

#define DEFAULT_FPS    30
#define MAX_FPS        120
#define DIGITS         "0123456789:."
#define COUNTER_LABEL  "frame "
#define CODE_BITS      32
#define CROSSING_S     4
#define SPARE_PICTURES 4

enum level { BLACK = 0, WHITE = 235 };

struct spot {
	int x, y;
};

/* Everything is the capture thread's. */
struct testcard {
	struct source base;
	int timer_fd;
	int stop_fd, wake_fd; /* borrowed */
	unsigned fps;
	int64_t start_ns;
	uint64_t sequence; /* of the frame that next() waits for */

	struct drops *drops; /* borrowed */
	struct frame_pool *pool;
	struct frame *template;
	struct frame *digits; /* DIGITS side by side, ready to be copied */
	unsigned size;        /* of the digits */
	struct spot clock, counter;
};

static struct testcard *testcard_of(struct source *source)
{
	return (struct testcard *)source;
}

static int percent(const struct frame *frame, int part)
{
	return (int)((int64_t)frame->height * part / 100);
}

static void draw_bars_into(struct frame *to)
{
	int bottom = percent(to, 45);

	for (int i = 0; i < DRAW_BARS; i++) {
		/* Even edges: brightness and colour change at the same place. */
		int left = (int)((int64_t)to->width * i / DRAW_BARS) & ~1;

		draw_fill(to, left, 0, (int)to->width - left, bottom, draw_bars[i]);
	}
}

/* The size of clock and counter: as large as three lines in 42/100 of the height allow. */
static unsigned digits_size(uint32_t width, uint32_t height)
{
	uint64_t most = MIN((uint64_t)height * 15 / 100, (uint64_t)width * 13 / 100);

	return MAX((unsigned)most & ~1U, DRAW_MIN_SIZE);
}

static int centred(const struct frame *frame, unsigned size, size_t length)
{
	return ((int)frame->width - draw_text_width(size, length)) / 2;
}

static void draw_label(struct testcard *card)
{
	struct frame *to = card->template;
	unsigned size = MAX(card->size / 2 & ~1U, DRAW_MIN_SIZE);
	char text[64];
	int length = snprintf(text, sizeof(text), "%ux%u %u fps UTC", to->width, to->height,
		card->fps);

	draw_text(to, MIN(card->clock.x, centred(to, size, (size_t)length)),
		card->counter.y + (int)card->size, size, WHITE, text, (size_t)length);
}

static int make_template(struct testcard *card, uint32_t width, uint32_t height)
{
	const struct draw_color black = { BLACK, 128, 128 };
	const size_t label = strlen(COUNTER_LABEL);
	struct frame *to;
	int res = draw_create(&card->template, width, height);

	if (res < 0)
		return res;
	to = card->template;
	draw_fill(to, 0, 0, (int)width, (int)height, black);
	draw_bars_into(to);
	card->clock = (struct spot){ centred(to, card->size, strlen("00:00:00.000")),
		percent(to, 53) };
	card->counter = (struct spot){ card->clock.x + draw_text_width(card->size, label),
		card->clock.y + (int)card->size };
	draw_text(to, card->clock.x, card->counter.y, card->size, WHITE, COUNTER_LABEL, label);
	draw_label(card);
	return 0;
}

static int make_digits(struct testcard *card)
{
	const size_t length = strlen(DIGITS);
	int width = draw_text_width(card->size, length);
	int res = draw_create(&card->digits, (uint32_t)width, card->size);

	if (res < 0)
		return res;
	draw_fill_luma(card->digits, 0, 0, width, (int)card->size, BLACK);
	draw_text(card->digits, 0, 0, card->size, WHITE, DIGITS, length);
	return 0;
}

static int64_t due_ns(const struct testcard *card, uint64_t sequence)
{
	/* From the start each time: no rounding error adds up. */
	return card->start_ns + (int64_t)(sequence / card->fps) * NS_PER_S +
	       (int64_t)(sequence % card->fps) * NS_PER_S / card->fps;
}

static int arm(struct testcard *card)
{
	int64_t due = due_ns(card, card->sequence);
	const struct itimerspec when = {
		.it_value = { .tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S },
	};

	return timerfd_settime(card->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno : 0;
}

static void testcard_close(struct source *source)
{
	struct testcard *card = testcard_of(source);

	if (!card)
		return;
	close_fd(&card->timer_fd);
	frame_pool_destroy(card->pool);
	frame_unref(card->template);
	frame_unref(card->digits);
	free(card);
}

static int setup(struct testcard *card, const struct options *opt)
{
	uint32_t width = opt->resolution.width ? opt->resolution.width : 640;
	uint32_t height = opt->resolution.height ? opt->resolution.height : 480;
	int res;

	card->fps = opt->desired_fps > 0 ? MIN((unsigned)opt->desired_fps, MAX_FPS) : DEFAULT_FPS;
	card->size = digits_size(width, height);
	if ((res = make_template(card, width, height)) < 0 || (res = make_digits(card)) < 0)
		return res;
	card->pool = frame_pool_create(SPARE_PICTURES);
	card->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (card->timer_fd < 0)
		return -errno;
	card->start_ns = now_ns();
	log_info("drawing %ux%u at %u fps", width, height, card->fps);
	return arm(card);
}

static int testcard_open(struct source **out, const struct source_config *config)
{
	struct testcard *card = xcalloc(1, sizeof(*card));
	int res;

	card->base.ops = &source_testcard;
	card->timer_fd = -1;
	card->stop_fd = config->stop_fd;
	card->wake_fd = config->wake_fd;
	card->drops = config->drops;
	if ((res = setup(card, config->opt)) < 0) {
		log_error("cannot draw the test card: %s", strerror(-res));
		testcard_close(&card->base);
		return res;
	}
	*out = &card->base;
	return 0;
}

/* 0 when the frame is due. */
static int wait_until_due(struct testcard *card, int64_t until_ns)
{
	struct pollfd on[] = {
		{ .fd = card->stop_fd, .events = POLLIN },
		{ .fd = card->timer_fd, .events = POLLIN },
		{ .fd = card->wake_fd, .events = POLLIN },
	};

	wait_for_events(on, ARRAY_SIZE(on), until_ns);
	if (on[0].revents)
		return -ECANCELED;
	return on[1].revents ? 0 : -ETIMEDOUT;
}

static void draw_digits(struct frame *to, const struct testcard *card, struct spot at,
	const char *text)
{
	int width = draw_text_width(card->size, 1);

	for (int i = 0; text[i]; i++) {
		int index = (int)(strchr(DIGITS, text[i]) - DIGITS);

		draw_copy_luma(to, at.x + i * width, at.y, card->digits, index * width, width,
			(int)card->size);
	}
}

static void draw_clock(struct frame *to, const struct testcard *card, int64_t captured_ns)
{
	int64_t ms = (wall_us() - (now_ns() - captured_ns) / NS_PER_US) / 1000;
	time_t seconds = ms / 1000;
	char text[16];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(text, sizeof(text), "%02u:%02u:%02u.%03u", (unsigned)tm.tm_hour % 24,
		(unsigned)tm.tm_min % 60, (unsigned)tm.tm_sec % 61, (unsigned)(ms % 1000) % 1000);
	draw_digits(to, card, card->clock, text);
}

static void draw_counter(struct frame *to, const struct testcard *card, uint64_t sequence)
{
	int top = percent(to, 94);
	char text[16];

	snprintf(text, sizeof(text), "%" PRIu64, sequence % 100000000);
	draw_digits(to, card, card->counter, text);

	for (int i = 0; i < CODE_BITS; i++) {
		int left = (int)((int64_t)to->width * i / CODE_BITS);
		int right = (int)((int64_t)to->width * (i + 1) / CODE_BITS);

		if (sequence >> (CODE_BITS - 1 - i) & 1)
			draw_fill_luma(to, left, top, right - left, (int)to->height - top, WHITE);
	}
}

static void draw_moving_bar(struct frame *to, const struct testcard *card, uint64_t sequence)
{
	int width = MAX((int)to->width / 32, 2);
	uint64_t period = (uint64_t)card->fps * CROSSING_S;
	int left = (int)((to->width + width) * (sequence % period) / period) - width;

	draw_fill_luma(to, left, percent(to, 45), width, percent(to, 52) - percent(to, 45), WHITE);
}

static int make_frame(struct testcard *card, uint64_t sequence, struct frame **out)
{
	const struct frame *from = card->template;
	size_t bytes = draw_bytes(from->width, from->height);
	struct frame *frame;
	int res = frame_pool_get(card->pool, bytes, &frame);

	if (res < 0)
		return res;
	memcpy(frame->plane[0].data, from->plane[0].data, bytes);
	draw_shape(frame, from->width, from->height);
	frame->online = true;
	frame->sequence = sequence;
	frame->fps = card->fps;
	frame->captured_ns = due_ns(card, sequence);
	draw_clock(frame, card, frame->captured_ns);
	draw_counter(frame, card, sequence);
	draw_moving_bar(frame, card, sequence);
	frame->grabbed_ns = now_ns();
	*out = frame;
	return 0;
}

static int testcard_next(struct source *source, struct frame **out, int64_t until_ns)
{
	struct testcard *card = testcard_of(source);
	int res = wait_until_due(card, until_ns);
	uint64_t sequence;
	int64_t now;

	if (res < 0)
		return res;
	/* Late by whole frames: leave those out instead of hurrying after them. */
	now = now_ns();
	while (due_ns(card, card->sequence + 1) <= now)
		card->sequence++;
	sequence = card->sequence++;
	if ((res = arm(card)) < 0)
		return res;
	if (make_frame(card, sequence, out) < 0) {
		drops_add(card->drops, DROP_NO_MEMORY, "no memory for a picture");
		return -EAGAIN;
	}
	return 0;
}

/* It has no controls. */
static void testcard_list(struct source *source, struct source_controls *out)
{
	(void)source, (void)out;
}

static int testcard_control(struct source *source, const struct option_control wish[CONTROLS],
	enum option_control_id *which)
{
	(void)source;
	for (unsigned i = CONTROLS; i-- > 0;) {
		if (wish[i].mode != CONTROL_KEEP)
			*which = i;
	}
	return -ENOENT;
}

const struct source_ops source_testcard = {
	.name = "testcard",
	.open = testcard_open,
	.next = testcard_next,
	.list = testcard_list,
	.control = testcard_control,
	.close = testcard_close,
};
