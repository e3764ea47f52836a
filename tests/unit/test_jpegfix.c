// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The JPEG sanitiser. Pictures are made by libjpeg and damaged here; each is parsed from memory
 * of exactly its size, so that an instrumented build sees a read beyond it, and what comes out is
 * parsed and decoded again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "convert/jpegfix.h"
#include "jpegs.h"

#define WIDTH  160
#define HEIGHT 120

struct bytes {
	uint8_t *data;
	size_t size;
};

static struct bytes copy_of(const void *data, size_t size)
{
	struct bytes copy = { malloc(size ? size : 1), size };

	assert_non_null(copy.data);
	memcpy(copy.data, data, size);
	return copy;
}

static void append(struct bytes *bytes, const void *data, size_t size)
{
	bytes->data = realloc(bytes->data, bytes->size + size);
	assert_non_null(bytes->data);
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

static void insert(struct bytes *bytes, size_t at, const void *data, size_t size)
{
	struct bytes tail = copy_of(bytes->data + at, bytes->size - at);

	bytes->size = at;
	append(bytes, data, size);
	append(bytes, tail.data, tail.size);
	free(tail.data);
}

static void cut(struct bytes *bytes, size_t at, size_t size)
{
	memmove(bytes->data + at, bytes->data + at + size, bytes->size - at - size);
	bytes->size -= size;
}

enum kind { BASELINE, PROGRESSIVE, RESTARTS };

/* Noise, so that the entropy-coded data has stuffed bytes in it. */
static struct bytes make_jpeg(int width, int height, enum kind kind)
{
	uint8_t *rgb = malloc((size_t)3 * width * height);
	struct jpegs_make make = { .pixels = rgb,
		.width = width,
		.height = height,
		.components = 3,
		.progressive = kind == PROGRESSIVE,
		.restart_rows = kind == RESTARTS };
	struct bytes out;

	srandom(7);
	for (int i = 0; i < 3 * width * height; i++)
		rgb[i] = random();
	out.data = jpegs_encode(&make, &out.size);
	free(rgb);
	return out;
}

/* Where the `nth` segment of this kind begins, in the headers of a picture made here. */
static size_t find_segment(const struct bytes *jpeg, uint8_t marker, unsigned nth)
{
	size_t pos = 2;

	while (pos + 4 <= jpeg->size) {
		if (jpeg->data[pos + 1] == marker && nth-- == 0)
			return pos;
		if (jpeg->data[pos + 1] == 0xDA)
			break;
		pos += 2 + (jpeg->data[pos + 2] << 8 | jpeg->data[pos + 3]);
	}
	return 0;
}

static size_t segment_size(const struct bytes *jpeg, size_t at)
{
	return 2 + (jpeg->data[at + 2] << 8 | jpeg->data[at + 3]);
}

static size_t scan_begin(const struct bytes *jpeg)
{
	size_t at = find_segment(jpeg, 0xDA, 0);

	return at + segment_size(jpeg, at);
}

/* Takes the Huffman tables out; returns their bodies one after the other. */
static struct bytes strip_tables(struct bytes *jpeg)
{
	struct bytes tables = copy_of("", 0);
	size_t at;

	while ((at = find_segment(jpeg, 0xC4, 0))) {
		size_t size = segment_size(jpeg, at);

		append(&tables, jpeg->data + at + 4, size - 4);
		cut(jpeg, at, size);
	}
	assert_true(tables.size > 0);
	return tables;
}

static void assert_decodes(const struct bytes *jpeg, int width, int height)
{
	struct jpegs_picture picture;

	assert_true(jpegs_decode(jpeg->data, jpeg->size, &picture));
	assert_int_equal(picture.width, width);
	assert_int_equal(picture.height, height);
	free(picture.pixels);
}

/* What the sanitiser makes of it; fails when it refuses, or would change its own work. */
static struct bytes fixed(const struct bytes *jpeg, bool allow_truncated)
{
	struct bytes in = copy_of(jpeg->data, jpeg->size), out = { 0 };
	struct jpegfix fix, again;
	enum drop_reason why;

	if (jpegfix_parse(&fix, in.data, in.size, allow_truncated, &why) != 0)
		fail_msg("refused as %s", drops_name(why));
	out.data = malloc(fix.size);
	out.size = fix.size;
	jpegfix_write(&fix, out.data);
	assert_memory_equal(out.data, "\xFF\xD8", 2);
	assert_memory_equal(out.data + out.size - 2, "\xFF\xD9", 2);
	assert_int_equal(jpegfix_parse(&again, out.data, out.size, false, &why), 0);
	assert_int_equal(again.size, fix.size);
	assert_int_equal(again.width, fix.width);
	assert_int_equal(again.height, fix.height);
	free(in.data);
	return out;
}

static void assert_becomes(struct bytes *jpeg, const struct bytes *expected)
{
	struct bytes out = fixed(jpeg, false);

	assert_int_equal(out.size, expected->size);
	assert_memory_equal(out.data, expected->data, out.size);
	free(out.data);
}

static void assert_refused(const struct bytes *jpeg, bool allow_truncated, enum drop_reason reason)
{
	struct bytes in = copy_of(jpeg->data, jpeg->size);
	struct jpegfix fix = { .n_parts = 77 };
	enum drop_reason why = DROP_REASONS;

	assert_int_equal(jpegfix_parse(&fix, in.data, in.size, allow_truncated, &why), -EBADMSG);
	assert_string_equal(drops_name(why), drops_name(reason));
	assert_int_equal(fix.n_parts, 77);
	free(in.data);
}

static void a_good_picture_is_left_as_it_is(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);
	struct jpegfix fix;
	enum drop_reason why;

	(void)state;
	assert_becomes(&jpeg, &jpeg);
	assert_int_equal(jpegfix_parse(&fix, jpeg.data, jpeg.size, false, &why), 0);
	assert_int_equal(fix.n_parts, 1);
	assert_ptr_equal(fix.part[0].data, jpeg.data);
	assert_int_equal(fix.width, WIDTH);
	assert_int_equal(fix.height, HEIGHT);
	free(jpeg.data);
}

