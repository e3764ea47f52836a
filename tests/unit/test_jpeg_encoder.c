// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The JPEG encoder with its threads: what comes out, in which order, and what does not. Pictures
 * of noise keep a worker busy for long, so that the tests can act meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

#include "base/util.h"
#include "encoder/jpeg.h"
#include "jpegs.h"

#define ANSWER_MS 20000

/* Long enough for a frame to come that should not, short enough for a test. */
#define QUIET_MS 100

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

struct bench {
	struct options opt;
	struct drops drops;
	struct outlet *raw;
	struct jpeg_encoder *encoder;
	struct mailbox *viewer;
	bool watching;
};

static void watch(struct bench *bench, bool on)
{
	if (bench->watching == on)
		return;
	bench->watching = on;
	if (on)
		outlet_attach(jpeg_encoder_outlet(bench->encoder), bench->viewer);
	else
		outlet_detach(jpeg_encoder_outlet(bench->encoder), bench->viewer);
}

static void start(struct bench *bench, int workers)
{
	*bench = (struct bench){
		.opt = { .workers = workers, .quality = 80, .min_frame_size = 128 }
	};
	bench->raw = outlet_create(NULL, NULL);
	assert_int_equal(mailbox_create(&bench->viewer, 512), 0);
	assert_int_equal(jpeg_encoder_create(&bench->encoder, &bench->opt, bench->raw,
				 &bench->drops),
		0);
}

static void finish(struct bench *bench)
{
	watch(bench, false);
	jpeg_encoder_destroy(bench->encoder);
	outlet_destroy(bench->raw);
	mailbox_destroy(bench->viewer);
}

/* A raw frame on the heap that says when it was given back. */
struct picture {
	struct frame frame;
	_Atomic int64_t released_ns;
	uint8_t data[];
};

static void on_release(struct frame *frame)
{
	struct picture *picture = frame->owner;

	atomic_store(&picture->released_ns, now_ns());
}

static struct picture *make_picture(uint32_t format, uint32_t width, uint32_t height,
	uint64_t sequence)
{
	size_t luma = (size_t)width * height, size = 2 * luma;
	struct picture *picture = calloc(1, sizeof(*picture) + size);
	struct frame *frame = &picture->frame;

	frame_init(frame, on_release, picture);
	frame->format = format;
	frame->width = width;
	frame->height = height;
	frame->range = RANGE_FULL;
	frame->key = frame->online = true;
	frame->sequence = sequence;
	frame->captured_ns = 1000 + sequence;
	frame->grabbed_ns = 2000 + sequence;
	if (format == V4L2_PIX_FMT_YUV420) {
		frame->plane[0] = (struct frame_plane){ picture->data, width, luma };
		frame->plane[1] = (struct frame_plane){ picture->data + luma, width / 2, luma / 4 };
		frame->plane[2] = (struct frame_plane){ picture->data + luma * 5 / 4, width / 2,
			luma / 4 };
	} else {
		uint32_t bytes = format == V4L2_PIX_FMT_GREY ? 1 : 2;

		frame->plane[0] = (struct frame_plane){ picture->data, width * bytes,
			luma * bytes };
	}
	memset(picture->data, 128, size);
	return picture;
}

static struct picture *make_noise(uint32_t format, uint32_t width, uint32_t height,
	uint64_t sequence)
{
	struct picture *picture = make_picture(format, width, height, sequence);
	uint32_t state = sequence + 1;

	for (size_t i = 0; i < (size_t)2 * width * height; i++) {
		state = state * 1664525 + 1013904223;
		picture->data[i] = state >> 24;
	}
	return picture;
}

/* Takes tens of milliseconds to compress. */
static struct picture *make_slow(uint32_t format, uint64_t sequence)
{
	return make_noise(format, 3840, 2160, sequence);
}

static void publish(struct bench *bench, struct picture *picture)
{
	outlet_publish(bench->raw, &picture->frame);
}

static bool is_released(struct picture *picture)
{
	/* The maker's own reference is the last one. */
	return atomic_load(&picture->frame.refs) == 1;
}

static bool wait_released(struct picture *picture)
{
	int64_t end = now_ns() + ANSWER_MS * NS_PER_MS;

	while (!is_released(picture) && now_ns() < end)
		usleep(200);
	return is_released(picture);
}

