/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layouts of uStreamer's shared memory. Which field is where is the C compiler's business
 * there, with a long double among them, so it is here, too: readers of our own architecture only.
 */
#ifndef SHM_LAYOUT_H
#define SHM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "frame.h"

/* All of them begin like this; then come CLIENT_SIZE bytes that readers write: when they were there. */
struct layout_head {
	uint64_t magic;
	uint32_t version;
	uint64_t id; /* another one for each frame */
	size_t used; /* bytes of the payload */
};

#define LAYOUT_CLIENT_AT   sizeof(struct layout_head)
#define LAYOUT_CLIENT_SIZE sizeof(long double)

union layout_header {
	struct layout_head head;
	uint8_t byte[160]; /* the largest */
};

struct layout {
	unsigned version;
	size_t size;   /* of the header: where the payload begins */
	size_t raw;    /* bytes that a raw picture may have */
	size_t key_at; /* the byte by which readers ask for a key frame */
	size_t own_at; /* from here on, the header is the writer's alone */
	void (*fill)(union layout_header *header, const struct frame *frame, unsigned gop);
};

/* version: 7 or 10. */
const struct layout *layout_find(unsigned version);

/* How large a frame may be, by the end of the object's name; 0: that says nothing. */
size_t layout_capacity(const struct layout *layout, const char *name);

/* Fills in all but what readers write. */
void layout_fill(const struct layout *layout, union layout_header *header,
	const struct frame *frame, size_t used, unsigned gop);

/* When a reader was there last, if that was within the time to live; else 0. Believes nothing. */
int64_t layout_client_ns(const uint8_t client[static LAYOUT_CLIENT_SIZE], int64_t now_ns,
	int64_t ttl_ns);

#endif
