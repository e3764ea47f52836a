// SPDX-License-Identifier: GPL-3.0-or-later
/* Formats of V4L2 queues: see v4l2/format.h. */
#include "v4l2/format.h"

#include "base/util.h"
#include "v4l2/ioctl.h"

static void write_single(struct v4l2_pix_format *pix, const struct v4l2_layout *from)
{
	*pix = (struct v4l2_pix_format){ .width = from->width,
		.height = from->height,
		.pixelformat = from->fourcc,
		.field = V4L2_FIELD_NONE,
		.bytesperline = from->stride[0],
		.sizeimage = from->size[0],
		.colorspace = from->colorspace,
		.priv = V4L2_PIX_FMT_PRIV_MAGIC, /* the colours are meant */
		.ycbcr_enc = from->encoding,
		.quantization = from->quantization };
}

static void write_multi(struct v4l2_pix_format_mplane *pix, const struct v4l2_layout *from)
{
	*pix = (struct v4l2_pix_format_mplane){ .width = from->width,
		.height = from->height,
		.pixelformat = from->fourcc,
		.field = V4L2_FIELD_NONE,
		.colorspace = from->colorspace,
		.ycbcr_enc = (uint8_t)from->encoding,
		.quantization = (uint8_t)from->quantization,
		.num_planes = (uint8_t)from->n_planes };
	for (unsigned i = 0; i < from->n_planes; i++) {
		pix->plane_fmt[i].bytesperline = from->stride[i];
		pix->plane_fmt[i].sizeimage = from->size[i];
	}
}

static void read_single(const struct v4l2_pix_format *pix, struct v4l2_layout *to)
{
	*to = (struct v4l2_layout){ .fourcc = pix->pixelformat,
		.width = pix->width,
		.height = pix->height,
		.n_planes = 1,
		.stride = { pix->bytesperline },
		.size = { pix->sizeimage },
		.colorspace = pix->colorspace,
		.encoding = pix->ycbcr_enc,
		.quantization = pix->quantization };
}

static void read_multi(const struct v4l2_pix_format_mplane *pix, struct v4l2_layout *to)
{
	*to = (struct v4l2_layout){ .fourcc = pix->pixelformat,
		.width = pix->width,
		.height = pix->height,
		.colorspace = pix->colorspace,
		.encoding = pix->ycbcr_enc,
		.quantization = pix->quantization };
	to->n_planes = CLAMP(pix->num_planes, 1U, (unsigned)FRAME_PLANES);
	for (unsigned i = 0; i < to->n_planes; i++) {
		to->stride[i] = pix->plane_fmt[i].bytesperline;
		to->size[i] = pix->plane_fmt[i].sizeimage;
	}
}

int v4l2_format_set(int fd, enum v4l2_buf_type type, struct v4l2_layout *layout)
{
	struct v4l2_format fmt = { .type = type };
	bool multi = V4L2_TYPE_IS_MULTIPLANAR(type);
	int res;

	if (multi)
		write_multi(&fmt.fmt.pix_mp, layout);
	else
		write_single(&fmt.fmt.pix, layout);
	res = v4l2_ioctl(fd, VIDIOC_S_FMT, &fmt);
	if (res < 0)
		return res;
	if (multi)
		read_multi(&fmt.fmt.pix_mp, layout);
	else
		read_single(&fmt.fmt.pix, layout);
	return 0;
}

unsigned v4l2_format_list(int fd, enum v4l2_buf_type type, uint32_t *out, unsigned most)
{
	struct v4l2_fmtdesc desc = { .type = type };

	for (; desc.index < most && v4l2_ioctl(fd, VIDIOC_ENUM_FMT, &desc) == 0; desc.index++)
		out[desc.index] = desc.pixelformat;
	return desc.index;
}
