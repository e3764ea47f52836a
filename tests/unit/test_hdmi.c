// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * When the timings of an HDMI source hold, and why there are none. hdmi.c is compiled in here, over
 * a receiver of our own, whose time passes only while it is waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdbool.h>

#include "base/util.h"
#include "driver.h"

#define MOST_READINGS 100

static struct {
	struct v4l2_bt_timings reading[MOST_READINGS]; /* the last that was set lasts */
	int n_set, n_read, error;
	struct v4l2_bt_timings set;
	int waited_ms;
	bool stop, has_power, has_edid;
	int input; /* of two: the second has timings */
} receiver;

static int query_timings(struct v4l2_dv_timings *out)
{
	int at = MIN(receiver.n_read, receiver.n_set - 1);

	assert_true(receiver.n_read++ < MOST_READINGS);
	if (receiver.error)
		return receiver.error;
	out->bt = receiver.reading[at];
	return 0;
}

static int describe_input(struct v4l2_input *input)
{
	input->capabilities = input->index == 1 ? V4L2_IN_CAP_DV_TIMINGS : 0;
	return 0;
}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	switch (request) {
	case VIDIOC_G_INPUT: *(int *)arg = receiver.input; return 0;
	case VIDIOC_ENUMINPUT: return describe_input(arg);
	case VIDIOC_QUERY_DV_TIMINGS: return query_timings(arg);
	case VIDIOC_S_DV_TIMINGS: receiver.set = ((struct v4l2_dv_timings *)arg)->bt; return 0;
	case VIDIOC_G_CTRL: ((struct v4l2_control *)arg)->value = receiver.has_power; return 0;
	case VIDIOC_G_EDID: ((struct v4l2_edid *)arg)->blocks = receiver.has_edid ? 2 : 0; return 0;
	default: return -ENOTTY;
	}
}

static int64_t our_now(void)
{
	return 0;
}

static int our_events(struct pollfd *on, nfds_t n, int64_t until_ns)
{
	(void)on;
	(void)n;
	receiver.waited_ms += (int)(until_ns / NS_PER_MS);
	return receiver.stop;
}

#define wait_for_events   our_events
#define now_ns            our_now
#define hdmi_has_timings  tested_has_timings
#define hdmi_lock_timings tested_lock_timings
#include "../../src/capture/hdmi.c" /* NOLINT(bugprone-suspicious-include) */

static struct hdmi_mode mode;

static int setup(void **state)
{
	(void)state;
	memset(&receiver, 0, sizeof(receiver));
	receiver.has_power = receiver.has_edid = true;
	mode = (struct hdmi_mode){ 0 };
	return 0;
}

static void read_as(uint32_t width, uint32_t height, uint64_t clock)
{
	receiver.reading[receiver.n_set++] = (struct v4l2_bt_timings){ .width = width,
		.height = height,
		.hfrontporch = 1650 - 1280,
		.vfrontporch = 750 - 720,
		.pixelclock = clock };
}

static int lock(void)
{
	return tested_lock_timings(3, 4, &mode);
}

static void timings_hold_when_two_readings_agree(void **state)
{
	(void)state;
	read_as(1024, 768, 65000000);
	read_as(1280, 720, 74250000);
	read_as(1280, 720, 74250000);
	assert_int_equal(lock(), 0);
	assert_int_equal(receiver.n_read, 3);
	assert_int_equal(mode.width, 1280);
	assert_int_equal(mode.height, 720);
	assert_int_equal(receiver.set.width, 1280);
	assert_int_equal(receiver.set.pixelclock, 74250000);
	assert_int_equal(mode.mhz, 60000);
}

static void a_measured_clock_may_differ_by_a_hundredth(void **state)
{
	(void)state;
	read_as(1280, 720, 74250000);
	read_as(1280, 720, 74800000);
	assert_int_equal(lock(), 0);
	assert_int_equal(receiver.n_read, 2);
}

static void another_rate_is_another_mode(void **state)
{
	(void)state;
	read_as(1280, 720, 61875000);
	read_as(1280, 720, 74250000);
	assert_int_equal(lock(), 0);
	assert_int_equal(receiver.n_read, 3);
}

static void timings_that_never_settle_are_no_sync_after_a_second(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MOST_READINGS; i++)
		read_as(1280 + i, 720, 74250000);
	assert_int_equal(lock(), -ENOLCK);
	assert_in_range(receiver.waited_ms, 800, 1500);
	assert_int_equal(receiver.set.width, 0);
}

static void no_signal_is_told_from_no_cable_and_no_edid(void **state)
{
	(void)state;
	receiver.error = -ENOLINK;
	assert_int_equal(lock(), -ENOLINK);
	receiver.has_edid = false;
	assert_int_equal(lock(), -ENODATA);
	receiver.has_power = false;
	assert_int_equal(lock(), -ENOTCONN);
	receiver.error = -ENOLCK;
	assert_int_equal(lock(), -ENOLCK);
	assert_int_equal(receiver.n_read, 4);
}

static void whether_there_are_timings_is_the_inputs_affair(void **state)
{
	(void)state;
	assert_false(tested_has_timings(3));
	receiver.input = 1;
	assert_true(tested_has_timings(3));
}

static void the_wait_ends_with_the_program(void **state)
{
	(void)state;
	receiver.stop = true;
	read_as(1280, 720, 74250000);
	assert_int_equal(lock(), -ECANCELED);
	assert_int_equal(receiver.n_read, 1);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timings_hold_when_two_readings_agree),
		TEST(a_measured_clock_may_differ_by_a_hundredth),
		TEST(another_rate_is_another_mode),
		TEST(timings_that_never_settle_are_no_sync_after_a_second),
		TEST(no_signal_is_told_from_no_cable_and_no_edid),
		TEST(whether_there_are_timings_is_the_inputs_affair),
		TEST(the_wait_ends_with_the_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