/* All workers are done with it. */
static void picture_finish(struct picture *picture)
{
	assert_true(wait_released(picture));
	frame_unref(&picture->frame);
	assert_true(atomic_load(&picture->released_ns) > 0);
	free(picture);
}

static struct frame *next_within(struct bench *bench, int timeout_ms)
{
	struct pollfd on = { .fd = mailbox_fd(bench->viewer), .events = POLLIN };

	return poll(&on, 1, timeout_ms) == 1 ? mailbox_take(bench->viewer) : NULL;
}

static struct frame *next(struct bench *bench)
{
	struct frame *frame = next_within(bench, ANSWER_MS);

	assert_non_null(frame);
	return frame;
}

static void assert_next(struct bench *bench, uint64_t sequence)
{
	struct frame *frame = next(bench);

	assert_int_equal(frame->sequence, sequence);
	frame_unref(frame);
}

/* Decodes it, which must leave nothing to complain about, and gives it back. */
static struct jpegs_picture decoded(struct frame *frame, uint32_t width, uint32_t height)
{
	struct jpegs_picture picture;

	assert_int_equal(frame->format, V4L2_PIX_FMT_JPEG);
	assert_true(frame->key);
	assert_memory_equal(frame->plane[0].data + frame->plane[0].size - 2, "\xFF\xD9", 2);
	assert_int_equal(frame->width, width);
	assert_int_equal(frame->height, height);
	assert_true(jpegs_decode(frame->plane[0].data, frame->plane[0].size, &picture));
	assert_int_equal(picture.width, width);
	assert_int_equal(picture.height, height);
	frame_unref(frame);
	return picture;
}

/* One colour all over; grey has no u and v: -1. */
static void assert_decodes_to(struct frame *frame, uint32_t width, uint32_t height, int y, int u,
	int v)
{
	struct jpegs_picture picture = decoded(frame, width, height);
	int colour[] = { y, u, v };

	assert_int_equal(picture.components, u < 0 ? 1 : 3);
	assert_int_equal(picture.is_420, u >= 0);
	for (size_t i = 0; i < (size_t)width * height * picture.components; i++) {
		int should = colour[i % picture.components];

		assert_in_range(picture.pixels[i], should - 2, should + 2);
	}
	free(picture.pixels);
}

/* A frame that is a JPEG already. */
static struct picture *make_jpeg(const uint8_t *data, size_t size, uint64_t sequence)
{
	struct picture *picture = make_picture(V4L2_PIX_FMT_MJPEG, 320, 240, sequence);

	assert_true(size <= 2 * 320 * 240);
	memcpy(picture->data, data, size);
	picture->frame.plane[0] = (struct frame_plane){ picture->data, 0, size };
	return picture;
}

/* A grey JPEG of one brightness. */
static size_t compress(uint8_t *to, int width, int height)
{
	struct jpegs_make make = { .width = width, .height = height, .components = 1 };
	uint8_t *grey = malloc((size_t)width * height), *jpeg;
	size_t size;

	memset(grey, 128, (size_t)width * height);
	make.pixels = grey;
	jpeg = jpegs_encode(&make, &size);
	memcpy(to, jpeg, size);
	free(jpeg);
	free(grey);
	return size;
}

/*
 * Publishes `slow` and makes sure that the only worker has begun with it: the picture after it,
 * which is returned and waits in the mailbox, has not driven it out.
 */
static struct picture *keep_busy(struct bench *bench, struct picture *slow)
{
	int64_t end = now_ns() + ANSWER_MS * NS_PER_MS;
	struct picture *after = make_picture(V4L2_PIX_FMT_YUV420, 32, 32, 4711);

	for (;;) {
		publish(bench, slow);
		usleep(200);
		publish(bench, after);
		if (!is_released(slow))
			return after;
		/* It may be both: taken so late that it was done at once. */
		for (bool is_after = false; !is_after;) {
			struct frame *out = next(bench);

			is_after = out->sequence == 4711;
			frame_unref(out);
		}
		assert_true(now_ns() < end);
	}
}

