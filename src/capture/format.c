// SPDX-License-Identifier: GPL-3.0-or-later
/* Pixel formats: see format.h. */
#include "capture/format.h"

#include "base/util.h"
#include "media/pixel_format.h"
#include "v4l2/format.h"
#include "v4l2/ioctl.h"

#define LOG_TOPIC "v4l2"
#include "base/log.h"

#define STRIDE_ALIGN 64u
#define MOST_FORMATS 64 /* of a device that are looked at */

/* Whether it is one that grabbers are asked for; see PIXEL_FORMATS_BESIDE. */
static bool is_known(uint32_t fourcc)
{
	const struct pixel_format *format = pixel_format_find(fourcc);

	return format && format->id != PIXEL_XBGR32;
}

/* Which names the driver has for a format: MJPEG and JPEG are two names for one thing. */
static unsigned names_of(uint32_t fourcc, uint32_t names[3])
{
	const struct pixel_format *format = pixel_format_find(fourcc);
	unsigned count = 0;

	names[count++] = fourcc;
	if (fourcc == V4L2_PIX_FMT_MJPEG)
		names[count++] = V4L2_PIX_FMT_JPEG;
	if (fourcc == V4L2_PIX_FMT_JPEG)
		names[count++] = V4L2_PIX_FMT_MJPEG;
	if (format && format->multi)
		names[count++] = format->multi;
	return count;
}

/*
 * Of the first plane; chroma follows from it, by V4L2's definition of each format. Encoders that
 * read a picture where it lies want rows of a multiple of 64 bytes and of whole pixels
 * (bcm2835-codec); a receiver may align to less but keep to a larger wish (unicam). Most drivers
 * ignore it. 0, for what is compressed, is the driver's own choice.
 */
static uint32_t stride_wish(uint32_t fourcc, uint32_t width)
{
	const struct pixel_format *format = pixel_format_find(fourcc);
	uint32_t bytes, groups, step;

	if (!format || !format->n_planes)
		return 0;
	bytes = format->plane[0].bytes;
	groups = (width + format->plane[0].across - 1) / format->plane[0].across;
	step = STRIDE_ALIGN / (bytes & -bytes);
	return (groups + step - 1) / step * step * bytes;
}

/* With sizes as wished. */
static int set_format(int fd, enum v4l2_buf_type type, uint32_t fourcc, struct option_size size,
	struct v4l2_layout *out)
{
	*out = (struct v4l2_layout){ .fourcc = fourcc,
		.width = size.width,
		.height = size.height,
		.n_planes = 1,
		.stride = { stride_wish(fourcc, size.width) } };
	return v4l2_format_set(fd, type, out);
}

/* The first of the device's formats that we know. 0: none. */
static uint32_t any_known_format(int fd, enum v4l2_buf_type type)
{
	uint32_t formats[MOST_FORMATS];
	unsigned count = v4l2_format_list(fd, type, formats, ARRAY_SIZE(formats));

	for (unsigned i = 0; i < count; i++) {
		if (is_known(formats[i]))
			return formats[i];
	}
	return 0;
}

static void read_colours(struct capture_format *out, enum pixel_model model,
	const struct v4l2_layout *from)
{
	uint32_t encoding = from->encoding, quantization = from->quantization;
	bool full = model == PIXEL_IS_RGB || model == PIXEL_IS_GREY; /* by V4L2's default */

	if (encoding == V4L2_YCBCR_ENC_DEFAULT)
		encoding = V4L2_MAP_YCBCR_ENC_DEFAULT(from->colorspace);
	if (quantization == V4L2_QUANTIZATION_DEFAULT)
		quantization = V4L2_MAP_QUANTIZATION_DEFAULT(full, from->colorspace, encoding);
	out->matrix = encoding == V4L2_YCBCR_ENC_709 || encoding == V4L2_YCBCR_ENC_XV709
			      ? MATRIX_709
			      : MATRIX_601;
	out->range = quantization == V4L2_QUANTIZATION_FULL_RANGE ? RANGE_FULL : RANGE_LIMITED;
}

static void read_back(struct capture_format *out, const struct v4l2_layout *from)
{
	const struct pixel_format *format = pixel_format_find(from->fourcc);

	*out = (struct capture_format){ .fourcc = format->fourcc,
		.driver_fourcc = from->fourcc,
		.compressed = format->model == PIXEL_IS_JPEG,
		.width = from->width,
		.height = from->height,
		.memory_planes = from->n_planes };
	memcpy(out->stride, from->stride, sizeof(out->stride));
	read_colours(out, format->model, from);
	/* Some drivers leave it out; the packed width is then what they mean. */
	for (unsigned i = 0; i < MIN(out->memory_planes, format->n_planes); i++)
		out->stride[i] = MAX(out->stride[i],
			(uint32_t)pixel_row_bytes(&format->plane[i], out->width));
}

/* What was asked for, or else whatever device and we both know. */
static int agree(int fd, enum v4l2_buf_type type, uint32_t wanted, struct option_size size,
	struct v4l2_layout *out)
{
	uint32_t names[3], answer = 0;
	unsigned n_names = names_of(wanted, names);
	int res;

