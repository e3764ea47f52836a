/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Controls of the encoders, and what the firmware makes of them: C1 to C10, G3, G4. */
#include "m2m.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CID(name) V4L2_CID_MPEG_VIDEO_##name

struct level {
	uint32_t blocks, blocks_per_s, kbps; /* Table A-1; kbit/s of Baseline and Main */
	uint32_t idc;
};

/* By the menu's number. */
static const struct level levels[] = {
	{ 99, 1485, 64, 10 },
	{ 99, 1485, 128, 9 },
	{ 396, 3000, 192, 11 },
	{ 396, 6000, 384, 12 },
	{ 396, 11880, 768, 13 },
	{ 396, 11880, 2000, 20 },
	{ 792, 19800, 4000, 21 },
	{ 1620, 20250, 4000, 22 },
	{ 1620, 40500, 10000, 30 },
	{ 3600, 108000, 14000, 31 },
	{ 5120, 216000, 20000, 32 },
	{ 8192, 245760, 20000, 40 },
	{ 8192, 245760, 50000, 41 },
	{ 8704, 522240, 50000, 42 },
	{ 22080, 589824, 135000, 50 },
	{ 36864, 983040, 240000, 51 },
};

static int by_id(const void *a, const void *b)
{
	uint32_t left = ((const struct control *)a)->id, right = ((const struct control *)b)->id;

	return left < right ? -1 : left > right;
}

/* A copy for each handle, by growing id, with the heading that the framework adds (C1). */
void m2m_controls_init(struct m2m_ctx *ctx)
{
	const struct m2m_variant *variant = ctx->variant;
	struct control *list = calloc(variant->n_controls + 1, sizeof(*list));

	if (!list)
		abort();
	for (unsigned i = 0; i < variant->n_controls; i++) {
		list[i] = variant->controls[i];
		list[i].value = list[i].applied = list[i].def;
	}
	ctx->h->controls = list;
	ctx->h->n_controls = variant->n_controls;
	if (variant->n_controls)
		list[ctx->h->n_controls++] = (struct control){
			.id = V4L2_CID_CODEC_CLASS,
			.type = V4L2_CTRL_TYPE_CTRL_CLASS,
			.flags = V4L2_CTRL_FLAG_READ_ONLY | V4L2_CTRL_FLAG_WRITE_ONLY,
			.name = "Codec Controls",
		};
	qsort(list, ctx->h->n_controls, sizeof(*list), by_id);
}

int32_t m2m_applied(const struct m2m_ctx *ctx, uint32_t id, int32_t fallback)
{
	const struct control *c = control_find(ctx->h, id);

	return c ? c->applied : fallback;
}

/* One number in the firmware has two controls; the last one that was told holds (C6). */
static void apply_period(struct m2m_ctx *ctx, const struct control *c, int32_t value)
{
	struct control *gop = control_find(ctx->h, CID(GOP_SIZE));
	struct control *period = control_find(ctx->h, CID(H264_I_PERIOD));

	if (!gop || !period)
		return;
	gop->applied = period->applied = value;
	if (c == period)
		gop->value = value;
}

/* Profile, level and headers are settled when the stream begins (C8). */
static bool is_settled(const struct m2m_ctx *ctx, uint32_t id)
{
	return (ctx->out.streaming || ctx->cap.streaming) &&
	       (id == CID(H264_LEVEL) || id == CID(H264_PROFILE) || id == CID(HEADER_MODE));
}

static int apply(struct m2m_ctx *ctx, struct control *c, int32_t value)
{
	if (c->id == ctx->m2m->rejected)
		return -EINVAL;
	if (c->id == CID(FORCE_KEY_FRAME)) {
		ctx->force_key = true;
		ctx->m2m->count.forced++;
		return 0;
	}
	if (is_settled(ctx, c->id))
		return ctx->variant->firmware ? -EINVAL : -EBUSY;
	c->applied = value;
	if (c->id == CID(H264_I_PERIOD) || c->id == CID(GOP_SIZE))
		apply_period(ctx, c, value);
	return 0;
}

int m2m_control(struct handle *h, struct control *c, int32_t value)
{
	struct m2m_ctx *ctx = ctx_of(h);
	struct control *gop = control_find(h, CID(GOP_SIZE));

	if (ctx->variant->firmware && !ctx->component) {
		if (c->id == CID(H264_I_PERIOD) && gop)
			gop->value = value;
		return 0; /* stored only; a button is forgotten (C4) */
	}
	if (m2m_vpu_ask(ctx) < 0)
		return -EINVAL;
	return apply(ctx, c, value);
}

void m2m_controls_replay(struct m2m_ctx *ctx)
{
	for (unsigned i = 0; i < ctx->variant->n_controls; i++) {
		struct control *c = control_find(ctx->h, ctx->variant->controls[i].id);

		if (c->type == V4L2_CTRL_TYPE_BUTTON)
			continue;
		if (apply(ctx, c, c->value) < 0)
			return;
	}
}

/* The period's control that the variant has; 0: never again. */
static uint32_t period_of(const struct m2m_ctx *ctx)
{
	int32_t gop = m2m_applied(ctx, CID(GOP_SIZE), 0);

	return (uint32_t)m2m_applied(ctx, CID(H264_I_PERIOD), gop);
}

void m2m_settings_get(const struct m2m_ctx *ctx, struct m2m_settings *out)
{
	uint32_t level = (uint32_t)m2m_applied(ctx, CID(H264_LEVEL), 11);

	*out = (struct m2m_settings){
		.format = ctx->raw.fourcc,
		.width = ctx->crop_width,
		.height = ctx->crop_height,
		.stride = ctx->raw.stride[0],
		.fps_num = ctx->fps_num,
		.fps_den = ctx->fps_den,
		.bitrate = (uint32_t)m2m_applied(ctx, CID(BITRATE), 4000000),
		.gop = period_of(ctx),
		.profile = (uint32_t)m2m_applied(ctx, CID(H264_PROFILE), 0),
		.level = levels[level].idc,
		.min_qp = (uint32_t)m2m_applied(ctx, CID(H264_MIN_QP), 0),
		.max_qp = (uint32_t)m2m_applied(ctx, CID(H264_MAX_QP), 51),
		.quant = (uint32_t)m2m_applied(ctx, CID(H264_I_FRAME_QP), 25),
		.colour = ctx->m2m->colour,
		.repeat = m2m_applied(ctx, CID(REPEAT_SEQ_HEADER), 0),
		.separate = !m2m_applied(ctx, CID(HEADER_MODE), 1),
	};
}

int m2m_check_level(const struct m2m_ctx *ctx)
{
	const struct level *level = &levels[m2m_applied(ctx, CID(H264_LEVEL), 11)];
	int32_t profile = m2m_applied(ctx, CID(H264_PROFILE), 0);
	uint64_t blocks = (uint64_t)((ctx->crop_width + 15) / 16) * ((ctx->crop_height + 15) / 16);
	uint64_t kbps = (uint64_t)m2m_applied(ctx, CID(BITRATE), 0) / 1000;
	bool high = profile == V4L2_MPEG_VIDEO_H264_PROFILE_HIGH;

	if (blocks > level->blocks ||
		blocks * ctx->fps_num > (uint64_t)level->blocks_per_s * ctx->fps_den ||
		kbps > (high ? level->kbps * 5ULL / 4 : level->kbps))
		return -ESRCH;
	/* G4: CABAC and a constant rate */
	if (high && m2m_applied(ctx, CID(BITRATE_MODE), 0) == V4L2_MPEG_VIDEO_BITRATE_MODE_CBR)
		return -ESRCH;
	return 0;
}
