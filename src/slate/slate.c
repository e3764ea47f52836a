// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The slate. It is read on a phone at night as well as on a wall screen, so all sizes
 * come from the picture's, and the text is broken into lines by what fits.
 */
#include "slate/slate.h"

#include <ctype.h>

#include "base/util.h"
#include "slate/draw.h"

#define LINES_MAX   16
#define COLUMNS_MAX 60 /* longer lines are hard to follow */

static const struct draw_color ground = { 26, 134, 126 }; /* a dark slate blue */
static const struct draw_color accent = { 169, 62, 172 }; /* amber */

enum ink { INK_TITLE = 240, INK_HINT = 205, INK_DETAIL = 140 };

/* A paragraph broken into lines for one size of letters. */
struct block {
	struct {
		const char *text;
		size_t length;
	} line[LINES_MAX];
	int lines;
	unsigned size;
};

/* The letters' height that is `part` of `whole` at most, even, and never too small to read. */
static unsigned even_size(uint64_t whole, unsigned part)
{
	return MAX((unsigned)(whole / part) & ~1U, DRAW_MIN_SIZE);
}

/* Lines are set apart by a quarter of their height, but where each pixel counts. */
static int line_height(const struct block *block)
{
	return (int)(block->size + (block->size > DRAW_MIN_SIZE ? block->size / 4 : 0));
}

static int block_height(const struct block *block)
{
	return block->lines * line_height(block);
}

static void break_at(struct block *block, const char *text, unsigned columns)
{
	block->lines = 0;
	while (block->lines < LINES_MAX &&
		draw_wrap(&text, columns, &block->line[block->lines].text,
			&block->line[block->lines].length))
		block->lines++;
}

static unsigned longest_word(const char *text)
{
	size_t longest = 0;

	while (*text) {
		size_t length = strcspn(text, " \n");

		longest = MAX(longest, length);
		text += length + !!text[length];
	}
	return (unsigned)longest;
}

/*
 * As few lines as the width and a line's good length allow; then as narrow as those can be, so
 * that no lonely word is left for the last one.
 */
static void break_lines(struct block *block, const char *text, uint32_t width, unsigned size)
{
	unsigned columns = width / (size / 2);
	unsigned narrowest = longest_word(text);
	int lines;

	/* One letter's width of margin on each side, unless letters are already few. */
	columns = MIN(columns > 20 ? columns - 2 : columns, COLUMNS_MAX);
	block->size = size;
	break_at(block, text, columns);
	lines = block->lines;
	while (block->lines == lines && columns > narrowest)
		break_at(block, text, --columns);
	if (block->lines > lines)
		break_at(block, text, columns + 1);
}

/* The largest letters up to `most` that keep the title on one line. */
static unsigned title_size(const char *title, uint32_t width, unsigned most)
{
	uint64_t widest = (uint64_t)width * 4 / 5 * 2 / MAX(strlen(title), 1U);

	return CLAMP((unsigned)MIN(widest, most) & ~1U, DRAW_MIN_SIZE, most);
}

static void draw_block(struct frame *to, int y, const struct block *block, enum ink ink)
{
	for (int i = 0; i < block->lines; i++) {
		int width = draw_text_width(block->size, block->line[i].length);

		draw_text(to, ((int)to->width - width) / 2, y + i * line_height(block), block->size,
			ink, block->line[i].text, block->line[i].length);
	}
}

/* Title, a short rule, hint: one group in the middle. Returns the first row below it. */
static int draw_message(struct frame *to, const char *title, const char *hint, unsigned body)
{
	struct block head, text;
	int gap = (int)body / 2, rule = MAX((int)body / 24 * 2, 2);
	int height, y;

	break_lines(&head, title, to->width, title_size(title, to->width, body * 3));
	break_lines(&text, hint, to->width, body);
	height = block_height(&head) + gap + block_height(&text);
	/* The optical middle is a little above the true one. */
	y = MAX(((int)to->height - height) * 9 / 20, 0);

	draw_block(to, y, &head, INK_TITLE);
	y += block_height(&head);
	/* On even rows and columns, so that brightness and colour agree about its edges. */
	draw_fill(to, ((int)to->width / 2 - (int)body) & ~1, y & ~1, 2 * (int)body, rule, accent);
	y += gap;
	draw_block(to, y, &text, INK_HINT);
	return y + block_height(&text);
}

static char *in_capitals(const char *text)
{
	char *copy = xstrdup(text);

	for (char *at = copy; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	return copy;
}

int slate_draw(struct frame **out, uint32_t width, uint32_t height, const char *title,
	const char *hint, const char *detail)
{
	unsigned body = even_size(MIN(width / 3 * 2, height), 20);
	struct block foot;
	char *capitals;
	int below, foot_y;
	int res = draw_create(out, width, height);

	if (res < 0)
		return res;
	(*out)->keepable = true;
	draw_fill(*out, 0, 0, (int)width, (int)height, ground);
	capitals = in_capitals(title);
	below = draw_message(*out, capitals, hint, body);
	free(capitals);

	break_lines(&foot, detail, width, even_size(2 * body, 3));
	foot_y = (int)height - block_height(&foot) - (int)foot.size / 2;
	if (foot_y >= below)
		draw_block(*out, foot_y, &foot, INK_DETAIL);
	return 0;
}

static void release_repeat(struct frame *frame)
{
	frame_unref(frame->owner);
	free(frame);
}

struct frame *slate_repeat(struct frame *slate)
{
	struct frame *again = xcalloc(1, sizeof(*again));

	frame_init(again, release_repeat, frame_ref(slate));
	again->format = slate->format;
	again->width = slate->width;
	again->height = slate->height;
	memcpy(again->plane, slate->plane, sizeof(again->plane));
	again->range = slate->range;
	again->matrix = slate->matrix;
	again->key = again->keepable = true;
	again->captured_ns = again->grabbed_ns = now_ns();
	return again;
}