static void the_standard_tables_are_put_in_where_there_are_none(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE),
		     bare = copy_of(jpeg.data, jpeg.size);
	struct bytes tables = strip_tables(&bare), out = fixed(&bare, false);
	size_t at = find_segment(&out, 0xC4, 0);

	(void)state;
	assert_true(at > 0);
	assert_int_equal(segment_size(&out, at), 4 + tables.size);
	assert_memory_equal(out.data + at + 4, tables.data, tables.size);
	assert_int_equal(at + segment_size(&out, at), find_segment(&out, 0xDA, 0));
	assert_int_equal(find_segment(&out, 0xC4, 1), 0);
	assert_decodes(&out, WIDTH, HEIGHT);
	free(jpeg.data);
	free(bare.data);
	free(tables.data);
	free(out.data);
}

static void an_avi1_header_is_left_out_and_any_other_kept(void **state)
{
	static const uint8_t avi1[] = { 0xFF, 0xE0, 0, 16, 'A', 'V', 'I', '1', 1, 2, 3, 4, 5, 6, 7,
		8, 9, 10 };
	static const uint8_t other[] = { 0xFF, 0xE0, 0, 8, 'A', 'V', 'I', '2', 0, 0, 0xFF, 0xE1, 0,
		6, 'A', 'V', 'I', '1', 0xFF, 0xE0, 0, 5, 'A', 'V', 'I' };
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), in;

	(void)state;
	insert(&jpeg, 2, other, sizeof(other));
	in = copy_of(jpeg.data, jpeg.size);
	insert(&in, 2, avi1, sizeof(avi1));
	assert_becomes(&in, &jpeg);
	insert(&in, find_segment(&in, 0xDB, 0), avi1, sizeof(avi1));
	assert_becomes(&in, &jpeg);
	insert(&in, find_segment(&in, 0xDA, 0), avi1, sizeof(avi1));
	assert_becomes(&in, &jpeg);
	free(in.data);
	free(jpeg.data);
}

