// SPDX-License-Identifier: GPL-3.0-or-later
/* Promises about H.264 bitstreams: NAL units are found, parameter sets read and rewritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "media/h264_sps.h"

/* Parameter sets of real encoders, and what they say. */
struct sample {
	const char *from, *hex;
	unsigned profile_idc, constraints, level_idc;
	uint32_t width, height;
	bool has_colour, full_range;
	unsigned matrix;
	const char *as_full_709; /* what becomes of it; checked with ffmpeg's trace_headers */
};

static const struct sample samples[] = {
	{ "Raspberry Pi", "27640028ac2b402802dd00f1226a", 100, 0, 40, 1280, 720, false, false, 2,
		"27640028ac2b402802dd3701010107891350" },
	{ "x264 baseline", "6742c00dd901519e226c0440000003004000000c83c50a92", 66, 0xc0, 13, 322,
		182, false, false, 2,
		"6742c00dd901519e226c05b808080a000003000200000300641e285490" },
	{ "x264 high, cropped, matrices", "6764000dacd941519d0b62b011000003000100000300320f142996",
		100, 0, 13, 314, 170, false, false, 2,
		"6764000dacd941519d0b62b016e02020280000030008000003019078a14cb0" },
	{ "x264 4:2:2", "677a000dbcd941519e222f011000000300100000030320f1429960", 122, 0, 13, 322,
		182, false, false, 2,
		"677a000dbcd941519e222f016e020202800000030080000019078a14cb" },
	{ "x264 4:2:2, full range, wide pixels",
		"677a000dbcd941519e222f016e020404800000030080000019078a14cb", 122, 0, 13, 322, 182,
		true, true, 2, "677a000dbcd941519e222f016e020202800000030080000019078a14cb" },
	{ "x264 4:4:4", "67f4000d919b282a33c7c5e022000003000200000300641e28532c", 244, 0, 13, 322,
		182, false, false, 2,
		"67f4000d919b282a33c7c5e02dc040405000000300100000030320f1429960" },
	{ "x264 with HRD, overscan, chroma location",
		"67f4000d919b282a33c7c5e03100000300010000030032604000f424001e84e4c30078a14cb0", 244,
		0, 13, 322, 182, false, false, 2,
		"67f4000d919b282a33c7c5e036e020202800000300080000030193020007a12000f427261803c50a65"
		"8"
		"0" },
	{ "x264 interlaced", "67640015acd941533c45e022000003000200000300643e28532c", 100, 0, 21,
		322, 184, false, false, 2,
		"67640015acd941533c45e02dc040405000000300100000030321f1429960" },
	{ "none: scaling lists of both sizes, one cut short; picture order of type 1; no VUI",
		"67640028ad911111111111111121151832bdeb5ad6b5ad6b5ad6b5ad6b5ad2a723143d00a00b72",
		100, 0, 40, 1280, 720, false, false, 2,
		"67640028ad911111111111111121151832bdeb5ad6b5ad6b5ad6b5ad6b5ad2a723143d00a00b74dc04"
		"0"
		"4041e100854" },
};

static size_t from_hex(uint8_t *to, const char *hex)
{
	size_t size = strlen(hex) / 2;

	for (size_t i = 0; i < size; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &to[i]), 1);
	return size;
}

static struct h264_nal nal_of(uint8_t *bytes, const char *hex)
{
	return (struct h264_nal){ bytes, from_hex(bytes, hex), bytes[0] & 0x1F };
}

static void real_parameter_sets_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		const struct sample *sample = &samples[i];
		uint8_t bytes[H264_SPS_MAX];
		struct h264_nal nal = nal_of(bytes, sample->hex);
		struct h264_sps sps;

		assert_int_equal(h264_read_sps(&sps, &nal), 0);
		assert_int_equal(sps.profile_idc, sample->profile_idc);
		assert_int_equal(sps.constraints, sample->constraints);
		assert_int_equal(sps.level_idc, sample->level_idc);
		assert_int_equal(sps.width, sample->width);
		assert_int_equal(sps.height, sample->height);
		assert_int_equal(sps.has_colour, sample->has_colour);
		assert_int_equal(sps.full_range, sample->full_range);
		assert_int_equal(sps.matrix, sample->matrix);
	}
}

static void colours_are_written_and_all_else_stays(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		uint8_t bytes[H264_SPS_MAX], expected[H264_SPS_MAX], to[H264_SPS_MAX];
		struct h264_nal nal = nal_of(bytes, samples[i].hex);
		size_t size = from_hex(expected, samples[i].as_full_709);

		assert_int_equal(h264_set_colour(to, &nal, true, true), size);
		assert_memory_equal(to, expected, size);
	}
}

static void each_range_and_matrix_can_be_said_and_said_again(void **state)
{
	uint8_t bytes[H264_SPS_MAX], to[H264_SPS_MAX];
	struct h264_nal nal = nal_of(bytes, samples[0].hex);

	(void)state;
	for (unsigned way = 0; way < 8; way++) {
		bool full_range = way & 1, is_709 = way & 2;
		int size = h264_set_colour(to, &nal, full_range, is_709);
		struct h264_sps sps;

		assert_true(size > 0);
		memcpy(bytes, to, (size_t)size); /* the next one begins with this */
		nal.size = (size_t)size;
		assert_int_equal(h264_read_sps(&sps, &nal), 0);
		assert_true(sps.has_colour);
		assert_int_equal(sps.full_range, full_range);
		assert_int_equal(sps.matrix, is_709 ? 1 : 6);
		assert_int_equal(sps.width, 1280);
	}
}

