// SPDX-License-Identifier: GPL-3.0-or-later
/* The bytes in which access units are sent: see framing.h. */
#include "http/framing.h"

#include "http/multipart.h"
#include "mp4.h"
#include "util.h"

#define AVC_HEAD_SIZE 24
#define AVC_KEY       (1 << 0)
#define AVC_ONLINE    (1 << 1)

#define LENGTH_SIZE 4  /* before each of the converted parameter sets */
#define ANY_FPS     30 /* when nobody knows the rate */

void framing_finish(struct framing *framing)
{
	free(framing->sets);
}

bool framing_find_sps(const struct frame *key, struct avc_nal *sps)
{
	const struct frame_plane *unit = &key->plane[0], *sets = &key->plane[1];
	struct avc_walk walk = { unit->data, unit->data + unit->size };

	if (!sets->data)
		return avc_next_nal(&walk, sps) && sps->type == AVC_NAL_SPS && sps->size >= 4;
	if (sets->size < LENGTH_SIZE + 4)
		return false;
	/* Its length does not matter here: what is asked for are its first bytes. */
	*sps = (struct avc_nal){ sets->data + LENGTH_SIZE, sets->size - LENGTH_SIZE,
		sets->data[LENGTH_SIZE] & 0x1F };
	return sps->type == AVC_NAL_SPS;
}

/* `body` may be NULL. */
static int add(const struct framing *framing, struct evbuffer *out, const void *head,
	size_t head_size, struct frame *body)
{
	size_t size = head_size + (body ? body->plane[0].size : 0);
	int res = 0;

	if (framing->chunked)
		evbuffer_add_printf(out, "%zx\r\n", size);
	if (evbuffer_add(out, head, head_size) < 0)
		return -ENOMEM;
	if (body)
		res = multipart_add_frame(out, body);
	if (framing->chunked && res == 0)
		evbuffer_add(out, "\r\n", 2);
	return res;
}

int framing_add_h264(struct framing *framing, struct evbuffer *out, struct frame *unit)
{
	(void)framing;
	return multipart_add_frame(out, unit);
}

/* ---- our own: a head of fixed size before each access unit */

static void put_number(uint8_t *to, unsigned size, uint64_t value)
{
	while (size--) {
		to[size] = (uint8_t)value;
		value >>= 8;
	}
}

int framing_add_avc(struct framing *framing, struct evbuffer *out, struct frame *unit)
{
	uint8_t head[AVC_HEAD_SIZE];
	struct avc_nal sps;

	if (unit->key && framing_find_sps(unit, &sps))
		memcpy(framing->level, sps.data + 1, sizeof(framing->level));
	put_number(head, 4, unit->plane[0].size);
	head[4] = (unit->key ? AVC_KEY : 0) | (unit->online ? AVC_ONLINE : 0);
	memcpy(head + 5, framing->level, sizeof(framing->level));
	put_number(head + 8, 8, unit->captured_ns / NS_PER_US);
	put_number(head + 16, 8, unit->encode_end_ns / NS_PER_US);
	return add(framing, out, head, sizeof(head), unit);
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
static int add_init(struct framing *framing, struct evbuffer *out, const struct frame_plane *sets)
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
	return add(framing, out, init, (size_t)size, NULL);
}

static bool has_sets(const struct framing *framing, const struct frame_plane *sets)
{
	return framing->sets && framing->sets_size == sets->size &&
	       memcmp(framing->sets, sets->data, sets->size) == 0;
}

int framing_add_mp4(struct framing *framing, struct evbuffer *out, struct frame *packed)
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
	return add(framing, out, head, sizeof(head), packed);
}
