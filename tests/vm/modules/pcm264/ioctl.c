// SPDX-License-Identifier: GPL-2.0-only
/*
 * Formats and commands. All is done for the multi-planar API with its one plane in memory; the
 * single-planar functions translate.
 */
#include <linux/dma-buf.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "parameters.h"
#include "pcm264.h"

MODULE_IMPORT_NS(DMA_BUF);

#define MOST_CODED_BYTES (64U << 20)

static bool is_raw(u32 type)
{
	return V4L2_TYPE_IS_OUTPUT(type);
}

static int query_capabilities(struct file *file, void *fh, struct v4l2_capability *cap)
{
	strscpy(cap->driver, parameters.driver, sizeof(cap->driver));
	strscpy(cap->card, parameters.card, sizeof(cap->card));
	strscpy(cap->bus_info, "platform:pcm264", sizeof(cap->bus_info));
	return 0;
}

static bool is_offered(const struct raw_format *format)
{
	return strlen(parameters.only) < 4 ||
	       !strncmp((const char *)&format->fourcc, parameters.only, 4);
}

/* The nth that is offered, or NULL. */
static const struct raw_format *offered(unsigned int n)
{
	const struct raw_format *format;
	unsigned int i;

	for (i = 0; (format = format_at(i)); i++) {
		if (is_offered(format) && n-- == 0)
			return format;
	}
	return NULL;
}

static int enum_coded(struct file *file, void *fh, struct v4l2_fmtdesc *desc)
{
	if (desc->index)
		return -EINVAL;
	desc->pixelformat = V4L2_PIX_FMT_H264;
	return 0;
}

static int enum_raw(struct file *file, void *fh, struct v4l2_fmtdesc *desc)
{
	const struct raw_format *format = offered(desc->index);

	if (!format)
		return -EINVAL;
	desc->pixelformat = format->fourcc;
	return 0;
}

static int enum_sizes(struct file *file, void *fh, struct v4l2_frmsizeenum *size)
{
	if (size->index ||
		(size->pixel_format != V4L2_PIX_FMT_H264 && !format_find(size->pixel_format)))
		return -EINVAL;
	size->type = V4L2_FRMSIZE_TYPE_STEPWISE;
	size->stepwise = (struct v4l2_frmsize_stepwise){ 32, parameters.most_pixels, 2, 32,
		parameters.most_pixels, 2 };
	return 0;
}

static void get_colours(const struct instance *instance, struct v4l2_pix_format_mplane *pix)
{
	pix->colorspace = instance->colorspace;
	pix->ycbcr_enc = instance->ycbcr_enc;
	pix->xfer_func = instance->xfer_func;
	pix->quantization = instance->quantization;
}

static int get_format(struct file *file, void *fh, struct v4l2_format *fmt)
{
	struct instance *instance = instance_of(file);
	struct v4l2_pix_format_mplane *pix = &fmt->fmt.pix_mp;
	bool raw = is_raw(fmt->type);

	pix->width = raw ? instance->raw.width : instance->coded_width;
	pix->height = raw ? instance->raw.height : instance->coded_height;
	pix->pixelformat = raw ? instance->raw.format->fourcc : V4L2_PIX_FMT_H264;
	pix->field = V4L2_FIELD_NONE;
	pix->num_planes = 1;
	pix->plane_fmt[0].bytesperline = raw ? instance->raw.stride : 0;
	pix->plane_fmt[0].sizeimage = raw ? instance->raw.size : instance->coded_size;
	get_colours(instance, pix);
	return 0;
}

static void try_raw(struct v4l2_pix_format_mplane *pix, struct raw_layout *layout)
{
	const struct raw_format *format = format_find(pix->pixelformat);

	if (!format || !is_offered(format))
		format = offered(0) ?: format_at(0);
	*layout = (struct raw_layout){ .format = format,
		.width = pix->width,
		.height = pix->height,
		.stride = pix->plane_fmt[0].bytesperline };
	layout_adjust(layout, parameters.most_pixels, parameters.height_alignment);
	pix->pixelformat = format->fourcc;
	pix->width = layout->width;
	pix->height = layout->height;
	pix->plane_fmt[0].bytesperline = layout->stride;
	pix->plane_fmt[0].sizeimage = layout->size;
	if (pix->colorspace == V4L2_COLORSPACE_DEFAULT)
		pix->colorspace = V4L2_COLORSPACE_REC709;
}