static void a_picture_with_all_faults_is_mended_in_all_ways(void **state)
{
	static const uint8_t avi1[] = { 0xFF, 0xE0, 0, 6, 'A', 'V', 'I', '1' };
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), tables = strip_tables(&jpeg);
	struct bytes expected = fixed(&jpeg, false), out;

	(void)state;
	insert(&jpeg, find_segment(&jpeg, 0xC0, 0), avi1, sizeof(avi1));
	insert(&jpeg, find_segment(&jpeg, 0xDB, 0), avi1, sizeof(avi1));
	insert(&jpeg, 2, avi1, sizeof(avi1));
	jpeg.size -= 2;
	append(&jpeg, "\0\0\0", 3);
	out = fixed(&jpeg, true);
	assert_int_equal(out.size, expected.size);
	assert_memory_equal(out.data, expected.data, out.size);
	free(jpeg.data);
	free(tables.data);
	free(expected.data);
	free(out.data);
}

static void more_avi1_headers_than_any_grabber_sends_are_malformed(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	/* Between others, or they would count as one. */
	for (int i = 0; i < 2 * JPEGFIX_PARTS; i++)
		insert(&jpeg, 2, "\xFF\xE1\0\2\xFF\xE0\0\6AVI1", 12);
	assert_refused(&jpeg, false, DROP_MALFORMED);
	free(jpeg.data);
}

static void padding_behind_the_end_is_cut_off(void **state)
{
	static const struct bytes paddings[] = {
		{ (uint8_t *)"\0", 1 },
		{ (uint8_t *)"\xFF", 1 },
		{ (uint8_t *)"\0\0\0\0\0\0\0", 7 },
		{ (uint8_t *)"\xFF\xFF\0\xFF\0\0\xFF\xFF", 8 },
	};
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paddings); i++) {
		struct bytes in = copy_of(jpeg.data, jpeg.size);

		for (int times = 0; times < 600; times++)
			append(&in, paddings[i].data, paddings[i].size);
		assert_becomes(&in, &jpeg);
		free(in.data);
	}
	free(jpeg.data);
}

static void the_rest_of_an_older_picture_is_cut_off(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE),
		     old = make_jpeg(2 * WIDTH, HEIGHT, BASELINE);
	struct bytes in = copy_of(jpeg.data, jpeg.size);

	(void)state;
	append(&in, old.data + jpeg.size, 999);
	append(&in, "\x5A", 1);
	assert_becomes(&in, &jpeg);
	free(jpeg.data);
	free(old.data);
	free(in.data);
}

static void an_older_picture_that_ends_as_well_does_no_harm(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE),
		     old = make_jpeg(2 * WIDTH, HEIGHT, BASELINE), out;

	(void)state;
	append(&jpeg, old.data + jpeg.size, old.size - jpeg.size);
	out = fixed(&jpeg, false);
	/* It stays: see jpegfix.h for why that is not searched for. */
	assert_int_equal(out.size, jpeg.size);
	assert_decodes(&out, WIDTH, HEIGHT);
	free(jpeg.data);
	free(old.data);
	free(out.data);
}

static void restart_markers_are_not_the_end(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, RESTARTS), in;
	unsigned restarts = 0;

	(void)state;
	assert_true(find_segment(&jpeg, 0xDD, 0) > 0);
	for (size_t i = scan_begin(&jpeg); i + 1 < jpeg.size; i++)
		restarts += jpeg.data[i] == 0xFF && (jpeg.data[i + 1] & 0xF8) == 0xD0;
	assert_int_equal(restarts, (HEIGHT + 15) / 16 - 1);

	in = copy_of(jpeg.data, jpeg.size);
	append(&in, "stale", 5);
	assert_becomes(&in, &jpeg);
	free(in.data);
	free(jpeg.data);
}

static void a_stuffed_byte_before_d9_is_not_the_end(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), in;

	(void)state;
	/* Not what was coded, but sound: FF 00 is a byte of data, and so is D9. */
	insert(&jpeg, jpeg.size - 2, "\x11\xFF\x00\xD9\x22\xFF\x00\xFF\x00\xD9\xFF\x00", 12);
	in = copy_of(jpeg.data, jpeg.size);
	append(&in, "\xD9 stale", 7);
	assert_becomes(&in, &jpeg);
	free(in.data);
	free(jpeg.data);
}

