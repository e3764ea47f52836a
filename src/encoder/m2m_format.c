// SPDX-License-Identifier: GPL-3.0-or-later
/* Formats of hardware encoders: see m2m_format.h. */
#include "encoder/m2m_format.h"

#include "base/util.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/*
 * A picture on a screen full of text that does not fit is split over buffers, and the Pi's
 * default of 768 KiB is too little for that (raspberrypi/linux #5180, #5232).
 */
#define BITSTREAM_SIZE (3u << 19)

/* What we can fill; the order is that of preference when the source has none of them. */
static const struct layout {
	uint32_t single, multi; /* in one piece of memory; in one for each colour plane, or 0 */
	unsigned planes;        /* of colour */
	uint8_t bytes;          /* of a pixel in the first plane */
	bool is_rgb;
} layouts[] = {
	{ V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YUV420M, 3, 1, false },
	{ V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV12M, 2, 1, false },
	{ V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_YVU420M, 3, 1, false },
	{ V4L2_PIX_FMT_NV21, V4L2_PIX_FMT_NV21M, 2, 1, false },
	{ V4L2_PIX_FMT_UYVY, 0, 1, 2, false },
	{ V4L2_PIX_FMT_YUYV, 0, 1, 2, false },
	/* RGB last: old firmware of the Pi gets its colours wrong (raspberrypi/firmware #1885). */
	{ V4L2_PIX_FMT_RGB24, 0, 1, 3, true },
	{ V4L2_PIX_FMT_BGR24, 0, 1, 3, true },
	{ V4L2_PIX_FMT_XBGR32, 0, 1, 4, true },
};

static const struct layout *find_layout(uint32_t fourcc)
{
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].single == fourcc || (layouts[i].multi && layouts[i].multi == fourcc))
			return &layouts[i];
	}
	return NULL;
}

uint32_t m2m_format_single(uint32_t fourcc)
{
	const struct layout *layout = find_layout(fourcc);

	return layout && picture_can_be(layout->single) ? layout->single : 0;
}

/* ---- both APIs as one */

struct colours {
	uint32_t space, encoding, quantization;
};

static void write_format(struct v4l2_format *fmt, const struct m2m_format *from,
	const struct colours *colours)
{
	struct v4l2_pix_format_mplane *mp = &fmt->fmt.pix_mp;

	if (!m2m_is_mplane(fmt->type)) {
		fmt->fmt.pix = (struct v4l2_pix_format){ .width = from->width,
			.height = from->height,
			.pixelformat = from->fourcc,
			.field = V4L2_FIELD_NONE,
			.bytesperline = from->stride[0],
			.sizeimage = from->size[0],
			.colorspace = colours->space,
			.priv = V4L2_PIX_FMT_PRIV_MAGIC,
			.ycbcr_enc = colours->encoding,
			.quantization = colours->quantization };
		return;
	}
	*mp = (struct v4l2_pix_format_mplane){ .width = from->width,
		.height = from->height,
		.pixelformat = from->fourcc,
		.field = V4L2_FIELD_NONE,
		.colorspace = colours->space,
		.ycbcr_enc = (uint8_t)colours->encoding,
		.quantization = (uint8_t)colours->quantization,
		.num_planes = (uint8_t)from->n_planes };
	for (unsigned i = 0; i < from->n_planes; i++) {
		mp->plane_fmt[i].bytesperline = from->stride[i];
		mp->plane_fmt[i].sizeimage = from->size[i];
	}
}

static void read_format(const struct v4l2_format *fmt, struct m2m_format *to)
{
	const struct v4l2_pix_format_mplane *mp = &fmt->fmt.pix_mp;
	const struct v4l2_pix_format *pix = &fmt->fmt.pix;

	if (!m2m_is_mplane(fmt->type)) {
		to->fourcc = pix->pixelformat;
		to->width = pix->width;
		to->height = pix->height;
		to->stride[0] = pix->bytesperline;
		to->size[0] = pix->sizeimage;
		return;
	}
	to->fourcc = mp->pixelformat;
	to->width = mp->width;
	to->height = mp->height;
	to->n_planes = CLAMP(mp->num_planes, 1, FRAME_PLANES);
	for (unsigned i = 0; i < to->n_planes; i++) {
		to->stride[i] = mp->plane_fmt[i].bytesperline;
		to->size[i] = mp->plane_fmt[i].sizeimage;
	}
}