static void raw_frames_become_jpeg_of_the_same_picture(void **state)
{
	struct bench bench;
	struct picture *picture[3];
	struct frame *out;

	(void)state;
	start(&bench, 2);
	watch(&bench, true);
	picture[0] = make_picture(V4L2_PIX_FMT_YUV420, 320, 240, 1);
	memset(picture[0]->data, 77, 320 * 240);
	memset(picture[0]->frame.plane[1].data, 100, 160 * 120);
	memset(picture[0]->frame.plane[2].data, 160, 160 * 120);
	publish(&bench, picture[0]);
	out = next(&bench);
	assert_int_equal(out->sequence, 1);
	assert_int_equal(out->captured_ns, 1001);
	assert_int_equal(out->grabbed_ns, 2001);
	assert_true(out->online);
	assert_false(out->keepable);
	assert_true(out->encode_begin_ns > 0 && out->encode_end_ns > out->encode_begin_ns);
	assert_decodes_to(out, 320, 240, 77, 100, 160);

	picture[1] = make_picture(V4L2_PIX_FMT_GREY, 64, 48, 2);
	publish(&bench, picture[1]);
	assert_decodes_to(next(&bench), 64, 48, 128, -1, -1);

	picture[2] = make_picture(V4L2_PIX_FMT_YUYV, 64, 48, 3);
	picture[2]->frame.range = RANGE_LIMITED;
	memset(picture[2]->data, 235, 64 * 48 * 2);
	publish(&bench, picture[2]);
	assert_decodes_to(next(&bench), 64, 48, 255, 250, 250);
	finish(&bench);
	for (size_t i = 0; i < ARRAY_SIZE(picture); i++)
		picture_finish(picture[i]);
}

static uint64_t next_after(struct bench *bench, uint64_t last)
{
	struct frame *out = next(bench);
	uint64_t sequence = out->sequence;

	assert_true(sequence > last);
	frame_unref(out);
	return sequence;
}

static void frames_come_out_in_the_order_they_went_in(void **state)
{
	enum { N = 300 };
	struct bench bench;
	struct picture *picture[N];
	uint64_t last = 0;
	int n = 0;

	(void)state;
	start(&bench, 4);
	watch(&bench, true);
	for (int i = 0; i < N; i++) {
		/* One that takes long, then several that would overtake it. */
		picture[i] = i % 4 ? make_picture(V4L2_PIX_FMT_YUV420, 32, 32, i + 1)
				   : make_noise(V4L2_PIX_FMT_YUV420, 640, 480, i + 1);
		publish(&bench, picture[i]);
		usleep(500);
		if (i % 8 == 7) /* the workers keep up with that, however slow they are */
			last = next_after(&bench, last), n++;
	}
	for (; last < N; n++)
		last = next_after(&bench, last);
	assert_true(n > N / 10); /* the rest came while nobody was free */
	finish(&bench);
	for (int i = 0; i < N; i++)
		picture_finish(picture[i]);
}

static void nothing_is_encoded_without_a_reader(void **state)
{
	struct bench bench;
	struct picture *picture[3];

	(void)state;
	start(&bench, 2);
	for (int i = 0; i < 3; i++)
		picture[i] = make_picture(V4L2_PIX_FMT_YUV420, 320, 240, i);
	assert_false(outlet_wanted(bench.raw));
	publish(&bench, picture[0]);
	assert_true(is_released(picture[0]));

	watch(&bench, true);
	assert_true(outlet_wanted(bench.raw));
	assert_null(next_within(&bench, QUIET_MS));
	publish(&bench, picture[1]);
	assert_next(&bench, 1);

	watch(&bench, false);
	assert_false(outlet_wanted(bench.raw));
	publish(&bench, picture[2]);
	assert_true(is_released(picture[2]));
	assert_null(next_within(&bench, QUIET_MS));
	finish(&bench);
	for (int i = 0; i < 3; i++)
		picture_finish(picture[i]);
}

/* Something to see while the only worker is busy. False: it was not any more, for we were late. */
typedef bool look_fn(struct bench *bench);

/* Now and then the machine lets the worker go first. */
static void look_while_busy(look_fn *look)
{
	for (int left = 50; left > 0; left--) {
		struct picture *slow = make_slow(V4L2_PIX_FMT_YUYV, 1), *after;
		struct bench bench;
		bool seen;

		start(&bench, 1);
		watch(&bench, true);
		after = keep_busy(&bench, slow);
		seen = look(&bench);
		finish(&bench);
		picture_finish(slow);
		picture_finish(after);
		if (seen)
			return;
	}
	fail_msg("the worker was never busy");
}

