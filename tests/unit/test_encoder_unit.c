// SPDX-License-Identifier: GPL-3.0-or-later
/* Promises of what encoders share: pairing, access units, levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "encoder/encoder.h"

#define SPS "27640028ac2b402802dd00f1226a"
#define PPS "28ee025cb0"
/* The same, but it says limited-range BT.601. */
#define SPS_601 "27640028ac2b402802dd3501010607891350"

static const struct encoder_ops no_ops;

static int setup(void **state)
{
	const struct encoder_config config = {
		.width = 1280,
		.height = 720,
		.tuning = { .bitrate_kbps = 5000, .fps = 30 },
		.profile = H264_HIGH,
		.device = "",
	};
	struct encoder *encoder = xcalloc(1, sizeof(*encoder));

	encoder_init(encoder, &no_ops, &config);
	encoder->n_inputs = 1;
	*state = encoder;
	return 0;
}

static int teardown(void **state)
{
	encoder_finish(*state);
	encoder_finish(*state); /* accepts what is finished */
	free(*state);
	return 0;
}

static int64_t note(struct encoder *encoder, int64_t captured_ns)
{
	const struct frame origin = { .captured_ns = captured_ns,
		.sequence = 7,
		.online = true,
		.keepable = true,
		.grabbed_ns = 5 };
	const struct encoder_submission in = { .origin = &origin };

	return encoder_note(encoder, &in);
}

static size_t from_hex(uint8_t *to, const char *hex)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &to[i]), 1);
	return size;
}

/* Makes a unit of these bytes; returns what encoder_make_unit() did. */
static int make(struct encoder *encoder, const char *hex, struct frame **out)
{
	struct encoder_pending *pending = encoder_match(encoder, note(encoder, 0));
	uint8_t bytes[512];
	size_t size = from_hex(bytes, hex);

	assert_non_null(pending);
	return encoder_make_unit(encoder, pending, bytes, size, out);
}

static void assert_unit(struct encoder *encoder, const char *given, bool key, const char *expected)
{
	struct frame *frame = NULL;
	uint8_t bytes[512];
	size_t size = from_hex(bytes, expected);

	assert_int_equal(make(encoder, given, &frame), 0);
	assert_int_equal(frame->key, key);
	assert_int_equal(frame->plane[0].size, size);
	assert_memory_equal(frame->plane[0].data, bytes, size);
	frame_unref(frame);
}

static void timestamps_increase_whatever_the_source_says(void **state)
{
	assert_int_equal(note(*state, 5000000), 5000);
	assert_int_equal(note(*state, 5000999), 5001);
	assert_int_equal(note(*state, 1), 5002);
	assert_int_equal(note(*state, 9000000), 9000);
}

static void no_timestamp_is_zero(void **state)
{
	assert_int_equal(note(*state, 0), 1);
	assert_null(encoder_match(*state, 0));
}

static void frames_before_a_match_are_lost(void **state)
{
	struct encoder *encoder = *state;
	int64_t last;

	note(encoder, 1000000);
	note(encoder, 2000000);
	last = note(encoder, 3000000);
	assert_null(encoder_match(encoder, last + 1));
	assert_int_equal(encoder_count_pending(encoder), 3);
	assert_int_equal(encoder->lost, 0);
	assert_int_equal(encoder_match(encoder, last)->timestamp_us, last);
	assert_int_equal(encoder_count_pending(encoder), 1);
	assert_int_equal(encoder->lost, 2);
}

static void an_encoder_that_drops_all_takes_no_more_memory(void **state)
{
	struct encoder *encoder = *state;
	int64_t last = 0;

	for (int i = 1; i <= 10; i++)
		last = note(encoder, i * NS_PER_MS);
	assert_int_equal(encoder_count_pending(encoder), ENCODER_IN_FLIGHT);
	assert_int_equal(encoder->lost, 10 - ENCODER_IN_FLIGHT);
	assert_non_null(encoder_match(encoder, last));
	assert_int_equal(encoder->lost, 9);
}

