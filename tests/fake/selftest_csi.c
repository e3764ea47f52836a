/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "selftest.h"

#define CSI "/dev/fake-csi"

static struct client dev;

static int query(struct v4l2_dv_timings *t)
{
	return request(dev.fd, VIDIOC_QUERY_DV_TIMINGS, t);
}

static void wait_for(int want)
{
	struct v4l2_dv_timings t;
	int res = 1;

	for (unsigned i = 0; i < 200 && (res = query(&t)) != want; i++)
		usleep(10 * 1000);
	assert_int_equal(res, want);
}

static void lock_timings(void)
{
	struct v4l2_dv_timings t;

	wait_for(0);
	assert_int_equal(query(&t), 0);
	assert_int_equal(request(dev.fd, VIDIOC_S_DV_TIMINGS, &t), 0);
}

static void subscribe(void)
{
	struct v4l2_event_subscription sub = { .type = V4L2_EVENT_SOURCE_CHANGE };

	assert_int_equal(request(dev.fd, VIDIOC_SUBSCRIBE_EVENT, &sub), 0);
}

static unsigned drain_events(void)
{
	struct v4l2_event event;
	unsigned n = 0;

	while (request(dev.fd, VIDIOC_DQEVENT, &event) == 0)
		n += event.type == V4L2_EVENT_SOURCE_CHANGE;
	return n;
}

static int reset_csi(void **state)
{
	(void)state;
	time_calm();
	command("csi.cable in");
	command("csi.edid set");
	command("csi.lanes 4");
	command("csi.meta-busy off");
	command("csi.signal 1280x720@60");
	violations("");
	dev = client_open(CSI);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	client_close(&dev);
	return 0;
}

static void T1_without_edid_there_is_no_link(void **state)
{
	uint8_t data[256];
	struct v4l2_edid edid = { .blocks = 2, .edid = data };
	struct v4l2_dv_timings t;

	(void)state;
	command("csi.power-cycle");
	assert_int_equal(query(&t), -ENOLINK);
	assert_int_equal(request(dev.fd, VIDIOC_G_EDID, &edid), -ENODATA);
}

static void T2_edid_brings_the_source_back_through_no_lock(void **state)
{
	uint8_t data[9 * 128] = { 0, 0xFF };
	struct v4l2_edid edid = { .blocks = 9, .edid = data };
	struct v4l2_dv_timings t;

	(void)state;
	assert_int_equal(request(dev.fd, VIDIOC_S_EDID, &edid), -E2BIG);
	assert_int_equal(edid.blocks, 8);
	edid.start_block = 1;
	assert_int_equal(request(dev.fd, VIDIOC_S_EDID, &edid), -EINVAL);
	edid.start_block = 0;
	edid.blocks = 2;
	time_stop();
	assert_int_equal(request(dev.fd, VIDIOC_S_EDID, &edid), 0);
	assert_int_equal(query(&t), -ENOLINK);
	time_step(150);
	assert_int_equal(query(&t), -ENOLCK);
	time_step(50);
	assert_int_equal(query(&t), 0);
}

static void T3_states_of_the_signal_are_selectable(void **state)
{
	struct v4l2_dv_timings t;

	(void)state;
	wait_for(0);
	command("csi.signal none");
	assert_int_equal(query(&t), -ENOLINK);
	command("csi.signal nolock");
	assert_int_equal(query(&t), -ENOLCK);
	command("csi.signal outofrange");
	wait_for(-ERANGE);
	command("csi.signal 1920x1080@30i");
	wait_for(-ERANGE);
}

static void T4_blanking_is_all_in_the_sync_fields(void **state)
{
	struct v4l2_dv_timings t;

	(void)state;
	wait_for(0);
	assert_int_equal(query(&t), 0);
	assert_int_equal(t.bt.width, 1280);
	assert_int_equal(t.bt.hfrontporch + t.bt.hbackporch + t.bt.vfrontporch, 0);
	assert_int_equal(t.bt.pixelclock, 74250000);
	assert_int_equal(t.bt.hsync, 370);
}

static void T5_queries_may_differ_while_the_mode_changes(void **state)
{
	struct v4l2_dv_timings a, b;

	(void)state;
	command("csi.flicker 60000");
	command("csi.signal 1920x1080@30");
	wait_for(0);
	assert_int_equal(query(&a), 0);
	assert_int_equal(query(&b), 0);
	assert_int_not_equal(a.bt.height, b.bt.height);
	command("csi.flicker 0");
}