static bool is_still_busy(struct bench *bench)
{
	struct frame *frame = mailbox_take(bench->viewer);

	frame_unref(frame);
	return !frame;
}

static bool see_the_newest(struct bench *bench)
{
	enum { N = 6 };
	struct picture *picture[N];
	bool busy;

	for (int i = 0; i < N; i++) {
		picture[i] = make_picture(V4L2_PIX_FMT_YUV420, 32, 32, 2 + i);
		publish(bench, picture[i]);
	}
	busy = is_still_busy(bench);
	if (busy) {
		for (int i = 0; i < N - 1; i++)
			assert_true(is_released(picture[i]));
		assert_next(bench, 1);
		assert_next(bench, 2 + N - 1);
		assert_null(next_within(bench, QUIET_MS));
	}
	for (int i = 0; i < N; i++)
		picture_finish(picture[i]);
	return busy;
}

static void a_free_worker_starts_on_the_newest_frame(void **state)
{
	(void)state;
	look_while_busy(see_the_newest);
}

static bool see_what_waits(struct bench *bench)
{
	struct picture *waiting = make_picture(V4L2_PIX_FMT_YUV420, 32, 32, 2);
	struct picture *fresh = make_picture(V4L2_PIX_FMT_YUV420, 32, 32, 3);
	bool waited, busy;

	publish(bench, waiting);
	waited = !is_released(waiting);
	watch(bench, false);
	busy = waited && is_still_busy(bench);
	if (busy) {
		assert_true(is_released(waiting));
		/* The next reader comes while the worker may still have the frame of the last one. */
		watch(bench, true);
		publish(bench, fresh);
		assert_next(bench, 3);
	}
	picture_finish(waiting);
	if (busy)
		picture_finish(fresh);
	else
		free(fresh);
	return busy;
}

static void what_waits_when_the_last_reader_goes_is_thrown_away(void **state)
{
	(void)state;
	look_while_busy(see_what_waits);
}

/* Brighter to the right, downwards and from strip to strip: what is beyond an edge can be wrong. */
static int ramp(uint32_t x, uint32_t y)
{
	return 20 + x + y / 16 % 2 * 60 + y % 16 * 7;
}

static void fill_ramp(struct picture *picture)
{
	const struct frame_plane *plane = &picture->frame.plane[0];
	bool grey = picture->frame.format == V4L2_PIX_FMT_GREY;

	for (uint32_t y = 0; y < picture->frame.height; y++)
		for (uint32_t x = 0; x < picture->frame.width; x++)
			plane->data[(size_t)y * plane->stride + x * (grey ? 1 : 2)] = ramp(x, y);
}

static void pictures_of_any_size_keep_their_edges(void **state)
{
	static const uint32_t formats[] = { V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_GREY };
	/* The smallest first: there is no larger one's memory yet. */
	static const uint32_t sizes[][2] = { { 2, 1 }, { 16, 16 }, { 48, 32 }, { 50, 38 },
		{ 40, 25 }, { 62, 17 }, { 18, 49 } };
	struct bench bench;

	(void)state;
	start(&bench, 1);
	jpeg_encoder_set_quality(bench.encoder,
		40); /* low, so that what is beyond an edge shows on this side */
	watch(&bench, true);
	for (size_t i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
		uint32_t width = sizes[i / 2][0], height = sizes[i / 2][1];
		struct picture *picture = make_picture(formats[i % 2], width, height, i);
		struct jpegs_picture out;

		fill_ramp(picture);
		publish(&bench, picture);
		out = decoded(next(&bench), width, height);
		for (uint32_t k = 0; k < width * height; k++) {
			int should = ramp(k % width, k / width);

			assert_in_range(out.pixels[(size_t)k * out.components], should - 5,
				should + 5);
		}
		free(out.pixels);
		picture_finish(picture);
	}
	finish(&bench);
}

static void a_jpeg_larger_than_anyone_expects_is_whole(void **state)
{
	struct picture *picture = make_noise(V4L2_PIX_FMT_YUYV, 640, 480, 1);
	struct jpegs_picture out;
	struct bench bench;
	struct frame *frame;

	(void)state;
	start(&bench, 1);
	jpeg_encoder_set_quality(bench.encoder, 100);
	watch(&bench, true);
	publish(&bench, picture);
	frame = next(&bench);
	assert_true(frame->plane[0].size > 640 * 480);
	out = decoded(frame, 640, 480);
	for (int k = 0; k < 640 * 480; k++)
		assert_in_range(out.pixels[(size_t)3 * k], MAX(picture->data[2 * k] - 4, 0),
			picture->data[2 * k] + 4);
	free(out.pixels);
	finish(&bench);
	picture_finish(picture);
}

