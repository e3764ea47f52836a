// SPDX-License-Identifier: GPL-3.0-or-later
/* Raw frames as strips: see picture_strip.h. What is planar already is pointed at. */
#include <linux/videodev2.h>

#include <libyuv.h>

#include "base/util.h"
#include "convert/picture_strip.h"

struct raw_source {
	uint32_t fourcc;
	struct shapes shapes;
	bool is_rgb;
	void (*read)(struct strip *to, const struct strip_plane from[FRAME_PLANES]);
};

typedef int packed_reader(const uint8_t *from, int from_stride, uint8_t *y, int y_stride,
	uint8_t *u, int u_stride, uint8_t *v, int v_stride, int width, int height);

/* libyuv takes the mean of two rows of chroma on the way where the target has one for two. */
static void read_packed(struct strip *to, const struct strip_plane *from, packed_reader *to_422,
	packed_reader *to_420, bool swapped)
{
	const struct strip_plane *u = &to->want[swapped ? 2 : 1], *v = &to->want[swapped ? 1 : 2];
	packed_reader *reader = to->down == 1 ? to_422 : to_420;

	to->got[0] = to->want[0];
	strip_place_chroma(to, 2, to->down, 0);
	reader(from->data, from->stride, to->want[0].data, to->want[0].stride, u->data, u->stride,
		v->data, v->stride, to->width, to->rows);
}

static void read_yuyv(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_packed(to, from, YUY2ToI422, YUY2ToI420, false);
}

static void read_yvyu(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_packed(to, from, YUY2ToI422, YUY2ToI420, true);
}

static void read_uyvy(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_packed(to, from, UYVYToI422, UYVYToI420, false);
}

static void read_semi(struct strip *to, const struct strip_plane from[FRAME_PLANES],
	unsigned across, unsigned down, bool swapped)
{
	const struct strip_plane *u = &to->got[swapped ? 2 : 1], *v = &to->got[swapped ? 1 : 2];
	int width = (to->width + (int)across - 1) / (int)across;
	int rows = (to->rows + (int)down - 1) / (int)down;

	to->got[0] = from[0];
	strip_place_chroma(to, across, down, 0);
	SplitUVPlane(from[1].data, from[1].stride, u->data, u->stride, v->data, v->stride, width,
		rows);
}

static void read_nv12(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_semi(to, from, 2, 2, false);
}

static void read_nv21(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_semi(to, from, 2, 2, true);
}

static void read_nv16(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_semi(to, from, 2, 1, false);
}

static void read_nv24(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	read_semi(to, from, 1, 1, false);
}

static void point_at(struct strip *to, const struct strip_plane *y, const struct strip_plane *u,
	const struct strip_plane *v)
{
	to->got[0] = *y;
	to->got[1] = *u;
	to->got[2] = *v;
	to->got_across = to->got_down = 2;
}

static void read_yu12(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	point_at(to, &from[0], &from[1], &from[2]);
}

static void read_yv12(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	point_at(to, &from[0], &from[2], &from[1]);
}

static void read_grey(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	to->got[0] = from[0];
	to->got[1].data = NULL;
}

/* V4L2 names the bytes in memory order, libyuv as a little-endian number: RAW is R, G, B. */
static void read_rgb24(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	RAWToARGB(from->data, from->stride, to->argb.data, to->argb.stride, to->width, to->rows);
}

static void read_bgr24(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	RGB24ToARGB(from->data, from->stride, to->argb.data, to->argb.stride, to->width, to->rows);
}

static void read_rgb565(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	RGB565ToARGB(from->data, from->stride, to->argb.data, to->argb.stride, to->width, to->rows);
}

static void read_xbgr32(struct strip *to, const struct strip_plane from[FRAME_PLANES])
{
	ARGBCopy(from->data, from->stride, to->argb.data, to->argb.stride, to->width, to->rows);
}

static const struct raw_source sources[] = {
	{ V4L2_PIX_FMT_YUYV, SHAPES_PACKED(4, 2), false, read_yuyv },
	{ V4L2_PIX_FMT_YVYU, SHAPES_PACKED(4, 2), false, read_yvyu },
	{ V4L2_PIX_FMT_UYVY, SHAPES_PACKED(4, 2), false, read_uyvy },
	{ V4L2_PIX_FMT_NV12, SHAPES_SEMI(2, 2), false, read_nv12 },
	{ V4L2_PIX_FMT_NV21, SHAPES_SEMI(2, 2), false, read_nv21 },
	{ V4L2_PIX_FMT_NV16, SHAPES_SEMI(2, 1), false, read_nv16 },
	{ V4L2_PIX_FMT_NV24, SHAPES_SEMI(1, 1), false, read_nv24 },
	{ V4L2_PIX_FMT_YUV420, SHAPES_TRIPLE, false, read_yu12 },
	{ V4L2_PIX_FMT_YVU420, SHAPES_TRIPLE, false, read_yv12 },
	{ V4L2_PIX_FMT_GREY, SHAPES_PACKED(1, 1), false, read_grey },
	{ V4L2_PIX_FMT_RGB24, SHAPES_PACKED(3, 1), true, read_rgb24 },
	{ V4L2_PIX_FMT_BGR24, SHAPES_PACKED(3, 1), true, read_bgr24 },
	{ V4L2_PIX_FMT_RGB565, SHAPES_PACKED(2, 1), true, read_rgb565 },
	{ V4L2_PIX_FMT_XBGR32, SHAPES_PACKED(4, 1), true, read_xbgr32 },
};

const struct raw_source *raw_source_find(uint32_t format)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (sources[i].fourcc == format)
			return &sources[i];
	return NULL;
}

const struct shapes *raw_source_shapes(const struct raw_source *source)
{
	return &source->shapes;
}

bool raw_source_is_rgb(const struct raw_source *source)
{
	return source->is_rgb;
}

void raw_source_read(const struct raw_source *source, const struct frame *frame, uint32_t row,
	struct strip *strip)
{
	struct strip_plane from[FRAME_PLANES] = { 0 };

	for (int i = 0; i < FRAME_PLANES && source->shapes.plane[i].bytes; i++) {
		const struct frame_plane *plane = &frame->plane[i];

		from[i].data = plane->data +
			       (size_t)(row / source->shapes.plane[i].down) * plane->stride;
		from[i].stride = (int)plane->stride;
	}
	strip->is_argb = source->is_rgb;
	source->read(strip, from);
}
