/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which hardware and which driver the fake stands for: E2, E4, E18, C1, C7, G38, G39. */
#include "m2m.h"

#include <string.h>

#define MPLANE (V4L2_CAP_VIDEO_M2M_MPLANE | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT)
#define SINGLE (V4L2_CAP_VIDEO_M2M | V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT)

#define BCM2835_RAW                                                                             \
	{                                                                                       \
		V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV21, \
			V4L2_PIX_FMT_RGB565, V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24,            \
			V4L2_PIX_FMT_RGBA32, V4L2_PIX_FMT_BGR32, V4L2_PIX_FMT_YUYV,             \
			V4L2_PIX_FMT_YVYU, V4L2_PIX_FMT_UYVY, V4L2_PIX_FMT_VYUY, M2M_NC12       \
	}

static const char *const rate_modes[] = { "Variable Bitrate", "Constant Bitrate" };
static const char *const header_modes[] = { "Separate Buffer", "Joined With 1st Frame" };
static const char *const profiles[] = { "Baseline", "Constrained Baseline", "Main", "Extended",
	"High" };
static const char *const levels[] = { "1", "1b", "1.1", "1.2", "1.3", "2", "2.1", "2.2", "3", "3.1",
	"3.2", "4", "4.1", "4.2", "5", "5.1" };

#define CONTROL(cid, kind, low, high, by, preset, ...)                                           \
	{                                                                                        \
		.id = V4L2_CID_##cid, .type = V4L2_CTRL_TYPE_##kind, .name = #cid, .min = (low), \
		.max = (high), .step = (by), .def = (preset), __VA_ARGS__                        \
	}