static void a_unit_tells_where_it_comes_from(void **state)
{
	struct encoder *encoder = *state;
	struct encoder_pending *pending = encoder_match(encoder, note(encoder, 4000000));
	const uint8_t slice[] = { 0, 0, 1, 0x41, 0x9a };
	struct frame *frame;

	assert_int_equal(encoder_make_unit(encoder, pending, slice, sizeof(slice), &frame), 0);
	assert_int_equal(frame->format, V4L2_PIX_FMT_H264);
	assert_int_equal(frame->width, 1280);
	assert_int_equal(frame->height, 720);
	assert_int_equal(frame->captured_ns, 4000000);
	assert_int_equal(frame->grabbed_ns, 5);
	assert_int_equal(frame->sequence, 7);
	assert_true(frame->online);
	assert_false(frame->keepable);
	assert_true(frame->encode_begin_ns > 0);
	assert_true(frame->encode_end_ns >= frame->encode_begin_ns);
	assert_int_equal(encoder_count_pending(encoder), 0);
	frame_unref(frame);
}

static void sets_stand_before_each_idr_exactly_once(void **state)
{
	const char *whole = "00000001" SPS_601 "00000001" PPS "0000000165b804";

	assert_unit(*state, "00000001" SPS "00000001" PPS "00000165b804", true, whole);
	assert_unit(*state, "00000001419a", false, "00000001419a");
	assert_unit(*state, "0000000165b804", true, whole);
	assert_unit(*state, "00000001" SPS "000001" PPS "000001" SPS "00000165b804", true, whole);
}

static void sets_that_come_alone_are_remembered(void **state)
{
	struct encoder *encoder = *state;
	struct frame *frame = NULL;

	assert_int_equal(make(encoder, "00000001" SPS "00000001" PPS, &frame), -EBADMSG);
	assert_null(frame);
	assert_int_equal(encoder_count_pending(encoder), 1); /* the slices may still come */
	assert_unit(encoder, "0000000165b8", true,
		"00000001" SPS_601 "00000001" PPS "0000000165b8");
}

static void a_key_frame_that_became_none_is_told(void **state)
{
	const struct frame origin = { .sequence = 1 };
	const struct encoder_submission in = { .origin = &origin, .want_key = true };
	struct encoder *encoder = *state;
	struct frame *frame;
	uint8_t bytes[64];

	for (unsigned i = 0; i < 2; i++) {
		const char *hex = i ? "0000000141cc" : "0000000165aa";
		size_t size = from_hex(bytes, hex);
		struct encoder_pending *pending = encoder_match(encoder,
			encoder_note(encoder, &in));

		assert_int_equal(encoder_make_unit(encoder, pending, bytes, size, &frame), 0);
		frame_unref(frame);
		assert_int_equal(encoder->keys_lost, i);
	}
	assert_unit(encoder, "0000000141cc", false, "0000000141cc"); /* nobody wanted one */
	assert_int_equal(encoder->keys_lost, 1);
}

static void sets_say_what_the_samples_mean_now(void **state)
{
	struct encoder *encoder = *state;
	struct encoder_pending *pending;
	struct frame *frame;
	struct h264_walk walk;
	struct h264_nal nal;
	struct h264_sps sps;

	assert_int_equal(make(encoder, "00000001" SPS "00000001" PPS "0000000165b8", &frame), 0);
	frame_unref(frame);
	frame = NULL;
	pending = encoder_match(encoder, note(encoder, 0));
	pending->origin.range = RANGE_FULL;
	pending->origin.matrix = MATRIX_709;
	note(encoder, 1); /* the next one, on its way already, means something else */
	assert_int_equal(encoder_make_unit(encoder, pending, (const uint8_t *)"\0\0\1\x65\xb8", 5,
				 &frame),
		0);
	walk = (struct h264_walk){ frame->plane[0].data,
		frame->plane[0].data + frame->plane[0].size };
	assert_true(h264_next_nal(&walk, &nal));
	assert_int_equal(h264_read_sps(&sps, &nal), 0);
	assert_true(sps.full_range);
	assert_int_equal(sps.matrix, 1);
	assert_int_equal(frame->range, RANGE_FULL);
	frame_unref(frame);
}

static void delimiters_and_filler_stay_out_but_messages_stay(void **state)
{
	assert_unit(*state, "0000000109f00000010cffff80000001060501aa80000001419a0000010cff80",
		false, "00000001060501aa8000000001419a0000010cff80");
}

static void all_slices_are_copied(void **state)
{
	assert_unit(*state, "000001419a11000001419a22000001419a33", false,
		"00000001419a11000001419a22000001419a33");
}

