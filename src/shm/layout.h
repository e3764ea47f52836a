/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layouts of uStreamer's shared memory. Which field is where is the C compiler's business
 * there, with a long double among them, so it is here, too: readers of our own architecture only.
 */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

/* All of them begin like this; then come CLIENT_SIZE bytes that readers write: when they were there. */
struct layout_head {
	uint64_t magic;
	uint32_t version;
	uint64_t id; /* another one for each frame */
	size_t used; /* bytes of the payload */
};

#define LAYOUT_MAGIC 0xCAFEBABECAFEBABEULL

#define LAYOUT_CLIENT_AT   sizeof(struct layout_head)
#define LAYOUT_CLIENT_SIZE sizeof(long double)

/* No layout has room for a larger frame. */
#define LAYOUT_MOST ((size_t)3840 * 2160 * 3)

union layout_header {
	struct layout_head head;
	uint8_t byte[160]; /* the largest */
};

/* Offsets are from the beginning of the object. */
struct layout {
	const char *name;
	unsigned version;
	size_t raw;    /* bytes that a raw picture may have */
	size_t key_at; /* the byte by which readers ask for a key frame */
	size_t size;   /* of the header: where the payload begins */
	size_t own_at; /* from here on, the header is the writer's alone: width, height, format, stride */
	size_t online_at, gop_at;          /* key follows online */
	size_t grab_begin_at, grab_end_at; /* grab_end_at 0: there is none */
	size_t encode_begin_at;            /* encode_end follows */
};

/* What a header says about its frame. Times: 0 where it says none that can be. */
struct layout_facts {
	uint32_t width, height, format, stride;
	bool online, key;
	uint32_t gop;
	int64_t grab_begin_ns, grab_end_ns, encode_begin_ns, encode_end_ns;
};

/* version: as in the header; 7 is the one of uStreamer 6.10. NULL: not known. */
const struct layout *layout_find(unsigned version);
/* "7", "10" and so on, and "7b": what uStreamer 6.46 to 6.55 call 7. NULL: not known. */
const struct layout *layout_named(const char *name);
/* As layout_find(), but tells 7 from 7b by the name and the size of an object. */
const struct layout *layout_recognise(unsigned version, const char *name, uint64_t object_bytes);

/* Whether an object's name ends in "jpeg", "h264" or "raw", after the last ':' (or '.'). */
bool layout_is_for(const char *name, const char *medium);
/* How large a frame may be, by the end of the object's name; 0: that says nothing. */
size_t layout_capacity(const struct layout *layout, const char *name);

/* Fills in all but what readers write. header: zeroed. */
void layout_fill(const struct layout *layout, union layout_header *header,
	const struct frame *frame, size_t used, unsigned gop);
/* The reverse. Whatever the header holds, this is safe; layout_head is left to the caller. */
void layout_read(const struct layout *layout, const union layout_header *header,
	struct layout_facts *out);

/* What a reader writes to say that it is there. */
void layout_set_client(uint8_t client[static LAYOUT_CLIENT_SIZE], int64_t now_ns);
/* When a reader was there last, if that was within the time to live; else 0. Believes nothing. */
int64_t layout_client_ns(const uint8_t client[static LAYOUT_CLIENT_SIZE], int64_t now_ns,
	int64_t ttl_ns);

#endif
