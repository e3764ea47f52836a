// SPDX-License-Identifier: GPL-3.0-or-later
/* Image controls: V4L2 user controls, each checked against what the device says it takes. */
#include "capture/controls.h"

#include <linux/videodev2.h>

#include "util.h"

#define LOG_TOPIC "v4l2"
#include "log.h"

static const struct {
	const char *name;
	uint32_t id;
	uint32_t automatic; /* the switch that lets the device choose, 0: none */
} controls[CONTROLS] = {
	[CONTROL_BRIGHTNESS] = { "brightness", V4L2_CID_BRIGHTNESS, V4L2_CID_AUTOBRIGHTNESS },
	[CONTROL_CONTRAST] = { "contrast", V4L2_CID_CONTRAST, 0 },
	[CONTROL_SATURATION] = { "saturation", V4L2_CID_SATURATION, 0 },
	[CONTROL_HUE] = { "hue", V4L2_CID_HUE, V4L2_CID_HUE_AUTO },
	[CONTROL_GAMMA] = { "gamma", V4L2_CID_GAMMA, 0 },
	[CONTROL_SHARPNESS] = { "sharpness", V4L2_CID_SHARPNESS, 0 },
	[CONTROL_BACKLIGHT_COMPENSATION] = { "backlight-compensation",
		V4L2_CID_BACKLIGHT_COMPENSATION, 0 },
	[CONTROL_WHITE_BALANCE] = { "white-balance", V4L2_CID_WHITE_BALANCE_TEMPERATURE,
		V4L2_CID_AUTO_WHITE_BALANCE },
	[CONTROL_GAIN] = { "gain", V4L2_CID_GAIN, V4L2_CID_AUTOGAIN },
	[CONTROL_COLOR_EFFECT] = { "color-effect", V4L2_CID_COLORFX, 0 },
	[CONTROL_ROTATE] = { "rotate", V4L2_CID_ROTATE, 0 },
	[CONTROL_FLIP_VERTICAL] = { "flip-vertical", V4L2_CID_VFLIP, 0 },
	[CONTROL_FLIP_HORIZONTAL] = { "flip-horizontal", V4L2_CID_HFLIP, 0 },
};

/* `quiet`: it is fine if the device does not have it. */
static void set_control(int fd, const char *name, uint32_t id, bool to_default, int value,
	bool quiet)
{
	struct v4l2_queryctrl query = { .id = id };
	struct v4l2_control control = { .id = id, .value = value };

	if (xioctl(fd, VIDIOC_QUERYCTRL, &query) < 0 || query.flags & V4L2_CTRL_FLAG_DISABLED) {
		if (!quiet)
			log_info("the device has no %s control", name);
		return;
	}
	if (to_default)
		control.value = query.default_value;
	if (control.value < query.minimum || control.value > query.maximum ||
		(query.step > 1 && (control.value - query.minimum) % query.step)) {
		log_warn("%s: %d is not from %d to %d in steps of %d", name, control.value,
			query.minimum, query.maximum, query.step);
		return;
	}
	if (xioctl(fd, VIDIOC_S_CTRL, &control) < 0 && !quiet)
		log_warn("the device refuses %s %d: %m", name, control.value);
}

void controls_apply(int fd, const struct options *opt)
{
	for (unsigned i = 0; i < CONTROLS; i++) {
		struct option_control wish = opt->control[i];
		bool asked = wish.mode != CONTROL_KEEP;

		if (!asked && opt->image_default)
			wish.mode = CONTROL_DEFAULT;
		if (wish.mode == CONTROL_KEEP)
			continue;
		if (controls[i].automatic)
			set_control(fd, controls[i].name, controls[i].automatic, !asked,
				wish.mode == CONTROL_AUTO, wish.mode != CONTROL_AUTO);
		if (wish.mode != CONTROL_AUTO)
			set_control(fd, controls[i].name, controls[i].id,
				wish.mode == CONTROL_DEFAULT, wish.value, !asked);
	}
}
