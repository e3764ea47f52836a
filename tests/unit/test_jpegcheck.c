// SPDX-License-Identifier: GPL-3.0-or-later
/* Whether a JPEG is what its header says: whole ones pass, any other kind does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "convert/jpegcheck.h"
#include "jpegs.h"

#define WIDTH  320
#define HEIGHT 240

static uint8_t *make(bool progressive, size_t *size)
{
	uint8_t *pixels = malloc(3 * WIDTH * HEIGHT), *jpeg;
	struct jpegs_make make = { .pixels = pixels,
		.width = WIDTH,
		.height = HEIGHT,
		.components = 3,
		.progressive = progressive };

	for (int i = 0; i < 3 * WIDTH * HEIGHT; i++)
		pixels[i] = (uint8_t)(i * 7 + i / 1000);
	jpeg = jpegs_encode(&make, size);
	free(pixels);
	return jpeg;
}

/* Where the frame header has the height; the width follows. */
static uint8_t *size_in(uint8_t *jpeg, size_t size)
{
	for (size_t i = 2; i + 9 < size; i++) {
		if (jpeg[i] == 0xFF && (jpeg[i + 1] == 0xC0 || jpeg[i + 1] == 0xC2))
			return jpeg + i + 5;
	}
	fail_msg("no frame header");
	return NULL;
}

static void claim(uint8_t *at, unsigned width, unsigned height)
{
	at[0] = (uint8_t)(height >> 8);
	at[1] = (uint8_t)height;
	at[2] = (uint8_t)(width >> 8);
	at[3] = (uint8_t)width;
}

static void whole_pictures_pass(void **state)
{
	(void)state;
	for (int progressive = 0; progressive < 2; progressive++) {
		size_t size;
		uint8_t *jpeg = make(progressive, &size);

		assert_true(jpegcheck_is_whole(jpeg, size));
		free(jpeg);
	}
}

static void another_size_than_that_of_the_data_does_not(void **state)
{
	static const struct {
		unsigned width, height;
	} lies[] = { { WIDTH, 2 * HEIGHT }, { 2 * WIDTH, HEIGHT }, { WIDTH, HEIGHT / 2 },
		{ WIDTH / 2, HEIGHT }, { 1920, 1080 }, { 65500, 65500 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		size_t size;
		uint8_t *jpeg = make(false, &size);

		claim(size_in(jpeg, size), lies[i].width, lies[i].height);
		assert_false(jpegcheck_is_whole(jpeg, size));
		free(jpeg);
	}
}

static void what_is_cut_off_does_not(void **state)
{
	size_t size;
	uint8_t *jpeg = make(false, &size);

	(void)state;
	for (size_t end = 0; end < size - 2; end += 97)
		assert_false(jpegcheck_is_whole(jpeg, end));
	free(jpeg);
}

/* A progressive picture is kept whole in memory: 65500×65500 would be 25 GB. */
static void a_bomb_does_not_and_takes_no_memory(void **state)
{
	size_t size;
	uint8_t *jpeg = make(true, &size);

	(void)state;
	claim(size_in(jpeg, size), 65500, 65500);
	assert_false(jpegcheck_is_whole(jpeg, size));
	free(jpeg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_pictures_pass),
		cmocka_unit_test(another_size_than_that_of_the_data_does_not),
		cmocka_unit_test(what_is_cut_off_does_not),
		cmocka_unit_test(a_bomb_does_not_and_takes_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