static void all_scans_of_a_progressive_picture_are_kept(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, PROGRESSIVE), in, out;

	(void)state;
	assert_true(find_segment(&jpeg, 0xC2, 0) > 0);
	assert_becomes(&jpeg, &jpeg);
	in = copy_of(jpeg.data, jpeg.size);
	append(&in, "stale", 5);
	out = fixed(&in, false);
	assert_int_equal(out.size, jpeg.size);
	assert_decodes(&out, WIDTH, HEIGHT);
	free(in.data);
	free(out.data);
	free(jpeg.data);
}

static void an_end_inside_a_table_between_scans_is_not_the_end(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, PROGRESSIVE), in;
	size_t at = scan_begin(&jpeg);

	(void)state;
	while (jpeg.data[at] != 0xFF || jpeg.data[at + 1] == 0)
		at++;
	insert(&jpeg, at, "\xFF\xFE\0\6..\xFF\xD9", 8);
	jpeg.data[at + 4] = 0xFF;
	jpeg.data[at + 5] = 0xD9;
	in = copy_of(jpeg.data, jpeg.size);
	append(&in, "stale", 5);
	assert_becomes(&in, &jpeg);
	free(in.data);
	free(jpeg.data);
}

static void a_picture_without_an_end_is_truncated(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	for (jpeg.size -= 2; jpeg.size > scan_begin(&jpeg) + 40; jpeg.size -= 37)
		assert_refused(&jpeg, false, DROP_TRUNCATED);
	append(&jpeg, "\0\0\0\0\xFF", 5);
	assert_refused(&jpeg, false, DROP_TRUNCATED);
	free(jpeg.data);
}

static void a_truncated_picture_gets_an_end_where_that_is_allowed(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), in, out;

	(void)state;
	jpeg.size = scan_begin(&jpeg) + 1000;
	jpeg.data[jpeg.size - 1] = 0x55;
	in = copy_of(jpeg.data, jpeg.size);
	append(&in, "\0\0\xFF", 3);
	out = fixed(&in, true);
	append(&jpeg, "\xFF\xD9", 2);
	assert_int_equal(out.size, jpeg.size);
	assert_memory_equal(out.data, jpeg.data, jpeg.size);
	free(in.data);
	free(out.data);
	free(jpeg.data);
}

static void a_picture_that_breaks_off_where_another_begins_is_truncated(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), in, out;

	(void)state;
	jpeg.size = scan_begin(&jpeg) + 1000;
	jpeg.data[jpeg.size - 1] = 0x55;
	in = copy_of(jpeg.data, jpeg.size);
	append(&in, jpeg.data, jpeg.size);
	assert_refused(&in, false, DROP_TRUNCATED);
	out = fixed(&in, true);
	assert_int_equal(out.size, jpeg.size + 2);
	free(in.data);
	free(out.data);
	free(jpeg.data);
}

static void a_picture_that_breaks_off_between_scans_ends_there(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, PROGRESSIVE), in, out;
	size_t at = scan_begin(&jpeg);

	(void)state;
	while (jpeg.data[at] != 0xFF || jpeg.data[at + 1] == 0)
		at++;
	in = copy_of(jpeg.data, at + 6);
	assert_refused(&in, false, DROP_TRUNCATED);
	out = fixed(&in, true);
	assert_int_equal(out.size, at + 2);
	free(in.data);
	free(out.data);
	free(jpeg.data);
}

static void headers_that_break_off_are_never_a_picture(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), tables = strip_tables(&jpeg);

	(void)state;
	for (size_t size = 0; size < scan_begin(&jpeg); size++) {
		struct bytes in = { jpeg.data, size };
		enum drop_reason reason = size == 0                 ? DROP_EMPTY
					  : size < JPEGFIX_MIN_SIZE ? DROP_SMALL
								    : DROP_MALFORMED;

		assert_refused(&in, false, reason);
		assert_refused(&in, true, reason);
	}
	free(tables.data);
	free(jpeg.data);
}

static void a_scan_without_data_is_malformed(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	jpeg.size = scan_begin(&jpeg);
	assert_refused(&jpeg, true, DROP_MALFORMED);
	append(&jpeg, "\xFF\xD9", 2);
	assert_refused(&jpeg, true, DROP_MALFORMED);
	append(&jpeg, "\0\0\0", 3);
	assert_refused(&jpeg, true, DROP_MALFORMED);
	free(jpeg.data);
}

