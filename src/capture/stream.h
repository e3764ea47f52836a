/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The buffers of a capture device: a driver's queue, mapped into our memory, single- or
 * multi-planar.
 *
 * The driver is called by the owner's thread alone, for it may hang in each call; and at the very
 * end by one of its own, when readers kept buffers. Buffers outlive their source: a frame holds
 * its stream. When its last reference goes, on whatever thread, the buffer waits for the owner to
 * queue it again.
 */
#ifndef CAPTURE_STREAM_H
#define CAPTURE_STREAM_H

#include <linux/videodev2.h>
#include <stdbool.h>

#include "media/frame.h"

struct stream;

/* A buffer that the driver has filled. */
struct stream_filled {
	struct frame *frame;           /* zeroed but for dmabuf; the caller owns it */
	uint8_t *memory[FRAME_PLANES]; /* of each memory plane: where the picture begins */
	size_t used[FRAME_PLANES];     /* bytes from there on */
	bool lies;                     /* the driver claims more bytes than there are */
	uint32_t flags, sequence;      /* as in struct v4l2_buffer, as is this */
	struct timeval timestamp;
};

/*
 * Allocates about `count` buffers of the format that is set, maps and queues them. export: each
 * is exported as a dma-buf, too, where the driver can. wake_fd: an eventfd, written when buffers
 * have come back that the driver cannot wait for; it must outlive stream_close(). Takes the
 * descriptor fd when it succeeds; when not, *what says at what.
 */
int stream_create(struct stream **out, int fd, enum v4l2_buf_type type, unsigned memory_planes,
	uint32_t count, bool export, int wake_fd, const char **what);
int stream_start(struct stream *stream);
/* Queues what has come back. Before each wait for the next buffer. */
void stream_requeue(struct stream *stream);
/*
 * The next filled buffer. -EAGAIN: not yet; -EIO: the queue was stopped, or the driver talks
 * nonsense; -ENODEV.
 */
int stream_take(struct stream *stream, struct stream_filled *out);
/*
 * Stops, and waits a moment for frames that are out, since a driver does not let go of a queue
 * whose memory is mapped. One that does not come back in time keeps the stream alive until it
 * does, and a thread that waits for it. NULL is fine.
 */
void stream_close(struct stream *stream);

#endif
