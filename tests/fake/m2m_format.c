/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Formats, sizes and strides: E3 to E15. */
#include "m2m.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct layout {
	uint32_t fourcc;
	const char *name;
	uint8_t memories, depth; /* planes of their own; bytes for a pixel in the first */
	bool chroma;             /* 4:2:0 planes follow the first */
	uint8_t align;           /* bytes a line, of bcm2835 (E9) */
};

static const struct layout layouts[] = {
	{ V4L2_PIX_FMT_YUV420, "Planar YUV 4:2:0", 1, 1, true, 64 },
	{ V4L2_PIX_FMT_YVU420, "Planar YVU 4:2:0", 1, 1, true, 64 },
	{ V4L2_PIX_FMT_NV12, "Y/CbCr 4:2:0", 1, 1, true, 32 },
	{ V4L2_PIX_FMT_NV21, "Y/CrCb 4:2:0", 1, 1, true, 32 },
	{ V4L2_PIX_FMT_NV12M, "Y/CbCr 4:2:0 (N-C)", 2, 1, true, 16 },
	{ V4L2_PIX_FMT_NV21M, "Y/CrCb 4:2:0 (N-C)", 2, 1, true, 16 },
	{ V4L2_PIX_FMT_YUV420M, "Planar YUV 4:2:0 (N-C)", 3, 1, true, 16 },
	{ V4L2_PIX_FMT_YVU420M, "Planar YVU 4:2:0 (N-C)", 3, 1, true, 16 },
	{ V4L2_PIX_FMT_RGB565, "16-bit RGB 5-6-5", 1, 2, false, 32 },
	{ V4L2_PIX_FMT_RGB24, "24-bit RGB 8-8-8", 1, 3, false, 32 },
	{ V4L2_PIX_FMT_BGR24, "24-bit BGR 8-8-8", 1, 3, false, 32 },
	{ V4L2_PIX_FMT_RGBA32, "32-bit RGBA 8-8-8-8", 1, 4, false, 64 },
	{ V4L2_PIX_FMT_BGR32, "32-bit BGRA/X 8-8-8-8", 1, 4, false, 64 },
	{ V4L2_PIX_FMT_YUYV, "YUYV 4:2:2", 1, 2, false, 64 },
	{ V4L2_PIX_FMT_YVYU, "YVYU 4:2:2", 1, 2, false, 64 },
	{ V4L2_PIX_FMT_UYVY, "UYVY 4:2:2", 1, 2, false, 64 },
	{ V4L2_PIX_FMT_VYUY, "VYUY 4:2:2", 1, 2, false, 64 },
	{ M2M_NC12, "Y/CbCr 4:2:0 (128b cols)", 1, 1, true, 32 },
	{ V4L2_PIX_FMT_H264, "H.264", 1, 0, false, 0 },
	{ V4L2_PIX_FMT_MJPEG, "Motion-JPEG", 1, 0, false, 0 },
	{ V4L2_PIX_FMT_JPEG, "JFIF JPEG", 1, 0, false, 0 },
};

static const struct layout *layout_of(uint32_t fourcc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++)
		if (layouts[i].fourcc == fourcc)
			return &layouts[i];
	return NULL;
}

static uint32_t align(uint32_t value, uint32_t to)
{
	return to ? (value + to - 1) / to * to : value;
}

bool m2m_is_output(const struct m2m_ctx *ctx, uint32_t type)
{
	return type == ctx->out.type;
}

bool m2m_is_capture(const struct m2m_ctx *ctx, uint32_t type)
{
	return type == ctx->cap.type;
}

static bool has(const uint32_t *list, unsigned max, uint32_t fourcc)
{
	for (unsigned i = 0; i < max && list[i]; i++)
		if (list[i] == fourcc)
			return true;
	return false;
}

static bool knows(const struct m2m_variant *variant, uint32_t fourcc)
{
	return has(variant->raw, RAW_MAX, fourcc) ||
	       has(variant->coded, ARRAY_SIZE(variant->coded), fourcc);
}

int m2m_enum_fmt(struct handle *h, void *arg)
{
	const struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_fmtdesc *f = arg;
	bool output = m2m_is_output(ctx, f->type);
	const uint32_t *list = output ? ctx->variant->raw : ctx->variant->coded;
	unsigned max = output ? RAW_MAX : ARRAY_SIZE(ctx->variant->coded);
	const struct layout *layout;

	if ((!output && !m2m_is_capture(ctx, f->type)) || f->index >= max || !list[f->index])
		return -EINVAL;
	layout = layout_of(list[f->index]);
	f->pixelformat = layout->fourcc;
	f->flags = layout->depth ? 0 : V4L2_FMT_FLAG_COMPRESSED;
	snprintf((char *)f->description, sizeof(f->description), "%s", layout->name);
	return 0;
}

