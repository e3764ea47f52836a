/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test pictures: one moving picture of one size, as raw formats and as JPEG. */
#ifndef FAKE_PICTURE_H
#define FAKE_PICTURE_H

#include "device.h"

struct buffer;

/* 4:2:2 planar, padded to whole 16x16 blocks, background only. */
struct planes {
	unsigned width, height; /* of the picture */
	unsigned stride, lines; /* padded; chroma stride is half */
	uint8_t *y, *u, *v;
};

enum { STAMP_BITS = 32 };

/* What a picture is for: compare with == to know whether it must be made anew. */
struct picture_key {
	struct size size;
	unsigned frames, quality;
	char look;
	bool jpeg;
};

struct picture;

/* Aborts without memory. Takes a while for JPEG: frames are compressed here. */
struct picture *picture_create(const struct picture_key *key);
void picture_destroy(struct picture *pic);
bool picture_is(const struct picture *pic, const struct picture_key *key);

/* Bytes per line at least, and bytes of a whole raw picture; 0: not a format we draw. */
unsigned format_bytesperline(uint32_t fourcc, unsigned width);
size_t format_size(uint32_t fourcc, unsigned bytesperline, unsigned height);
bool format_is_jpeg(uint32_t fourcc);
const char *format_description(uint32_t fourcc);
unsigned format_depth(uint32_t fourcc); /* bits per pixel; 0 for JPEG */

/* Draws a raw frame. pix says format, stride and size; the picture may be narrower than pix. */
void picture_draw(struct picture *pic, const struct v4l2_pix_format *pix, struct buffer *buf,
	uint32_t stamp, bool cheap);

/* Composes a JPEG frame; bytes, or 0 if it does not fit. */
size_t picture_jpeg(struct picture *pic, const struct faults *faults, uint8_t *out, size_t size,
	uint32_t stamp, bool cheap);

/* jpeg.c */
struct jpegs;

struct jpegs *jpegs_create(const struct planes *bg, unsigned frames, unsigned quality, char look);
void jpegs_destroy(struct jpegs *set);
size_t jpegs_compose(struct jpegs *set, const struct faults *faults, uint8_t *out, size_t size,
	uint32_t stamp, bool cheap);

/* spoil.c: a JPEG frame with the faults that are due; sets bytesused. */
void spoil_jpeg(struct device *dev, struct buffer *buf, uint32_t stamp);

/* render.c: the painter both use. */
void planes_init(struct planes *p, unsigned width, unsigned height, char look);
void planes_finish(struct planes *p);
void planes_stamp(struct planes *p, uint32_t stamp);
void planes_box_tile(struct planes *p, unsigned x, unsigned y, unsigned side);
void planes_box(struct planes *p, unsigned step, unsigned steps);
void planes_noise(struct planes *p, unsigned step);
struct size box_at(const struct planes *p, unsigned step, unsigned steps, unsigned *side);

#endif