static void a_frame_is_given_back_once_its_jpeg_is_out(void **state)
{
	struct picture *picture = make_noise(V4L2_PIX_FMT_YUYV, 640, 480, 1);
	struct bench bench;
	struct frame *out;

	(void)state;
	start(&bench, 1);
	watch(&bench, true);
	publish(&bench, picture);
	out = next(&bench);
	assert_true(is_released(picture));
	frame_unref(out);
	finish(&bench);
	picture_finish(picture);
}

static void jpeg_frames_are_passed_through_mended(void **state)
{
	uint8_t jpeg[4096], padded[8192] = { 0 };
	size_t size = compress(jpeg, 64, 48);
	struct picture *picture;
	struct bench bench;
	struct frame *out;

	(void)state;
	memcpy(padded, jpeg, size);
	picture = make_jpeg(padded, sizeof(padded), 5);
	start(&bench, 2);
	watch(&bench, true);
	publish(&bench, picture);
	out = next(&bench);
	assert_true(wait_released(picture));
	assert_int_equal(out->plane[0].size, size);
	assert_memory_equal(out->plane[0].data, jpeg, size);
	assert_int_equal(out->sequence, 5);
	assert_int_equal(out->captured_ns, 1005);
	assert_decodes_to(out, 64, 48, 128, -1, -1); /* not 320×240, as the frame said */
	finish(&bench);
	picture_finish(picture);
}

static void assert_dropped(struct bench *bench, struct picture *bad, enum drop_reason reason)
{
	struct picture *good = make_picture(V4L2_PIX_FMT_YUV420, 32, 32, 4711);
	uint64_t before = drops_get(&bench->drops, reason);

	publish(bench, bad);
	assert_true(wait_released(bad));
	publish(bench, good);
	assert_next(bench, 4711);
	assert_int_equal(drops_get(&bench->drops, reason), before + 1);
	picture_finish(bad);
	picture_finish(good);
}

static void bad_frames_are_counted_by_reason(void **state)
{
	uint8_t jpeg[4096];
	size_t size = compress(jpeg, 64, 48);
	struct picture *picture;
	struct bench bench;
	uint64_t total = 0;

	(void)state;
	start(&bench, 1);
	watch(&bench, true);
	assert_dropped(&bench, make_jpeg(jpeg, 0, 1), DROP_EMPTY);
	assert_dropped(&bench, make_jpeg(jpeg, 127, 2), DROP_SMALL);
	assert_dropped(&bench, make_jpeg(jpeg, size - 2, 3), DROP_TRUNCATED);
	jpeg[0] = 0;
	assert_dropped(&bench, make_jpeg(jpeg, size, 4), DROP_MALFORMED);
	compress(jpeg, 64, 48);
	for (size_t i = 0; i < size; i++)
		if (jpeg[i] == 0xFF && jpeg[i + 1] == 0xC0)
			memset(&jpeg[i + 5], 0xFF, 4);
	assert_dropped(&bench, make_jpeg(jpeg, size, 5), DROP_OVERSIZED);

	picture = make_picture(V4L2_PIX_FMT_YUYV, 32, 32, 6);
	picture->frame.plane[0].size--;
	assert_dropped(&bench, picture, DROP_SHORT);
	assert_dropped(&bench, make_picture(V4L2_PIX_FMT_SBGGR8, 32, 32, 7), DROP_ENCODER);
	/* A width that fits a frame, but not a JPEG. */
	assert_dropped(&bench, make_picture(V4L2_PIX_FMT_YUYV, 65534, 2, 8), DROP_ENCODER);
	for (int i = 0; i < DROP_REASONS; i++)
		total += drops_get(&bench.drops, i);
	assert_int_equal(total, 8);
	finish(&bench);
}

