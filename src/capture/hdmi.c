// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * DV timings: Documentation/userspace-api/media/v4l/vidioc-query-dv-timings.rst and, for the chip
 * that most KVM boxes have, drivers/media/i2c/tc358743.c.
 *
 * They are followed by themselves where the input has them: without, such a device gives a wrong
 * picture or none. --dv-timings only says that the picture has the source's size.
 */
#include "capture/hdmi.h"

#include <linux/videodev2.h>

#include "base/util.h"
#include "base/wait.h"
#include "v4l2/control.h"
#include "v4l2/ioctl.h"

#define LOG_TOPIC "hdmi"
#include "base/log.h"

#define SETTLE_MS    100
#define SETTLE_TRIES 10

bool hdmi_has_timings(int fd)
{
	struct v4l2_input input = { 0 };
	int index = 0;

	if (v4l2_ioctl(fd, VIDIOC_G_INPUT, &index) < 0)
		return false;
	input.index = (uint32_t)index;
	return v4l2_ioctl(fd, VIDIOC_ENUMINPUT, &input) == 0 &&
	       (input.capabilities & V4L2_IN_CAP_DV_TIMINGS);
}

static bool has_no_edid(int fd)
{
	struct v4l2_edid edid = { .blocks = 0 }; /* asks for the number of blocks only */
	int res = v4l2_ioctl(fd, VIDIOC_G_EDID, &edid);

	return res == -ENODATA || (res == 0 && edid.blocks == 0);
}

/* -ENOLINK says "no signal": the +5 V of the cable and the EDID tell why. */
static int refine(int fd, int error)
{
	int power = 0;

	if (error != -ENOLINK)
		return error;
	if (v4l2_control_get(fd, V4L2_CID_DV_RX_POWER_PRESENT, &power) == 0 && !power)
		return -ENOTCONN;
	return has_no_edid(fd) ? -ENODATA : error;
}

/* Measured values: the clock of two readings of one mode may differ a little. */
static bool are_close(const struct v4l2_bt_timings *a, const struct v4l2_bt_timings *b)
{
	return a->width == b->width && a->height == b->height && a->interlaced == b->interlaced &&
	       llabs((long long)a->pixelclock - (long long)b->pixelclock) <=
		       (long long)(a->pixelclock / 100);
}

static int query_stable(int fd, int stop_fd, struct v4l2_dv_timings *out)
{
	struct pollfd stop = { .fd = stop_fd, .events = POLLIN };
	struct v4l2_dv_timings last = { 0 };
	int res = -ENOLCK;

	for (int i = 0; i < SETTLE_TRIES; i++) {
		*out = (struct v4l2_dv_timings){ 0 };
		res = v4l2_ioctl(fd, VIDIOC_QUERY_DV_TIMINGS, out);
		if (res < 0)
			return res;
		if (i > 0 && are_close(&out->bt, &last.bt))
			return 0;
		last = *out;
		if (wait_for_events(&stop, 1, now_ns() + SETTLE_MS * NS_PER_MS) > 0)
			return -ECANCELED;
	}
	return -ENOLCK;
}

static unsigned rate_of(const struct v4l2_bt_timings *bt)
{
	uint64_t total = (uint64_t)V4L2_DV_BT_FRAME_WIDTH(bt) * V4L2_DV_BT_FRAME_HEIGHT(bt);

	return total ? (unsigned)((1000 * bt->pixelclock + total / 2) / total) : 0;
}

int hdmi_lock_timings(int fd, int stop_fd, struct hdmi_mode *out)
{
	struct v4l2_dv_timings timings;
	int res = query_stable(fd, stop_fd, &timings);

	if (res < 0)
		return refine(fd, res);
	res = v4l2_ioctl(fd, VIDIOC_S_DV_TIMINGS, &timings);
	if (res < 0) {
		log_error("the receiver refuses its own timings %ux%u: %m", timings.bt.width,
			timings.bt.height);
		return res;
	}
	*out = (struct hdmi_mode){ timings.bt.width, timings.bt.height, rate_of(&timings.bt) };
	log_verbose("source sends %ux%u at %u.%03u Hz", out->width, out->height, out->mhz / 1000,
		out->mhz % 1000);
	return 0;
}
