// SPDX-License-Identifier: GPL-3.0-or-later
/* Promises of the software encoder; ffmpeg decodes what it made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "encoder/encoder.h"
#include "slate/draw.h"

#ifdef WITH_X264

#define WIDTH  322U /* neither is a multiple of 16 */
#define HEIGHT 182U
#define LUMA   ((size_t)WIDTH * HEIGHT)
#define CHROMA (LUMA / 4)

struct fixture {
	struct encoder_config config;
	struct encoder *encoder;
	struct frame *picture; /* YU12 */
	unsigned n_frames;
};

static int setup(void **state)
{
	struct fixture *fix = xcalloc(1, sizeof(*fix));

	fix->config = (struct encoder_config){
		.width = WIDTH,
		.height = HEIGHT,
		.like = { .format = V4L2_PIX_FMT_YUV420 },
		.tuning = { .bitrate_kbps = 2000, .fps = 30 },
		.device = "",
	};
	*state = fix;
	return draw_create(&fix->picture, WIDTH, HEIGHT);
}

static int teardown(void **state)
{
	struct fixture *fix = *state;

	encoder_x264.close(fix->encoder);
	frame_unref(fix->picture);
	free(fix);
	return 0;
}

static void start(struct fixture *fix)
{
	assert_int_equal(encoder_x264.open(&fix->encoder, &fix->config), 0);
}

/* Bars, with text that is different for each number. */
static void draw(struct frame *to, unsigned number)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "frame %u", number);

	for (int i = 0; i < DRAW_BARS; i++)
		draw_fill(to, (int)WIDTH * i / DRAW_BARS & ~1, 0, WIDTH, HEIGHT, draw_bars[i]);
	draw_text(to, 20, 50, 32, 235, text, (size_t)length);
}

/* Nothing of it can be foretold, so it costs what the bitrate allows. */
static void draw_noise(struct frame *to, unsigned number)
{
	uint32_t seed = number * 2654435761U + 1;

	for (size_t i = 0; i < LUMA; i++) {
		seed = seed * 1664525 + 1013904223;
		to->plane[0].data[i] = (uint8_t)(seed >> 24);
	}
}

static struct frame *encode(struct fixture *fix, struct frame *frame, bool want_key)
{
	const struct encoder_submission in = {
		.input = -1, .frame = frame, .origin = frame, .want_key = want_key
	};
	struct frame *unit = NULL;

	frame->captured_ns = ++fix->n_frames * 33 * NS_PER_MS;
	frame->sequence = fix->n_frames;
	assert_int_equal(encoder_x264.submit(fix->encoder, &in), 0);
	assert_int_equal(encoder_x264.collect(fix->encoder, &unit), 0);
	assert_int_equal(unit->sequence, fix->n_frames);
	return unit;
}

static bool is_key(struct fixture *fix, bool want_key)
{
	struct frame *unit;
	bool key;

	draw(fix->picture, fix->n_frames);
	unit = encode(fix, fix->picture, want_key);
	key = unit->key;
	frame_unref(unit);
	return key;
}

static struct h264_sps sps_of(const struct frame *unit)
{
	struct h264_walk walk = { unit->plane[0].data, unit->plane[0].data + unit->plane[0].size };
	struct h264_nal nal;
	struct h264_sps sps;

	assert_true(h264_next_nal(&walk, &nal));
	assert_int_equal(h264_read_sps(&sps, &nal), 0);
	return sps;
}

static void tune(struct fixture *fix, unsigned kbps, unsigned gop, unsigned fps)
{
	const struct encoder_tuning tuning = { .bitrate_kbps = kbps, .gop = gop, .fps = fps };

	assert_int_equal(encoder_x264.tune(fix->encoder, &tuning), 0);
	assert_memory_equal(&fix->encoder->tuning, &tuning, sizeof(tuning));
}

/* ---- decoding */

