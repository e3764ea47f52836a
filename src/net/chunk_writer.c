// SPDX-License-Identifier: GPL-3.0-or-later
/* A piece of a stream: see chunk_writer.h. */
#include "net/chunk_writer.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

/* Not the head's room, which is large. */
void chunk_writer_init(struct chunk_writer *chunk)
{
	chunk->body = NULL;
	chunk->tail = "";
	chunk->head_size = 0;
}

void chunk_writer_add(struct chunk_writer *chunk, const void *data, size_t size)
{
	assert(size <= sizeof(chunk->head) - chunk->head_size);
	memcpy(chunk->head + chunk->head_size, data, size);
	chunk->head_size += size;
}

static size_t body_size(const struct chunk_writer *chunk)
{
	return chunk->body ? chunk->body->plane[0].size : 0;
}

size_t chunk_writer_size(const struct chunk_writer *chunk)
{
	return chunk->head_size + body_size(chunk) + strlen(chunk->tail);
}

ssize_t chunk_writer_write(const struct chunk_writer *chunk, int fd)
{
	struct iovec parts[] = {
		{ (void *)chunk->head, chunk->head_size },
		{ chunk->body ? chunk->body->plane[0].data : NULL, body_size(chunk) },
		{ (void *)chunk->tail, strlen(chunk->tail) },
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

int chunk_writer_queue_frame(struct evbuffer *out, struct frame *frame, size_t from)
{
	const struct frame_plane *plane = &frame->plane[0];

	if (evbuffer_add_reference(out, plane->data + from, plane->size - from, unref_sent,
		    frame_ref(frame)) == 0)
		return 0;
	frame_unref(frame);
	return -ENOMEM;
}

int chunk_writer_queue(const struct chunk_writer *chunk, struct evbuffer *out, size_t from)
{
	size_t body = chunk->head_size, tail = body + body_size(chunk),
	       end = chunk_writer_size(chunk);

	if (from < body && evbuffer_add(out, chunk->head + from, body - from) < 0)
		return -ENOMEM;
	from = MAX(from, body);
	if (from < tail && chunk_writer_queue_frame(out, chunk->body, from - body) < 0)
		return -ENOMEM;
	from = MAX(from, tail);
	if (from < end && evbuffer_add(out, chunk->tail + (from - tail), end - from) < 0)
		return -ENOMEM;
	return 0;
}
