// SPDX-License-Identifier: GPL-3.0-or-later
/* The layouts of uStreamer's shared memory: see layout.h. The only long doubles are here. */
#include "shm/layout.h"

#include <assert.h>
#include <float.h>
#include <strings.h>

#include "base/util.h"

/* uStreamer 6.10 to 6.45; TinyPilot has 6.36. */
struct header_7 {
	struct layout_head head;
	long double last_client_ts;
	bool key_requested;
	uint32_t width, height, format, stride;
	bool online, key;
	uint32_t gop;
	long double grab_ts, encode_begin_ts, encode_end_ts;
};

/* uStreamer 6.56 to 6.61; 6.46 to 6.55 have the same and call it 7. */
struct header_8 {
	struct layout_head head;
	long double last_client_ts;
	bool key_requested;
	uint32_t width, height, format, stride;
	bool online, key;
	uint32_t gop;
	long double grab_begin_ts, grab_end_ts, encode_begin_ts, encode_end_ts;
};

/* uStreamer 6.62 and later, as PiKVM has it. */
struct header_10 {
	struct layout_head head;
	long double last_client_ts;
	struct {
		uint32_t width, height, format, fps;
		bool key;
	} wants;
	uint32_t width, height, format, stride;
	bool online, key;
	uint32_t gop;
	long double grab_begin_ts, grab_end_ts, encode_begin_ts, encode_end_ts;
};

/* What 64-bit readers were compiled with; others have what their compiler and ours both make of it. */
#if defined(__x86_64__) || defined(__aarch64__)
#define AT_7(field, at)  static_assert(offsetof(struct header_7, field) == (at), #field)
#define AT_8(field, at)  static_assert(offsetof(struct header_8, field) == (at), #field)
#define AT_10(field, at) static_assert(offsetof(struct header_10, field) == (at), #field)
AT_7(head.version, 8);
AT_7(head.id, 16);
AT_7(head.used, 24);
AT_7(last_client_ts, 32);
AT_7(key_requested, 48);
AT_7(width, 52);
AT_7(height, 56);
AT_7(format, 60);
AT_7(stride, 64);
AT_7(online, 68);
AT_7(key, 69);
AT_7(gop, 72);
AT_7(grab_ts, 80);
AT_7(encode_begin_ts, 96);
AT_7(encode_end_ts, 112);
static_assert(sizeof(struct header_7) == 128, "the payload follows");
AT_8(key_requested, 48);
AT_8(width, 52);
AT_8(online, 68);
AT_8(gop, 72);
AT_8(grab_begin_ts, 80);
AT_8(grab_end_ts, 96);
AT_8(encode_begin_ts, 112);
AT_8(encode_end_ts, 128);
static_assert(sizeof(struct header_8) == 144, "the payload follows");
AT_10(last_client_ts, 32);
AT_10(wants, 48);
AT_10(wants.key, 64);
AT_10(width, 68);
AT_10(height, 72);
AT_10(format, 76);
AT_10(stride, 80);
AT_10(online, 84);
AT_10(key, 85);
AT_10(gop, 88);
AT_10(grab_begin_ts, 96);
AT_10(grab_end_ts, 112);
AT_10(encode_begin_ts, 128);
AT_10(encode_end_ts, 144);
static_assert(sizeof(struct header_10) == 160, "the payload follows");
#endif
static_assert(sizeof(struct header_10) <= sizeof(union layout_header), "it fits");
static_assert(offsetof(struct header_7, last_client_ts) == LAYOUT_CLIENT_AT, "in all");
static_assert(offsetof(struct header_8, last_client_ts) == LAYOUT_CLIENT_AT, "in all");
static_assert(offsetof(struct header_10, last_client_ts) == LAYOUT_CLIENT_AT, "in all");

#define FIELDS(header, grab, grabbed_at)                                                      \
	.size = sizeof(struct header), .own_at = offsetof(struct header, width),              \
	.online_at = offsetof(struct header, online), .gop_at = offsetof(struct header, gop), \
	.grab_begin_at = offsetof(struct header, grab), .grab_end_at = (grabbed_at),          \
	.encode_begin_at = offsetof(struct header, encode_begin_ts)

#define RAW_1200 (1920 * 1200 * 3)
#define RAW_2160 LAYOUT_MOST

/* Of two with the same version, the usual one first. */
static const struct layout layouts[] = {
	{ "7", 7, RAW_1200, .key_at = offsetof(struct header_7, key_requested),
		FIELDS(header_7, grab_ts, 0) },
	{ "7b", 7, RAW_1200, .key_at = offsetof(struct header_8, key_requested),
		FIELDS(header_8, grab_begin_ts, offsetof(struct header_8, grab_end_ts)) },
	{ "8", 8, RAW_2160, .key_at = offsetof(struct header_8, key_requested),
		FIELDS(header_8, grab_begin_ts, offsetof(struct header_8, grab_end_ts)) },
	{ "10", 10, RAW_2160, .key_at = offsetof(struct header_10, wants.key),
		FIELDS(header_10, grab_begin_ts, offsetof(struct header_10, grab_end_ts)) },
};

