/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The encoder as bcm2835-codec drives it, streaming: rules G. */
#include "selftest_m2m.h"

static void g9_the_first_unit_has_headers_and_a_key_frame(void **state)
{
	static struct unit unit;

	(void)state;
	m2m_start(&m2m, 320, 240);
	m2m_pass(&m2m, 40, 1000001, &unit);
	assert_true(unit.flags & V4L2_BUF_FLAG_KEYFRAME);
	assert_true(has_nal(&unit, 7) && has_nal(&unit, 8) && has_nal(&unit, 5));
	assert_int_equal(unit.time_us, 1000001);
	for (unsigned i = 2; i < 10; i++) {
		m2m_pass(&m2m, (uint8_t)(40 + i), 1000000 + i, &unit);
		assert_false(unit.flags & (V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME));
		assert_true(has_nal(&unit, 1));
		assert_int_equal(unit.time_us, 1000000 + i);
		assert_int_equal(unit.sequence, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_stream_tests[] = {
	TEST(g9_the_first_unit_has_headers_and_a_key_frame),
};

const size_t n_m2m_stream_tests = sizeof(m2m_stream_tests) / sizeof(m2m_stream_tests[0]);
