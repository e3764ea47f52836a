// SPDX-License-Identifier: GPL-3.0-or-later
/* Controls of hardware encoders: see m2m_control.h. */
#include "encoder/m2m_control.h"

#include "base/util.h"
#include "v4l2/control.h"
#include "v4l2/ioctl.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/*
 * Without key frames: one in nine hours at 30 fps. 0 means different things to different drivers,
 * and what a firmware does with the largest number that there is, nobody knows.
 */
#define NO_GOP (1 << 20)

/* ---- any control */

/* Sets a number, and says what became of it; -errno when it is missing or refused. */
static int set(const struct m2m_device *device, uint32_t id, int value, int *now)
{
	struct v4l2_queryctrl info;
	int res = v4l2_control_find(device->node.fd, id, &info);

	if (res < 0)
		return res;
	value = CLAMP(value, info.minimum, info.maximum);
	res = v4l2_control_set(device->node.fd, id, value);
	if (res < 0)
		log_info("%s: \"%s\" cannot be %d: %s", device->node.path, (const char *)info.name,
			value, strerror(-res));
	else if (now)
		*now = value;
	return res;
}

/* Chooses an item if the menu has it. */
static int choose(const struct m2m_device *device, uint32_t id, int item)
{
	return v4l2_control_has_item(device->node.fd, id, item) ? set(device, id, item, NULL)
								: -EINVAL;
}

/* ---- profile and level */

static const int profiles[] = {
	[H264_CONSTRAINED_BASELINE] = V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE,
	[H264_BASELINE] = V4L2_MPEG_VIDEO_H264_PROFILE_BASELINE,
	[H264_MAIN] = V4L2_MPEG_VIDEO_H264_PROFILE_MAIN,
	[H264_HIGH] = V4L2_MPEG_VIDEO_H264_PROFILE_HIGH,
};

static void set_profile(const struct m2m_device *device, struct encoder *encoder)
{
	uint32_t id = V4L2_CID_MPEG_VIDEO_H264_PROFILE;
	struct v4l2_queryctrl info;

	if (v4l2_control_find(device->node.fd, id, &info) < 0 ||
		choose(device, id, profiles[encoder->profile]) == 0)
		return;
	/* Everything decodes it, and some drivers have no other name for what they do. */
	if (choose(device, id, profiles[H264_CONSTRAINED_BASELINE]) == 0)
		encoder->profile = H264_CONSTRAINED_BASELINE;
	else if (choose(device, id, profiles[H264_BASELINE]) == 0)
		encoder->profile = H264_BASELINE;
	else
		return;
	log_info("%s does not do the profile that was asked for: %s it is", device->node.path,
		h264_profile_name(encoder->profile));
}

static const struct {
	unsigned level;
	int item;
} levels[] = {
	{ 40, V4L2_MPEG_VIDEO_H264_LEVEL_4_0 },
	{ 41, V4L2_MPEG_VIDEO_H264_LEVEL_4_1 },
	{ 42, V4L2_MPEG_VIDEO_H264_LEVEL_4_2 },
	{ 50, V4L2_MPEG_VIDEO_H264_LEVEL_5_0 },
	{ 51, V4L2_MPEG_VIDEO_H264_LEVEL_5_1 },
};

/* Always said: left to itself, bcm2835 refuses whatever its default has no room for. */
static void set_level(const struct m2m_device *device, unsigned level)
{
	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i].level == level)
			choose(device, V4L2_CID_MPEG_VIDEO_H264_LEVEL, levels[i].item);
	}
}

/* Parameter sets in front of each key frame, so that decoders may begin at any of them. */
static void set_headers(const struct m2m_device *device)
{
	choose(device, V4L2_CID_MPEG_VIDEO_HEADER_MODE,
		V4L2_MPEG_VIDEO_HEADER_MODE_JOINED_WITH_1ST_FRAME);
	if (set(device, V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1, NULL) < 0)
		set(device, V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR, 1, NULL);
}

/* ---- what may change while frames flow */