const struct layout *layout_find(unsigned version)
{
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].version == version)
			return &layouts[i];
	}
	return NULL;
}

const struct layout *layout_named(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (strcmp(layouts[i].name, name) == 0)
			return &layouts[i];
	}
	return NULL;
}

const struct layout *layout_recognise(unsigned version, const char *name, uint64_t object_bytes)
{
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].version == version &&
			object_bytes == layouts[i].size + layout_capacity(&layouts[i], name))
			return &layouts[i];
	}
	return layout_find(version);
}

bool layout_is_for(const char *name, const char *medium)
{
	const char *end = strrchr(name, ':');

	if (!end)
		end = strrchr(name, '.');
	return end && strcasecmp(end + 1, medium) == 0;
}

size_t layout_capacity(const struct layout *layout, const char *name)
{
	if (layout_is_for(name, "jpeg"))
		return 4 << 20;
	if (layout_is_for(name, "h264"))
		return 2 << 20;
	return layout_is_for(name, "raw") ? layout->raw : 0;
}

static void put_u32(union layout_header *header, size_t at, uint32_t value)
{
	memcpy(header->byte + at, &value, sizeof(value));
}

static uint32_t get_u32(const union layout_header *header, size_t at)
{
	uint32_t value;

	memcpy(&value, header->byte + at, sizeof(value));
	return value;
}

static long double seconds(int64_t ns)
{
	return (long double)ns / NS_PER_S;
}

/* What x87's format has of a long double; the rest is padding, which the compiler leaves as it was. */
#if LDBL_MANT_DIG == 64
#define LONG_DOUBLE_BYTES 10
#else
#define LONG_DOUBLE_BYTES sizeof(long double)
#endif

/* to: zeroed. */
static void put_time(uint8_t *to, int64_t ns)
{
	long double value = seconds(ns);

	memcpy(to, &value, LONG_DOUBLE_BYTES);
}

/* 0: it is no time. A comparison is false for what is no number. */
static int64_t get_time(const uint8_t *from)
{
	long double value;

	memcpy(&value, from, sizeof(value));
	return value > 0 && value < INT64_MAX / NS_PER_S ? (int64_t)(value * NS_PER_S + 0.5L) : 0;
}

void layout_fill(const struct layout *layout, union layout_header *header,
	const struct frame *frame, size_t used, unsigned gop)
{
	header->head.magic = LAYOUT_MAGIC;
	header->head.version = layout->version;
	/* An odd factor: no two times give the same, also those of different runs. */
	header->head.id = (uint64_t)now_ns() * 0x9E3779B97F4A7C15ULL;
	header->head.used = used;
	put_u32(header, layout->own_at, frame->width);
	put_u32(header, layout->own_at + 4, frame->height);
	put_u32(header, layout->own_at + 8, frame->format);
	put_u32(header, layout->own_at + 12, frame->plane[0].stride);
	header->byte[layout->online_at] = frame->online;
	header->byte[layout->online_at + 1] = frame->key;
	put_u32(header, layout->gop_at, gop);
	put_time(header->byte + layout->grab_begin_at, frame->captured_ns);
	if (layout->grab_end_at)
		put_time(header->byte + layout->grab_end_at, frame->grabbed_ns);
	put_time(header->byte + layout->encode_begin_at, frame->encode_begin_ns);
	put_time(header->byte + layout->encode_begin_at + sizeof(long double),
		frame->encode_end_ns);
}

void layout_read(const struct layout *layout, const union layout_header *header,
	struct layout_facts *out)
{
	*out = (struct layout_facts){ .width = get_u32(header, layout->own_at),
		.height = get_u32(header, layout->own_at + 4),
		.format = get_u32(header, layout->own_at + 8),
		.stride = get_u32(header, layout->own_at + 12),
		.online = header->byte[layout->online_at],
		.key = header->byte[layout->online_at + 1],
		.gop = get_u32(header, layout->gop_at),
		.grab_begin_ns = get_time(header->byte + layout->grab_begin_at),
		.encode_begin_ns = get_time(header->byte + layout->encode_begin_at),
		.encode_end_ns = get_time(header->byte + layout->encode_begin_at +
					  sizeof(long double)) };
	if (layout->grab_end_at)
		out->grab_end_ns = get_time(header->byte + layout->grab_end_at);
}

void layout_set_client(uint8_t client[static LAYOUT_CLIENT_SIZE], int64_t now)
{
	memset(client, 0, LAYOUT_CLIENT_SIZE);
	put_time(client, now);
}

int64_t layout_client_ns(const uint8_t client[static LAYOUT_CLIENT_SIZE], int64_t now,
	int64_t ttl_ns)
{
	int64_t then = get_time(client);

	return then <= now && then > now - ttl_ns ? then : 0;
}