static void T6_T7_a_change_sends_events_and_stops_silently(void **state)
{
	struct v4l2_buffer b;

	(void)state;
	subscribe();
	lock_timings();
	drain_events();
	client_start(&dev);
	client_frame(&dev);
	command("csi.signal 1920x1080@30");
	assert_true(client_poll(&dev, POLLPRI, 2000) & POLLPRI);
	assert_true(drain_events() >= 1);
	wait_for(0);
	while (client_rest(&dev, &b))
		assert_false(b.flags & V4L2_BUF_FLAG_ERROR);
	assert_int_equal(client_poll(&dev, POLLIN, 200), 0);
}

static void T8_timings_are_busy_with_buffers_and_checked(void **state)
{
	struct v4l2_dv_timings t, big;

	(void)state;
	lock_timings();
	assert_int_equal(query(&t), 0);
	big = t;
	big.bt.width = 2560;
	assert_int_equal(request(dev.fd, VIDIOC_S_DV_TIMINGS, &big), -ERANGE);
	client_buffers(&dev, 3);
	assert_int_equal(request(dev.fd, VIDIOC_S_DV_TIMINGS, &t), 0);
	t.bt.height = 700;
	assert_int_equal(request(dev.fd, VIDIOC_S_DV_TIMINGS, &t), -EBUSY);
	assert_int_equal(violations("T8"), 1);
}

static void T9_size_follows_the_timings_and_stride_is_aligned(void **state)
{
	struct v4l2_pix_format pix = { 0 };

	(void)state;
	command("csi.signal 1366x768@60");
	lock_timings();
	assert_int_equal(set_format(dev.fd, V4L2_PIX_FMT_UYVY, 640, 480, &pix), 0);
	assert_int_equal(pix.width, 1368);
	assert_int_equal(pix.height, 768);
	assert_int_equal(pix.bytesperline, 2752);
	pix.bytesperline = 2800;
	assert_int_equal(set_format(dev.fd, V4L2_PIX_FMT_UYVY, 0, 0, &pix), 0);
	assert_int_equal(pix.bytesperline, 2816);
	assert_int_equal(pix.sizeimage, 2816 * 768);
}

static void T11_streaming_stale_timings_gives_nothing_and_is_reported(void **state)
{
	(void)state;
	lock_timings();
	command("csi.signal 1920x1080@30");
	wait_for(0);
	client_start(&dev);
	assert_int_equal(violations("T11"), 1);
	assert_int_equal(client_poll(&dev, POLLIN, 300), 0);
}

static void T12_too_few_lanes_refuse_streamon(void **state)
{
	(void)state;
	command("csi.signal 1920x1080@60");
	lock_timings();
	command("csi.lanes 2");
	client_buffers(&dev, 3);
	assert_int_equal(client_queue(&dev, 0), 0);
	assert_int_equal(client_stream(&dev, true), -EINVAL);
}

static void T13_three_buffers_at_least_and_start_at_the_first(void **state)
{
	struct v4l2_buffer b;

	(void)state;
	lock_timings();
	client_buffers(&dev, 1);
	assert_int_equal(dev.count, 3);
	assert_int_equal(client_stream(&dev, true), 0);
	assert_int_equal(client_poll(&dev, POLLIN, 50), POLLERR);
	assert_int_equal(client_queue(&dev, 0), 0);
	assert_int_equal(client_take(&dev, &b), 0);
	assert_int_equal(b.sequence, 0);
}

static void T14_frames_without_a_buffer_still_count(void **state)
{
	struct v4l2_buffer a, b;

	(void)state;
	lock_timings();
	client_buffers(&dev, 3);
	assert_int_equal(client_queue(&dev, 0), 0);
	assert_int_equal(client_stream(&dev, true), 0);
	assert_int_equal(client_take(&dev, &a), 0);
	usleep(100 * 1000);
	assert_int_equal(client_queue(&dev, 0), 0);
	assert_int_equal(client_take(&dev, &b), 0);
	assert_true(b.sequence >= a.sequence + 4);
}

static void T15_an_idle_metadata_reader_starves_the_picture(void **state)
{
	(void)state;
	lock_timings();
	command("csi.meta-busy on");
	client_start(&dev);
	assert_int_equal(client_poll(&dev, POLLIN, 200), 0);
}

static void T16_power_present_follows_the_cable(void **state)
{
	struct v4l2_control ctrl = { .id = V4L2_CID_DV_RX_POWER_PRESENT };
	struct v4l2_dv_timings t;

	(void)state;
	assert_int_equal(request(dev.fd, VIDIOC_G_CTRL, &ctrl), 0);
	assert_int_equal(ctrl.value, 1);
	command("csi.cable out");
	assert_int_equal(request(dev.fd, VIDIOC_G_CTRL, &ctrl), 0);
	assert_int_equal(ctrl.value, 0);
	assert_int_equal(query(&t), -ENOLINK);
	assert_int_equal(request(dev.fd, VIDIOC_S_CTRL, &ctrl), -EACCES);
}