/* In the order in which the driver makes them, which is that of C5. */
static const struct control bcm2835_controls[] = {
	CONTROL(MPEG_VIDEO_BITRATE_MODE, MENU, 0, 1, 0, 0, .menu = rate_modes,
		.flags = V4L2_CTRL_FLAG_UPDATE),
	CONTROL(MPEG_VIDEO_BITRATE, INTEGER, 25000, 25000000, 25000, 10000000),
	CONTROL(MPEG_VIDEO_HEADER_MODE, MENU, 0, 1, 0, 1, .menu = header_modes),
	CONTROL(MPEG_VIDEO_REPEAT_SEQ_HEADER, BOOLEAN, 0, 1, 1, 0),
	CONTROL(MPEG_VIDEO_H264_I_PERIOD, INTEGER, 0, INT32_MAX, 1, 60),
	CONTROL(MPEG_VIDEO_H264_LEVEL, MENU, 0, 15, 0, 11, .menu = levels),
	CONTROL(MPEG_VIDEO_H264_PROFILE, MENU, 0, 4, 0, 4, .menu = profiles, .absent = 1 << 3),
	CONTROL(MPEG_VIDEO_H264_MIN_QP, INTEGER, 0, 51, 1, 20),
	CONTROL(MPEG_VIDEO_H264_MAX_QP, INTEGER, 0, 51, 1, 51),
	CONTROL(MPEG_VIDEO_FORCE_KEY_FRAME, BUTTON, 0, 0, 0, 0,
		.flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
	CONTROL(MPEG_VIDEO_B_FRAMES, INTEGER, 0, 0, 1, 0),
	CONTROL(MPEG_VIDEO_GOP_SIZE, INTEGER, 0, INT32_MAX, 1, 60),
};

/* C7 */
static const struct control old_controls[] = {
	CONTROL(MPEG_VIDEO_BITRATE_MODE, MENU, 0, 1, 0, 0, .menu = rate_modes,
		.flags = V4L2_CTRL_FLAG_UPDATE),
	CONTROL(MPEG_VIDEO_BITRATE, INTEGER, 25000, 25000000, 25000, 10000000),
	CONTROL(MPEG_VIDEO_HEADER_MODE, MENU, 0, 1, 0, 1, .menu = header_modes),
	CONTROL(MPEG_VIDEO_REPEAT_SEQ_HEADER, BOOLEAN, 0, 1, 1, 0),
	CONTROL(MPEG_VIDEO_H264_I_PERIOD, INTEGER, 0, INT32_MAX, 1, 60),
	CONTROL(MPEG_VIDEO_H264_LEVEL, MENU, 0, 13, 0, 11, .menu = levels),
	CONTROL(MPEG_VIDEO_H264_PROFILE, MENU, 0, 4, 0, 4, .menu = profiles, .absent = 1 << 3),
	CONTROL(MPEG_VIDEO_H264_MIN_QP, INTEGER, 0, 51, 1, 20),
	CONTROL(MPEG_VIDEO_H264_MAX_QP, INTEGER, 0, 51, 1, 51),
	CONTROL(MPEG_VIDEO_FORCE_KEY_FRAME, BUTTON, 0, 0, 0, 0,
		.flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
};

static const struct control spec_controls[] = {
	CONTROL(MPEG_VIDEO_GOP_SIZE, INTEGER, 1, 16384, 1, 10),
	CONTROL(MPEG_VIDEO_BITRATE, INTEGER, 1000, 200000000, 1, 4000000),
	CONTROL(MPEG_VIDEO_H264_LEVEL, MENU, 0, 15, 0, 11, .menu = levels),
	CONTROL(MPEG_VIDEO_H264_PROFILE, MENU, 0, 4, 0, 0, .menu = profiles, .absent = 1 << 3),
	CONTROL(MPEG_VIDEO_FORCE_KEY_FRAME, BUTTON, 0, 0, 0, 0,
		.flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
};

/* A bitrate of 0 is no rate control; no H264_I_PERIOD, no REPEAT_SEQ_HEADER. */
static const struct control coda_controls[] = {
	CONTROL(MPEG_VIDEO_BITRATE, INTEGER, 0, 32767000, 1000, 0),
	CONTROL(MPEG_VIDEO_GOP_SIZE, INTEGER, 0, 60, 1, 16),
	CONTROL(MPEG_VIDEO_H264_I_FRAME_QP, INTEGER, 0, 51, 1, 25),
	CONTROL(MPEG_VIDEO_H264_P_FRAME_QP, INTEGER, 0, 51, 1, 25),
	CONTROL(MPEG_VIDEO_H264_MAX_QP, INTEGER, 0, 51, 1, 51),
	CONTROL(MPEG_VIDEO_H264_PROFILE, MENU, 1, 1, 0, 1, .menu = profiles),
	CONTROL(MPEG_VIDEO_H264_LEVEL, MENU, 0, 11, 0, 11, .menu = levels),
	CONTROL(MPEG_VIDEO_HEADER_MODE, MENU, 0, 1, 0, 1, .menu = header_modes, .absent = 1 << 0),
	CONTROL(MPEG_VIDEO_FORCE_KEY_FRAME, BUTTON, 0, 0, 0, 0,
		.flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
};

static const struct control mediatek_controls[] = {
	CONTROL(MPEG_VIDEO_BITRATE, INTEGER, 1, 50000000, 1, 20000000),
	CONTROL(MPEG_VIDEO_B_FRAMES, INTEGER, 0, 2, 1, 0),
	CONTROL(MPEG_VIDEO_FRAME_RC_ENABLE, BOOLEAN, 0, 1, 1, 1),
	CONTROL(MPEG_VIDEO_H264_MAX_QP, INTEGER, 0, 51, 1, 51),
	CONTROL(MPEG_VIDEO_H264_I_PERIOD, INTEGER, 0, 65535, 1, 0),
	CONTROL(MPEG_VIDEO_GOP_SIZE, INTEGER, 0, 65535, 1, 0),
	CONTROL(MPEG_VIDEO_FORCE_KEY_FRAME, BUTTON, 0, 0, 0, 0,
		.flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
	CONTROL(MPEG_VIDEO_HEADER_MODE, MENU, 0, 1, 0, 0, .menu = header_modes),
	CONTROL(MPEG_VIDEO_H264_PROFILE, MENU, 0, 4, 0, 4, .menu = profiles,
		.absent = 1 << 1 | 1 << 3),
	CONTROL(MPEG_VIDEO_H264_LEVEL, MENU, 0, 13, 0, 11, .menu = levels, .absent = 1 << 1),
	CONTROL(MPEG_VIDEO_BITRATE_MODE, MENU, 0, 1, 0, 1, .menu = rate_modes, .absent = 1 << 0),
};

static const struct control venus_controls[] = {
	CONTROL(MPEG_VIDEO_BITRATE_MODE, MENU, 0, 1, 0, 0, .menu = rate_modes),
	CONTROL(MPEG_VIDEO_BITRATE, INTEGER, 1, 160000000, 1, 1000000),
	CONTROL(MPEG_VIDEO_GOP_SIZE, INTEGER, 0, 65535, 1, 30),
	CONTROL(MPEG_VIDEO_H264_PROFILE, MENU, 0, 4, 0, 4, .menu = profiles, .absent = 1 << 3),
	CONTROL(MPEG_VIDEO_H264_LEVEL, MENU, 0, 15, 0, 15, .menu = levels),
	CONTROL(MPEG_VIDEO_H264_MIN_QP, INTEGER, 1, 51, 1, 1),
	CONTROL(MPEG_VIDEO_H264_MAX_QP, INTEGER, 1, 51, 1, 51),
	CONTROL(MPEG_VIDEO_HEADER_MODE, MENU, 0, 1, 0, 1, .menu = header_modes),
	CONTROL(MPEG_VIDEO_FORCE_KEY_FRAME, BUTTON, 0, 0, 0, 0,
		.flags = V4L2_CTRL_FLAG_WRITE_ONLY | V4L2_CTRL_FLAG_EXECUTE_ON_WRITE),
	CONTROL(MIN_BUFFERS_FOR_OUTPUT, INTEGER, 4, 11, 1, 4, .flags = V4L2_CTRL_FLAG_READ_ONLY),
};

#define CONTROLS(list) .controls = (list), .n_controls = ARRAY_SIZE(list)

#define BCM2835_ENCODER                                                                        \
	.driver = "bcm2835-codec", .caps = MPLANE, .mplane = true, .encoder = true,            \
	.raw = BCM2835_RAW, .coded = { V4L2_PIX_FMT_H264, V4L2_PIX_FMT_MJPEG }, .min = 32,     \
	.max_width = 1920, .max_height = 1920, .step = 2, .width_align = 1, .height_align = 1, \
	.min_outputs = 1, .firmware = true

static const struct m2m_variant variants[] = {
	{ .name = "bcm2835",
		.card = "bcm2835-codec-encode",
		.called = "bcm2835-codec-encode",
		BCM2835_ENCODER,
		CONTROLS(bcm2835_controls) },
	{ .name = "bcm2835-old",
		.card = "bcm2835-codec",
		.called = "bcm2835-codec-encode",
		BCM2835_ENCODER,
		CONTROLS(old_controls),
		.yuv32 = true },
	{ .name = "spec",
		.driver = "vicodec",
		.card = "vicodec",
		.called = "stateful-encoder",
		.caps = MPLANE,
		.mplane = true,
		.encoder = true,
		.raw = { V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUYV,
			V4L2_PIX_FMT_UYVY, V4L2_PIX_FMT_RGB24 },
		.coded = { V4L2_PIX_FMT_H264 },
		.min = 64,
		.max_width = 3840,
		.max_height = 2160,
		.step = 8,
		.width_align = 8,
		.height_align = 8,
		.stride_align = 8,
		.min_outputs = 1,
		.drains = true,
		.counts = true,
		CONTROLS(spec_controls) },
	{ .name = "coda",
		.driver = "coda",
		.card = "CODA960",
		.called = "coda-video-encoder",
		.caps = SINGLE,
		.encoder = true,
		.raw = { V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YVU420 },
		.coded = { V4L2_PIX_FMT_H264 },
		.min = 48,
		.max_width = 1920,
		.max_height = 1088,
		.step = 1,
		.width_align = 16,
		.height_align = 2,
		.stride_align = 16,
		.min_outputs = 1,
		.drains = true,
		.counts = true,
		CONTROLS(coda_controls) },
	{ .name = "mediatek",
		.driver = "mtk-vcodec-enc",
		.card = "platform:mt8183",
		.called = "mtk-vcodec-enc",
		.caps = MPLANE,
		.mplane = true,
		.encoder = true,
		.raw = { V4L2_PIX_FMT_NV12M, V4L2_PIX_FMT_NV21M, V4L2_PIX_FMT_YUV420M,
			V4L2_PIX_FMT_YVU420M },
		.coded = { V4L2_PIX_FMT_H264 },
		.min = 160,
		.max_width = 1920,
		.max_height = 1088,
		.step = 16,
		.width_align = 16,
		.height_align = 32,
		.stride_align = 16,
		.min_outputs = 1,
		.drains = true,
		.counts = true,
		CONTROLS(mediatek_controls) },
	{ .name = "venus",
		.driver = "qcom-venus",
		.card = "Qualcomm Venus video encoder",
		.called = "qcom-venus-encoder",
		.caps = MPLANE,
		.mplane = true,
		.encoder = true,
		.raw = { V4L2_PIX_FMT_NV12 },
		.coded = { V4L2_PIX_FMT_H264 },
		.min = 96,
		.max_width = 3840,
		.max_height = 2176,
		.step = 16,
		.width_align = 128,
		.height_align = 32,
		.stride_align = 128,
		.min_outputs = 4,
		.drains = true,
		.counts = true,
		CONTROLS(venus_controls) },
	/* Nodes that a client has to pass by. */
	{ .name = "pi5",
		.driver = "pispbe",
		.card = "pispbe",
		.called = "pispbe-input",
		.caps = V4L2_CAP_VIDEO_CAPTURE_MPLANE | V4L2_CAP_VIDEO_OUTPUT_MPLANE |
			V4L2_CAP_STREAMING,
		.mplane = true,
		.raw = { V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_NV12 },
		.coded = { V4L2_PIX_FMT_YUV420 } },
	{ .name = "decoder",
		.driver = "bcm2835-codec",
		.card = "bcm2835-codec-decode",
		.called = "bcm2835-codec-decode",
		.caps = MPLANE,
		.mplane = true,
		.raw = { V4L2_PIX_FMT_H264, V4L2_PIX_FMT_MJPEG },
		.coded = { V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_NV12 } },
	{ .name = "isp",
		.driver = "bcm2835-codec",
		.card = "bcm2835-codec-isp",
		.called = "bcm2835-codec-isp",
		.caps = MPLANE,
		.mplane = true,
		.raw = BCM2835_RAW,
		.coded = { V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_NV12 } },
	{ .name = "image",
		.driver = "bcm2835-codec",
		.card = "bcm2835-codec-encode_image",
		.called = "bcm2835-codec-encode_image",
		.caps = MPLANE,
		.mplane = true,
		.raw = { V4L2_PIX_FMT_RGB565, V4L2_PIX_FMT_YUV420 },
		.coded = { V4L2_PIX_FMT_JPEG } },
};

const struct m2m_variant *m2m_variant_named(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(variants); i++)
		if (!strcmp(variants[i].name, name))
			return &variants[i];
	return NULL;
}
