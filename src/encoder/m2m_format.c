// SPDX-License-Identifier: GPL-3.0-or-later
/* Formats of hardware encoders: see m2m_format.h. */
#include "encoder/m2m_format.h"

#include "base/util.h"
#include "media/pixel_format.h"
#include "v4l2/ioctl.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/* What we would fill when the source has none of them, the best first. */
static const uint32_t preferred[] = {
	V4L2_PIX_FMT_YUV420,
	V4L2_PIX_FMT_NV12,
	V4L2_PIX_FMT_YVU420,
	V4L2_PIX_FMT_NV21,
	V4L2_PIX_FMT_UYVY,
	V4L2_PIX_FMT_YUYV,
	/* RGB last: old firmware of the Pi gets its colours wrong (raspberrypi/firmware #1885). */
	V4L2_PIX_FMT_RGB24,
	V4L2_PIX_FMT_BGR24,
	V4L2_PIX_FMT_XBGR32,
};

/* Bytes of a pixel in the first plane. */
static uint32_t bytes_of(const struct pixel_format *pixel)
{
	return pixel->plane[0].bytes / pixel->plane[0].across;
}

/* Planes of memory under that name. */
static unsigned memory_planes(const struct pixel_format *pixel, uint32_t fourcc)
{
	return fourcc == pixel->multi ? pixel->n_planes : 1;
}

/* ---- layout */

bool m2m_format_lay_out(const struct m2m_format *format, struct picture *picture,
	uint8_t *const memory[FRAME_PLANES], uint32_t used[FRAME_PLANES])
{
	const struct v4l2_layout *buffer = &format->memory;
	const struct pixel_format *pixel = pixel_format_find(buffer->fourcc);

	picture->format = format->format;
	memset(used, 0, FRAME_PLANES * sizeof(*used));
	if (buffer->n_planes == 1) {
		used[0] = (uint32_t)picture_lay_out(picture, memory[0], buffer->stride[0],
			buffer->height);
		return used[0] && used[0] <= buffer->size[0];
	}
	for (unsigned i = 0; i < buffer->n_planes; i++) {
		used[i] = buffer->stride[i] * pixel_rows(&pixel->plane[i], buffer->height);
		picture->plane[i] = (struct frame_plane){ memory[i], buffer->stride[i], used[i] };
		if (used[i] > buffer->size[i])
			return false;
	}
	return true;
}

/* ---- negotiation */

static void set_colours(struct v4l2_layout *out, const struct frame *like)
{
	out->colorspace = V4L2_COLORSPACE_REC709; /* as h264_set_colour() says */
	out->encoding = like->matrix == MATRIX_709 ? V4L2_YCBCR_ENC_709 : V4L2_YCBCR_ENC_601;
	out->quantization = like->range == RANGE_FULL ? V4L2_QUANTIZATION_FULL_RANGE
						      : V4L2_QUANTIZATION_LIM_RANGE;
}

/*
 * 64 is what every format of every kernel wants on the Pi (YUYV: raspberrypi/linux #5646, a
 * stride of 32 is granted there and then refused by STREAMON); with 24 bits a stride that is no
 * multiple of 3 shears the picture.
 */
static uint32_t aligned_stride(const struct pixel_format *pixel, uint32_t width)
{
	const uint32_t bytes = bytes_of(pixel), to = bytes == 3 ? 192 : 64;

	return (width * bytes + to - 1) / to * to;
}

static bool has_format(const struct m2m_device *device, uint32_t fourcc)
{
	for (unsigned i = 0; fourcc && i < device->n_formats; i++) {
		if (device->formats[i] == fourcc)
			return true;
	}
	return false;
}

bool m2m_format_could_import(const struct m2m_device *device, const struct frame *like)
{
	const struct pixel_format *pixel = pixel_format_find(like->format);
	uint32_t stride = like->plane[0].stride;

	return like->dmabuf.id && pixel && pixel->fourcc == like->format &&
	       pixel->model != PIXEL_IS_RGB && picture_can_be(like->format) &&
	       has_format(device, like->format) && stride >= like->width * bytes_of(pixel) &&
	       (!device->is_bcm2835 || stride % 64 == 0);
}

/* What the driver made of it must be what we can fill. */
static bool is_usable(const struct m2m_format *format, const struct pixel_format *pixel,
	uint32_t fourcc)
{
	const struct v4l2_layout *buffer = &format->memory;
	struct picture picture = { .width = buffer->width, .height = buffer->height };
	uint8_t *none[FRAME_PLANES] = { NULL };
	uint32_t used[FRAME_PLANES];

	return buffer->fourcc == fourcc && buffer->n_planes == memory_planes(pixel, fourcc) &&
	       buffer->stride[0] >= buffer->width * bytes_of(pixel) &&
	       m2m_format_lay_out(format, &picture, none, used);
}

