/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The painter: a textured background with colour bars, a moving box, the stamp. */
#include "picture.h"

#include <stdlib.h>
#include <string.h>

enum { BOX_MAX = 128 };

struct colour {
	uint8_t y, u, v;
};

/* 75 % bars, BT.601 limited: white yellow cyan green magenta red blue black. */
static const struct colour bars[8] = {
	{ 180, 128, 128 },
	{ 162, 44, 142 },
	{ 131, 156, 44 },
	{ 112, 72, 58 },
	{ 84, 184, 198 },
	{ 65, 100, 212 },
	{ 35, 212, 114 },
	{ 16, 128, 128 },
};

static unsigned noise(unsigned x, unsigned y)
{
	uint32_t n = x * 374761393u + y * 668265263u;

	n = (n ^ (n >> 13)) * 1274126177u;
	return n >> 28;
}

static struct colour background(const struct planes *p, unsigned x, unsigned y, char look)
{
	struct colour c = { 16, 128, 128 };

	if (look == 'b')
		return c;
	if (look == 'c' || y > p->height * 3 / 4)
		return bars[(x * 8 / p->width) & 7];
	c.y = (uint8_t)(40 + x * 120 / p->width + noise(x, y));
	c.u = (uint8_t)(96 + y * 64 / p->height);
	c.v = (uint8_t)(160 - x * 64 / p->width);
	return c;
}

static uint8_t *plane(size_t size)
{
	uint8_t *mem = malloc(size);

	if (!mem)
		abort();
	return mem;
}

static void fill_rect(struct planes *p, unsigned x, unsigned y, unsigned w, unsigned h,
	struct colour c)
{
	for (unsigned row = y; row < y + h && row < p->lines; row++) {
		if (x + w > p->stride)
			w = p->stride - x;
		memset(p->y + (size_t)row * p->stride + x, c.y, w);
		memset(p->u + (size_t)row * p->stride / 2 + x / 2, c.u, w / 2);
		memset(p->v + (size_t)row * p->stride / 2 + x / 2, c.v, w / 2);
	}
}

void planes_init(struct planes *p, unsigned width, unsigned height, char look)
{
	*p = (struct planes){ .width = width, .height = height };
	p->stride = (width + 31) / 32 * 32;
	p->lines = (height + 15) / 16 * 16;
	p->y = plane((size_t)p->stride * p->lines);
	p->u = plane((size_t)p->stride * p->lines / 2);
	p->v = plane((size_t)p->stride * p->lines / 2);
	for (unsigned y = 0; y < p->lines; y++)
		for (unsigned x = 0; x < p->stride; x++) {
			struct colour c = background(p, x, y, look);
			size_t chroma = (size_t)y * p->stride / 2 + x / 2;

			p->y[(size_t)y * p->stride + x] = c.y;
			p->u[chroma] = c.u;
			p->v[chroma] = c.v;
		}
	planes_stamp(p, 0);
}

void planes_finish(struct planes *p)
{
	free(p->y);
	free(p->u);
	free(p->v);
	*p = (struct planes){ 0 };
}

/* Black and white are 16 and 235: decoders that expand the range and those that do not agree. */
void planes_stamp(struct planes *p, uint32_t stamp)
{
	unsigned side = stamp_side(p->width);

	for (unsigned bit = 0; bit < STAMP_BITS && (bit + 1) * side <= p->stride; bit++) {
		bool on = stamp >> (STAMP_BITS - 1 - bit) & 1;

		fill_rect(p, bit * side, 0, side, side, (struct colour){ on ? 235 : 16, 128, 128 });
	}
}

/* Below the stamp, grain that no encoder finds in the picture before. */
void planes_noise(struct planes *p, unsigned step)
{
	for (unsigned y = stamp_side(p->width); y < p->lines; y++)
		for (unsigned x = 0; x < p->stride; x++) {
			uint8_t *at = p->y + (size_t)y * p->stride + x;

			*at = (uint8_t)(*at / 2 + 4 * noise(x + 7919 * step, y));
		}
}

/* Where the box is in this step of so many: left and top, both even. */
struct size box_at(const struct planes *p, unsigned step, unsigned steps, unsigned *side)
{
	unsigned room;

	*side = p->height / 6 / 2 * 2;
	if (*side > BOX_MAX)
		*side = BOX_MAX;
	room = p->width > *side ? p->width - *side : 0;
	return (struct size){ (unsigned)((uint64_t)room * (step % steps) / steps) / 2 * 2,
		p->height / 3 / 2 * 2 };
}

void planes_box_tile(struct planes *p, unsigned x, unsigned y, unsigned side)
{
	fill_rect(p, x, y, side, side, (struct colour){ 145, 54, 34 });
	fill_rect(p, x + side / 4 / 2 * 2, y + side / 4, side / 2, side / 2,
		(struct colour){ 81, 90, 240 });
}

void planes_box(struct planes *p, unsigned step, unsigned steps)
{
	unsigned side;
	struct size at = box_at(p, step, steps, &side);

	planes_box_tile(p, at.width, at.height, side);
}
