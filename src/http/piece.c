// SPDX-License-Identifier: GPL-3.0-or-later
/* A piece of a stream: see piece.h. */
#include "http/piece.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* Not the head's room, which is large. */
void piece_init(struct piece *piece)
{
	piece->body = NULL;
	piece->tail = "";
	piece->head_size = 0;
}

void piece_add(struct piece *piece, const void *data, size_t size)
{
	assert(size <= sizeof(piece->head) - piece->head_size);
	memcpy(piece->head + piece->head_size, data, size);
	piece->head_size += size;
}

static size_t body_size(const struct piece *piece)
{
	return piece->body ? piece->body->plane[0].size : 0;
}

size_t piece_size(const struct piece *piece)
{
	return piece->head_size + body_size(piece) + strlen(piece->tail);
}

ssize_t piece_write(const struct piece *piece, int fd)
{
	struct iovec parts[] = {
		{ (void *)piece->head, piece->head_size },
		{ piece->body ? piece->body->plane[0].data : NULL, body_size(piece) },
		{ (void *)piece->tail, strlen(piece->tail) },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts) };
	ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

	return sent < 0 ? -errno : sent;
}

static void unref_sent(const void *data, size_t size, void *arg)
{
	(void)data;
	(void)size;
	frame_unref(arg);
}

int piece_queue_frame(struct evbuffer *out, struct frame *frame, size_t from)
{
	const struct frame_plane *plane = &frame->plane[0];

	if (evbuffer_add_reference(out, plane->data + from, plane->size - from, unref_sent,
		    frame_ref(frame)) == 0)
		return 0;
	frame_unref(frame);
	return -ENOMEM;
}

int piece_queue(const struct piece *piece, struct evbuffer *out, size_t from)
{
	size_t body = piece->head_size, tail = body + body_size(piece), end = piece_size(piece);

	if (from < body && evbuffer_add(out, piece->head + from, body - from) < 0)
		return -ENOMEM;
	from = MAX(from, body);
	if (from < tail && piece_queue_frame(out, piece->body, from - body) < 0)
		return -ENOMEM;
	from = MAX(from, tail);
	if (from < end && evbuffer_add(out, piece->tail + (from - tail), end - from) < 0)
		return -ENOMEM;
	return 0;
}