static void fill_bytes_before_a_marker_are_legal(void **state)
{
	static const uint8_t marker[] = { 0xDB, 0xC0, 0xC4, 0xDA };
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE), out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(marker); i++) {
		size_t at = find_segment(&jpeg, marker[ARRAY_SIZE(marker) - 1 - i], 0);

		insert(&jpeg, at, "\xFF\xFF\xFF", 3);
	}
	insert(&jpeg, jpeg.size - 2, "\xFF\xFF\xFF", 3);
	append(&jpeg, "stale", 5);
	out = fixed(&jpeg, false);
	assert_int_equal(out.size, jpeg.size - 5);
	assert_decodes(&out, WIDTH, HEIGHT);
	free(out.data);
	free(jpeg.data);
}

/* Changes the frame header of a good picture, at `offset` behind its marker, and parses it. */
static void assert_frame_header(uint8_t marker, size_t offset, uint16_t value, int reason)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);
	uint8_t *sof = jpeg.data + find_segment(&jpeg, 0xC0, 0);

	sof[1] = marker;
	sof[2 + offset] = value >> 8;
	sof[2 + offset + 1] = value;
	if (reason < 0)
		free(fixed(&jpeg, false).data);
	else
		assert_refused(&jpeg, false, reason);
	free(jpeg.data);
}

enum { HEIGHT_AT = 3, WIDTH_AT = 5 };

static void a_size_that_no_grabber_has_is_refused(void **state)
{
	(void)state;
	assert_frame_header(0xC0, HEIGHT_AT, 0, DROP_MALFORMED);
	assert_frame_header(0xC0, WIDTH_AT, 0, DROP_MALFORMED);
	assert_frame_header(0xC0, WIDTH_AT, 15361, DROP_OVERSIZED);
	assert_frame_header(0xC0, WIDTH_AT, 65535, DROP_OVERSIZED);
	assert_frame_header(0xC0, HEIGHT_AT, 8641, DROP_OVERSIZED);
	assert_frame_header(0xC0, WIDTH_AT, 15360, -1);
	assert_frame_header(0xC0, HEIGHT_AT, 8640, -1);
}

static void only_frames_that_browsers_decode_are_taken(void **state)
{
	(void)state;
	assert_frame_header(0xC0, HEIGHT_AT, HEIGHT, -1);
	assert_frame_header(0xC1, HEIGHT_AT, HEIGHT, -1);
	assert_frame_header(0xC2, HEIGHT_AT, HEIGHT, -1);
	assert_frame_header(0xC3, HEIGHT_AT, HEIGHT, DROP_MALFORMED);
	assert_frame_header(0xC9, HEIGHT_AT, HEIGHT, DROP_MALFORMED);
}

/* What a decoder skips between the headers is kept, all else refused. */
static void segments_that_do_not_belong_before_a_scan_are_malformed(void **state)
{
	static const uint8_t refused[] = { 0x00, 0x02, 0xBF, 0xC3, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9,
		0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF, 0xD8, 0xD9, 0xDC, 0xDE, 0xDF };
	static const uint8_t taken[] = { 0xE1, 0xEF, 0xFE, 0xF0, 0xDD };
	static const uint8_t alone[] = { 0x01, 0xD0, 0xD7 };
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		uint8_t segment[] = { 0xFF, refused[i], 0, 2 };
		bool short_one = refused[i] == 0xD8 || refused[i] == 0xD9;
		struct bytes in = copy_of(jpeg.data, jpeg.size);

		insert(&in, find_segment(&in, 0xDA, 0), segment, short_one ? 2 : 4);
		assert_refused(&in, false, DROP_MALFORMED);
		free(in.data);
	}
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		insert(&jpeg, 2, (uint8_t[]){ 0xFF, taken[i], 0, 4, 0, 0 }, 6);
	for (size_t i = 0; i < ARRAY_SIZE(alone); i++)
		insert(&jpeg, 2, (uint8_t[]){ 0xFF, alone[i] }, 2);
	assert_becomes(&jpeg, &jpeg);
	free(jpeg.data);
}