static u32 coded_bytes(const struct instance *instance, u32 wanted)
{
	u32 least = parameters.capture_size
			    ?: (u32)stream_most_bytes(instance->raw.width, instance->raw.height);

	return PAGE_ALIGN(max(wanted <= MOST_CODED_BYTES ? wanted : 0, least));
}

static void try_coded(const struct instance *instance, struct v4l2_pix_format_mplane *pix)
{
	pix->pixelformat = V4L2_PIX_FMT_H264;
	pix->width = clamp_t(u32, pix->width, 32, parameters.most_pixels) & ~1U;
	pix->height = clamp_t(u32, pix->height, 32, parameters.most_pixels) & ~1U;
	pix->plane_fmt[0].bytesperline = 0;
	pix->plane_fmt[0].sizeimage = coded_bytes(instance, pix->plane_fmt[0].sizeimage);
	get_colours(instance, pix);
}

static int try_format(struct file *file, void *fh, struct v4l2_format *fmt)
{
	struct v4l2_pix_format_mplane *pix = &fmt->fmt.pix_mp;
	struct raw_layout layout;

	pix->field = V4L2_FIELD_NONE;
	pix->num_planes = 1;
	if (is_raw(fmt->type))
		try_raw(pix, &layout);
	else
		try_coded(instance_of(file), pix);
	return 0;
}

static void set_raw(struct instance *instance, struct v4l2_pix_format_mplane *pix)
{
	try_raw(pix, &instance->raw);
	instance->crop = (struct v4l2_rect){ 0, 0, pix->width, pix->height };
	instance->colorspace = pix->colorspace;
	instance->ycbcr_enc = pix->ycbcr_enc;
	instance->xfer_func = pix->xfer_func;
	instance->quantization = pix->quantization;
	instance->coded_width = pix->width;
	instance->coded_height = pix->height;
	if (!vb2_is_busy(&instance->fh.m2m_ctx->cap_q_ctx.q))
		instance->coded_size = coded_bytes(instance, instance->coded_size);
}

static int set_format(struct file *file, void *fh, struct v4l2_format *fmt)
{
	struct instance *instance = instance_of(file);

	if (vb2_is_busy(v4l2_m2m_get_vq(instance->fh.m2m_ctx, fmt->type)))
		return -EBUSY;
	try_format(file, fh, fmt);
	if (is_raw(fmt->type)) {
		set_raw(instance, &fmt->fmt.pix_mp);
	} else {
		instance->coded_width = fmt->fmt.pix_mp.width;
		instance->coded_height = fmt->fmt.pix_mp.height;
		instance->coded_size = fmt->fmt.pix_mp.plane_fmt[0].sizeimage;
	}
	return 0;
}

/* One function for the single-planar API out of one for the multi-planar. */
static int translate(struct file *file, void *fh, struct v4l2_format *fmt,
	int (*function)(struct file *, void *, struct v4l2_format *))
{
	struct v4l2_pix_format *pix = &fmt->fmt.pix;
	struct v4l2_format multi = { .type = fmt->type };
	struct v4l2_pix_format_mplane *to = &multi.fmt.pix_mp;
	int res;

	to->width = pix->width;
	to->height = pix->height;
	to->pixelformat = pix->pixelformat;
	to->plane_fmt[0].bytesperline = pix->bytesperline;
	to->plane_fmt[0].sizeimage = pix->sizeimage;
	to->colorspace = pix->colorspace;
	to->ycbcr_enc = pix->ycbcr_enc;
	to->xfer_func = pix->xfer_func;
	to->quantization = pix->quantization;
	res = function(file, fh, &multi);
	*pix = (struct v4l2_pix_format){ .width = to->width,
		.height = to->height,
		.pixelformat = to->pixelformat,
		.field = to->field,
		.bytesperline = to->plane_fmt[0].bytesperline,
		.sizeimage = to->plane_fmt[0].sizeimage,
		.colorspace = to->colorspace,
		.priv = V4L2_PIX_FMT_PRIV_MAGIC,
		.ycbcr_enc = to->ycbcr_enc,
		.quantization = to->quantization,
		.xfer_func = to->xfer_func };
	return res;
}