/* The mean squared error of luma and chroma, of the frame that ffmpeg makes of one key unit. */
static unsigned error_of(const struct frame *unit, const struct frame *picture)
{
	char path[64], command[256];
	AUTO(auto_close) int fd = -1;
	uint8_t decoded[LUMA + 2 * CHROMA + 1];
	uint64_t sum = 0;
	FILE *from;

	snprintf(path, sizeof(path), "/tmp/hdmicast-test-%d-XXXXXX", (int)getpid());
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, unit->plane[0].data, unit->plane[0].size), unit->plane[0].size);
	snprintf(command, sizeof(command),
		"timeout 500 ffmpeg -nostdin -v error -f h264 -i %s -f rawvideo - 2>&1", path);
	from = popen(command, "r");
	assert_non_null(from);
	assert_int_equal(fread(decoded, 1, sizeof(decoded), from), LUMA + 2 * CHROMA);
	pclose(from);
	unlink(path);
	for (size_t i = 0; i < LUMA + 2 * CHROMA; i++) {
		int diff = decoded[i] - picture->plane[0].data[i];

		sum += (uint64_t)(diff * diff);
	}
	return (unsigned)(sum / (LUMA + 2 * CHROMA));
}

/* The picture in another 4:2:0 format, in memory of its own that begins at to[0]. */
static struct frame as(const struct frame *from, uint32_t format, uint8_t to[LUMA + 2 * CHROMA])
{
	bool planar = format == V4L2_PIX_FMT_YUV420 || format == V4L2_PIX_FMT_YVU420;
	bool swapped = format == V4L2_PIX_FMT_YVU420 || format == V4L2_PIX_FMT_NV21;
	const uint8_t *first = from->plane[swapped ? 2 : 1].data;
	const uint8_t *second = from->plane[swapped ? 1 : 2].data;
	struct frame frame;

	memcpy(to, from->plane[0].data, LUMA);
	for (size_t i = 0; i < CHROMA; i++) {
		to[LUMA + (planar ? i : 2 * i)] = first[i];
		to[LUMA + (planar ? CHROMA + i : 2 * i + 1)] = second[i];
	}
	frame_init(&frame, NULL, NULL);
	frame.format = format;
	frame.width = WIDTH;
	frame.height = HEIGHT;
	frame.plane[0] = (struct frame_plane){ to, WIDTH, LUMA };
	frame.plane[1] = (struct frame_plane){ to + LUMA, planar ? WIDTH / 2 : WIDTH,
		planar ? CHROMA : 2 * CHROMA };
	if (planar)
		frame.plane[2] = (struct frame_plane){ to + LUMA + CHROMA, WIDTH / 2, CHROMA };
	return frame;
}

/* ---- promises */

static void each_frame_is_out_before_the_next_goes_in(void **state)
{
	struct fixture *fix = *state;
	struct frame *none;

	start(fix);
	for (int i = 0; i < 20; i++) {
		is_key(fix, false); /* submits, and collects it */
		assert_int_equal(encoder_x264.collect(fix->encoder, &none), -EAGAIN);
		assert_int_equal(encoder_count_pending(fix->encoder), 0);
	}
	assert_int_equal(fix->encoder->lost, 0);
}

static void constrained_baseline_is_what_it_says(void **state)
{
	struct fixture *fix = *state;
	struct frame *unit;
	struct h264_sps sps;

	start(fix);
	draw(fix->picture, 0);
	unit = encode(fix, fix->picture, false);
	sps = sps_of(unit);
	assert_int_equal(sps.profile_idc, 66);
	assert_true(sps.constraints & 0x40);
	assert_int_equal(sps.level_idc, 40);
	assert_int_equal(sps.width, WIDTH);
	assert_int_equal(sps.height, HEIGHT);
	frame_unref(unit);
}

static void the_other_profiles_are_what_they_say(void **state)
{
	static const unsigned idc[] = { [H264_BASELINE] = 66, [H264_MAIN] = 77, [H264_HIGH] = 100 };
	struct fixture *fix = *state;

	for (enum h264_profile profile = H264_BASELINE; profile <= H264_HIGH; profile++) {
		struct frame *unit;

		fix->config.profile = profile;
		start(fix);
		unit = encode(fix, fix->picture, false);
		assert_int_equal(sps_of(unit).profile_idc, idc[profile]);
		frame_unref(unit);
		encoder_x264.close(fix->encoder);
		fix->encoder = NULL;
	}
}