static void a_frame_header_of_the_wrong_length_is_malformed(void **state)
{
	(void)state;
	assert_frame_header(0xC0, 0, 7, DROP_MALFORMED);
	assert_frame_header(0xC0, 0, 1, DROP_MALFORMED);
	assert_frame_header(0xC0, 0, 65535, DROP_MALFORMED);
	assert_frame_header(0xC0, 7, 2 << 8 | 1, DROP_MALFORMED);
	assert_frame_header(0xC0, 7, 5 << 8 | 1, DROP_MALFORMED);
}

/* The right length for a wrong number of components, in the frame header or the scan's. */
static void a_header_for_no_or_five_components_is_malformed(void **state)
{
	static const uint8_t frame_0[] = { 0xFF, 0xC0, 0, 8, 8, 0, 16, 0, 16, 0 };
	static const uint8_t frame_5[] = { 0xFF, 0xC0, 0, 23, 8, 0, 16, 0, 16, 5, 1, 17, 0, 2, 17,
		0, 3, 17, 0, 4, 17, 0, 5, 17, 0 };
	static const uint8_t scan_0[] = { 0xFF, 0xDA, 0, 6, 0, 0, 63, 0 };
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);
	size_t scan = find_segment(&jpeg, 0xDA, 0), at = find_segment(&jpeg, 0xC0, 0);

	(void)state;
	insert(&jpeg, scan, scan_0, sizeof(scan_0));
	assert_refused(&jpeg, false, DROP_MALFORMED);
	cut(&jpeg, scan, sizeof(scan_0));
	cut(&jpeg, at, segment_size(&jpeg, at));
	insert(&jpeg, at, frame_0, sizeof(frame_0));
	assert_refused(&jpeg, false, DROP_MALFORMED);
	cut(&jpeg, at, sizeof(frame_0));
	insert(&jpeg, at, frame_5, sizeof(frame_5));
	assert_refused(&jpeg, false, DROP_MALFORMED);
	free(jpeg.data);
}

/* For the address sanitizer: each looks for more than the segment has, at the end of the data. */
static void a_short_segment_at_the_end_of_the_data_is_malformed(void **state)
{
	static const struct bytes last[] = {
		{ (uint8_t *)"\xFF\xE0\0\5AVI", 7 },
		{ (uint8_t *)"\xFF\xE0\0\2", 4 },
		{ (uint8_t *)"\xFF\xC0\0\2", 4 },
		{ (uint8_t *)"\xFF\xDA\0\2", 4 },
		{ (uint8_t *)"\xFF\xDB\0", 3 },
		{ (uint8_t *)"\xFF\xDB", 2 },
		{ (uint8_t *)"\xFF", 1 },
	};
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	jpeg.size = find_segment(&jpeg, 0xDA, 0);
	for (size_t i = 0; i < ARRAY_SIZE(last); i++) {
		struct bytes in = copy_of(jpeg.data, jpeg.size);

		append(&in, last[i].data, last[i].size);
		assert_refused(&in, true, DROP_MALFORMED);
		free(in.data);
	}
	free(jpeg.data);
}

static void a_picture_without_its_beginning_is_malformed(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);

	(void)state;
	jpeg.data[0] = 0;
	assert_refused(&jpeg, true, DROP_MALFORMED);
	jpeg.data[0] = 0xFF;
	jpeg.data[1] = 0xD9;
	assert_refused(&jpeg, true, DROP_MALFORMED);
	free(jpeg.data);
}

static void one_frame_header_is_needed_and_no_more(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);
	size_t at = find_segment(&jpeg, 0xC0, 0), size = segment_size(&jpeg, at);
	struct bytes sof = copy_of(jpeg.data + at, size);

	(void)state;
	insert(&jpeg, at, sof.data, sof.size);
	assert_refused(&jpeg, false, DROP_MALFORMED);
	cut(&jpeg, at, size);
	cut(&jpeg, at, size);
	assert_refused(&jpeg, false, DROP_MALFORMED);
	free(sof.data);
	free(jpeg.data);
}

static void a_scan_header_of_the_wrong_length_is_malformed(void **state)
{
	struct bytes jpeg = make_jpeg(WIDTH, HEIGHT, BASELINE);
	size_t at = find_segment(&jpeg, 0xDA, 0);

	(void)state;
	jpeg.data[at + 4] = 4;
	assert_refused(&jpeg, false, DROP_MALFORMED);
	jpeg.data[at + 4] = 3;
	jpeg.data[at + 3] = 13;
	assert_refused(&jpeg, false, DROP_MALFORMED);
	free(jpeg.data);
}

