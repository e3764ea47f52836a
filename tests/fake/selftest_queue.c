/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every kind of device shares: queue, controls, poll. */
#include "selftest.h"

static void controls_are_clamped_to_range_and_step(void **state)
{
	struct v4l2_control ctrl = { .id = V4L2_CID_SATURATION, .value = 1000 };

	(void)state;
	assert_int_equal(request(uvc.fd, VIDIOC_S_CTRL, &ctrl), 0);
	assert_int_equal(ctrl.value, 100);
	ctrl = (struct v4l2_control){ .id = V4L2_CID_POWER_LINE_FREQUENCY, .value = 9 };
	assert_int_equal(request(uvc.fd, VIDIOC_S_CTRL, &ctrl), -ERANGE);
	ctrl.id = V4L2_CID_ROTATE;
	assert_int_equal(request(uvc.fd, VIDIOC_S_CTRL, &ctrl), -EINVAL);
}

static void misuse_of_the_queue_is_refused_and_reported(void **state)
{
	struct v4l2_buffer b;

	(void)state;
	assert_int_equal(client_stream(&uvc, true), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
	client_buffers(&uvc, 2);
	assert_int_equal(client_take(&uvc, &b), -EINVAL);
	assert_int_equal(violations("VB2"), 1);
	assert_int_equal(client_queue(&uvc, 0), 0);
	assert_int_equal(client_queue(&uvc, 0), -EINVAL);
	assert_int_equal(client_queue(&uvc, 7), -EINVAL);
	assert_int_equal(violations("VB2"), 2);
}

static void eio_holds_until_streamoff(void **state)
{
	struct v4l2_buffer b;

	(void)state;
	client_start(&uvc);
	command("uvc.eio");
	assert_int_equal(client_poll(&uvc, POLLIN, 100), POLLERR);
	assert_int_equal(client_take(&uvc, &b), -EIO);
	assert_int_equal(client_stream(&uvc, false), 0);
	assert_int_equal(client_queue(&uvc, 0), 0);
	assert_int_equal(client_stream(&uvc, true), 0);
	assert_int_equal(client_take(&uvc, &b), 0);
}

static void select_mixes_with_real_descriptors(void **state)
{
	int fds[2];
	fd_set in, pri;
	struct timeval wait = { .tv_sec = 2 };

	(void)state;
	assert_int_equal(pipe(fds), 0);
	client_start(&uvc);
	FD_ZERO(&in);
	FD_ZERO(&pri);
	FD_SET(uvc.fd, &in);
	FD_SET(fds[0], &in);
	FD_SET(uvc.fd, &pri);
	assert_int_equal(select(FD_SETSIZE, &in, NULL, &pri, &wait), 1);
	assert_true(FD_ISSET(uvc.fd, &in));
	assert_false(FD_ISSET(fds[0], &in));
	assert_false(FD_ISSET(uvc.fd, &pri));
	close(fds[0]);
	close(fds[1]);
}

static void holding_every_buffer_is_reported(void **state)
{
	struct v4l2_buffer b;
	unsigned n = 0;

	(void)state;
	command("uvc.starve 100");
	client_start(&uvc);
	for (unsigned i = 0; i < CLIENT_BUFFERS; i++)
		assert_int_equal(client_take(&uvc, &b), 0);
	for (int i = 0; i < 600 && !n; i++) {
		usleep(100 * 1000);
		n = violations("STARVE");
	}
	command("uvc.starve 1000");
	assert_int_equal(n, 1);
}

static void exported_buffers_show_the_same_memory(void **state)
{
	struct v4l2_exportbuffer exp = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.flags = O_CLOEXEC | O_RDWR };
	uint8_t *mem;

	(void)state;
	client_start(&uvc);
	client_frame(&uvc);
	assert_int_equal(request(uvc.fd, VIDIOC_EXPBUF, &exp), 0);
	mem = mmap(NULL, uvc.len[0], PROT_READ, MAP_SHARED, exp.fd, 0);
	assert_memory_equal(mem, uvc.mem[0], 2);
	munmap(mem, uvc.len[0]);
	close(exp.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_uvc, finish_uvc)

const struct CMUnitTest queue_tests[] = {
	TEST(controls_are_clamped_to_range_and_step),
	TEST(misuse_of_the_queue_is_refused_and_reported),
	TEST(eio_holds_until_streamoff),
	TEST(select_mixes_with_real_descriptors),
	TEST(holding_every_buffer_is_reported),
	TEST(exported_buffers_show_the_same_memory),
};

const size_t n_queue_tests = sizeof(queue_tests) / sizeof(queue_tests[0]);
