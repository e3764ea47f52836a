// SPDX-License-Identifier: GPL-3.0-or-later
/* Drawing on planar YU12. Rectangles are clipped once, in clip(); below it nobody checks again. */
#include "slate/draw.h"

#include <assert.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "slate/font.h"

/* Samples per pixel and direction when a character is scaled: grey edges at any size. */
#define SUBSAMPLES 4

/*
 * 75 % rather than 100 %: no component touches its limit, so a mistake in range or matrix shows
 * in either direction instead of being clipped away.
 */
const struct draw_color draw_bars[DRAW_BARS] = {
	{ 191, 128, 128 }, /* white */
	{ 169, 32, 144 },  /* yellow */
	{ 134, 160, 32 },  /* cyan */
	{ 112, 65, 48 },   /* green */
	{ 79, 191, 208 },  /* magenta */
	{ 57, 96, 224 },   /* red */
	{ 22, 224, 112 },  /* blue */
	{ 0, 128, 128 },   /* black */
};

struct rect {
	int x, y, width, height;
};

/* A frame and its memory in one piece of heap. */
struct picture {
	struct frame frame;
	uint8_t data[] __attribute__((aligned(64)));
};

static uint32_t halved(uint32_t size)
{
	return size / 2 + size % 2;
}

uint64_t draw_bytes(uint32_t width, uint32_t height)
{
	return (uint64_t)width * height + 2 * (uint64_t)halved(width) * halved(height);
}

void draw_shape(struct frame *frame, uint32_t width, uint32_t height)
{
	struct frame_plane *plane = frame->plane;
	size_t luma = (size_t)width * height;
	size_t chroma = (size_t)halved(width) * halved(height);

	assert(plane[0].size >= luma + 2 * chroma);
	frame->format = V4L2_PIX_FMT_YUV420;
	frame->width = width;
	frame->height = height;
	frame->range = RANGE_FULL;
	frame->matrix = MATRIX_601;
	frame->key = true;
	plane[1].data = plane[0].data + luma;
	plane[2].data = plane[1].data + chroma;
	plane[0].stride = width;
	plane[1].stride = plane[2].stride = halved(width);
	plane[0].size = luma;
	plane[1].size = plane[2].size = chroma;
}

static void release_picture(struct frame *frame)
{
	free(frame->owner);
}

int draw_create(struct frame **out, uint32_t width, uint32_t height)
{
	uint64_t bytes = draw_bytes(width, height) + sizeof(struct picture);
	struct picture *picture;

	if (!width || !height || width > INT32_MAX || height > INT32_MAX)
		return -EINVAL;
	if (bytes > SIZE_MAX || !(picture = malloc(bytes)))
		return -ENOMEM;
	frame_init(&picture->frame, release_picture, picture);
	picture->frame.plane[0].data = picture->data;
	picture->frame.plane[0].size = bytes - sizeof(*picture);
	draw_shape(&picture->frame, width, height);
	*out = &picture->frame;
	return 0;
}

/* False when nothing of it is inside. 64 bits: the caller's numbers may be any. */
static bool clip(struct rect *rect, const struct frame *to)
{
	int64_t right = MIN((int64_t)rect->x + rect->width, (int64_t)to->width);
	int64_t bottom = MIN((int64_t)rect->y + rect->height, (int64_t)to->height);

	rect->x = MAX(rect->x, 0);
	rect->y = MAX(rect->y, 0);
	rect->width = (int)MAX(right - rect->x, 0);
	rect->height = (int)MAX(bottom - rect->y, 0);
	return rect->width && rect->height;
}

static void fill_plane(const struct frame_plane *plane, const struct rect *rect, uint8_t value)
{
	for (int y = rect->y; y < rect->y + rect->height; y++)
		memset(plane->data + (size_t)y * plane->stride + rect->x, value, rect->width);
}

void draw_fill_luma(struct frame *to, int x, int y, int width, int height, uint8_t luma)
{
	struct rect rect = { x, y, width, height };

	if (clip(&rect, to))
		fill_plane(&to->plane[0], &rect, luma);
}

void draw_fill(struct frame *to, int x, int y, int width, int height, struct draw_color color)
{
	struct rect rect = { x, y, width, height };
	struct rect half;

	if (!clip(&rect, to))
		return;
	fill_plane(&to->plane[0], &rect, color.y);
	half.x = (int)halved(rect.x);
	half.y = (int)halved(rect.y);
	half.width = (int)halved(rect.x + rect.width) - half.x;
	half.height = (int)halved(rect.y + rect.height) - half.y;
	fill_plane(&to->plane[1], &half, color.u);
	fill_plane(&to->plane[2], &half, color.v);
}

