/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The end of a stream, and a VPU that hangs: rules G27 to G38. */
#include "selftest_m2m.h"

#define CID(name) V4L2_CID_MPEG_VIDEO_##name

static struct unit unit;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void g27_g37_commands_are_checked(void **state)
{
	struct v4l2_decoder_cmd dec = { 0 };

	(void)state;
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_PAUSE), -EINVAL);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_START), 0);
	assert_int_equal(request(m2m.fd, VIDIOC_DECODER_CMD, &dec), -ENOTTY);
}

static void g28_g29_stop_ends_with_last_and_start_does_not_resume(void **state)
{
	struct v4l2_event_subscription sub = { .type = V4L2_EVENT_EOS };
	struct v4l2_event event;

	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(request(m2m.fd, VIDIOC_SUBSCRIBE_EVENT, &sub), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(unit.time_us, 1);
	assert_false(unit.flags & V4L2_BUF_FLAG_LAST);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(unit.flags & V4L2_BUF_FLAG_LAST);
	assert_int_equal(unit.size, 0);
	assert_int_equal(m2m_ready(&m2m, POLLPRI, 500), POLLPRI);
	assert_int_equal(request(m2m.fd, VIDIOC_DQEVENT, &event), 0);
	assert_int_equal(event.type, V4L2_EVENT_EOS);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_START), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), -EPIPE);
	assert_int_equal(m2m_ready(&m2m, POLLIN, 0), POLLIN);
	assert_int_equal(violations("G"), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, false), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, false), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN, 0), POLLERR);
}

static void g29_spinning_after_last_is_a_mistake(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(m2m_dequeue(&m2m, &unit), -EPIPE);
	assert_int_equal(violations("G29"), 1);
}

static void g30_a_stop_too_many_is_a_mistake(void **state)
{
	(void)state;
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(violations("G30"), 1);
	m2m_start(&m2m, 320, 240);
	command("m2m.latency 100");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(violations("G30"), 1);
}

static void g31_pictures_after_stop_are_not_encoded(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_command(&m2m, V4L2_ENC_CMD_STOP), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 1, 10, 2), 0);
	assert_int_equal(violations("G31"), 1);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(unit.time_us, 1);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(unit.flags & V4L2_BUF_FLAG_LAST);
}

static void g32_a_picture_may_be_the_last(void **state)
{
	struct v4l2_plane plane = { 0 };
	struct v4l2_buffer b = { .type = M2M_OUT,
		.memory = V4L2_MEMORY_MMAP,
		.length = 1,
		.flags = V4L2_BUF_FLAG_LAST };

	(void)state;
	m2m_start(&m2m, 320, 240);
	plane.bytesused = (uint32_t)m2m.out_len[0][0];
	b.m.planes = &plane;
	assert_int_equal(request(m2m.fd, VIDIOC_QBUF, &b), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(unit.size > 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(unit.flags & V4L2_BUF_FLAG_LAST);
}

static void g33_streamoff_gives_up_after_two_seconds(void **state)
{
	int64_t begin;

	(void)state;
	m2m_start(&m2m, 320, 240);
	command("m2m.stall 60000");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	await_status("m2m", " inside=1 ");
	assert_int_equal(m2m_ready(&m2m, POLLIN, 100), 0);
	time_quick();
	begin = now_ms();
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, false), 0);
	assert_true(now_ms() - begin >= 1900);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	command("m2m.resume");
}

static void g34_a_new_stream_begins_with_headers(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	m2m_pass(&m2m, 10, 1, &unit);
	m2m_pass(&m2m, 10, 2, &unit);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, false), 0);
	for (unsigned i = 0; i < m2m.n_cap; i++)
		assert_int_equal(m2m_queue_capture(&m2m, i), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, true), 0);
	m2m_pass(&m2m, 10, 3, &unit);
	assert_true(has_nal(&unit, 7) && has_nal(&unit, 5));
	/* Of the pictures alone: it goes on */
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, false), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), 0);
	m2m_pass(&m2m, 10, 4, &unit);
	assert_true(has_nal(&unit, 1));
}

static void a_stall_ends_by_itself(void **state)
{
	int64_t begin = now_ms();

	(void)state;
	m2m_start(&m2m, 320, 240);
	command("m2m.stall 200");
	m2m_pass(&m2m, 10, 1, &unit);
	assert_true(now_ms() - begin >= 200);
}

static void g35_a_wedged_vpu_answers_after_three_seconds(void **state)
{
	struct encoder other;
	int64_t begin;
	unsigned count = 1;

	(void)state;
	m2m_start(&m2m, 320, 240);
	m2m_open(&other, "/dev/fake-m2m");
	command("m2m.wedge");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 50), 0);
	time_quick();
	begin = now_ms();
	assert_int_equal(m2m_set(&m2m, CID(BITRATE), 1000000), -EINVAL);
	assert_true(now_ms() - begin >= 2900);
	begin = now_ms();
	assert_int_equal(m2m_request(&other, M2M_OUT, V4L2_MEMORY_MMAP, &count), -EINVAL);
	assert_true(now_ms() - begin >= 2900);
	command("m2m.reboot");
	assert_int_equal(m2m_request(&other, M2M_OUT, V4L2_MEMORY_MMAP, &count), 0);
	m2m_close(&other);
}

static void g36_events_are_eos_source_change_and_control(void **state)
{
	struct v4l2_event_subscription sub = { .type = V4L2_EVENT_MOTION_DET };
	struct v4l2_event event;

	(void)state;
	assert_int_equal(request(m2m.fd, VIDIOC_SUBSCRIBE_EVENT, &sub), -EINVAL);
	sub.type = V4L2_EVENT_EOS;
	assert_int_equal(request(m2m.fd, VIDIOC_SUBSCRIBE_EVENT, &sub), 0);
	assert_int_equal(request(m2m.fd, VIDIOC_DQEVENT, &event), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_stop_tests[] = {
	TEST(g27_g37_commands_are_checked),
	TEST(g28_g29_stop_ends_with_last_and_start_does_not_resume),
	TEST(g29_spinning_after_last_is_a_mistake),
	TEST(g30_a_stop_too_many_is_a_mistake),
	TEST(g31_pictures_after_stop_are_not_encoded),
	TEST(g32_a_picture_may_be_the_last),
	TEST(g33_streamoff_gives_up_after_two_seconds),
	TEST(g34_a_new_stream_begins_with_headers),
	TEST(a_stall_ends_by_itself),
	TEST(g35_a_wedged_vpu_answers_after_three_seconds),
	TEST(g36_events_are_eos_source_change_and_control),
};

const size_t n_m2m_stop_tests = sizeof(m2m_stop_tests) / sizeof(m2m_stop_tests[0]);
