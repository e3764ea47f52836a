// SPDX-License-Identifier: GPL-3.0-or-later
/* Which frames a hardware encoder may read where they lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "encoder/m2m_input.h"

#define WIDTH  64U
#define HEIGHT 32U
#define LUMA   (WIDTH * HEIGHT)

static uint8_t theirs[2 * LUMA], ours[2 * LUMA];
static struct picture picture;
static struct m2m_input input;
static struct frame frame;

static int setup(void **state)
{
	(void)state;
	picture = (struct picture){ .format = V4L2_PIX_FMT_NV12,
		.width = WIDTH,
		.height = HEIGHT,
		.plane = { { theirs, WIDTH, LUMA }, { theirs + LUMA, WIDTH, LUMA / 2 } } };
	input = (struct m2m_input){ .picture = &picture, .imports = true };
	input.format.memory.size[0] = LUMA * 3 / 2;
	frame = (struct frame){ .format = V4L2_PIX_FMT_NV12,
		.width = WIDTH,
		.height = HEIGHT,
		.dmabuf = { .set = 1, .id = 2, .fd = 3, .size = LUMA * 3 / 2 },
		.plane = { { ours, WIDTH, LUMA }, { ours + LUMA, WIDTH, LUMA / 2 } } };
	return 0;
}

static void a_frame_that_lies_as_the_encoders_own_is_taken(void **state)
{
	(void)state;
	assert_true(m2m_input_takes(&input, &frame));
	frame.dmabuf.size += 4096;
	assert_true(m2m_input_takes(&input, &frame));
}

static void planes_at_other_offsets_are_not(void **state)
{
	(void)state;
	frame.plane[1].data += WIDTH;
	assert_false(m2m_input_takes(&input, &frame));
}

static void rows_of_another_length_are_not(void **state)
{
	(void)state;
	frame.plane[1].stride += 32;
	assert_false(m2m_input_takes(&input, &frame));
}

static void another_picture_is_not(void **state)
{
	(void)state;
	frame.format = V4L2_PIX_FMT_NV21;
	assert_false(m2m_input_takes(&input, &frame));
	setup(state);
	frame.width--;
	assert_false(m2m_input_takes(&input, &frame));
	setup(state);
	frame.height++;
	assert_false(m2m_input_takes(&input, &frame));
}

static void memory_that_is_none_or_too_small_is_not(void **state)
{
	(void)state;
	frame.dmabuf.size--;
	assert_false(m2m_input_takes(&input, &frame));
	setup(state);
	frame.dmabuf.id = 0;
	assert_false(m2m_input_takes(&input, &frame));
	setup(state);
	atomic_store(&input.imports, false);
	assert_false(m2m_input_takes(&input, &frame));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_that_lies_as_the_encoders_own_is_taken),
		TEST(planes_at_other_offsets_are_not),
		TEST(rows_of_another_length_are_not),
		TEST(another_picture_is_not),
		TEST(memory_that_is_none_or_too_small_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
