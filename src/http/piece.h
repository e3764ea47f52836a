/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A piece of a stream: a few bytes of the viewer's own, a frame that all viewers share, and what
 * closes it. It goes to the socket as it is, with one system call and without an allocation; an
 * evbuffer gets only what the socket does not take at once, which is seldom anything.
 */
#ifndef HTTP_PIECE_H
#define HTTP_PIECE_H

#include <sys/types.h>

#include <event2/buffer.h>

#include "media/frame.h"

#define PIECE_HEAD_MAX 2304 /* an initialization segment, the head of a fragment, and chunks' */

struct piece {
	struct frame *body; /* borrowed: its first plane; NULL: none */
	const char *tail;   /* static text; "" for none */
	size_t head_size;
	uint8_t head[PIECE_HEAD_MAX];
};

void piece_init(struct piece *piece);
/* To the head; what does not fit there is our own mistake. */
void piece_add(struct piece *piece, const void *data, size_t size);
size_t piece_size(const struct piece *piece);
/* sendmsg(): what the socket took, or -errno. */
ssize_t piece_write(const struct piece *piece, int fd);
/* Adds all but the first `from` bytes, the body by reference. 0 or -ENOMEM: out is incomplete. */
int piece_queue(const struct piece *piece, struct evbuffer *out, size_t from);

/* The bytes of a frame from the given one on, by reference. 0 or -ENOMEM. */
int piece_queue_frame(struct evbuffer *out, struct frame *frame, size_t from);

#endif
