// SPDX-License-Identifier: GPL-2.0-only
/* The controls of bcm2835-codec's encoder. Those about rate and levels are kept and change nothing. */
#include "pcm264.h"

static int set_control(struct v4l2_ctrl *control)
{
	struct instance *instance = container_of(control->handler, struct instance, controls);

	switch (control->id) {
	case V4L2_CID_MPEG_VIDEO_H264_I_PERIOD:
	case V4L2_CID_MPEG_VIDEO_GOP_SIZE: instance->key_period = control->val; break;
	case V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER: instance->repeat_headers = control->val; break;
	case V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME: instance->want_key = true; break;
	}
	return 0;
}

static const struct v4l2_ctrl_ops control_ops = { .s_ctrl = set_control };

static const struct {
	u32 id;
	s64 least, most, step, preset;
} numbers[] = {
	{ V4L2_CID_MPEG_VIDEO_BITRATE, 25000, 25000000, 25000, 10000000 },
	{ V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 0, 1, 1, 0 },
	{ V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, 0, S32_MAX, 1, 60 },
	{ V4L2_CID_MPEG_VIDEO_H264_MIN_QP, 0, 51, 1, 20 },
	{ V4L2_CID_MPEG_VIDEO_H264_MAX_QP, 0, 51, 1, 51 },
	{ V4L2_CID_MPEG_VIDEO_GOP_SIZE, 0, S32_MAX, 1, 60 },
	{ V4L2_CID_MPEG_VIDEO_B_FRAMES, 0, 0, 1, 0 },
	{ V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 0, 0, 0, 0 },
	{ V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, 1, 1, 1, 1 },
};

static const struct {
	u32 id;
	u8 most, preset;
	u64 without;
} menus[] = {
	{ V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_CBR,
		V4L2_MPEG_VIDEO_BITRATE_MODE_VBR, 0 },
	{ V4L2_CID_MPEG_VIDEO_HEADER_MODE, V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME,
		V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME, 0 },
	{ V4L2_CID_MPEG_VIDEO_H264_LEVEL, V4L2_MPEG_VIDEO_H264_LEVEL_4_2,
		V4L2_MPEG_VIDEO_H264_LEVEL_4_0, 0 },
	{ V4L2_CID_MPEG_VIDEO_H264_PROFILE, V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
		V4L2_MPEG_VIDEO_H264_PROFILE_HIGH, BIT(V4L2_MPEG_VIDEO_H264_PROFILE_EXTENDED) },
};

int controls_init(struct instance *instance)
{
	struct v4l2_ctrl_handler *handler = &instance->controls;
	unsigned int i;

	v4l2_ctrl_handler_init(handler, ARRAY_SIZE(numbers) + ARRAY_SIZE(menus));
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		v4l2_ctrl_new_std(handler, &control_ops, numbers[i].id, numbers[i].least,
			numbers[i].most, numbers[i].step, numbers[i].preset);
	for (i = 0; i < ARRAY_SIZE(menus); i++)
		v4l2_ctrl_new_std_menu(handler, &control_ops, menus[i].id, menus[i].most,
			menus[i].without, menus[i].preset);
	instance->fh.ctrl_handler = handler;
	if (!handler->error)
		v4l2_ctrl_handler_setup(handler);
	instance->want_key = false; /* that is what setting up does to the button */
	return handler->error;
}