void draw_copy_luma(struct frame *to, int x, int y, const struct frame *from, int from_x, int width,
	int height)
{
	struct rect rect = { x, y, width, height };

	assert(from_x >= 0 && (uint32_t)(from_x + width) <= from->width);
	assert((uint32_t)height <= from->height);
	if (!clip(&rect, to))
		return;
	for (int row = rect.y; row < rect.y + rect.height; row++) {
		memcpy(to->plane[0].data + (size_t)row * to->plane[0].stride + rect.x,
			from->plane[0].data + (size_t)(row - y) * from->plane[0].stride + from_x +
				(rect.x - x),
			rect.width);
	}
}

/* At its own size the small font is sharper than the large one made smaller. */
static const struct font *font_for(unsigned size)
{
	return size <= font_small.height ? &font_small : &font_large;
}

static const uint32_t *glyph_of(const struct font *font, char character)
{
	unsigned index = (unsigned char)character - FONT_FIRST;

	if (index >= FONT_GLYPHS)
		index = '?' - FONT_FIRST;
	return font->rows + (size_t)index * font->height;
}

/*
 * One row of pixels of a glyph, from its column `skip`. Each pixel is the mean of SUBSAMPLES²
 * points of the font's picture, whose rows are bits[]; `step` is their distance in 1/65536 of a
 * font pixel.
 */
static void draw_glyph_row(uint8_t *to, int skip, int width, uint32_t step,
	const uint32_t bits[SUBSAMPLES], int luma)
{
	for (int x = 0; x < width; x++) {
		uint32_t at = step / 2 + (uint32_t)(skip + x) * SUBSAMPLES * step;
		int hits = 0;

		for (int i = 0; i < SUBSAMPLES; i++, at += step) {
			for (int k = 0; k < SUBSAMPLES; k++)
				hits += bits[k] << (at >> 16) >> 31;
		}
		to[x] = (uint8_t)(to[x] + (luma - to[x]) * hits / (SUBSAMPLES * SUBSAMPLES));
	}
}

static void draw_glyph(struct frame *to, int x, int y, unsigned size, uint8_t luma, char character)
{
	const struct font *font = font_for(size);
	const uint32_t *glyph = glyph_of(font, character);
	const struct frame_plane *plane = &to->plane[0];
	struct rect rect = { x, y, (int)size / 2, (int)size };
	uint32_t step = (font->width << 16) / (size / 2 * SUBSAMPLES);

	if (!clip(&rect, to))
		return;
	for (int row = rect.y; row < rect.y + rect.height; row++) {
		uint32_t at = step / 2 + (uint32_t)(row - y) * SUBSAMPLES * step;
		uint32_t bits[SUBSAMPLES], any = 0;

		for (int i = 0; i < SUBSAMPLES; i++, at += step)
			any |= bits[i] = glyph[at >> 16];
		if (!any)
			continue;
		draw_glyph_row(plane->data + (size_t)row * plane->stride + rect.x, rect.x - x,
			rect.width, step, bits, luma);
	}
}

void draw_text(struct frame *to, int x, int y, unsigned size, uint8_t luma, const char *text,
	size_t length)
{
	assert(size >= 2 && size % 2 == 0);
	for (size_t i = 0; i < length && x < (int64_t)to->width; i++, x += (int)size / 2)
		draw_glyph(to, x, y, size, luma, text[i]);
}

int draw_text_width(unsigned size, size_t length)
{
	return (int)(size / 2 * length);
}

bool draw_wrap(const char **rest, unsigned columns, const char **line, size_t *length)
{
	const char *text = *rest + strspn(*rest, " ");
	size_t whole = strcspn(text, "\n");
	size_t fit = MIN(whole, MAX(columns, 1U));

	if (!*text)
		return false;
	if (fit < whole && text[fit] != ' ') {
		size_t word = fit;

		while (word && text[word - 1] != ' ')
			word--;
		fit = word ? word : fit;
	}
	*line = text;
	*rest = text + fit + (text[fit] == '\n');
	while (fit && text[fit - 1] == ' ')
		fit--;
	*length = fit;
	return true;
}