static void bytes_that_are_no_picture_are_malformed(void **state)
{
	struct bytes junk = copy_of("\xFF\xD8\xFF\xD9", 4);

	(void)state;
	assert_refused(&junk, true, DROP_SMALL);
	for (int i = 0; i < 200; i++)
		append(&junk, "\0", 1);
	assert_refused(&junk, true, DROP_MALFORMED);
	memset(junk.data, 0xFF, junk.size);
	assert_refused(&junk, true, DROP_MALFORMED);
	memset(junk.data, 0, junk.size);
	assert_refused(&junk, true, DROP_MALFORMED);
	memset(junk.data, 0xFF, junk.size);
	junk.data[1] = 0xD8;
	assert_refused(&junk, true, DROP_MALFORMED);
	free(junk.data);
}

static void a_picture_that_shrinks_to_nothing_is_small(void **state)
{
	/* A frame header, a table that says nothing, a scan of one byte; the rest is AVI1. */
	static const uint8_t tiny[] = { 0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0,
		0xFF, 0xC4, 0, 2, 0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0x55, 0xFF, 0xD9 };
	struct bytes jpeg = copy_of(tiny, sizeof(tiny));
	uint8_t avi1[200] = { 0xFF, 0xE0, 0, 198, 'A', 'V', 'I', '1' };

	(void)state;
	insert(&jpeg, 2, avi1, sizeof(avi1));
	assert_refused(&jpeg, false, DROP_SMALL);
	free(jpeg.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_picture_is_left_as_it_is),
		cmocka_unit_test(the_standard_tables_are_put_in_where_there_are_none),
		cmocka_unit_test(an_avi1_header_is_left_out_and_any_other_kept),
		cmocka_unit_test(a_picture_with_all_faults_is_mended_in_all_ways),
		cmocka_unit_test(more_avi1_headers_than_any_grabber_sends_are_malformed),
		cmocka_unit_test(padding_behind_the_end_is_cut_off),
		cmocka_unit_test(the_rest_of_an_older_picture_is_cut_off),
		cmocka_unit_test(an_older_picture_that_ends_as_well_does_no_harm),
		cmocka_unit_test(restart_markers_are_not_the_end),
		cmocka_unit_test(a_stuffed_byte_before_d9_is_not_the_end),
		cmocka_unit_test(all_scans_of_a_progressive_picture_are_kept),
		cmocka_unit_test(an_end_inside_a_table_between_scans_is_not_the_end),
		cmocka_unit_test(a_picture_without_an_end_is_truncated),
		cmocka_unit_test(a_truncated_picture_gets_an_end_where_that_is_allowed),
		cmocka_unit_test(a_picture_that_breaks_off_where_another_begins_is_truncated),
		cmocka_unit_test(a_picture_that_breaks_off_between_scans_ends_there),
		cmocka_unit_test(headers_that_break_off_are_never_a_picture),
		cmocka_unit_test(a_scan_without_data_is_malformed),
		cmocka_unit_test(fill_bytes_before_a_marker_are_legal),
		cmocka_unit_test(a_size_that_no_grabber_has_is_refused),
		cmocka_unit_test(only_frames_that_browsers_decode_are_taken),
		cmocka_unit_test(segments_that_do_not_belong_before_a_scan_are_malformed),
		cmocka_unit_test(a_frame_header_of_the_wrong_length_is_malformed),
		cmocka_unit_test(a_header_for_no_or_five_components_is_malformed),
		cmocka_unit_test(a_short_segment_at_the_end_of_the_data_is_malformed),
		cmocka_unit_test(a_picture_without_its_beginning_is_malformed),
		cmocka_unit_test(one_frame_header_is_needed_and_no_more),
		cmocka_unit_test(a_scan_header_of_the_wrong_length_is_malformed),
		cmocka_unit_test(bytes_that_are_no_picture_are_malformed),
		cmocka_unit_test(a_picture_that_shrinks_to_nothing_is_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
