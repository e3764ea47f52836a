/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "selftest.h"

#include <time.h>

#define UVC "/dev/fake-uvc"

struct client uvc;

int reset_uvc(void **state)
{
	(void)state;
	time_calm();
	command("uvc.plugged on");
	command("uvc.path " UVC);
	command("uvc.resume");
	command("uvc.fps 100");
	command("uvc.nodrop off");
	command("uvc.no-dht off");
	command("uvc.avi1 off");
	command("uvc.trailing 0");
	command("uvc.first-frame-delay 0");
	violations("");
	uvc = client_open(UVC);
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_MJPEG, 640, 480, NULL), 0);
	return 0;
}

int finish_uvc(void **state)
{
	(void)state;
	client_close(&uvc);
	return 0;
}

static void U1_video_node_captures_and_its_sibling_has_metadata(void **state)
{
	struct v4l2_capability cap;
	struct client meta = client_open("/dev/fake-uvc-meta");
	struct stat st;

	(void)state;
	assert_int_equal(request(uvc.fd, VIDIOC_QUERYCAP, &cap), 0);
	assert_true(cap.device_caps & V4L2_CAP_VIDEO_CAPTURE);
	assert_false(cap.device_caps & V4L2_CAP_VIDEO_CAPTURE_MPLANE);
	assert_int_equal(request(meta.fd, VIDIOC_QUERYCAP, &cap), 0);
	assert_false(cap.device_caps & V4L2_CAP_VIDEO_CAPTURE);
	assert_true(cap.device_caps & V4L2_CAP_META_CAPTURE);
	assert_int_equal(stat(UVC, &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	client_close(&meta);
}

static void U2_unknown_format_becomes_the_first_and_size_the_nearest(void **state)
{
	struct v4l2_pix_format pix = { 0 };

	(void)state;
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_NV12, 1300, 700, &pix), 0);
	assert_int_equal(pix.pixelformat, V4L2_PIX_FMT_MJPEG);
	assert_int_equal(pix.width, 1280);
	assert_int_equal(pix.height, 720);
	assert_int_equal(pix.sizeimage, 1280 * 720 * 2);
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_YUYV, 640, 480, &pix), 0);
	assert_int_equal(pix.bytesperline, 1280);
}

static void U3_busy_with_buffers_while_streaming_and_for_others(void **state)
{
	struct v4l2_streamparm parm = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct client other = client_open(UVC);

	(void)state;
	client_start(&uvc);
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_MJPEG, 640, 480, NULL), -EBUSY);
	assert_int_equal(violations("U3"), 1);
	assert_int_equal(request(uvc.fd, VIDIOC_S_PARM, &parm), -EBUSY);
	assert_int_equal(violations("U3"), 1);
	assert_int_equal(set_format(other.fd, V4L2_PIX_FMT_MJPEG, 640, 480, NULL), -EBUSY);
	assert_int_equal(client_stream(&other, true), -EBUSY);
	assert_int_equal(violations("U3"), 0);
	client_close(&other);
}

static struct v4l2_fract set_rate(unsigned num, unsigned den)
{
	struct v4l2_streamparm parm = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };

	parm.parm.capture.timeperframe = (struct v4l2_fract){ num, den };
	assert_int_equal(request(uvc.fd, VIDIOC_S_PARM, &parm), 0);
	return parm.parm.capture.timeperframe;
}

static void U4_rate_snaps_and_format_resets_it(void **state)
{
	struct v4l2_streamparm parm = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };

	(void)state;
	assert_int_equal(set_rate(1, 40).denominator, 30);
	assert_int_equal(set_rate(1001, 60000).denominator, 60);
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_MJPEG, 640, 480, NULL), 0);
	assert_int_equal(request(uvc.fd, VIDIOC_G_PARM, &parm), 0);
	assert_int_equal(parm.parm.capture.timeperframe.numerator, 1);
	assert_int_equal(parm.parm.capture.timeperframe.denominator, 30);
}

