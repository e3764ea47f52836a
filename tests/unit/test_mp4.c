// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The MP4 writer against a reader of its own: a strict walk over boxes, in which every byte belongs
 * to a box of a known type and place, and all sizes add up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "media/mp4.h"

/* Of x264's baseline, and of the Pi's encoder. */
#define SPS_322x182                                                                        \
	"\x67\x42\xc0\x0d\xd9\x01\x51\x9e\x22\x6c\x04\x40\x00\x00\x03\x00\x40\x00\x00\x0c" \
	"\x83\xc5\x0a\x92"
#define SPS_720P "\x27\x64\x00\x28\xac\x2b\x40\x28\x02\xdd\x00\xf1\x22\x6a"
#define PPS      "\x68\xce\x3c\x80"
#define PPS_2    "\x68\x53\xf2"
#define START    "\0\0\0\1"

#define LITERAL(text) (const uint8_t *)(text), sizeof(text) - 1

/* ---- the reader */

struct box {
	char type[5];
	const uint8_t *data; /* after the head */
	size_t size;
};

static uint64_t number(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | *at++;
	return value;
}

/* Takes the next box off the range, which must not end inside it. */
static struct box next_box(const uint8_t **at, const uint8_t *end)
{
	struct box box = { 0 };
	uint64_t size;

	assert_true(end - *at >= 8);
	size = number(*at, 4);
	assert_in_range(size, 8, end - *at);
	memcpy(box.type, *at + 4, 4);
	box.data = *at + 8;
	box.size = size - 8;
	*at += size;
	return box;
}

/* A container holds just these children, in this order; the last one is returned. */
static void children(struct box parent, const char *const *types, struct box *out)
{
	const uint8_t *at = parent.data, *end = at + parent.size;

	for (; *types; types++, out++) {
		*out = next_box(&at, end);
		assert_string_equal(out->type, *types);
	}
	assert_ptr_equal(at, end);
}

static struct box behind(struct box box, size_t size)
{
	assert_true(box.size >= size);
	box.data += size;
	box.size -= size;
	return box;
}

#define CHILDREN(parent, out, ...) children(parent, (const char *const[]){ __VA_ARGS__, NULL }, out)

/* ---- the initialization segment */

/* moov and all in it that holds no samples; returns the sample entry. */
static struct box check_init(const uint8_t *init, size_t size)
{
	struct box top[2], moov[3], trak[2], mdia[3], minf[3], stbl[5], one[1];
	struct box file = { .data = init, .size = size };

	CHILDREN(file, top, "ftyp", "moov");
	assert_int_equal(top[0].size % 4, 0);
	CHILDREN(top[1], moov, "mvhd", "trak", "mvex");
	assert_int_equal(moov[0].size, 100);
	assert_int_equal(number(moov[0].data + 12, 4), MP4_TIMESCALE);
	assert_int_equal(number(moov[0].data + 16, 4), 0); /* browsers take it for live */
	assert_int_equal(number(moov[0].data + 96, 4), 2);
	CHILDREN(moov[2], one, "trex"); /* no mehd */
	assert_int_equal(one[0].size, 24);
	assert_int_equal(number(one[0].data + 20, 4), 0x01010000);
	CHILDREN(moov[1], trak, "tkhd", "mdia");
	assert_int_equal(trak[0].size, 84);
	assert_int_equal(number(trak[0].data + 20, 4), 0);
	CHILDREN(trak[1], mdia, "mdhd", "hdlr", "minf");
	assert_int_equal(number(mdia[0].data + 12, 4), MP4_TIMESCALE);
	assert_int_equal(number(mdia[0].data + 16, 4), 0);
	assert_memory_equal(mdia[1].data + 8, "vide", 4);
	assert_int_equal(mdia[1].data[mdia[1].size - 1], 0);
	CHILDREN(mdia[2], minf, "vmhd", "dinf", "stbl");
	CHILDREN(minf[1], one, "dref");
	CHILDREN(behind(one[0], 8), one, "url ");
	assert_int_equal(number(one[0].data, 4), 1); /* in this file */
	CHILDREN(minf[2], stbl, "stsd", "stts", "stsc", "stsz", "stco");
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(stbl[i].size, i == 3 ? 12 : 8);
		for (unsigned n = 0; n < stbl[i].size; n++)
			assert_int_equal(stbl[i].data[n], 0);
	}
	assert_int_equal(number(stbl[0].data + 4, 4), 1);
	CHILDREN(behind(stbl[0], 8), one, "avc1");
	assert_int_equal(number(one[0].data + 24, 4),
		number(trak[0].data + 76, 2) << 16 | number(trak[0].data + 80, 2));
	return one[0];
}