static int get_single(struct file *file, void *fh, struct v4l2_format *fmt)
{
	return translate(file, fh, fmt, get_format);
}

static int try_single(struct file *file, void *fh, struct v4l2_format *fmt)
{
	return translate(file, fh, fmt, try_format);
}

static int set_single(struct file *file, void *fh, struct v4l2_format *fmt)
{
	return translate(file, fh, fmt, set_format);
}

static int get_selection(struct file *file, void *fh, struct v4l2_selection *selection)
{
	struct instance *instance = instance_of(file);

	if (!is_raw(selection->type))
		return -EINVAL;
	switch (selection->target) {
	case V4L2_SEL_TGT_CROP: selection->r = instance->crop; return 0;
	case V4L2_SEL_TGT_CROP_DEFAULT:
	case V4L2_SEL_TGT_CROP_BOUNDS:
		selection->r = (struct v4l2_rect){ 0, 0, instance->raw.width,
			instance->raw.height };
		return 0;
	default: return -EINVAL;
	}
}

static int set_selection(struct file *file, void *fh, struct v4l2_selection *selection)
{
	struct instance *instance = instance_of(file);
	struct v4l2_rect *rect = &selection->r;

	if (!is_raw(selection->type) || selection->target != V4L2_SEL_TGT_CROP)
		return -EINVAL;
	rect->left = rect->top = 0;
	rect->width = clamp_t(u32, rect->width, 32, instance->raw.width) & ~1U;
	rect->height = clamp_t(u32, rect->height, 32, instance->raw.height) & ~1U;
	instance->crop = *rect;
	instance->coded_width = rect->width;
	instance->coded_height = rect->height;
	return 0;
}

static int get_parameters(struct file *file, void *fh, struct v4l2_streamparm *parm)
{
	if (!is_raw(parm->type))
		return -EINVAL;
	parm->parm.output.capability = V4L2_CAP_TIMEPERFRAME;
	parm->parm.output.timeperframe = instance_of(file)->interval;
	return 0;
}

static int set_parameters(struct file *file, void *fh, struct v4l2_streamparm *parm)
{
	struct v4l2_fract *interval = &parm->parm.output.timeperframe;

	if (!is_raw(parm->type))
		return -EINVAL;
	if (interval->numerator && interval->denominator)
		instance_of(file)->interval = *interval;
	return get_parameters(file, fh, parm);
}

void ioctl_queue_eos(struct instance *instance)
{
	static const struct v4l2_event eos = { .type = V4L2_EVENT_EOS };

	v4l2_event_queue_fh(&instance->fh, &eos);
}

/* Without both streams there is nothing to drain: success, as the specification wants it. */
static int command(struct file *file, void *fh, struct v4l2_encoder_cmd *cmd)
{
	struct instance *instance = instance_of(file);
	struct v4l2_m2m_ctx *m2m = instance->fh.m2m_ctx;
	int res = v4l2_m2m_ioctl_try_encoder_cmd(file, fh, cmd);

	if (res < 0 || !vb2_is_streaming(&m2m->cap_q_ctx.q) || !vb2_is_streaming(&m2m->out_q_ctx.q))
		return res;
	res = v4l2_m2m_ioctl_encoder_cmd(file, fh, cmd);
	if (res == 0 && v4l2_m2m_has_stopped(m2m)) {
		if (cmd->cmd == V4L2_ENC_CMD_STOP)
			ioctl_queue_eos(instance);
		else
			vb2_clear_last_buffer_dequeued(&m2m->cap_q_ctx.q);
	}
	return res;
}

static int subscribe(struct v4l2_fh *fh, const struct v4l2_event_subscription *subscription)
{
	switch (subscription->type) {
	case V4L2_EVENT_EOS: return v4l2_event_subscribe(fh, subscription, 2, NULL);
	case V4L2_EVENT_CTRL: return v4l2_ctrl_subscribe_event(fh, subscription);
	default: return -EINVAL;
	}
}

