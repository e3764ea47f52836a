/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What goes into bcm2835-codec and what comes out: rules G1 to G26. */
#include "selftest_m2m.h"

#define CID(name) V4L2_CID_MPEG_VIDEO_##name

static struct unit unit;

static void set_rate(unsigned fps)
{
	struct v4l2_streamparm p = { .type = M2M_OUT };

	p.parm.output.timeperframe = (struct v4l2_fract){ 1, fps };
	assert_int_equal(request(m2m.fd, VIDIOC_S_PARM, &p), 0);
}

static void g1_streamon_wants_buffers(void **state)
{
	(void)state;
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), 0);
}

static void g2_both_queues_have_to_stream(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, false), 0);
	assert_int_equal(m2m_queue_capture(&m2m, 0), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 50), 0);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, true), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
}

/* The OUTPUT STREAMON of a size, rate, bitrate, level and profile. */
static int try_level(unsigned w, unsigned h, unsigned fps, int32_t bitrate, int32_t level,
	int32_t profile)
{
	int res;

	m2m_close(&m2m);
	m2m_open(&m2m, "/dev/fake-m2m");
	assert_int_equal(m2m_set(&m2m, CID(BITRATE), bitrate), 0);
	assert_int_equal(m2m_set(&m2m, CID(H264_LEVEL), level), 0);
	assert_int_equal(m2m_set(&m2m, CID(H264_PROFILE), profile), 0);
	assert_int_equal(m2m_format(&m2m, M2M_CAP, V4L2_PIX_FMT_H264, w, h, 0, NULL), 0);
	assert_int_equal(m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, w, h, 0, NULL), 0);
	set_rate(fps);
	m2m_map(&m2m, 1, 1);
	res = m2m_stream(&m2m, M2M_OUT, true);
	return res;
}

static void g3_levels_are_checked_at_streamon(void **state)
{
	(void)state;
	assert_int_equal(try_level(1920, 1080, 30, 10000000, 11, 4), 0);
	assert_int_equal(try_level(1920, 1080, 31, 10000000, 11, 4), -ESRCH);
	assert_int_equal(try_level(1920, 1080, 60, 10000000, 13, 4), 0);
	assert_int_equal(try_level(1280, 720, 60, 10000000, 11, 4), 0);
	assert_int_equal(try_level(1920, 1200, 30, 10000000, 13, 4), -ESRCH);
	assert_int_equal(try_level(1920, 1200, 30, 10000000, 14, 4), 0);
	assert_int_equal(try_level(1280, 720, 30, 25000000, 11, 4), 0);
	assert_int_equal(try_level(1280, 720, 30, 25000000, 11, 1), -ESRCH);
	assert_int_equal(try_level(1280, 720, 30, 20000000, 11, 1), 0);
}

static void g4_a_constant_rate_and_cabac(void **state)
{
	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(BITRATE_MODE), 1), 0);
	m2m_format(&m2m, M2M_CAP, V4L2_PIX_FMT_H264, 320, 240, 0, NULL);
	m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 320, 240, 0, NULL);
	m2m_map(&m2m, 1, 1);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), -ESRCH);
}

static void g5_g7_sizes_must_agree_and_a_failed_start_is_final(void **state)
{
	(void)state;
	m2m_format(&m2m, M2M_OUT, V4L2_PIX_FMT_NV12, 320, 240, 0, NULL);
	m2m_map(&m2m, 1, 1);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), -ESRCH);
	assert_int_equal(violations("G5"), 1);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), -EINVAL);
	assert_int_equal(violations("G7"), 1);
}

static void g8_odd_errors_of_streamon_are_final(void **state)
{
	(void)state;
	m2m_map(&m2m, 1, 1);
	command("m2m.fail streamon eintr");
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, true), -EINTR);
	assert_int_equal(m2m_stream(&m2m, M2M_CAP, true), -EINVAL);
	assert_int_equal(violations("G7"), 1);
}

static void g9_the_first_unit_has_headers_and_a_key_frame(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	m2m_pass(&m2m, 40, 1000001, &unit);
	assert_true(unit.flags & V4L2_BUF_FLAG_KEYFRAME);
	assert_true(has_nal(&unit, 7) && has_nal(&unit, 8) && has_nal(&unit, 5));
	assert_int_equal(unit.time_us, 1000001);
	/* G14, G15 */
	for (unsigned i = 2; i < 10; i++) {
		m2m_pass(&m2m, (uint8_t)(40 + i), 1000000 + i, &unit);
		assert_false(unit.flags & (V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME));
		assert_true(unit.flags & V4L2_BUF_FLAG_TIMESTAMP_COPY);
		assert_true(has_nal(&unit, 1));
		assert_int_equal(unit.time_us, 1000000 + i);
		assert_int_equal(unit.sequence, 0);
	}
}

