/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A piece of a stream: a few bytes of the viewer's own, a frame that all viewers share, and what
 * closes it. It goes to the socket as it is, with one system call and without an allocation; an
 * evbuffer gets only what the socket does not take at once, which is seldom anything.
 */
#ifndef NET_CHUNK_WRITER_H
#define NET_CHUNK_WRITER_H

#include <sys/types.h>

#include <event2/buffer.h>

#include "media/frame.h"

#define CHUNK_HEAD_MAX 2304 /* an initialization segment, the head of a fragment, and chunks' */

struct chunk_writer {
	struct frame *body; /* borrowed: its first plane; NULL: none */
	const char *tail;   /* static text; "" for none */
	size_t head_size;
	uint8_t head[CHUNK_HEAD_MAX];
};

void chunk_writer_init(struct chunk_writer *chunk);
/* To the head; what does not fit there is our own mistake. */
void chunk_writer_add(struct chunk_writer *chunk, const void *data, size_t size);
size_t chunk_writer_size(const struct chunk_writer *chunk);
/* sendmsg(): what the socket took, or -errno. */
ssize_t chunk_writer_write(const struct chunk_writer *chunk, int fd);
/* Adds all but the first `from` bytes, the body by reference. 0 or -ENOMEM: out is incomplete. */
int chunk_writer_queue(const struct chunk_writer *chunk, struct evbuffer *out, size_t from);

/* The bytes of a frame from the given one on, by reference. 0 or -ENOMEM. */
int chunk_writer_queue_frame(struct evbuffer *out, struct frame *frame, size_t from);

#endif