static int set_bitrate(const struct m2m_device *device, struct encoder_tuning *tuning)
{
	int now = (int)MIN(tuning->bitrate_kbps, 1000000U) * 1000;
	int res = set(device, V4L2_CID_MPEG_VIDEO_BITRATE, now, &now);

	if (res == 0)
		tuning->bitrate_kbps = (unsigned)now / 1000;
	return res;
}

/* Some know it by one name, some by the other; some have short ones only. */
static int set_gop(const struct m2m_device *device, struct encoder_tuning *tuning)
{
	int asked = tuning->gop ? (int)MIN(tuning->gop, (unsigned)NO_GOP) : NO_GOP;
	int now = asked, res = set(device, V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, asked, &now);
	int other = set(device, V4L2_CID_MPEG_VIDEO_GOP_SIZE, asked, &now);

	if (res < 0 && other < 0)
		return res;
	if (now != asked)
		tuning->gop = (unsigned)now;
	return 0;
}

static int set_qp(const struct m2m_device *device, const struct encoder_tuning *tuning)
{
	int res = set(device, V4L2_CID_MPEG_VIDEO_H264_MIN_QP, (int)tuning->min_qp, NULL);
	int other = set(device, V4L2_CID_MPEG_VIDEO_H264_MAX_QP, (int)tuning->max_qp, NULL);

	return MIN(res, other);
}

static int set_fps(const struct m2m_device *device, const struct encoder_tuning *tuning)
{
	struct v4l2_streamparm parm = { .type = device->output };

	int res;

	parm.parm.output.timeperframe = (struct v4l2_fract){ 1, tuning->fps };
	res = v4l2_ioctl(device->node.fd, VIDIOC_S_PARM, &parm);
	return res == -ENOTTY ? 0 : res; /* a driver that does not ask */
}

/* ---- all of it */

void m2m_control_setup(const struct m2m_device *device, struct encoder *encoder)
{
	struct encoder_tuning *tuning = &encoder->tuning;

	set_fps(device, tuning);
	/* CBR makes the Pi's encoder hang or wait (raspberrypi/linux #5360, rpicam-apps #509). */
	choose(device, V4L2_CID_MPEG_VIDEO_BITRATE_MODE, V4L2_MPEG_VIDEO_BITRATE_MODE_VBR);
	set(device, V4L2_CID_MPEG_VIDEO_FRAME_RC_ENABLE, 1, NULL);
	set_bitrate(device, tuning); /* coda's default is none at all */
	set_headers(device);
	if (set_gop(device, tuning) < 0)
		log_info("%s decides by itself when to send key frames", device->node.path);
	set(device, V4L2_CID_MPEG_VIDEO_B_FRAMES, 0, NULL);
	set_level(device, encoder->level);
	set_profile(device, encoder);
	set_qp(device, tuning);
}

bool m2m_control_has_key(const struct m2m_device *device)
{
	struct v4l2_queryctrl info;

	return v4l2_control_find(device->node.fd, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, &info) == 0;
}

int m2m_control_force_key(const struct m2m_device *device)
{
	return v4l2_control_set(device->node.fd, V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1);
}

void m2m_control_tune(const struct m2m_device *device, struct encoder *encoder,
	const struct encoder_tuning *tuning)
{
	struct encoder_tuning *now = &encoder->tuning, next = *tuning;

	if (next.fps != now->fps && set_fps(device, &next) == 0)
		now->fps = next.fps;
	if (next.bitrate_kbps != now->bitrate_kbps && set_bitrate(device, &next) == 0)
		now->bitrate_kbps = next.bitrate_kbps;
	if (next.gop != now->gop && set_gop(device, &next) == 0)
		now->gop = next.gop;
	if ((next.min_qp != now->min_qp || next.max_qp != now->max_qp) &&
		set_qp(device, &next) == 0) {
		now->min_qp = next.min_qp;
		now->max_qp = next.max_qp;
	}
}

unsigned m2m_control_least_inputs(const struct m2m_device *device)
{
	int least;

	if (v4l2_control_get(device->node.fd, V4L2_CID_MIN_BUFFERS_FOR_OUTPUT, &least) < 0)
		return 1;
	return (unsigned)CLAMP(least, 1, 8);
}