static void g10_separate_headers_come_first_and_without_a_time(void **state)
{
	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(HEADER_MODE), 0), 0);
	m2m_start(&m2m, 320, 240);
	m2m_pass(&m2m, 40, 1000, &unit);
	assert_true(has_nal(&unit, 7) && has_nal(&unit, 8) && !has_nal(&unit, 5));
	assert_int_equal(unit.time_us, 0);
	assert_false(unit.flags & V4L2_BUF_FLAG_KEYFRAME);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(has_nal(&unit, 5) && !has_nal(&unit, 7));
	assert_int_equal(unit.time_us, 1000);
}

static void g11_g12_headers_and_key_frames_repeat(void **state)
{
	(void)state;
	for (int repeat = 0; repeat < 2; repeat++) {
		m2m_close(&m2m);
		m2m_open(&m2m, "/dev/fake-m2m");
		assert_int_equal(m2m_set(&m2m, CID(REPEAT_SEQ_HEADER), repeat), 0);
		assert_int_equal(m2m_set(&m2m, CID(H264_I_PERIOD), 3), 0);
		m2m_start(&m2m, 320, 240);
		for (int i = 0; i < 8; i++) {
			m2m_pass(&m2m, 40, 1 + i, &unit);
			assert_int_equal(!!(unit.flags & V4L2_BUF_FLAG_KEYFRAME), i % 3 == 0);
			assert_int_equal(has_nal(&unit, 7), i == 0 || (repeat && i % 3 == 0));
		}
	}
}

static void g12_a_period_of_1_stalls(void **state)
{
	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(H264_I_PERIOD), 1), 0);
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 100), 0);
}

static void g13_a_key_frame_is_the_next_that_goes_in(void **state)
{
	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(H264_I_PERIOD), 0), 0);
	m2m_start(&m2m, 320, 240);
	m2m_pass(&m2m, 40, 1, &unit);
	command("m2m.latency 50");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 2), 0);
	assert_int_equal(m2m_set(&m2m, CID(FORCE_KEY_FRAME), 0), 0);
	assert_int_equal(m2m_set(&m2m, CID(FORCE_KEY_FRAME), 0), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 1, 20, 3), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_false(unit.flags & V4L2_BUF_FLAG_KEYFRAME);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_true(unit.flags & V4L2_BUF_FLAG_KEYFRAME);
}

static void g16_a_dropped_picture_comes_back_alone(void **state)
{
	unsigned index;

	(void)state;
	m2m_start(&m2m, 320, 240);
	m2m_pass(&m2m, 40, 1, &unit);
	command("m2m.drop 1");
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 2), 0);
	assert_int_equal(m2m_dequeue_picture(&m2m, &index), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN, 50), 0);
	m2m_pass(&m2m, 40, 3, &unit);
	assert_int_equal(unit.time_us, 3);
}

static void g17_large_units_come_in_pieces(void **state)
{
	size_t bytes = 0;
	unsigned pieces = 0;

	(void)state;
	command("m2m.split 256");
	m2m_start(&m2m, 320, 240);
	command("m2m.split 0");
	assert_int_equal(m2m.cap_len[0], 256);
	assert_int_equal(m2m_queue_noise(&m2m, 0, 77), 0);
	do {
		assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
		assert_int_equal(unit.time_us, 77);
		assert_int_equal(!!(unit.flags & V4L2_BUF_FLAG_KEYFRAME), pieces == 0);
		bytes += unit.size;
		pieces++;
		assert_int_equal(m2m_queue_capture(&m2m, unit.index), 0);
	} while (unit.size == 256);
	assert_true(pieces > 1 && bytes > 256);
}

static void g18_errors_are_flagged(void **state)
{
	(void)state;
	m2m_start(&m2m, 320, 240);
	command("m2m.error 1");
	m2m_pass(&m2m, 40, 1, &unit);
	assert_true(unit.flags & V4L2_BUF_FLAG_ERROR);
	m2m_pass(&m2m, 40, 2, &unit);
	assert_false(unit.flags & V4L2_BUF_FLAG_ERROR);
}

static void g19_without_coded_buffers_nothing_moves(void **state)
{
	unsigned held[3];

	(void)state;
	m2m_start(&m2m, 320, 240);
	for (unsigned i = 0; i < 3; i++) {
		unsigned index;

		assert_int_equal(m2m_queue_picture(&m2m, i % 2, 10, 1 + i), 0);
		assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
		assert_int_equal(m2m_dequeue_picture(&m2m, &index), 0);
		held[i] = unit.index;
	}
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 9), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 50), 0);
	assert_int_equal(m2m_queue_capture(&m2m, held[0]), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(unit.time_us, 9);
}