static void primaries_and_transfer_are_those_of_bt_709_whatever_the_matrix(void **state)
{
	uint8_t bytes[H264_SPS_MAX], expected[H264_SPS_MAX], to[H264_SPS_MAX];
	struct h264_nal nal = nal_of(bytes, samples[0].hex);
	size_t size = from_hex(expected, "27640028ac2b402802dd3501010607891350");

	(void)state;
	assert_int_equal(h264_set_colour(to, &nal, false, false), size);
	assert_memory_equal(to, expected, size);
}

static void damaged_parameter_sets_are_refused(void **state)
{
	static const char *const bad[] = {
		"27",                             /* nothing in it */
		"28640028ac2b402802dd00f1226a",   /* a picture parameter set */
		"27640028ac2b402802dd00f12260",   /* no stop bit where it should be */
		"27640028ac2b402802dd00f1226a55", /* something behind it */
		"27640028ac0000000000000000",     /* a number without end */
	};
	uint8_t bytes[H264_SPS_MAX + 1] = { 0 }, to[H264_SPS_MAX];
	struct h264_sps sps;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct h264_nal nal = nal_of(bytes, bad[i]);

		assert_int_equal(h264_read_sps(&sps, &nal), -EBADMSG);
		assert_int_equal(h264_set_colour(to, &nal, true, true), -EBADMSG);
	}
	/* Each shorter one, too. */
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct h264_nal nal = nal_of(bytes, samples[i].hex);

		while (--nal.size)
			assert_int_equal(h264_set_colour(to, &nal, true, true), -EBADMSG);
	}
	assert_int_equal(h264_read_sps(&sps,
				 &(struct h264_nal){ bytes, H264_SPS_MAX + 1, H264_NAL_SPS }),
		-EBADMSG);
}

static void assert_nal(struct h264_walk *walk, unsigned type, const char *hex)
{
	uint8_t bytes[64];
	size_t size = from_hex(bytes, hex);
	struct h264_nal nal;

	assert_true(h264_next_nal(walk, &nal));
	assert_int_equal(nal.type, type);
	assert_int_equal(nal.size, size);
	assert_memory_equal(nal.data, bytes, size);
}

static void nal_units_are_found_behind_either_start_code(void **state)
{
	uint8_t bytes[64];
	size_t size = from_hex(bytes, "ff00000001670101000001680000000001000001658800000301410000");
	struct h264_walk walk = { bytes, bytes + size };
	struct h264_nal nal;

	(void)state;
	assert_nal(&walk, H264_NAL_SPS, "670101");
	assert_nal(&walk, H264_NAL_PPS, "68");
	assert_nal(&walk, H264_NAL_IDR, "65880000030141");
	assert_false(h264_next_nal(&walk, &nal));
	assert_false(h264_next_nal(&walk, &nal));
}

static void what_holds_no_nal_unit_gives_none(void **state)
{
	static const char *const none[] = { "", "01", "0001", "000001", "00000001", "00000100",
		"000001000000", "ff01ff0001ff" };
	uint8_t bytes[64];
	struct h264_nal nal;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		size_t size = from_hex(bytes, none[i]);
		struct h264_walk walk = { bytes, bytes + size };

		assert_false(h264_next_nal(&walk, &nal));
	}
	assert_null(h264_find_nal(bytes, bytes));
}

static unsigned level_of(uint32_t width, uint32_t height, unsigned fps)
{
	const struct h264_level *level = h264_level_for(width, height, fps, 10);

	return level ? level->level : 0;
}

static void levels_have_room_for_size_and_rate(void **state)
{
	(void)state;
	assert_int_equal(level_of(176, 144, 15), 10);
	assert_int_equal(level_of(640, 480, 30), 30);
	assert_int_equal(level_of(1280, 720, 30), 31);
	assert_int_equal(level_of(1280, 720, 60), 32);
	assert_int_equal(level_of(1920, 1080, 30), 40);
	assert_int_equal(level_of(1920, 1080, 31), 42);
	assert_int_equal(level_of(1920, 1200, 30), 50);
	assert_int_equal(level_of(4096, 2304, 26), 51);
	assert_int_equal(level_of(4096, 2304, 27), 0);
	/* Few macroblocks, but wider than the square root of eight times MaxFS allows. */
	assert_int_equal(level_of(4112, 16, 1), 42);
	assert_int_equal(level_of(UINT32_MAX, UINT32_MAX, 1), 0);
	assert_int_equal(h264_level_for(640, 480, 30, 40)->level, 40);
}

static void high_profile_allows_a_quarter_more(void **state)
{
	const struct h264_level *level = h264_level_for(1920, 1080, 30, 40);

	(void)state;
	assert_int_equal(h264_max_kbps(level, H264_CONSTRAINED_BASELINE), 20000);
	assert_int_equal(h264_max_kbps(level, H264_MAIN), 20000);
	assert_int_equal(h264_max_kbps(level, H264_HIGH), 25000);
	assert_string_equal(h264_profile_name(H264_CONSTRAINED_BASELINE), "constrained-baseline");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(real_parameter_sets_are_read),
		cmocka_unit_test(colours_are_written_and_all_else_stays),
		cmocka_unit_test(each_range_and_matrix_can_be_said_and_said_again),
		cmocka_unit_test(primaries_and_transfer_are_those_of_bt_709_whatever_the_matrix),
		cmocka_unit_test(damaged_parameter_sets_are_refused),
		cmocka_unit_test(nal_units_are_found_behind_either_start_code),
		cmocka_unit_test(what_holds_no_nal_unit_gives_none),
		cmocka_unit_test(levels_have_room_for_size_and_rate),
		cmocka_unit_test(high_profile_allows_a_quarter_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