static void T17_one_input_and_no_rate(void **state)
{
	struct v4l2_streamparm parm = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int input = 1;

	(void)state;
	assert_int_equal(request(dev.fd, VIDIOC_S_INPUT, &input), -EINVAL);
	assert_int_equal(request(dev.fd, VIDIOC_S_PARM, &parm), -ENOTTY);
	assert_int_equal(request(dev.fd, VIDIOC_G_PARM, &parm), -ENOTTY);
}

/* Milliseconds of a frame; more, where the fake came too late. */
static int64_t frame_ms(void)
{
	struct v4l2_buffer a = client_frame(&dev), b = client_frame(&dev);
	int64_t us = (b.timestamp.tv_sec - a.timestamp.tv_sec) * 1000000LL + b.timestamp.tv_usec -
		     a.timestamp.tv_usec;

	return us / (b.sequence - a.sequence) / 1000;
}

static void the_rate_is_in_the_timings_only(void **state)
{
	struct v4l2_frmivalenum f = {
		.pixel_format = V4L2_PIX_FMT_UYVY, .width = 1280, .height = 1024
	};
	struct v4l2_dv_timings t;
	unsigned tries = 0;

	(void)state;
	command("csi.signal 1280x1024@50");
	lock_timings();
	assert_int_equal(request(dev.fd, VIDIOC_ENUM_FRAMEINTERVALS, &f), -ENOTTY);
	assert_int_equal(request(dev.fd, VIDIOC_G_DV_TIMINGS, &t), 0);
	assert_int_equal(t.bt.pixelclock / ((1280 + t.bt.hsync) * (1024 + t.bt.vsync)), 50);
	client_start(&dev);
	while (frame_ms() != 20)
		assert_true(++tries < 100);
}

static void a_fixed_format_is_the_present_one_only(void **state)
{
	struct v4l2_fmtdesc desc = { .index = 1, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_format f = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };

	(void)state;
	lock_timings();
	command("csi.fixed-format on");
	assert_int_equal(request(dev.fd, VIDIOC_ENUM_FMT, &desc), 0);
	assert_int_equal(request(dev.fd, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(request(dev.fd, VIDIOC_TRY_FMT, &f), 0);
	assert_int_equal(request(dev.fd, VIDIOC_S_FMT, &f), 0);
	f.fmt.pix.pixelformat = desc.pixelformat;
	assert_int_equal(request(dev.fd, VIDIOC_TRY_FMT, &f), -EINVAL);
	assert_int_equal(request(dev.fd, VIDIOC_S_FMT, &f), -EINVAL);
	assert_int_equal(request(dev.fd, VIDIOC_G_FMT, &f), 0);
	f.fmt.pix.height--;
	assert_int_equal(request(dev.fd, VIDIOC_S_FMT, &f), -EINVAL);
	command("csi.fixed-format off");
	assert_int_equal(request(dev.fd, VIDIOC_S_FMT, &f), 0);
	assert_int_equal(violations("U1"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_csi, finish)

const struct CMUnitTest csi_tests[] = {
	TEST(T1_without_edid_there_is_no_link),
	TEST(T2_edid_brings_the_source_back_through_no_lock),
	TEST(T3_states_of_the_signal_are_selectable),
	TEST(T4_blanking_is_all_in_the_sync_fields),
	TEST(T5_queries_may_differ_while_the_mode_changes),
	TEST(T6_T7_a_change_sends_events_and_stops_silently),
	TEST(T8_timings_are_busy_with_buffers_and_checked),
	TEST(T9_size_follows_the_timings_and_stride_is_aligned),
	TEST(T11_streaming_stale_timings_gives_nothing_and_is_reported),
	TEST(T12_too_few_lanes_refuse_streamon),
	TEST(T13_three_buffers_at_least_and_start_at_the_first),
	TEST(T14_frames_without_a_buffer_still_count),
	TEST(T15_an_idle_metadata_reader_starves_the_picture),
	TEST(T16_power_present_follows_the_cable),
	TEST(T17_one_input_and_no_rate),
	TEST(the_rate_is_in_the_timings_only),
	TEST(a_fixed_format_is_the_present_one_only),
};

const size_t n_csi_tests = sizeof(csi_tests) / sizeof(csi_tests[0]);