static void key_frames_come_first_and_on_demand_only(void **state)
{
	struct fixture *fix = *state;

	start(fix);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(is_key(fix, i == 25), i == 0 || i == 25);
}

static void a_gop_is_counted_and_may_change(void **state)
{
	struct fixture *fix = *state;

	fix->config.tuning.gop = 10;
	start(fix);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(is_key(fix, false), i % 10 == 0);
	tune(fix, 2000, 4, 30);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(is_key(fix, false), i % 4 == 0);
	tune(fix, 2000, 0, 30);
	for (unsigned i = 0; i < 30; i++)
		assert_false(is_key(fix, false));
}

static void all_formats_of_420_are_read_in_place(void **state)
{
	static const uint32_t formats[] = { V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YVU420,
		V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV21 };
	struct fixture *fix = *state;
	AUTO(auto_free) uint8_t *memory = malloc(LUMA + 2 * CHROMA);

	start(fix);
	draw(fix->picture, 1);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct frame frame = as(fix->picture, formats[i], memory);
		struct frame *unit;

		assert_true(encoder_x264.takes(fix->encoder, &frame));
		unit = encode(fix, &frame, true);
		assert_true(error_of(unit, fix->picture) < 4); /* more than 42 dB */
		frame_unref(unit);
	}
}

static void an_input_that_was_filled_is_encoded(void **state)
{
	struct fixture *fix = *state;
	AUTO(auto_free) uint8_t *memory = malloc(LUMA + 2 * CHROMA);

	for (unsigned way = 0; way < 2; way++) {
		uint32_t format = way ? V4L2_PIX_FMT_NV12 : V4L2_PIX_FMT_YUV420;
		struct frame from = as(fix->picture, format, memory), *unit = NULL;
		struct encoder_submission in = { .input = 1, .origin = &from };
		struct picture *to;

		draw(fix->picture, 2 + way);
		from = as(fix->picture, format, memory);
		fix->config.like.format = format;
		start(fix);
		assert_int_equal(fix->encoder->n_inputs, 2);
		to = &fix->encoder->input[1];
		assert_int_equal(to->format, format);
		for (unsigned i = 0; i < 3 && to->plane[i].data; i++) {
			assert_int_equal((uintptr_t)to->plane[i].data % 64, 0);
			assert_int_equal(to->plane[i].stride % 64, 0);
			for (unsigned y = 0; y < HEIGHT / (i ? 2 : 1); y++)
				memcpy(to->plane[i].data + y * to->plane[i].stride,
					from.plane[i].data + y * from.plane[i].stride,
					from.plane[i].stride);
		}
		assert_int_equal(encoder_x264.submit(fix->encoder, &in), 0);
		assert_int_equal(fix->encoder->busy_inputs, 0);
		assert_int_equal(encoder_x264.collect(fix->encoder, &unit), 0);
		assert_true(error_of(unit, fix->picture) < 4);
		frame_unref(unit);
		encoder_x264.close(fix->encoder);
		fix->encoder = NULL;
	}
}

static void frames_that_do_not_fit_are_not_taken(void **state)
{
	struct fixture *fix = *state;
	AUTO(auto_free) uint8_t *memory = malloc(LUMA + 2 * CHROMA);
	const struct frame good = as(fix->picture, V4L2_PIX_FMT_NV12, memory);
	struct frame bad[6];

	start(fix);
	assert_true(encoder_x264.takes(fix->encoder, &good));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = as(fix->picture, V4L2_PIX_FMT_NV12, memory);
	bad[0].width += 2;
	bad[1].height -= 2;
	bad[2].format = V4L2_PIX_FMT_YUYV;
	bad[3].plane[0].size--;
	bad[4].plane[1].stride--;
	bad[5].plane[1].data = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct encoder_submission in = {
			.input = -1, .frame = &bad[i], .origin = &bad[i]
		};

		assert_false(encoder_x264.takes(fix->encoder, &bad[i]));
		assert_int_equal(encoder_x264.submit(fix->encoder, &in), -ENOTSUP);
	}
}

