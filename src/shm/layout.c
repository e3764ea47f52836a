// SPDX-License-Identifier: GPL-3.0-or-later
/* The layouts of uStreamer's shared memory: see layout.h. The only long doubles are here. */
#include "shm/layout.h"

#include <assert.h>
#include <strings.h>

#include "util.h"

#define MAGIC 0xCAFEBABECAFEBABEULL

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
static_assert(offsetof(struct header_7, last_client_ts) == LAYOUT_CLIENT_AT, "in both");
static_assert(offsetof(struct header_10, last_client_ts) == LAYOUT_CLIENT_AT, "in both");

static long double seconds(int64_t ns)
{
	return (long double)ns / NS_PER_S;
}

static void fill_7(union layout_header *header, const struct frame *frame, unsigned gop)
{
	struct header_7 from = { .width = frame->width,
		.height = frame->height,
		.format = frame->format,
		.stride = frame->plane[0].stride,
		.online = frame->online,
		.key = frame->key,
		.gop = gop,
		.grab_ts = seconds(frame->captured_ns),
		.encode_begin_ts = seconds(frame->encode_begin_ns),
		.encode_end_ts = seconds(frame->encode_end_ns) };

	memcpy(header->byte, &from, sizeof(from));
}

static void fill_10(union layout_header *header, const struct frame *frame, unsigned gop)
{
	struct header_10 from = { .width = frame->width,
		.height = frame->height,
		.format = frame->format,
		.stride = frame->plane[0].stride,
		.online = frame->online,
		.key = frame->key,
		.gop = gop,
		.grab_begin_ts = seconds(frame->captured_ns),
		.grab_end_ts = seconds(frame->grabbed_ns),
		.encode_begin_ts = seconds(frame->encode_begin_ns),
		.encode_end_ts = seconds(frame->encode_end_ns) };

	memcpy(header->byte, &from, sizeof(from));
}

static const struct layout layouts[] = {
	{ 7, sizeof(struct header_7), 1920 * 1200 * 3, offsetof(struct header_7, key_requested),
		offsetof(struct header_7, width), fill_7 },
	{ 10, sizeof(struct header_10), 3840 * 2160 * 3, offsetof(struct header_10, wants.key),
		offsetof(struct header_10, width), fill_10 },
};

const struct layout *layout_find(unsigned version)
{
	for (unsigned i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (layouts[i].version == version)
			return &layouts[i];
	}
	abort(); /* the option parser knows no other */
}

size_t layout_capacity(const struct layout *layout, const char *name)
{
	const char *end = strrchr(name, ':');

	if (!end)
		end = strrchr(name, '.');
	if (end && strcasecmp(end + 1, "jpeg") == 0)
		return 4 << 20;
	if (end && strcasecmp(end + 1, "h264") == 0)
		return 2 << 20;
	return end && strcasecmp(end + 1, "raw") == 0 ? layout->raw : 0;
}

void layout_fill(const struct layout *layout, union layout_header *header,
	const struct frame *frame, size_t used, unsigned gop)
{
	layout->fill(header, frame, gop);
	header->head.magic = MAGIC;
	header->head.version = layout->version;
	/* An odd factor: no two times give the same, also those of different runs. */
	header->head.id = (uint64_t)now_ns() * 0x9E3779B97F4A7C15ULL;
	header->head.used = used;
}

int64_t layout_client_ns(const uint8_t client[static LAYOUT_CLIENT_SIZE], int64_t now,
	int64_t ttl_ns)
{
	long double then;

	memcpy(&then, client, sizeof(then));
	/* Not so for what is no number. */
	if (then > 0 && then <= seconds(now) && then > seconds(now - ttl_ns))
		return (int64_t)(then * NS_PER_S);
	return 0;
}
