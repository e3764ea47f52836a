/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A frame: counted, immutable picture memory, raw or compressed.
 *
 * Whoever makes a frame fills it while it holds the only reference; once it is published, nobody
 * writes to it again. It may outlive the object that made it: the release callback runs at the
 * last unref, on whatever thread that is, perhaps the network's. So it never calls a driver, which
 * may hang, and takes only a lock of its own that is held for moments. Unref when you hold none.
 */
#ifndef MEDIA_FRAME_H
#define MEDIA_FRAME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_PLANES 3

/* What the numbers of a YUV picture mean; RGB pictures are full range. */
enum frame_range { RANGE_LIMITED, RANGE_FULL };
enum frame_matrix { MATRIX_601, MATRIX_709 };

enum medium { MEDIUM_JPEG, MEDIUM_RAW, MEDIUM_H264, MEDIA };

struct frame_plane {
	uint8_t *data;
	uint32_t stride; /* bytes from one row to the next; 0 for compressed pictures */
	size_t size;     /* bytes that may be read at data */
};

/*
 * A raw picture that lies in a dma-buf as well, from its first byte on and as V4L2 lays out the
 * format in one memory plane, so that a device can read it without a copy.
 */
struct frame_dmabuf {
	uint64_t id;  /* of this memory, never used for any other; 0: there is no dma-buf */
	uint64_t set; /* of the buffers that came, and will go, together with this one */
	int fd;       /* the frame's maker closes it; valid as long as the frame */
	size_t size;  /* bytes of the dma-buf */
};

struct frame {
	atomic_uint refs;
	void (*release)(struct frame *frame); /* frees or recycles the frame; any thread */
	void *owner;                          /* for release only */

	/*
	 * V4L2 fourcc of the single-memory format (NV12, not NM12), whatever the driver's memory
	 * layout: each colour plane has its own plane[], also where they lie in one piece, and in
	 * the format's own order (YV12: Y, V, U).
	 */
	uint32_t format;
	uint32_t width; /* pixels, as shown */
	uint32_t height;
	struct frame_plane plane[FRAME_PLANES]; /* compressed: plane[0] is the bitstream */
	enum frame_range range;
	enum frame_matrix matrix;
	struct frame_dmabuf dmabuf;

	bool key;    /* decodes by itself: every raw picture and JPEG; H.264: an IDR access unit */
	bool online; /* false: the slate */
	bool keepable; /* heap memory that an outlet may keep for newcomers: the slate */

	uint64_t sequence;        /* counts up for each frame of a source, losses included */
	unsigned fps;             /* of the source, as it says; 0: it does not; H.264: nominal */
	int64_t captured_ns;      /* first pixel, as the driver says; all times CLOCK_MONOTONIC */
	int64_t grabbed_ns;       /* taken from the driver */
	int64_t convert_begin_ns; /* 0 when it went into the encoder as it was */
	int64_t encode_begin_ns;  /* 0 when nothing was encoded */
	int64_t encode_end_ns;
	int64_t published_ns; /* its outlet says so, and writes it before anybody else can see it */
};

/* "jpeg", "raw", "h264" */
const char *medium_name(enum medium medium);

/* Zeroes a frame that lies in its maker's own memory and gives it one reference. */
void frame_init(struct frame *frame, void (*release)(struct frame *frame), void *owner);

struct frame *frame_ref(struct frame *frame);
/* NULL is fine. Keeps errno. */
void frame_unref(struct frame *frame);
void frame_unref_auto(struct frame **frame);

/* Bytes of all its planes. */
size_t frame_size(const struct frame *frame);

/* Copies what describes a picture (times, number, online), not what holds it. */
void frame_copy_origin(struct frame *to, const struct frame *from);

/* Copies how its memory lies and what its samples mean: no pointers, no descriptors. */
void frame_copy_shape(struct frame *to, const struct frame *from);

/*
 * A pool recycles heap memory between frames of about one size, so that the hot path neither
 * allocates nor faults pages in. Frames may outlive the pool.
 */
struct frame_pool;

/* Keeps at most `spare` unused pieces. */
struct frame_pool *frame_pool_create(unsigned spare);
void frame_pool_destroy(struct frame_pool *pool);

/*
 * A frame with at least `size` writable bytes at plane[0].data (plane[0].size is set to `size`).
 * -ENOMEM when there is no memory for it: drop that picture, go on.
 */
int frame_pool_get(struct frame_pool *pool, size_t size, struct frame **out);

#endif
