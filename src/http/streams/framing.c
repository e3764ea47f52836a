// SPDX-License-Identifier: GPL-3.0-or-later
/* The bytes in which access units are sent: see framing.h. */
#include "http/streams/framing.h"

#include "base/util.h"
#include "media/mp4.h"

#define AVC_HEAD_SIZE 24
#define AVC_KEY       (1 << 0)
#define AVC_ONLINE    (1 << 1)

#define LENGTH_SIZE 4  /* before each of the converted parameter sets */
#define ANY_FPS     30 /* when nobody knows the rate */

void framing_finish(struct framing *framing)
{
	free(framing->sets);
}

bool framing_find_sps(const struct frame *key, struct h264_nal *sps)
{
	const struct frame_plane *unit = &key->plane[0], *sets = &key->plane[1];
	struct h264_walk walk = { unit->data, unit->data + unit->size };

	if (!sets->data)
		return h264_next_nal(&walk, sps) && sps->type == H264_NAL_SPS && sps->size >= 4;
	if (sets->size < LENGTH_SIZE + 4)
		return false;
	/* Its length does not matter here: what is asked for are its first bytes. */
	*sps = (struct h264_nal){ sets->data + LENGTH_SIZE, sets->size - LENGTH_SIZE,
		sets->data[LENGTH_SIZE] & 0x1F };
	return sps->type == H264_NAL_SPS;
}

/* What stands before `size` bytes of the body of a reply: not by printf(), whose price is felt. */
static void open_chunk(const struct framing *framing, struct chunk_writer *out, size_t size)
{
	char text[2 * sizeof(size)];
	size_t at = sizeof(text);

	if (!framing->chunked)
		return;
	do
		text[--at] = "0123456789abcdef"[size % 16];
	while (size /= 16);
	chunk_writer_add(out, text + at, sizeof(text) - at);
	chunk_writer_add(out, "\r\n", 2);
}

static void make_last_chunk(const struct framing *framing, struct chunk_writer *out,
	const void *head, size_t head_size, struct frame *body)
{
	open_chunk(framing, out, head_size + body->plane[0].size);
	chunk_writer_add(out, head, head_size);
	out->body = body;
	out->tail = framing->chunked ? "\r\n" : "";
}

int framing_make_h264(struct framing *framing, struct chunk_writer *out, struct frame *unit)
{
	(void)framing;
	out->body = unit;
	return 0;
}

/* ---- our own: a head of fixed size before each access unit */

static void put_number(uint8_t *to, unsigned size, uint64_t value)
{
	while (size--) {
		to[size] = (uint8_t)value;
		value >>= 8;
	}
}

int framing_make_avc(struct framing *framing, struct chunk_writer *out, struct frame *unit)
{
	uint8_t head[AVC_HEAD_SIZE];
	struct h264_nal sps;

	if (unit->key && framing_find_sps(unit, &sps))
		memcpy(framing->level, sps.data + 1, sizeof(framing->level));
	put_number(head, 4, unit->plane[0].size);
	head[4] = (unit->key ? AVC_KEY : 0) | (unit->online ? AVC_ONLINE : 0);
	memcpy(head + 5, framing->level, sizeof(framing->level));
	put_number(head + 8, 8, unit->captured_ns / NS_PER_US);
	put_number(head + 16, 8, unit->encode_end_ns / NS_PER_US);
	make_last_chunk(framing, out, head, sizeof(head), unit);
	return 0;
}

/* ---- MP4 */

struct frame *framing_pack_mp4(struct frame_pool *pool, const struct frame *unit)
{
	const struct frame_plane *from = &unit->plane[0];
	struct frame *packed;
	size_t sets_size;
	uint8_t *to;

	if (frame_pool_get(pool, MP4_CONVERTED_MAX(from->size), &packed) < 0)
		return NULL;
	frame_copy_origin(packed, unit);
	packed->key = unit->key;
	packed->fps = unit->fps;
	packed->encode_end_ns = unit->encode_end_ns;
	packed->published_ns = unit->published_ns;
	to = packed->plane[0].data;
	packed->plane[0].size = mp4_convert(to, from->data, from->size, &sets_size);
	if (unit->key) {
		packed->plane[1].data = to;
		packed->plane[1].size = sets_size;
		packed->plane[0].data += sets_size;
		packed->plane[0].size -= sets_size;
	}
	return packed;
}

/* Others than before: the stream begins anew, in the middle of the body. */
static int add_init(struct framing *framing, struct chunk_writer *out,
	const struct frame_plane *sets)
{
	uint8_t init[MP4_INIT_MAX];
	int size = mp4_write_init(init, sets->data, sets->size);

	if (size < 0)
		return size;
	free(framing->sets);
	framing->sets = malloc(sets->size);
	framing->sets_size = framing->sets ? sets->size : 0;
	if (!framing->sets)
		return -ENOMEM;
	memcpy(framing->sets, sets->data, sets->size);
	open_chunk(framing, out, (size_t)size);
	chunk_writer_add(out, init, (size_t)size);
	if (framing->chunked)
		chunk_writer_add(out, "\r\n", 2);
	return 0;
}

static bool has_sets(const struct framing *framing, const struct frame_plane *sets)
{
	return framing->sets && framing->sets_size == sets->size &&
	       memcmp(framing->sets, sets->data, sets->size) == 0;
}

int framing_make_mp4(struct framing *framing, struct chunk_writer *out, struct frame *packed)
{
	int64_t age_us = (now_ns() - packed->captured_ns) / NS_PER_US;
	struct mp4_fragment fragment = { .sequence = ++framing->sequence,
		.decode_time = framing->decode_time,
		.duration = MP4_TIMESCALE / (packed->fps ? packed->fps : ANY_FPS),
		.size = (uint32_t)packed->plane[0].size,
		.key = packed->key,
		.captured_us = wall_us() - age_us };
	uint8_t head[MP4_HEAD_SIZE];
	int res = 0;

	if (packed->key && !has_sets(framing, &packed->plane[1]))
		res = add_init(framing, out, &packed->plane[1]);
	if (res < 0)
		return res;
	framing->decode_time += fragment.duration;
	mp4_write_head(head, &fragment);
	make_last_chunk(framing, out, head, sizeof(head), packed);
	return 0;
}