static void assert_colours(struct fixture *fix, enum frame_range range, enum frame_matrix matrix)
{
	struct frame *unit;

	fix->picture->range = range;
	fix->picture->matrix = matrix;
	unit = encode(fix, fix->picture, false);
	assert_true(unit->key);
	assert_int_equal(sps_of(unit).full_range, range == RANGE_FULL);
	assert_int_equal(sps_of(unit).matrix, matrix == MATRIX_709 ? 1 : 6);
	frame_unref(unit);
	assert_false(is_key(fix, false));
}

static void a_change_of_colours_is_said_in_a_key_frame(void **state)
{
	struct fixture *fix = *state;

	start(fix);
	assert_colours(fix, RANGE_LIMITED, MATRIX_601);
	assert_colours(fix, RANGE_FULL, MATRIX_601);
	assert_colours(fix, RANGE_FULL, MATRIX_709);
}

/* kbit/s of `seconds` at that many frames a second, without a key frame among them. */
static unsigned measure(struct fixture *fix, unsigned fps, unsigned seconds)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < fps * seconds; i++) {
		struct frame *unit;

		draw_noise(fix->picture, fix->n_frames);
		unit = encode(fix, fix->picture, false);
		assert_true(!unit->key || fix->n_frames == 1);
		bytes += unit->plane[0].size;
		frame_unref(unit);
	}
	return (unsigned)(bytes * 8 / seconds / 1000);
}

static void the_bitrate_is_the_limit_and_follows_within_a_second(void **state)
{
	static const unsigned kbps[] = { 2000, 6000, 1500 };
	struct fixture *fix = *state;

	start(fix);
	for (size_t i = 0; i < ARRAY_SIZE(kbps); i++) {
		unsigned came;

		tune(fix, kbps[i], 0, 30);
		measure(fix, 30, 1);
		came = measure(fix, 30, 2);
		assert_in_range(came, kbps[i] * 70 / 100, kbps[i] * 115 / 100);
	}
}

static void the_declared_rate_may_change(void **state)
{
	static const unsigned fps[] = { 30, 60, 15 };
	struct fixture *fix = *state;

	start(fix);
	for (size_t i = 0; i < ARRAY_SIZE(fps); i++) {
		tune(fix, 3000, 0, fps[i]);
		measure(fix, fps[i], 1);
		assert_in_range(measure(fix, fps[i], 2), 3000 * 70 / 100, 3000 * 115 / 100);
	}
}

static void a_picture_that_stands_still_costs_next_to_nothing(void **state)
{
	struct fixture *fix = *state;

	start(fix);
	draw(fix->picture, 0);
	for (unsigned i = 0; i < 60; i++) {
		struct frame *unit = encode(fix, fix->picture, false);

		if (i >= 10)
			assert_true(unit->plane[0].size < 200);
		frame_unref(unit);
	}
}

/* On a line that is as fast as the bitrate; x264 meets its limit within a quarter or so. */
static void no_access_unit_is_longer_than_its_frame_and_one_more(void **state)
{
	struct fixture *fix = *state;
	size_t longest = 0;

	start(fix);
	draw(fix->picture, 0);
	for (unsigned i = 0; i < 60;
		i++) { /* every bit that is not spent is saved, up to a limit */
		struct frame *unit;

		if (i >= 40)
			draw_noise(fix->picture, fix->n_frames);
		unit = encode(fix, fix->picture, false);
		if (i)
			longest = MAX(longest, unit->plane[0].size);
		frame_unref(unit);
	}
	assert_in_range(longest, 2000 * 125 / 30, 2000 * 125 / 30 * 5 / 2);
}

/* The size of a picture of noise that is a key frame, because it is the first one. */
static size_t first_size(struct fixture *fix)
{
	struct frame *unit;
	size_t size;

	draw_noise(fix->picture, 0);
	unit = encode(fix, fix->picture, false);
	assert_true(unit->key);
	size = unit->plane[0].size;
	frame_unref(unit);
	assert_false(is_key(fix, false));
	return size;
}

