/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Crop and rate: E16, E17. */
#include "m2m.h"

#include <errno.h>
#include <string.h>

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Both kinds of types are accepted here; before 4.13 drivers got them as they were, and knew one. */
static bool selects_output(const struct m2m_ctx *ctx, uint32_t type)
{
	return type == V4L2_BUF_TYPE_VIDEO_OUTPUT ||
	       (type == V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE && !ctx->m2m->pre2017);
}

int m2m_g_selection(struct handle *h, void *arg)
{
	const struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_selection *s = arg;

	if (!selects_output(ctx, s->type))
		return -EINVAL;
	switch (s->target) {
	case V4L2_SEL_TGT_CROP:
		s->r = (struct v4l2_rect){ 0, 0, ctx->crop_width, ctx->crop_height };
		return 0;
	case V4L2_SEL_TGT_CROP_DEFAULT:
	case V4L2_SEL_TGT_CROP_BOUNDS:
		s->r = (struct v4l2_rect){ 0, 0, ctx->raw.width, ctx->raw.height };
		if (ctx->variant->firmware)
			s->r.width = ctx->raw.stride[0]; /* bytes, E16 */
		return 0;
	default: return -EINVAL;
	}
}

int m2m_s_selection(struct handle *h, void *arg)
{
	struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_selection *s = arg;

	if (!selects_output(ctx, s->type) || s->target != V4L2_SEL_TGT_CROP)
		return -EINVAL;
	s->r.left = s->r.top = 0;
	s->r.width = least(s->r.width, ctx->raw.width);
	s->r.height = least(s->r.height, ctx->raw.height);
	ctx->crop_width = s->r.width;
	ctx->crop_height = s->r.height;
	ctx->crop_set = true;
	return 0;
}

int m2m_g_parm(struct handle *h, void *arg)
{
	const struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_streamparm *p = arg;

	if (!m2m_is_output(ctx, p->type))
		return -EINVAL;
	memset(&p->parm, 0, sizeof(p->parm));
	p->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	p->parm.output.timeperframe = (struct v4l2_fract){ ctx->fps_den, ctx->fps_num };
	return 0;
}

/* E17: never rounded. */
int m2m_s_parm(struct handle *h, void *arg)
{
	struct m2m_ctx *ctx = ctx_of(h);
	const struct v4l2_streamparm *p = arg;
	struct v4l2_fract time = p->parm.output.timeperframe;
	int res;

	if (!m2m_is_output(ctx, p->type) || !time.numerator || !time.denominator)
		return -EINVAL;
	if (ctx->out.streaming && (res = m2m_vpu_ask(ctx)) < 0)
		return res;
	ctx->fps_num = time.denominator;
	ctx->fps_den = time.numerator;
	return m2m_g_parm(h, arg);
}