static void U5_streamon_fails_once_on_command(void **state)
{
	(void)state;
	client_buffers(&uvc, 4);
	command("uvc.enospc");
	assert_int_equal(client_stream(&uvc, true), -ENOSPC);
	command("uvc.fail streamon eio 1");
	assert_int_equal(client_stream(&uvc, true), -EIO);
	assert_int_equal(client_stream(&uvc, true), 0);
	assert_int_equal(client_stream(&uvc, true), 0);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void U6_first_frame_comes_late(void **state)
{
	int64_t from = now_ms();

	(void)state;
	command("uvc.first-frame-delay 300");
	command("uvc.zero-time 1");
	client_start(&uvc);
	assert_int_equal(client_frame(&uvc).timestamp.tv_sec, 0);
	assert_true(now_ms() - from >= 300);
	assert_true(client_frame(&uvc).timestamp.tv_sec > 0);
}

static bool has_marker(const uint8_t *jpeg, size_t size, uint8_t marker)
{
	for (size_t at = 2; at + 3 < size && jpeg[at + 1] != 0xDA;
		at += 2u + ((unsigned)jpeg[at + 2] << 8 | jpeg[at + 3]))
		if (jpeg[at + 1] == marker)
			return true;
	return false;
}

/* A frame made after this moment. */
static const uint8_t *fresh_frame(struct v4l2_buffer *b)
{
	for (unsigned i = 0; i < CLIENT_BUFFERS + 1; i++)
		*b = client_frame(&uvc);
	return uvc.mem[b->index];
}

static void U7_jpeg_is_complete_by_default(void **state)
{
	struct v4l2_buffer b;
	const uint8_t *jpeg;

	(void)state;
	client_start(&uvc);
	jpeg = fresh_frame(&b);
	assert_memory_equal(jpeg, "\xFF\xD8", 2);
	assert_memory_equal(jpeg + b.bytesused - 2, "\xFF\xD9", 2);
	assert_true(has_marker(jpeg, b.bytesused, 0xC4));
	assert_true(has_marker(jpeg, b.bytesused, 0xE0));
}

static void U7_jpeg_is_spoilt_on_command(void **state)
{
	struct v4l2_buffer b;
	const uint8_t *jpeg;

	(void)state;
	client_start(&uvc);
	command("uvc.no-dht on");
	command("uvc.avi1 on");
	command("uvc.trailing 100 ff");
	jpeg = fresh_frame(&b);
	assert_false(has_marker(jpeg, b.bytesused, 0xC4));
	assert_memory_equal(jpeg + 6, "AVI1", 4);
	assert_memory_equal(jpeg + b.bytesused - 102, "\xFF\xD9\xFF\xFF", 4);
	command("uvc.zero 100");
	fresh_frame(&b);
	assert_int_equal(b.bytesused, 0);
	command("uvc.zero 0");
	command("uvc.tiny 100");
	fresh_frame(&b);
	assert_int_equal(b.bytesused, 4);
	command("uvc.tiny 0");
}

static void U8_corrupt_raw_frames_vanish_or_carry_error(void **state)
{
	struct v4l2_buffer b;

	(void)state;
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_YUYV, 640, 480, NULL), 0);
	command("uvc.truncate 20");
	client_start(&uvc);
	b = client_frame(&uvc);
	assert_int_equal(b.sequence, 20);
	assert_false(b.flags & V4L2_BUF_FLAG_ERROR);
	command("uvc.nodrop on");
	command("uvc.truncate 20");
	fresh_frame(&b);
	assert_true(b.flags & V4L2_BUF_FLAG_ERROR);
	assert_true(b.bytesused < 640 * 480 * 2);
	command("uvc.truncate 0");
}

static void U9_eproto_returns_all_with_error_then_silence_until_streamoff(void **state)
{
	struct v4l2_buffer b;
	unsigned errors = 0;

	(void)state;
	client_start(&uvc);
	client_frame(&uvc);
	command("uvc.eproto");
	while (client_rest(&uvc, &b))
		errors += !!(b.flags & V4L2_BUF_FLAG_ERROR);
	assert_true(errors > 0);
	for (unsigned i = 0; i < uvc.count; i++)
		assert_int_equal(client_queue(&uvc, i), 0);
	assert_int_equal(client_poll(&uvc, POLLIN, 200), 0);
	assert_int_equal(client_stream(&uvc, false), 0);
	for (unsigned i = 0; i < uvc.count; i++)
		assert_int_equal(client_queue(&uvc, i), 0);
	assert_int_equal(client_stream(&uvc, true), 0);
	assert_false(client_frame(&uvc).flags & V4L2_BUF_FLAG_ERROR);
}

