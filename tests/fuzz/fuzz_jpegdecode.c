// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A JPEG from a stranger into an encoder's memory. The first byte picks the target's format, how
 * much room there is, and whether the picture may end early; the rest is the JPEG. The target ends
 * where it must not be written any more, and a picture that was taken must be taken again.
 */
#include <linux/videodev2.h>

#include "base/util.h"
#include "convert/jpegfix.h"
#include "convert/picture.h"

/* Larger ones take long and find nothing more. */
#define MAX_PIXELS (512 * 512)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static int convert(struct picture_converter *converter, struct picture *to, const uint8_t *data,
	size_t size, bool allow_truncated)
{
	struct frame frame = { .format = V4L2_PIX_FMT_MJPEG,
		.width = to->width,
		.height = to->height,
		.plane[0] = { (uint8_t *)data, 0, size } };
	const char *why = NULL;
	int res = picture_convert(converter, to, &frame, allow_truncated, &why);

	expect(res == 0 || res == -EBADMSG || res == -ENOTSUP || res == -EINVAL);
	expect(res == 0 || (why && *why));
	return res;
}

static void check(struct picture *to, uint32_t stride, const uint8_t *data, size_t size,
	bool allow_truncated)
{
	static struct picture_converter *converter;
	uint8_t *memory = malloc(picture_lay_out(to, NULL, stride, to->height));
	int res;

	if (!converter)
		expect(picture_converter_create(&converter) == 0);
	expect(memory);
	picture_lay_out(to, memory, stride, to->height);
	res = convert(converter, to, data, size, allow_truncated);
	expect(convert(converter, to, data, size, allow_truncated) == res);
	free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t formats[] = { V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_NV21,
		V4L2_PIX_FMT_YUV420, V4L2_PIX_FMT_YVU420, V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_UYVY,
		V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_XBGR32 };
	static const uint8_t bytes[] = { 1, 1, 1, 1, 2, 2, 3, 4 };
	struct picture to = { 0 };
	enum drop_reason reason;
	struct jpegfix fix;
	bool allow_truncated;
	unsigned choice;

	if (size < 2)
		return 0;
	choice = data[0] % 8;
	allow_truncated = data[0] & 8;
	if (jpegfix_parse(&fix, data + 1, size - 1, allow_truncated, &reason) < 0 ||
		(uint64_t)fix.width * fix.height > MAX_PIXELS)
		return 0;
	to.format = formats[choice];
	to.width = fix.width;
	to.height = fix.height;
	/* whole pairs of pixels; with bit 4 whole blocks, so that libjpeg writes there itself */
	to.plane[0].stride = data[0] & 16 ? (fix.width + 15) / 16 * 16 : (fix.width + 1) / 2 * 2;
	check(&to, to.plane[0].stride * bytes[choice], data + 1, size - 1, allow_truncated);
	return 0;
}
