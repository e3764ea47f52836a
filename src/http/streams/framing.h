/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes in which H.264 access units are sent, as of /stream.mp4, .avc and .h264. What is the
 * same for all viewers is made once and shared by reference; a viewer's own are the few bytes
 * before each unit, which say where in its stream that is. Network thread only.
 */
#ifndef HTTP_STREAMS_FRAMING_H
#define HTTP_STREAMS_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "media/h264_bitstream.h"
#include "net/chunk_writer.h"

/* Where a viewer's stream is. Zeroed memory is its beginning. */
struct framing {
	bool chunked;         /* each access unit is a chunk of HTTP/1.1 */
	uint8_t level[3];     /* avc: profile, constraints and level of the last key frame */
	uint32_t sequence;    /* mp4: of the last fragment */
	uint64_t decode_time; /* mp4: of the next fragment */
	uint8_t *sets;        /* mp4: the parameter sets that the viewer has */
	size_t sets_size;
};

void framing_finish(struct framing *framing);

/*
 * An access unit as samples of MP4 have it, the parameter sets of a key frame apart, in plane[1].
 * NULL without memory.
 */
struct frame *framing_pack_mp4(struct frame_pool *pool, const struct frame *unit);
/* The sequence parameter set of a key frame, packed or not; false when there is none. */
bool framing_find_sps(const struct frame *key, struct h264_nal *sps);

/*
 * Each makes an access unit, which is borrowed, with all that belongs before it, the next piece of
 * the stream. 0 or -errno: nothing can follow.
 */
int framing_make_mp4(struct framing *framing, struct chunk_writer *out, struct frame *packed);
int framing_make_avc(struct framing *framing, struct chunk_writer *out, struct frame *unit);
int framing_make_h264(struct framing *framing, struct chunk_writer *out, struct frame *unit);

#endif