static struct box check_entry(struct box avc1, unsigned width, unsigned height)
{
	struct box avcc[1];

	assert_int_equal(number(avc1.data + 6, 2), 1);
	assert_int_equal(number(avc1.data + 24, 2), width);
	assert_int_equal(number(avc1.data + 26, 2), height);
	assert_int_equal(number(avc1.data + 40, 2), 1);
	assert_int_equal(number(avc1.data + 74, 2), 24);
	CHILDREN(behind(avc1, 78), avcc, "avcC");
	return avcc[0];
}

static size_t convert(uint8_t *to, const uint8_t *unit, size_t size, size_t *sets)
{
	size_t converted = mp4_convert(to, unit, size, sets);

	assert_true(converted <= MP4_CONVERTED_MAX(size));
	return converted;
}

static void the_init_segment_is_strict_mp4_of_no_known_length(void **state)
{
	uint8_t sets[200], init[MP4_INIT_MAX];
	size_t size;
	int used;

	(void)state;
	convert(sets, LITERAL(START SPS_322x182 START PPS START "\x65\x88"), &size);
	used = mp4_write_init(init, sets, size);
	assert_true(used > 0);
	check_entry(check_init(init, (size_t)used), 322, 182);
}

static void avcc_holds_the_parameter_sets(void **state)
{
	static const uint8_t expected[] = "\1\x42\xc0\x0d\xff\xe1\0\x18" SPS_322x182 "\2\0\4" PPS
					  "\0\3" PPS_2;
	uint8_t sets[200], init[MP4_INIT_MAX];
	struct box avcc;
	size_t size;

	(void)state;
	convert(sets, LITERAL(START SPS_322x182 START PPS START PPS_2 START "\x65\x88"), &size);
	avcc = check_entry(check_init(init, (size_t)mp4_write_init(init, sets, size)), 322, 182);
	assert_int_equal(avcc.size, sizeof(expected) - 1);
	assert_memory_equal(avcc.data, expected, avcc.size);
}

static void high_profile_says_how_samples_are_made(void **state)
{
	uint8_t sets[200], init[MP4_INIT_MAX];
	struct box avcc;
	size_t size;

	(void)state;
	convert(sets, LITERAL(START SPS_720P START PPS), &size);
	avcc = check_entry(check_init(init, (size_t)mp4_write_init(init, sets, size)), 1280, 720);
	assert_memory_equal(avcc.data + avcc.size - 4, "\xfd\xf8\xf8\0", 4);
}

static void sets_that_cannot_be_read_make_no_segment(void **state)
{
	static const struct {
		const uint8_t *data;
		size_t size;
	} bad[] = {
		{ LITERAL("") },
		{ LITERAL(START SPS_322x182) },
		{ LITERAL(START PPS) },
		{ LITERAL(START SPS_322x182 START SPS_322x182 START PPS) },
		{ LITERAL(START "\x67\x42\xc0" START PPS) },
	};
	uint8_t sets[200], init[MP4_INIT_MAX], huge[4000];
	size_t size;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		convert(sets, bad[i].data, bad[i].size, &size);
		assert_int_equal(mp4_write_init(init, sets, size), -EBADMSG);
	}
	convert(sets, LITERAL(START SPS_322x182 START PPS), &size);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(mp4_write_init(init, sets, cut), -EBADMSG);
	memset(huge, 0xff, sizeof(huge));
	memcpy(huge, START SPS_322x182 START PPS, sizeof(START SPS_322x182 START PPS) - 1);
	size = mp4_convert(huge + 2000, huge, 1500, &size);
	assert_int_equal(mp4_write_init(init, huge + 2000, size), -EMSGSIZE);
}

/* ---- samples */