static int queue_buffer(struct file *file, void *fh, struct v4l2_buffer *buf)
{
	return parameters_wait_wedged() ?: v4l2_m2m_ioctl_qbuf(file, fh, buf);
}

static int stream_on(struct file *file, void *fh, enum v4l2_buf_type type)
{
	return parameters_wait_wedged() ?: v4l2_m2m_ioctl_streamon(file, fh, type);
}

static int stream_off(struct file *file, void *fh, enum v4l2_buf_type type)
{
	return parameters_wait_wedged() ?: v4l2_m2m_ioctl_streamoff(file, fh, type);
}

/* Our memory gets our name, so that it is not counted as imported when it comes back. */
static int export(struct file *file, void *fh, struct v4l2_exportbuffer *export)
{
	int res = v4l2_m2m_ioctl_expbuf(file, fh, export);
	struct dma_buf *dmabuf = res ? NULL : dma_buf_get(export->fd);

	if (IS_ERR_OR_NULL(dmabuf))
		return res;
	spin_lock(&dmabuf->name_lock);
	if (!dmabuf->name)
		dmabuf->name = kstrdup(PCM264_NAME, GFP_ATOMIC);
	spin_unlock(&dmabuf->name_lock);
	dma_buf_put(dmabuf);
	return 0;
}

void ioctl_set_defaults(struct instance *instance)
{
	struct v4l2_pix_format_mplane pix = { .width = 32, .height = 32 };

	instance->interval = (struct v4l2_fract){ 1, 30 };
	set_raw(instance, &pix);
}

#define FOR_BOTH_APIS                                                                            \
	.vidioc_querycap = query_capabilities, .vidioc_enum_fmt_vid_cap = enum_coded,            \
	.vidioc_enum_fmt_vid_out = enum_raw, .vidioc_enum_framesizes = enum_sizes,               \
	.vidioc_g_selection = get_selection, .vidioc_s_selection = set_selection,                \
	.vidioc_g_parm = get_parameters, .vidioc_s_parm = set_parameters,                        \
	.vidioc_reqbufs = v4l2_m2m_ioctl_reqbufs,                                                \
	.vidioc_create_bufs = v4l2_m2m_ioctl_create_bufs,                                        \
	.vidioc_prepare_buf = v4l2_m2m_ioctl_prepare_buf,                                        \
	.vidioc_querybuf = v4l2_m2m_ioctl_querybuf, .vidioc_expbuf = export,                     \
	.vidioc_qbuf = queue_buffer, .vidioc_dqbuf = v4l2_m2m_ioctl_dqbuf,                       \
	.vidioc_streamon = stream_on, .vidioc_streamoff = stream_off,                            \
	.vidioc_encoder_cmd = command, .vidioc_try_encoder_cmd = v4l2_m2m_ioctl_try_encoder_cmd, \
	.vidioc_subscribe_event = subscribe, .vidioc_unsubscribe_event = v4l2_event_unsubscribe

const struct v4l2_ioctl_ops ioctl_multi_planar = {
	FOR_BOTH_APIS,
	.vidioc_g_fmt_vid_cap_mplane = get_format,
	.vidioc_g_fmt_vid_out_mplane = get_format,
	.vidioc_try_fmt_vid_cap_mplane = try_format,
	.vidioc_try_fmt_vid_out_mplane = try_format,
	.vidioc_s_fmt_vid_cap_mplane = set_format,
	.vidioc_s_fmt_vid_out_mplane = set_format,
};

const struct v4l2_ioctl_ops ioctl_single_planar = {
	FOR_BOTH_APIS,
	.vidioc_g_fmt_vid_cap = get_single,
	.vidioc_g_fmt_vid_out = get_single,
	.vidioc_try_fmt_vid_cap = try_single,
	.vidioc_try_fmt_vid_out = try_single,
	.vidioc_s_fmt_vid_cap = set_single,
	.vidioc_s_fmt_vid_out = set_single,
};