/* S_FMT; fourcc, size, strides and sizes are read back into *format. */
static int set_format(const struct m2m_device *device, enum v4l2_buf_type type,
	const struct colours *colours, struct m2m_format *format)
{
	struct v4l2_format fmt = { .type = type };
	int res;

	write_format(&fmt, format, colours);
	res = m2m_ioctl(device->fd, VIDIOC_S_FMT, &fmt);
	if (res == 0)
		read_format(&fmt, format);
	return res;
}

int m2m_format_set_h264(const struct m2m_device *device, uint32_t width, uint32_t height,
	uint32_t size)
{
	/* The size is read-only by the documents, but bcm2835 sets its port up from it. */
	struct m2m_format format = { .fourcc = V4L2_PIX_FMT_H264,
		.width = width,
		.height = height,
		.n_planes = 1,
		.size = { size } };
	int res = set_format(device, device->capture, &(struct colours){ 0 }, &format);

	return res < 0 || format.fourcc == V4L2_PIX_FMT_H264 ? res : -ENODEV;
}

/* ---- layout */

/* Rows of a memory plane in a buffer `height` high. */
static uint32_t rows_of(const struct layout *layout, unsigned plane, uint32_t height)
{
	return plane == 0 || layout->bytes > 1 ? height : (height + 1) / 2;
}

bool m2m_format_lay_out(const struct m2m_format *format, struct picture *picture,
	uint8_t *const memory[FRAME_PLANES], uint32_t used[FRAME_PLANES])
{
	const struct layout *layout = find_layout(format->fourcc);

	picture->format = format->format;
	memset(used, 0, FRAME_PLANES * sizeof(*used));
	if (format->n_planes == 1) {
		used[0] = (uint32_t)picture_lay_out(picture, memory[0], format->stride[0],
			format->height);
		return used[0] && used[0] <= format->size[0];
	}
	for (unsigned i = 0; i < format->n_planes; i++) {
		used[i] = format->stride[i] * rows_of(layout, i, format->height);
		picture->plane[i] = (struct frame_plane){ memory[i], format->stride[i], used[i] };
		if (used[i] > format->size[i])
			return false;
	}
	return true;
}

/* ---- negotiation */

static struct colours colours_of(const struct frame *like)
{
	return (struct colours){
		.space = V4L2_COLORSPACE_REC709, /* as avc_set_colour() says */
		.encoding = like->matrix == MATRIX_709 ? V4L2_YCBCR_ENC_709 : V4L2_YCBCR_ENC_601,
		.quantization = like->range == RANGE_FULL ? V4L2_QUANTIZATION_FULL_RANGE
							  : V4L2_QUANTIZATION_LIM_RANGE,
	};
}

/*
 * 64 is what every format of every kernel wants on the Pi (YUYV: raspberrypi/linux #5646, a
 * stride of 32 is granted there and then refused by STREAMON); with 24 bits a stride that is no
 * multiple of 3 shears the picture.
 */
static uint32_t aligned_stride(const struct layout *layout, uint32_t width)
{
	const uint32_t to = layout->bytes == 3 ? 192 : 64;

	return (width * layout->bytes + to - 1) / to * to;
}

/* Whether the source's memory could be the encoder's as it is, as far as we know. */
static bool could_import(const struct m2m_device *device, const struct encoder_config *config,
	const struct layout *layout, uint32_t fourcc)
{
	const struct frame *like = &config->like;
	uint32_t stride = like->plane[0].stride;

	return like->dmabuf.id && like->format == layout->single && fourcc == layout->single &&
	       !layout->is_rgb && stride >= config->width * layout->bytes &&
	       (!device->is_bcm2835 || stride % 64 == 0);
}

/* What the driver made of it must be what we can fill. */
static bool is_usable(const struct m2m_format *format, const struct layout *layout, uint32_t fourcc)
{
	struct picture picture = { .width = format->width, .height = format->height };
	uint8_t *none[FRAME_PLANES] = { NULL };
	uint32_t used[FRAME_PLANES];

	return format->fourcc == fourcc &&
	       format->n_planes == (fourcc == layout->multi ? layout->planes : 1) &&
	       format->stride[0] >= format->width * layout->bytes &&
	       m2m_format_lay_out(format, &picture, none, used);
}