/* One format, at one stride (0: chroma planes of their own get theirs from the driver). */
static int try_format(const struct m2m_device *device, const struct encoder_config *config,
	uint32_t fourcc, uint32_t stride, struct m2m_format *out)
{
	const struct pixel_format *pixel = pixel_format_find(fourcc);
	struct v4l2_layout *buffer = &out->memory;
	int res;

	*out = (struct m2m_format){ .format = pixel->fourcc };
	*buffer = (struct v4l2_layout){ .fourcc = fourcc,
		.width = config->width,
		.height = config->height,
		.n_planes = memory_planes(pixel, fourcc) };
	for (unsigned i = 0; i < buffer->n_planes; i++)
		buffer->stride[i] = i && pixel->n_planes == 3 ? stride / 2 : stride;
	set_colours(buffer, &config->like);
	res = v4l2_format_set(device->node.fd, device->output, buffer);
	if (res < 0)
		return res;
	/* Some drivers leave it out where it is the packed width. */
	if (buffer->fourcc == fourcc && buffer->stride[0] == 0)
		buffer->stride[0] = buffer->width * bytes_of(pixel);
	return is_usable(out, pixel, fourcc) ? 0 : -ENOTSUP;
}

/* The source's stride if its memory can then be read in place, else one that is always right. */
static int try_strides(const struct m2m_device *device, const struct encoder_config *config,
	uint32_t fourcc, struct m2m_format *out)
{
	const struct pixel_format *pixel = pixel_format_find(fourcc);
	uint32_t stride = config->like.plane[0].stride;

	if (fourcc == config->like.format && m2m_format_could_import(device, &config->like) &&
		try_format(device, config, fourcc, stride, out) == 0 &&
		out->memory.stride[0] == stride &&
		(pixel->n_planes == 1 || out->memory.height == config->height)) {
		out->as_source = true;
		return 0;
	}
	return try_format(device, config, fourcc, aligned_stride(pixel, config->width), out);
}

static int try_pixels(const struct m2m_device *device, const struct encoder_config *config,
	const struct pixel_format *pixel, struct m2m_format *out)
{
	int res = -ENOTSUP;

	if (has_format(device, pixel->fourcc))
		res = try_strides(device, config, pixel->fourcc, out);
	if (res < 0 && has_format(device, pixel->multi))
		res = try_strides(device, config, pixel->multi, out);
	return res;
}

/* As the source has it, which costs one row copy at most, else what is cheap to convert to. */
static int choose_format(const struct m2m_device *device, const struct encoder_config *config,
	struct m2m_format *out)
{
	const struct pixel_format *same = pixel_format_find(config->like.format);
	int res = -ENOTSUP;

	if (same && same->model != PIXEL_IS_RGB && picture_can_be(same->fourcc))
		res = try_pixels(device, config, same, out);
	for (unsigned i = 0; res < 0 && i < ARRAY_SIZE(preferred); i++)
		res = try_pixels(device, config, pixel_format_find(preferred[i]), out);
	return res;
}

/* Drivers pad to what their hardware works in; the stream has to say where the picture ends. */
static int set_crop(const struct m2m_device *device, const struct encoder_config *config,
	const struct v4l2_layout *format)
{
	struct v4l2_selection crop = { .type = device->output,
		.target = V4L2_SEL_TGT_CROP,
		.r = { 0, 0, config->width, config->height } };

	if (format->width == config->width && format->height == config->height)
		return 0;
	if (format->width >= config->width && format->height >= config->height) {
		if (v4l2_ioctl(device->node.fd, VIDIOC_S_SELECTION, &crop) < 0) {
			/* Kernels before 4.13 know the single-planar name only. */
			crop.type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
			crop.r = (struct v4l2_rect){ 0, 0, config->width, config->height };
			if (v4l2_ioctl(device->node.fd, VIDIOC_S_SELECTION, &crop) < 0)
				crop.r.width = 0;
		}
		if (crop.r.width == config->width && crop.r.height == config->height)
			return 0;
	}
	log_warn("%s cannot do %ux%u; the nearest that it can is %ux%u", device->node.path,
		config->width, config->height, format->width, format->height);
	return -ERANGE;
}

int m2m_format_negotiate(const struct m2m_device *device, const struct encoder_config *config,
	struct m2m_format *out)
{
	int res = choose_format(device, config, out);

	/* The raw format may have reset the coded one. */
	if (res == 0)
		res = m2m_device_set_h264(device, config->width, config->height);
	if (res < 0) {
		log_warn("%s: no format that it takes can be had (%s)", device->node.path,
			strerror(-res));
		return res;
	}
	return set_crop(device, config, &out->memory);
}

int m2m_format_repeat(const struct m2m_device *device, const struct m2m_format *format)
{
	const struct v4l2_layout *wanted = &format->memory;
	struct v4l2_layout again = *wanted;
	int res;

	again.colorspace = again.encoding = again.quantization = 0;
	res = v4l2_format_set(device->node.fd, device->output, &again);
	if (res < 0)
		return res;
	return again.fourcc == wanted->fourcc && again.stride[0] == wanted->stride[0] &&
			       again.size[0] >= wanted->size[0]
		       ? 0
		       : -ENOTSUP;
}