int m2m_enum_framesizes(struct handle *h, void *arg)
{
	const struct m2m_variant *variant = ctx_of(h)->variant;
	struct v4l2_frmsizeenum *f = arg;

	if (f->index || !knows(variant, f->pixel_format))
		return -EINVAL;
	f->type = V4L2_FRMSIZE_TYPE_STEPWISE;
	f->stepwise = (struct v4l2_frmsize_stepwise){ variant->min, variant->max_width,
		variant->step, variant->min, variant->max_height, variant->step };
	return 0;
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* E7 to E10 */
static void fit_raw(const struct m2m_variant *variant, struct m2m_format *f)
{
	const struct layout *layout;
	uint32_t to, luma;

	if (!has(variant->raw, RAW_MAX, f->fourcc))
		f->fourcc = variant->raw[0];
	layout = layout_of(f->fourcc);
	f->width = align(clamp(f->width, variant->min, variant->max_width), variant->width_align);
	f->height = align(clamp(f->height, variant->min, variant->max_height),
		variant->height_align);
	to = variant->stride_align ? variant->stride_align : layout->align;
	if (variant->yuv32 && layout->depth == 2)
		to = 32;
	f->stride[0] = align(clamp(f->stride[0], f->width * layout->depth, 65536), to);
	f->n_planes = layout->memories;
	luma = f->stride[0] * f->height;
	f->size[0] = layout->chroma && layout->memories == 1 ? luma * 3 / 2 : luma;
	for (unsigned i = 1; i < f->n_planes; i++) {
		f->stride[i] = layout->memories == 2 ? f->stride[0] : f->stride[0] / 2;
		f->size[i] = layout->memories == 2 ? luma / 2 : luma / 4;
	}
	if (f->fourcc != M2M_NC12)
		return;
	f->stride[0] = align(f->height * 3 / 2, to);
	f->size[0] = align(f->width, 128) * f->stride[0];
}

/* E7, E8, E11 */
static void fit_coded(const struct m2m_ctx *ctx, struct m2m_format *f)
{
	const struct m2m_variant *variant = ctx->variant;
	uint32_t least;

	if (!has(variant->coded, ARRAY_SIZE(variant->coded), f->fourcc))
		f->fourcc = variant->coded[0];
	if (!variant->firmware) {
		f->width = ctx->raw.width;
		f->height = ctx->raw.height;
	}
	f->width = clamp(f->width, 0, variant->max_width);
	f->height = clamp(f->height, 0, variant->max_height);
	least = f->width * f->height > 1280 * 720 ? 768 << 10 : 512 << 10;
	f->n_planes = 1;
	f->stride[0] = 0;
	f->size[0] = clamp(f->size[0], least, 64 << 20);
	if (ctx->m2m->split)
		f->size[0] = ctx->m2m->split;
}

static void fit(const struct m2m_ctx *ctx, bool output, struct m2m_format *f)
{
	if (output)
		fit_raw(ctx->variant, f);
	else
		fit_coded(ctx, f);
}

static struct m2m_format read_client(const struct m2m_ctx *ctx, const struct v4l2_format *f)
{
	const struct v4l2_pix_format_mplane *mp = &f->fmt.pix_mp;
	const struct v4l2_pix_format *sp = &f->fmt.pix;

	if (!ctx->variant->mplane)
		return (struct m2m_format){ .fourcc = sp->pixelformat,
			.width = sp->width,
			.height = sp->height,
			.stride = { sp->bytesperline },
			.size = { sp->sizeimage } };
	return (struct m2m_format){ .fourcc = mp->pixelformat,
		.width = mp->width,
		.height = mp->height,
		.stride = { mp->plane_fmt[0].bytesperline },
		.size = { mp->plane_fmt[0].sizeimage } };
}

static void write_client(const struct m2m_ctx *ctx, const struct m2m_format *from,
	const uint32_t colour[4], struct v4l2_format *to)
{
	struct v4l2_pix_format_mplane *mp = &to->fmt.pix_mp;

	if (!ctx->variant->mplane) {
		to->fmt.pix = (struct v4l2_pix_format){ .width = from->width,
			.height = from->height,
			.pixelformat = from->fourcc,
			.field = V4L2_FIELD_NONE,
			.bytesperline = from->stride[0],
			.sizeimage = from->size[0],
			.colorspace = colour[0],
			.priv = V4L2_PIX_FMT_PRIV_MAGIC,
			.ycbcr_enc = colour[1],
			.quantization = colour[2],
			.xfer_func = colour[3] };
		return;
	}
	*mp = (struct v4l2_pix_format_mplane){ .width = from->width,
		.height = from->height,
		.pixelformat = from->fourcc,
		.field = V4L2_FIELD_NONE,
		.colorspace = colour[0],
		.num_planes = (uint8_t)from->n_planes,
		.ycbcr_enc = (uint8_t)colour[1],
		.quantization = (uint8_t)colour[2],
		.xfer_func = (uint8_t)colour[3] };
	for (unsigned i = 0; i < from->n_planes; i++) {
		mp->plane_fmt[i].sizeimage = from->size[i];
		mp->plane_fmt[i].bytesperline = from->stride[i];
	}
}

/* E13: one colour description for both queues; the last S_FMT wins. */
static void read_colour(const struct m2m_ctx *ctx, const struct v4l2_format *f, bool output,
	uint32_t colour[4])
{
	const struct v4l2_pix_format_mplane *mp = &f->fmt.pix_mp;
	const struct v4l2_pix_format *sp = &f->fmt.pix;
	uint32_t from_mp[4] = { mp->colorspace, mp->ycbcr_enc, mp->quantization, mp->xfer_func };
	uint32_t from_sp[4] = { sp->colorspace, sp->ycbcr_enc, sp->quantization, sp->xfer_func };

	const uint32_t *from = ctx->variant->mplane ? from_mp : from_sp;

	memmove(colour, output && !from[0] ? ctx->colorspace : from, sizeof(from_mp));
}

int m2m_try_fmt(struct handle *h, void *arg)
{
	const struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_format *f = arg;
	bool output = m2m_is_output(ctx, f->type);
	struct m2m_format format = read_client(ctx, f);
	uint32_t colour[4];

	if (!output && !m2m_is_capture(ctx, f->type))
		return -EINVAL;
	fit(ctx, output, &format);
	read_colour(ctx, f, output, colour);
	write_client(ctx, &format, colour, f);
	return 0;
}

int m2m_g_fmt(struct handle *h, void *arg)
{
	const struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_format *f = arg;
	bool output = m2m_is_output(ctx, f->type);
	struct m2m_format format = output ? ctx->raw : ctx->coded;

	if (!output && !m2m_is_capture(ctx, f->type))
		return -EINVAL;
	if (output && ctx->variant->firmware)
		format.width = ctx->crop_width; /* E15 */
	write_client(ctx, &format, ctx->colorspace, f);
	return 0;
}

static void use_raw(struct m2m_ctx *ctx, const struct m2m_format *format)
{
	ctx->raw = *format;
	ctx->crop_width = format->width;
	if (!ctx->crop_set || !ctx->variant->firmware)
		ctx->crop_height = format->height; /* E16 */
	if (!ctx->variant->firmware)
		fit_coded(ctx, &ctx->coded);
	ctx->out.n_planes = format->n_planes;
	memcpy(ctx->out.sizes, format->size, sizeof(ctx->out.sizes));
}

static void use_coded(struct m2m_ctx *ctx, const struct m2m_format *format)
{
	ctx->coded = *format;
	ctx->cap.n_planes = 1;
	ctx->cap.sizes[0] = format->size[0];
}

int m2m_s_fmt(struct handle *h, void *arg)
{
	struct m2m_ctx *ctx = ctx_of(h);
	struct v4l2_format *f = arg;
	bool output = m2m_is_output(ctx, f->type);
	struct m2m_format format = read_client(ctx, f);

	if (!output && !m2m_is_capture(ctx, f->type))
		return -EINVAL; /* E3 */
	if ((output ? &ctx->out : &ctx->cap)->count)
		return -EBUSY; /* E14 */
	if (ctx->component && m2m_vpu_ask(ctx) < 0)
		return -EINVAL;
	if (ctx->variant->firmware && output && ((format.width | format.height) & 1))
		m2m_refuse(ctx, "E8", 0, "S_FMT of an odd size: its chroma is undefined");
	fit(ctx, output, &format);
	if (output)
		use_raw(ctx, &format);
	else
		use_coded(ctx, &format);
	read_colour(ctx, f, output, ctx->colorspace);
	write_client(ctx, &format, ctx->colorspace, f);
	return 0;
}

/* E6; the other variants begin with their smallest picture. */
void m2m_formats_init(struct m2m_ctx *ctx)
{
	bool mplane = ctx->variant->mplane;

	ctx->out.output = true;
	ctx->out.type = mplane ? V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE : V4L2_BUF_TYPE_VIDEO_OUTPUT;
	ctx->cap.type = mplane ? V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE : V4L2_BUF_TYPE_VIDEO_CAPTURE;
	ctx->fps_num = 30;
	ctx->fps_den = 1;
	ctx->colorspace[0] = V4L2_COLORSPACE_REC709;
	ctx->coded.width = ctx->coded.height = 32;
	if (!ctx->variant->encoder)
		return;
	fit_raw(ctx->variant, &ctx->raw);
	use_raw(ctx, &ctx->raw);
	fit_coded(ctx, &ctx->coded);
	use_coded(ctx, &ctx->coded);
}