static void nal_units_get_their_lengths_and_sets_go_apart(void **state)
{
	static const uint8_t unit[] = START SPS_322x182 "\0\0\1" PPS "\0" START "\6\5" START
							"\x65\x88\x80\0\0\1\x65\x44";
	static const uint8_t expected[] = "\0\0\0\x18" SPS_322x182 "\0\0\0\4" PPS
					  "\0\0\0\2\6\5\0\0\0\3\x65\x88\x80\0\0\0\2\x65\x44";
	uint8_t got[MP4_CONVERTED_MAX(sizeof(unit))];
	size_t sets;

	(void)state;
	assert_int_equal(convert(got, unit, sizeof(unit) - 1, &sets), sizeof(expected) - 1);
	assert_memory_equal(got, expected, sizeof(expected) - 1);
	assert_int_equal(sets, 4 + 24 + 4 + 4);
}

static void sets_behind_a_slice_stay_with_the_sample(void **state)
{
	uint8_t got[100];
	size_t sets;

	(void)state;
	convert(got, LITERAL(START "\x41\x9a" START PPS), &sets);
	assert_int_equal(sets, 0);
}

static void the_shortest_nal_units_have_room(void **state)
{
	uint8_t unit[4 * 50], got[MP4_CONVERTED_MAX(sizeof(unit))];
	size_t sets;

	(void)state;
	for (unsigned i = 0; i < sizeof(unit); i += 4)
		memcpy(unit + i, "\0\0\1\x41", 4);
	assert_int_equal(convert(got, unit, sizeof(unit), &sets), 5 * 50);
	assert_int_equal(convert(got, unit, 0, &sets), 0);
}

/* ---- fragments */

static void a_fragment_is_prft_moof_and_mdat_that_agree(void **state)
{
	struct mp4_fragment fragment = { .sequence = 7,
		.decode_time = 1ULL << 33,
		.duration = 3000,
		.size = 5,
		.key = true,
		.captured_us = 1500000 };
	struct box top[3], moof[2], traf[3];
	uint8_t bytes[MP4_HEAD_SIZE + 5];
	struct box file = { .data = bytes, .size = sizeof(bytes) };

	(void)state;
	mp4_write_head(bytes, &fragment);
	CHILDREN(file, top, "prft", "moof", "mdat");
	assert_int_equal(top[2].size, 5);
	assert_int_equal(top[0].size, 24);
	assert_int_equal(number(top[0].data, 4), 1 << 24 | 24);
	assert_int_equal(number(top[0].data + 4, 4), 1);
	assert_int_equal(number(top[0].data + 8, 4), 2208988801); /* 1 s after 1970 began */
	assert_int_equal(number(top[0].data + 12, 4), 1U << 31);  /* and a half */
	assert_int_equal(number(top[0].data + 16, 8), 1ULL << 33);
	CHILDREN(top[1], moof, "mfhd", "traf");
	assert_int_equal(number(moof[0].data + 4, 4), 7);
	CHILDREN(moof[1], traf, "tfhd", "tfdt", "trun");
	assert_int_equal(number(traf[0].data, 4), 0x020008);
	assert_int_equal(number(traf[0].data + 8, 4), 3000);
	assert_int_equal(number(traf[1].data, 4), 1 << 24);
	assert_int_equal(number(traf[1].data + 4, 8), 1ULL << 33);
	assert_int_equal(number(traf[2].data, 4), 0x205);
	assert_int_equal(number(traf[2].data + 4, 4), 1);
	assert_int_equal(number(traf[2].data + 8, 4), top[2].data - (top[1].data - 8));
	assert_int_equal(number(traf[2].data + 12, 4), 0x02000000);
	assert_int_equal(number(traf[2].data + 16, 4), 5);
	fragment.key = false;
	mp4_write_head(bytes, &fragment);
	assert_int_equal(number(traf[2].data + 12, 4), 0x01010000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_init_segment_is_strict_mp4_of_no_known_length),
		cmocka_unit_test(avcc_holds_the_parameter_sets),
		cmocka_unit_test(high_profile_says_how_samples_are_made),
		cmocka_unit_test(sets_that_cannot_be_read_make_no_segment),
		cmocka_unit_test(nal_units_get_their_lengths_and_sets_go_apart),
		cmocka_unit_test(sets_behind_a_slice_stay_with_the_sample),
		cmocka_unit_test(the_shortest_nal_units_have_room),
		cmocka_unit_test(a_fragment_is_prft_moof_and_mdat_that_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