/* One format, at one stride (0: chroma planes of their own get theirs from the driver). */
static int try_format(const struct m2m_device *device, const struct encoder_config *config,
	uint32_t fourcc, uint32_t stride, struct m2m_format *out)
{
	const struct layout *layout = find_layout(fourcc);
	struct colours colours = colours_of(&config->like);
	int res;

	*out = (struct m2m_format){ .fourcc = fourcc,
		.width = config->width,
		.height = config->height,
		.n_planes = fourcc == layout->multi ? layout->planes : 1 };
	for (unsigned i = 0; i < out->n_planes; i++)
		out->stride[i] = i && layout->planes == 3 ? stride / 2 : stride;
	res = set_format(device, device->output, &colours, out);
	if (res < 0)
		return res;
	out->format = layout->single;
	/* Some drivers leave it out where it is the packed width. */
	if (out->fourcc == fourcc && out->stride[0] == 0)
		out->stride[0] = out->width * layout->bytes;
	return is_usable(out, layout, fourcc) ? 0 : -ENOTSUP;
}

/* The source's stride if its memory can then be read in place, else one that is always right. */
static int try_strides(const struct m2m_device *device, const struct encoder_config *config,
	uint32_t fourcc, struct m2m_format *out)
{
	const struct layout *layout = find_layout(fourcc);
	uint32_t stride = config->like.plane[0].stride;

	if (could_import(device, config, layout, fourcc) &&
		try_format(device, config, fourcc, stride, out) == 0 && out->stride[0] == stride &&
		(layout->planes == 1 || out->height == config->height)) {
		out->as_source = true;
		return 0;
	}
	return try_format(device, config, fourcc, aligned_stride(layout, config->width), out);
}

static bool has_format(const struct m2m_device *device, uint32_t fourcc)
{
	for (unsigned i = 0; fourcc && i < device->n_formats; i++) {
		if (device->formats[i] == fourcc)
			return true;
	}
	return false;
}

static int try_layout(const struct m2m_device *device, const struct encoder_config *config,
	const struct layout *layout, struct m2m_format *out)
{
	int res = -ENOTSUP;

	if (!picture_can_be(layout->single))
		return res;
	if (has_format(device, layout->single))
		res = try_strides(device, config, layout->single, out);
	if (res < 0 && has_format(device, layout->multi))
		res = try_strides(device, config, layout->multi, out);
	return res;
}

/* As the source has it, which costs one row copy at most, else what is cheap to convert to. */
static int choose_format(const struct m2m_device *device, const struct encoder_config *config,
	struct m2m_format *out)
{
	const struct layout *same = find_layout(config->like.format);
	int res = -ENOTSUP;

	if (same && !same->is_rgb)
		res = try_layout(device, config, same, out);
	for (unsigned i = 0; res < 0 && i < ARRAY_SIZE(layouts); i++)
		res = try_layout(device, config, &layouts[i], out);
	return res;
}

/* Drivers pad to what their hardware works in; the stream has to say where the picture ends. */
static int set_crop(const struct m2m_device *device, const struct encoder_config *config,
	const struct m2m_format *format)
{
	struct v4l2_selection crop = { .type = device->output,
		.target = V4L2_SEL_TGT_CROP,
		.r = { 0, 0, config->width, config->height } };

	if (format->width == config->width && format->height == config->height)
		return 0;
	if (format->width >= config->width && format->height >= config->height) {
		if (m2m_ioctl(device->fd, VIDIOC_S_SELECTION, &crop) < 0) {
			/* Kernels before 4.13 know the single-planar name only. */
			crop.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
			crop.r = (struct v4l2_rect){ 0, 0, config->width, config->height };
			if (m2m_ioctl(device->fd, VIDIOC_S_SELECTION, &crop) < 0)
				crop.r.width = 0;
		}
		if (crop.r.width == config->width && crop.r.height == config->height)
			return 0;
	}
	log_warn("%s cannot do %ux%u; the nearest that it can is %ux%u", device->path,
		config->width, config->height, format->width, format->height);
	return -ERANGE;
}

int m2m_format_negotiate(const struct m2m_device *device, const struct encoder_config *config,
	struct m2m_format *out)
{
	int res = m2m_format_set_h264(device, config->width, config->height, BITSTREAM_SIZE);

	if (res == 0)
		res = choose_format(device, config, out);
	/* The raw format may have reset the coded one. */
	if (res == 0)
		res = m2m_format_set_h264(device, config->width, config->height, BITSTREAM_SIZE);
	if (res < 0) {
		log_warn("%s: no format that it takes can be had (%s)", device->path,
			strerror(-res));
		return res;
	}
	return set_crop(device, config, out);
}

int m2m_format_repeat(const struct m2m_device *device, const struct m2m_format *format)
{
	struct m2m_format again = *format;
	int res = set_format(device, device->output, &(struct colours){ 0 }, &again);

	if (res < 0)
		return res;
	return again.fourcc == format->fourcc && again.stride[0] == format->stride[0] &&
			       again.size[0] >= format->size[0]
		       ? 0
		       : -ENOTSUP;
}