/* Neither order is one to count on. */
static void g20_pictures_come_back_before_or_after_their_units(void **state)
{
	unsigned before = 0, after = 0, index;

	(void)state;
	command("m2m.latency 5");
	m2m_start(&m2m, 640, 480);
	for (unsigned i = 0; i < 40; i++) {
		short on;

		assert_int_equal(m2m_queue_picture(&m2m, 0, (uint8_t)i, 1 + i), 0);
		on = m2m_ready(&m2m, POLLIN | POLLOUT, 1000);
		before += on == POLLOUT;
		after += on == POLLIN;
		assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
		assert_int_equal(m2m_dequeue_picture(&m2m, &index), 0);
		assert_int_equal(m2m_queue_capture(&m2m, unit.index), 0);
	}
	assert_true(before && after);
}

static void g21_a_starved_bitrate_stalls_and_then_wedges(void **state)
{
	unsigned index;

	(void)state;
	assert_int_equal(m2m_set(&m2m, CID(BITRATE), 25000), 0);
	m2m_start(&m2m, 640, 480);
	assert_int_equal(m2m_queue_noise(&m2m, 0, 1), 0);
	assert_int_equal(m2m_dequeue(&m2m, &unit), 0);
	assert_int_equal(m2m_dequeue_picture(&m2m, &index), 0);
	assert_int_equal(m2m_queue_noise(&m2m, 0, 2), 0);
	await_status("m2m", " inside=1 ");
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 200), 0);
	time_quick();
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, false), 0);
	assert_int_equal(m2m_set(&m2m, CID(BITRATE), 1000000), -EINVAL);
	command("m2m.reboot");
}

static void g22_slow_rates_of_hd_stall(void **state)
{
	(void)state;
	set_rate(8);
	m2m_start(&m2m, 1920, 1080);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 100), 0);
}

static void g23_a_frame_takes_its_time(void **state)
{
	struct timespec a, b;
	int64_t ms;

	(void)state;
	command("m2m.latency pi3");
	m2m_start(&m2m, 1280, 720);
	clock_gettime(CLOCK_MONOTONIC, &a);
	m2m_pass(&m2m, 40, 1, &unit);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
	assert_true(ms >= 14);
}

static void g25_poll_tells_each_queue(void **state)
{
	unsigned index;

	(void)state;
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 0), POLLERR);
	assert_int_equal(m2m_ready(&m2m, POLLPRI, 0), 0);
	m2m_start(&m2m, 320, 240);
	/* A free input raises nothing, and one healthy queue is no error. */
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 20), 0);
	assert_int_equal(m2m_queue_picture(&m2m, 0, 10, 1), 0);
	while (m2m_ready(&m2m, POLLIN | POLLOUT, 1000) != (POLLIN | POLLOUT))
		;
	assert_int_equal(m2m_ready(&m2m, POLLOUT, 0), POLLOUT);
	assert_int_equal(m2m_dequeue_picture(&m2m, &index), 0);
	assert_int_equal(m2m_ready(&m2m, POLLOUT, 20), 0);
	assert_int_equal(m2m_ready(&m2m, POLLIN | POLLOUT, 0), POLLIN);
}

static void g25_spinning_on_pollerr_is_a_mistake(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(m2m_ready(&m2m, POLLIN, 0), POLLERR);
	assert_int_equal(violations("G25"), 1);
}

static void g26_dqbuf_s_answers(void **state)
{
	unsigned index;

	(void)state;
	m2m_start(&m2m, 320, 240);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, false), 0);
	assert_int_equal(m2m_dequeue_picture(&m2m, &index), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
	assert_int_equal(m2m_stream(&m2m, M2M_OUT, true), 0);
	command("m2m.eio");
	assert_int_equal(m2m_dequeue(&m2m, &unit), -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest m2m_stream_tests[] = {
	TEST(g1_streamon_wants_buffers),
	TEST(g2_both_queues_have_to_stream),
	TEST(g3_levels_are_checked_at_streamon),
	TEST(g4_a_constant_rate_and_cabac),
	TEST(g5_g7_sizes_must_agree_and_a_failed_start_is_final),
	TEST(g8_odd_errors_of_streamon_are_final),
	TEST(g9_the_first_unit_has_headers_and_a_key_frame),
	TEST(g10_separate_headers_come_first_and_without_a_time),
	TEST(g11_g12_headers_and_key_frames_repeat),
	TEST(g12_a_period_of_1_stalls),
	TEST(g13_a_key_frame_is_the_next_that_goes_in),
	TEST(g16_a_dropped_picture_comes_back_alone),
	TEST(g17_large_units_come_in_pieces),
	TEST(g18_errors_are_flagged),
	TEST(g19_without_coded_buffers_nothing_moves),
	TEST(g20_pictures_come_back_before_or_after_their_units),
	TEST(g21_a_starved_bitrate_stalls_and_then_wedges),
	TEST(g22_slow_rates_of_hd_stall),
	TEST(g23_a_frame_takes_its_time),
	TEST(g25_poll_tells_each_queue),
	TEST(g25_spinning_on_pollerr_is_a_mistake),
	TEST(g26_dqbuf_s_answers),
};

const size_t n_m2m_stream_tests = sizeof(m2m_stream_tests) / sizeof(m2m_stream_tests[0]);