	for (unsigned i = 0; i < n_names; i++) {
		res = set_format(fd, type, names[i], size, out);
		if (res == -EINVAL)
			continue; /* some drivers refuse what others replace */
		if (res < 0 || out->fourcc == names[i])
			return res;
		if (is_known(out->fourcc))
			answer = out->fourcc;
	}
	if (!answer)
		answer = any_known_format(fd, type);
	res = answer ? set_format(fd, type, answer, size, out) : -ENOTSUP;
	return res < 0 || is_known(out->fourcc) ? res : -ENOTSUP;
}

int format_negotiate(int fd, enum v4l2_buf_type type, const struct options *opt,
	struct option_size size, struct capture_format *out)
{
	struct v4l2_layout layout;
	int res = agree(fd, type, opt->format, size, &layout);

	if (res < 0)
		return res;
	read_back(out, &layout);
	if (opt->format_swap_rgb && out->fourcc == V4L2_PIX_FMT_RGB24)
		out->fourcc = V4L2_PIX_FMT_BGR24;
	else if (opt->format_swap_rgb && out->fourcc == V4L2_PIX_FMT_BGR24)
		out->fourcc = V4L2_PIX_FMT_RGB24;
	return out->width && out->height ? 0 : -ENOTSUP;
}

static unsigned mhz(struct v4l2_fract interval)
{
	return interval.numerator ? (unsigned)(1000ULL * interval.denominator / interval.numerator)
				  : 0;
}

/* The slowest interval that is still fast enough, else the fastest. False: not enumerable. */
static bool choose_interval(int fd, const struct capture_format *format, unsigned fps,
	struct v4l2_fract *out)
{
	struct v4l2_frmivalenum ival = { .pixel_format = format->driver_fourcc,
		.width = format->width,
		.height = format->height };
	unsigned best = 0, wanted = fps ? fps * 1000 - 20 : UINT32_MAX; /* 59.98 will do for 60 */

	for (; v4l2_ioctl(fd, VIDIOC_ENUM_FRAMEINTERVALS, &ival) == 0; ival.index++) {
		bool discrete = ival.type == V4L2_FRMIVAL_TYPE_DISCRETE;
		struct v4l2_fract interval = discrete ? ival.discrete : ival.stepwise.min;
		unsigned rate = mhz(interval);

		if (!discrete && fps && rate >= wanted) {
			*out = (struct v4l2_fract){ 1, fps };
			return true;
		}
		if (!best || (best < wanted ? rate > best : rate >= wanted && rate < best)) {
			best = rate;
			*out = interval;
		}
		if (!discrete)
			break;
	}
	return best > 0;
}

unsigned format_set_rate(int fd, enum v4l2_buf_type type, const struct capture_format *format,
	const struct options *opt)
{
	struct v4l2_streamparm parm = { .type = type };
	struct v4l2_fract interval;

	if (v4l2_ioctl(fd, VIDIOC_G_PARM, &parm) < 0 ||
		!(parm.parm.capture.capability & V4L2_CAP_TIMEPERFRAME))
		return 0;
	if (!choose_interval(fd, format, opt->desired_fps, &interval)) {
		if (!opt->desired_fps)
			return mhz(parm.parm.capture.timeperframe);
		interval = (struct v4l2_fract){ 1, opt->desired_fps };
	}
	parm.parm.capture.timeperframe = interval;
	if (v4l2_ioctl(fd, VIDIOC_S_PARM, &parm) < 0) {
		log_info("the device refuses %u/%u fps: %m", interval.denominator,
			interval.numerator);
		return 0;
	}
	return mhz(parm.parm.capture.timeperframe);
}

int format_describe(const struct capture_format *format, uint8_t *const memory[],
	const size_t used[], struct frame *frame)
{
	const struct pixel_format *pixel = pixel_format_find(format->fourcc);
	const struct pixel_plane *first = &pixel->plane[0];
	size_t offset = 0;

	frame->format = format->fourcc;
	frame->width = format->width;
	frame->height = format->height;
	frame->range = format->range;
	frame->matrix = format->matrix;
	if (format->compressed) {
		frame->plane[0] = (struct frame_plane){ memory[0], 0, used[0] };
		return 0;
	}
	for (unsigned i = 0; i < pixel->n_planes; i++) {
		const struct pixel_plane *plane = &pixel->plane[i];
		bool own = format->memory_planes > 1;
		unsigned at = own ? i : 0;
		/* In one piece of memory only the first plane's stride is told. */
		uint32_t stride = own ? format->stride[i]
				      : format->stride[0] * plane->bytes * first->across /
						  plane->across / first->bytes;
		uint32_t rows = pixel_rows(plane, format->height);
		size_t row = pixel_row_bytes(plane, format->width);
		size_t need = (size_t)stride * (rows - 1) + row;

		if (own)
			offset = 0;
		if (stride < row || at >= format->memory_planes || offset + need > used[at])
			return -EBADMSG;
		frame->plane[i] = (struct frame_plane){ memory[at] + offset, stride, need };
		offset += (size_t)stride * rows;
	}
	return 0;
}