static void U10_unplug_gives_pollhup_and_enodev(void **state)
{
	struct v4l2_capability cap;

	(void)state;
	client_start(&uvc);
	client_frame(&uvc);
	command("uvc.unplug");
	assert_int_equal(client_poll(&uvc, POLLIN | POLLPRI, 1000), POLLERR | POLLHUP | POLLPRI);
	assert_int_equal(client_queue(&uvc, 0), -ENODEV);
	assert_int_equal(request(uvc.fd, VIDIOC_QUERYCAP, &cap), -ENODEV);
	assert_int_equal(open(UVC, O_RDWR), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(access(UVC, F_OK), -1);
}

static void U10_device_comes_back_under_another_number(void **state)
{
	struct client again;

	(void)state;
	client_start(&uvc);
	command("uvc.unplug");
	command("uvc.replug /dev/fake-uvc2");
	assert_int_equal(client_queue(&uvc, 0), -ENODEV);
	client_close(&uvc);
	again = client_open("/dev/fake-uvc2");
	client_start(&again);
	assert_int_equal(client_frame(&again).sequence, 0);
	client_close(&again);
	assert_int_equal(violations("U10"), 0);
	command("uvc.path " UVC);
	uvc = client_open(UVC);
}

static void U10_opening_anew_before_closing_the_dead_is_reported(void **state)
{
	struct client again;

	(void)state;
	command("uvc.unplug");
	command("uvc.replug");
	again = client_open(UVC);
	assert_int_equal(violations("U10"), 1);
	client_close(&again);
}

static void U12_timings_and_source_change_are_unknown(void **state)
{
	struct v4l2_dv_timings timings;
	struct v4l2_event_subscription sub = { .type = V4L2_EVENT_SOURCE_CHANGE };

	(void)state;
	assert_int_equal(request(uvc.fd, VIDIOC_QUERY_DV_TIMINGS, &timings), -ENOTTY);
	assert_int_equal(request(uvc.fd, VIDIOC_SUBSCRIBE_EVENT, &sub), -EINVAL);
}

static void U13_lost_frames_leave_gaps(void **state)
{
	uint32_t first;

	(void)state;
	client_start(&uvc);
	first = client_frame(&uvc).sequence;
	command("uvc.drop 30");
	for (unsigned i = 0; i < 10; i++)
		client_frame(&uvc);
	assert_true(client_frame(&uvc).sequence >= first + 30);
}

static void U14_poll_before_streamon_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(client_poll(&uvc, POLLIN, 0), POLLERR);
	client_buffers(&uvc, 5);
	assert_int_equal(uvc.count, 5);
	assert_int_equal(client_poll(&uvc, POLLPRI, 50), 0);
	assert_int_equal(violations("U14"), 0);
	for (unsigned i = 0; i < 200; i++)
		client_poll(&uvc, POLLIN, 0);
	assert_int_equal(violations("U14"), 1);
}

static void U15_jpeg_quality_is_unknown(void **state)
{
	struct v4l2_jpegcompression comp = { .quality = 80 };

	(void)state;
	assert_int_equal(request(uvc.fd, VIDIOC_S_JPEGCOMP, &comp), -ENOTTY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_uvc, finish_uvc)

const struct CMUnitTest uvc_tests[] = {
	TEST(U1_video_node_captures_and_its_sibling_has_metadata),
	TEST(U2_unknown_format_becomes_the_first_and_size_the_nearest),
	TEST(U3_busy_with_buffers_while_streaming_and_for_others),
	TEST(U4_rate_snaps_and_format_resets_it),
	TEST(U5_streamon_fails_once_on_command),
	TEST(U6_first_frame_comes_late),
	TEST(U7_jpeg_is_complete_by_default),
	TEST(U7_jpeg_is_spoilt_on_command),
	TEST(U8_corrupt_raw_frames_vanish_or_carry_error),
	TEST(U9_eproto_returns_all_with_error_then_silence_until_streamoff),
	TEST(U10_unplug_gives_pollhup_and_enodev),
	TEST(U10_device_comes_back_under_another_number),
	TEST(U10_opening_anew_before_closing_the_dead_is_reported),
	TEST(U12_timings_and_source_change_are_unknown),
	TEST(U13_lost_frames_leave_gaps),
	TEST(U14_poll_before_streamon_is_an_error),
	TEST(U15_jpeg_quality_is_unknown),
};

const size_t n_uvc_tests = sizeof(uvc_tests) / sizeof(uvc_tests[0]);
