/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Controls of bcm2835-codec: rules C. */
#include "selftest_m2m.h"

#define CID(name) V4L2_CID_MPEG_VIDEO_##name

static int32_t value_of(uint32_t id)
{
	int32_t value = -1;

	assert_int_equal(m2m_get(&m2m, id, &value), 0);
	return value;
}

static void component(void)
{
	unsigned count = 1;

	assert_int_equal(m2m_request(&m2m, M2M_OUT, V4L2_MEMORY_MMAP, &count), 0);
}

static unsigned list_controls(void)
{
	struct v4l2_queryctrl q = { .id = V4L2_CTRL_FLAG_NEXT_CTRL };
	uint32_t last = 0;
	unsigned n = 0;

	while (request(m2m.fd, VIDIOC_QUERYCTRL, &q) == 0) {
		assert_true(q.id > last);
		last = q.id;
		n += q.type != V4L2_CTRL_TYPE_CTRL_CLASS;
		q.id |= V4L2_CTRL_FLAG_NEXT_CTRL;
	}
	return n;
}

static void c1_controls_are_listed_by_number(void **state)
{
	struct v4l2_queryctrl q = { .id = CID(VBV_SIZE) };

	(void)state;
	assert_int_equal(list_controls(), 12);
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYCTRL, &q), -EINVAL);
	q.id = CID(H264_LEVEL);
	assert_int_equal(request(m2m.fd, VIDIOC_QUERYCTRL, &q), 0);
	assert_int_equal(q.maximum, 15);
	assert_int_equal(q.default_value, V4L2_MPEG_VIDEO_H264_LEVEL_4_0);
}

static void c2_bitrates_are_clamped_and_rounded(void **state)
{
	struct v4l2_control ctrl = { .id = CID(BITRATE), .value = 26000000 };

	(void)state;
	assert_int_equal(request(m2m.fd, VIDIOC_S_CTRL, &ctrl), 0);
	assert_int_equal(ctrl.value, 25000000);
	ctrl.value = 5012500;
	assert_int_equal(request(m2m.fd, VIDIOC_S_CTRL, &ctrl), 0);
	assert_int_equal(ctrl.value, 5025000);
}

static void c3_menus_are_refused(void **state)
{
	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(H264_PROFILE), 5), -ERANGE);
	assert_int_equal(m2m_set(&m2m, CID(H264_PROFILE), 3), -EINVAL);
	assert_int_equal(m2m_set(&m2m, CID(H264_PROFILE), 1), 0);
}

static void c4_the_button_is_written_only(void **state)
{
	int32_t value;

	(void)state;
	assert_int_equal(m2m_get(&m2m, CID(FORCE_KEY_FRAME), &value), -EACCES);
	assert_int_equal(m2m_set(&m2m, CID(FORCE_KEY_FRAME), 17), 0);
}

/* A level that is refused takes the profile behind it along. */
static void c5_the_first_refusal_ends_the_replay(void **state)
{
	static struct unit unit;

	(void)state;
	command("m2m.reject 0x%x", CID(H264_LEVEL));
	assert_int_equal(m2m_set(&m2m, CID(H264_PROFILE), 1), 0);
	m2m_start(&m2m, 320, 240);
	command("m2m.reject 0");
	m2m_pass(&m2m, 50, 1, &unit);
	assert_int_equal(unit.data[5], 100);
}

static void c6_i_period_overrules_gop_size(void **state)
{
	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(GOP_SIZE), 25), 0);
	component();
	assert_int_equal(value_of(CID(GOP_SIZE)), 60);
	assert_int_equal(m2m_set(&m2m, CID(H264_I_PERIOD), 33), 0);
	assert_int_equal(value_of(CID(GOP_SIZE)), 33);
}

static void c7_old_kernels_know_less(void **state)
{
	(void)state;
	m2m_close(&m2m);
	command("m2m.variant bcm2835-old");
	m2m_open(&m2m, "/dev/fake-m2m");
	assert_int_equal(list_controls(), 10);
	assert_int_equal(m2m_set(&m2m, CID(GOP_SIZE), 30), -EINVAL);
	assert_int_equal(m2m_set(&m2m, CID(H264_LEVEL), V4L2_MPEG_VIDEO_H264_LEVEL_5_0), -ERANGE);
}

static void c8_what_the_firmware_refuses(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_set(&m2m, CID(H264_PROFILE), 0), -EINVAL);
	assert_int_equal(m2m_set(&m2m, CID(HEADER_MODE), 0), -EINVAL);
	assert_int_equal(value_of(CID(H264_PROFILE)), 4);
	command("m2m.reject 0x%x", CID(H264_MIN_QP));
	assert_int_equal(m2m_set(&m2m, CID(H264_MIN_QP), 10), -EINVAL);
	/* C10: it does not even hear of this */
	assert_int_equal(m2m_set(&m2m, CID(H264_MIN_QP), 20), 0);
	command("m2m.reject 0");
}

/* Noise, or there would be nothing to save. */
static size_t noise_unit(int64_t time_us)
{
	static struct unit unit;
	unsigned index;

	assert_int_equal(m2m_queue_noise(&m2m, 0, time_us), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(m2m_queue_capture(&m2m, unit.index), 0);
	assert_int_equal(m2m_dequeue_picture(&m2m, &index), 0);
	return unit.size;
}

static void c9_the_bitrate_changes_while_streaming(void **state)
{
	size_t before = 0, after = 0;

	(void)state;
	m2m_start(&m2m, 320, 240);
	for (unsigned i = 0; i < 10; i++)
		before = noise_unit(1 + i);
	assert_int_equal(m2m_set(&m2m, CID(BITRATE), 500000), 0);
	for (unsigned i = 0; i < 10; i++)
		after = noise_unit(100 + i);
	assert_true(before > 2 * after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_control_tests[] = {
	TEST(c1_controls_are_listed_by_number),
	TEST(c2_bitrates_are_clamped_and_rounded),
	TEST(c3_menus_are_refused),
	TEST(c4_the_button_is_written_only),
	TEST(c5_the_first_refusal_ends_the_replay),
	TEST(c6_i_period_overrules_gop_size),
	TEST(c7_old_kernels_know_less),
	TEST(c8_what_the_firmware_refuses),
	TEST(c9_the_bitrate_changes_while_streaming),
};

const size_t n_m2m_control_tests = sizeof(m2m_control_tests) / sizeof(m2m_control_tests[0]);