static void a_truncated_frame_passes_where_that_is_allowed(void **state)
{
	uint8_t jpeg[4096];
	size_t size = compress(jpeg, 64, 48);
	struct picture *picture = make_jpeg(jpeg, size - 2, 1);
	struct bench bench;

	(void)state;
	start(&bench, 1);
	bench.opt.allow_truncated_frames = true;
	watch(&bench, true);
	publish(&bench, picture);
	assert_next(&bench, 1);
	finish(&bench);
	picture_finish(picture);
}

static void a_frame_that_memory_is_too_short_for_is_dropped(void **state)
{
	struct rlimit saved, limit;
	struct picture *picture;
	struct bench bench;

	(void)state;
	if (SANITIZED)
		skip(); /* their shadow memory knows no limit */
	picture = make_picture(V4L2_PIX_FMT_YUYV, 32, 32, 1);
	start(&bench, 1);
	watch(&bench, true);
	/* It lies about its memory, but nobody looks there before there is room for the JPEG. */
	picture->frame.width = picture->frame.height = 60000;
	picture->frame.plane[0].stride = 120000;
	picture->frame.plane[0].size = SIZE_MAX;
	assert_int_equal(getrlimit(RLIMIT_AS, &saved), 0);
	limit = (struct rlimit){ 1 << 30, saved.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	assert_dropped(&bench, picture, DROP_NO_MEMORY);
	assert_int_equal(setrlimit(RLIMIT_AS, &saved), 0);
	finish(&bench);
}

static void frames_outlive_the_encoder(void **state)
{
	struct picture *picture = make_picture(V4L2_PIX_FMT_YUV420, 320, 240, 1);
	struct bench bench;
	struct frame *out;

	(void)state;
	start(&bench, 3);
	watch(&bench, true);
	publish(&bench, picture);
	out = next(&bench);
	finish(&bench);
	assert_decodes_to(out, 320, 240, 128, 128, 128);
	picture_finish(picture);
}

static void it_ends_while_busy_and_while_it_never_was(void **state)
{
	struct picture *slow = make_slow(V4L2_PIX_FMT_YUYV, 1);
	struct picture *waiting = make_picture(V4L2_PIX_FMT_YUV420, 32, 32, 2);
	struct bench bench;

	(void)state;
	start(&bench, 8);
	finish(&bench);

	start(&bench, 2);
	watch(&bench, true);
	publish(&bench, slow);
	publish(&bench, waiting);
	finish(&bench);
	picture_finish(slow);
	picture_finish(waiting);
}

/* One that comes and goes all the time, while frames arrive: for the thread sanitizer above all. */
static void readers_may_come_and_go_at_any_time(void **state)
{
	enum { N = 300 };
	struct picture *picture[N];
	struct bench bench;

	(void)state;
	start(&bench, 3);
	for (int i = 0; i < N; i++) {
		watch(&bench, i % 3 != 0);
		picture[i] = make_picture(V4L2_PIX_FMT_YUYV, 64, 64, i);
		publish(&bench, picture[i]);
		if (i % 5 == 0)
			usleep(200);
	}
	watch(&bench, true);
	publish(&bench, picture[0]);
	while (true) {
		struct frame *out = next(&bench);
		bool last = out->sequence == 0;

		frame_unref(out);
		if (last)
			break;
	}
	finish(&bench);
	for (int i = 0; i < N; i++)
		picture_finish(picture[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(raw_frames_become_jpeg_of_the_same_picture),
		cmocka_unit_test(frames_come_out_in_the_order_they_went_in),
		cmocka_unit_test(nothing_is_encoded_without_a_reader),
		cmocka_unit_test(a_free_worker_starts_on_the_newest_frame),
		cmocka_unit_test(what_waits_when_the_last_reader_goes_is_thrown_away),
		cmocka_unit_test(pictures_of_any_size_keep_their_edges),
		cmocka_unit_test(a_jpeg_larger_than_anyone_expects_is_whole),
		cmocka_unit_test(a_frame_is_given_back_once_its_jpeg_is_out),
		cmocka_unit_test(jpeg_frames_are_passed_through_mended),
		cmocka_unit_test(bad_frames_are_counted_by_reason),
		cmocka_unit_test(a_truncated_frame_passes_where_that_is_allowed),
		cmocka_unit_test(a_frame_that_memory_is_too_short_for_is_dropped),
		cmocka_unit_test(frames_outlive_the_encoder),
		cmocka_unit_test(it_ends_while_busy_and_while_it_never_was),
		cmocka_unit_test(readers_may_come_and_go_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
