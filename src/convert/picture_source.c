// SPDX-License-Identifier: GPL-3.0-or-later
/* Raw frames as strips: see picture_strip.h. What is planar already is pointed at. */
#include <libyuv.h>

#include "base/util.h"
#include "convert/picture_strip.h"

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

/* clang-format off */
static void (*const readers[])(struct strip *to, const struct strip_plane from[FRAME_PLANES]) = {
	[PIXEL_YUYV] = read_yuyv, [PIXEL_YVYU] = read_yvyu, [PIXEL_UYVY] = read_uyvy,
	[PIXEL_NV12] = read_nv12, [PIXEL_NV21] = read_nv21, [PIXEL_NV16] = read_nv16,
	[PIXEL_NV24] = read_nv24, [PIXEL_YUV420] = read_yu12, [PIXEL_YVU420] = read_yv12,
	[PIXEL_RGB24] = read_rgb24, [PIXEL_BGR24] = read_bgr24, [PIXEL_RGB565] = read_rgb565,
	[PIXEL_GREY] = read_grey, [PIXEL_XBGR32] = read_xbgr32,
};
/* clang-format on */

_Static_assert(ARRAY_SIZE(readers) == PIXELS_RAW, "every raw format can be read");

void raw_source_read(const struct pixel_format *source, const struct frame *frame, uint32_t row,
	struct strip *strip)
{
	struct strip_plane from[FRAME_PLANES] = { 0 };

	for (unsigned i = 0; i < source->n_planes; i++) {
		const struct frame_plane *plane = &frame->plane[i];

		from[i].data = plane->data + (size_t)(row / source->plane[i].down) * plane->stride;
		from[i].stride = (int)plane->stride;
	}
	strip->is_argb = source->model == PIXEL_IS_RGB;
	readers[source->id](strip, from);
}