static void empty_nal_units_are_passed_over(void **state)
{
	assert_unit(*state, "000001000001000000010000000165b8", true, "0000000165b8");
}

static void a_set_that_cannot_be_read_stays_as_it_is(void **state)
{
	assert_unit(*state, "0000000127640028000001" PPS "00000165b8", true,
		"000000012764002800000001" PPS "0000000165b8");
}

static void bytes_without_a_slice_are_refused(void **state)
{
	static const char *const bad[] = { "", "00", "000001", "65b8", "0000010000010000",
		"0000010605aa" };
	struct frame *frame = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(make(*state, bad[i], &frame), -EBADMSG);
	assert_int_equal(encoder_make_unit(*state, NULL, (const uint8_t *)"\0\0\1\x65\xb8", 5,
				 &frame),
		-EBADMSG);
	assert_null(frame);
}

static struct encoder_tuning fit(struct encoder *encoder, uint32_t width, uint32_t height,
	unsigned fps, unsigned kbps)
{
	struct encoder_tuning tuning = { .bitrate_kbps = kbps, .fps = fps };

	encoder->width = width;
	encoder->height = height;
	assert_int_equal(encoder_fit(encoder, &tuning, 42), 0);
	return tuning;
}

static void the_level_is_the_smallest_from_4_0_on(void **state)
{
	struct encoder *encoder = *state;

	fit(encoder, 1280, 720, 60, 5000);
	assert_int_equal(encoder->level, 40);
	encoder->level = 0;
	fit(encoder, 1920, 1080, 60, 5000);
	assert_int_equal(encoder->level, 42);
}

static void rate_and_bitrate_are_clamped_to_the_level(void **state)
{
	struct encoder *encoder = *state;
	struct encoder_tuning tuning;

	encoder->profile = H264_MAIN;
	tuning = fit(encoder, 1920, 1080, 30, 30000);
	assert_int_equal(tuning.bitrate_kbps, 20000);
	assert_int_equal(tuning.fps, 30);
	encoder->level = 0;
	tuning = fit(encoder, 1920, 1080, 120, 60000);
	assert_int_equal(encoder->level, 42);
	assert_int_equal(tuning.fps, 522240 / 8160);
	assert_int_equal(tuning.bitrate_kbps, 50000);
}

static void the_level_stays_once_it_is_picked(void **state)
{
	struct encoder *encoder = *state;
	struct encoder_tuning tuning;

	fit(encoder, 1920, 1080, 30, 5000);
	tuning = fit(encoder, 1920, 1080, 60, 5000);
	assert_int_equal(encoder->level, 40);
	assert_int_equal(tuning.fps, 245760 / 8160);
	encoder->level = 42;
	fit(encoder, 1920, 1080, 30, 5000);
	assert_int_equal(encoder->level, 42);
}

static void a_size_beyond_every_level_is_refused(void **state)
{
	struct encoder *encoder = *state;
	struct encoder_tuning tuning = { .bitrate_kbps = 5000, .fps = 30 };

	encoder->width = 1920;
	encoder->height = 1200;
	assert_int_equal(encoder_fit(encoder, &tuning, 42), -ERANGE);
	assert_int_equal(encoder->level, 0);
	assert_int_equal(encoder_fit(encoder, &tuning, 51), 0);
	assert_int_equal(encoder->level, 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timestamps_increase_whatever_the_source_says),
		TEST(no_timestamp_is_zero),
		TEST(frames_before_a_match_are_lost),
		TEST(an_encoder_that_drops_all_takes_no_more_memory),
		TEST(a_unit_tells_where_it_comes_from),
		TEST(sets_stand_before_each_idr_exactly_once),
		TEST(sets_that_come_alone_are_remembered),
		TEST(a_key_frame_that_became_none_is_told),
		TEST(sets_say_what_the_samples_mean_now),
		TEST(delimiters_and_filler_stay_out_but_messages_stay),
		TEST(all_slices_are_copied),
		TEST(empty_nal_units_are_passed_over),
		TEST(a_set_that_cannot_be_read_stays_as_it_is),
		TEST(bytes_without_a_slice_are_refused),
		TEST(the_level_is_the_smallest_from_4_0_on),
		TEST(rate_and_bitrate_are_clamped_to_the_level),
		TEST(the_level_stays_once_it_is_picked),
		TEST(a_size_beyond_every_level_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
