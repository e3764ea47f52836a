// SPDX-License-Identifier: GPL-3.0-or-later
/* Image controls: V4L2 user controls, each checked against what the device says it takes. */
#include "capture/controls.h"

#include <linux/videodev2.h>

#include "base/util.h"
#include "v4l2/control.h"
#include "v4l2/ioctl.h"

#define LOG_TOPIC "v4l2"
#include "base/log.h"

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

static bool takes(const struct v4l2_queryctrl *query, int value)
{
	return value >= query->minimum && value <= query->maximum &&
	       (query->step <= 1 || (value - query->minimum) % query->step == 0);
}

/* ---- at the start: what cannot be set is logged */

/* `quiet`: it is fine if the device does not have it. */
static void set_control(int fd, const char *name, uint32_t id, bool to_default, int value,
	bool quiet)
{
	struct v4l2_queryctrl query;
	int res;

	if (v4l2_control_find(fd, id, &query) < 0) {
		if (!quiet)
			log_info("the device has no %s control", name);
		return;
	}
	if (to_default)
		value = query.default_value;
	if (!takes(&query, value)) {
		log_warn("%s: %d is not from %d to %d in steps of %d", name, value, query.minimum,
			query.maximum, query.step);
		return;
	}
	res = v4l2_control_set(fd, id, value);
	if (res < 0 && !quiet)
		log_warn("the device refuses %s %d: %s", name, value, strerror(-res));
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

/* ---- while it runs: all or nothing */

/* What was set, and what it was before. */
struct undo {
	unsigned count;
	struct v4l2_control before[2 * CONTROLS];
};

static int put(int fd, uint32_t id, int value, struct undo *undo)
{
	int before;
	bool known = v4l2_control_get(fd, id, &before) == 0;
	int res = v4l2_control_set(fd, id, value);

	if (res == 0 && known)
		undo->before[undo->count++] = (struct v4l2_control){ id, before };
	return res;
}

/* What is known beforehand to fail. */
static int check(int fd, enum option_control_id which, const struct option_control *wish)
{
	bool automatic = wish->mode == CONTROL_AUTO;
	struct v4l2_queryctrl query;
	int res = v4l2_control_find(fd, automatic ? controls[which].automatic : controls[which].id,
		&query);

	if (res == 0 && wish->mode == CONTROL_SET && !takes(&query, wish->value))
		return -ERANGE;
	return res == 0 && query.flags & V4L2_CTRL_FLAG_READ_ONLY ? -EACCES : res;
}

static int change(int fd, enum option_control_id which, const struct option_control *wish,
	struct undo *undo)
{
	bool automatic = wish->mode == CONTROL_AUTO;
	struct v4l2_queryctrl query;
	int res = 0;

	/* While the device chooses, it refuses to be told or forgets what it was. */
	if (v4l2_control_find(fd, controls[which].automatic, &query) == 0)
		res = put(fd, controls[which].automatic, automatic, undo);
	if (res < 0 || automatic)
		return res;
	res = v4l2_control_find(fd, controls[which].id, &query);
	if (res < 0)
		return res;
	return put(fd, controls[which].id,
		wish->mode == CONTROL_DEFAULT ? query.default_value : wish->value, undo);
}

int controls_change(int fd, const struct option_control wish[CONTROLS],
	enum option_control_id *which)
{
	struct undo undo = { 0 };
	int res = 0;

	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < CONTROLS && res == 0; i++) {
			if (wish[i].mode == CONTROL_KEEP)
				continue;
			*which = i;
			res = pass ? change(fd, i, &wish[i], &undo) : check(fd, i, &wish[i]);
		}
	}
	while (res < 0 && undo.count) {
		undo.count--;
		v4l2_control_set(fd, undo.before[undo.count].id, undo.before[undo.count].value);
	}
	return res;
}

/* ---- listed */

static bool has_number(uint32_t type)
{
	return type == V4L2_CTRL_TYPE_INTEGER || type == V4L2_CTRL_TYPE_BOOLEAN ||
	       type == V4L2_CTRL_TYPE_MENU || type == V4L2_CTRL_TYPE_INTEGER_MENU ||
	       type == V4L2_CTRL_TYPE_BITMASK;
}

static void describe(int fd, const struct v4l2_queryctrl *query, struct source_control *out)
{
	int value;

	*out = (struct source_control){ .id = query->id,
		.type = query->type,
		.flags = query->flags,
		.min = query->minimum,
		.max = query->maximum,
		.step = query->step,
		.standard = query->default_value,
		.option = -1 };
	snprintf(out->name, sizeof(out->name), "%s", (const char *)query->name);
	for (unsigned i = 0; i < CONTROLS; i++) {
		if (query->id == controls[i].id || query->id == controls[i].automatic) {
			out->option = (int)i;
			out->chooses = query->id == controls[i].automatic;
		}
	}
	if (has_number(query->type) && v4l2_control_get(fd, query->id, &value) == 0) {
		out->value = value;
		out->has_value = true;
	}
}

static void watch(int fd, uint32_t id)
{
	struct v4l2_event_subscription change = { .type = V4L2_EVENT_CTRL, .id = id };

	v4l2_ioctl(fd, VIDIOC_SUBSCRIBE_EVENT,
		&change); /* where there is none, values may be old */
}

void controls_list(int fd, struct source_controls *out)
{
	struct v4l2_queryctrl query = { .id = 0 };

	while (out->count < SOURCE_CONTROLS && v4l2_control_next(fd, &query)) {
		if (query.type == V4L2_CTRL_TYPE_CTRL_CLASS ||
			query.flags & V4L2_CTRL_FLAG_DISABLED)
			continue;
		describe(fd, &query, &out->control[out->count++]);
		watch(fd, query.id);
	}
}