static void bounds_of_qp_may_change(void **state)
{
	struct encoder_tuning tuning = { .bitrate_kbps = 20000, .fps = 30, .min_qp = 45 };
	struct fixture *fix = *state;
	size_t usual, coarse, fine;

	fix->config.tuning.bitrate_kbps = 20000;
	start(fix);
	usual = first_size(fix);
	assert_int_equal(encoder_x264.tune(fix->encoder, &tuning), 0);
	coarse = first_size(fix);
	tuning.min_qp = 0;
	tuning.max_qp = 10;
	assert_int_equal(encoder_x264.tune(fix->encoder, &tuning), 0);
	fine = first_size(fix);
	assert_true(coarse < usual / 2);
	assert_true(fine > usual);
	/* One bound alone, and nothing else. */
	tuning.max_qp = 40;
	assert_int_equal(encoder_x264.tune(fix->encoder, &tuning), 0);
	assert_true(first_size(fix) < fine);
}

static void a_unit_that_nobody_collected_makes_the_next_a_key_frame(void **state)
{
	struct fixture *fix = *state;
	const struct encoder_submission in = {
		.input = -1, .frame = fix->picture, .origin = fix->picture
	};

	start(fix);
	assert_true(is_key(fix, false));
	assert_int_equal(encoder_x264.submit(fix->encoder, &in), 0);
	assert_true(is_key(fix, false));
	assert_int_equal(fix->encoder->lost, 1);
	assert_false(is_key(fix, false));
}

static void what_h264_cannot_say_is_refused(void **state)
{
	static const uint32_t sizes[][2] = { { 321, 180 }, { 320, 181 }, { 0, 0 }, { 7680, 4320 },
		{ 4294967294, 4294967294 } };
	struct fixture *fix = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fix->config.width = sizes[i][0];
		fix->config.height = sizes[i][1];
		assert_int_equal(encoder_x264.open(&fix->encoder, &fix->config), -ERANGE);
		assert_null(fix->encoder);
	}
}

static void any_even_size_is_encoded(void **state)
{
	static const uint32_t sizes[][2] = { { 2, 2 }, { 16, 16 }, { 1366, 768 }, { 720, 576 } };
	struct fixture *fix = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct frame *picture, *unit;

		assert_int_equal(draw_create(&picture, sizes[i][0], sizes[i][1]), 0);
		draw_fill(picture, 0, 0, (int)sizes[i][0], (int)sizes[i][1], draw_bars[2]);
		fix->config.width = sizes[i][0];
		fix->config.height = sizes[i][1];
		start(fix);
		unit = encode(fix, picture, false);
		assert_int_equal(sps_of(unit).width, sizes[i][0]);
		assert_int_equal(sps_of(unit).height, sizes[i][1]);
		frame_unref(unit);
		frame_unref(picture);
		encoder_x264.close(fix->encoder);
		fix->encoder = NULL;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_frame_is_out_before_the_next_goes_in),
		TEST(constrained_baseline_is_what_it_says),
		TEST(the_other_profiles_are_what_they_say),
		TEST(key_frames_come_first_and_on_demand_only),
		TEST(a_gop_is_counted_and_may_change),
		TEST(all_formats_of_420_are_read_in_place),
		TEST(an_input_that_was_filled_is_encoded),
		TEST(frames_that_do_not_fit_are_not_taken),
		TEST(a_change_of_colours_is_said_in_a_key_frame),
		TEST(the_bitrate_is_the_limit_and_follows_within_a_second),
		TEST(the_declared_rate_may_change),
		TEST(a_picture_that_stands_still_costs_next_to_nothing),
		TEST(no_access_unit_is_longer_than_its_frame_and_one_more),
		TEST(bounds_of_qp_may_change),
		TEST(a_unit_that_nobody_collected_makes_the_next_a_key_frame),
		TEST(what_h264_cannot_say_is_refused),
		TEST(any_even_size_is_encoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void there_is_no_x264(void **state)
{
	(void)state;
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(there_is_no_x264) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
