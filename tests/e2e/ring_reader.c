/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A program that reads a ring: one line for each frame, with all that is known about it, its bytes
 * into a file if one is named. After so many milliseconds for each frame, if that is said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "shm/hdmicast-ring.h"

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* missed: frames since the last one that was told of. */
static void tell(const struct hdmicast_frame *frame, uint64_t missed)
{
	printf("%llu %llu %llu %u %u %u %u %zu %u %llu %llu %lld %lld %lld\n",
		(unsigned long long)frame->epoch, (unsigned long long)frame->sequence,
		(unsigned long long)missed, frame->flags, frame->fourcc, frame->width,
		frame->height, frame->size, frame->stride, (unsigned long long)frame->dropped,
		(unsigned long long)frame->oversized, (long long)frame->captured_ns,
		(long long)frame->published_ns, now_ns());
	fflush(stdout);
}

int main(int argc, char *argv[])
{
	const long pause_ms = argc > 3 ? atol(argv[3]) : 0;
	const struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000 };
	FILE *file = argc > 2 && *argv[2] ? fopen(argv[2], "wb") : NULL;
	struct hdmicast_ring *ring;
	struct hdmicast_frame frame;
	uint64_t missed = 0;
	void *copy = NULL;

	if (argc < 2 || hdmicast_ring_open(&ring, argv[1], HDMICAST_RING_EARLY))
		return 2;
	while (hdmicast_ring_wait(ring, -1) == 0) {
		if (hdmicast_ring_next(ring, &frame))
			continue;
		/* And one more, in the next one's, if this is overwritten meanwhile. */
		missed += frame.lost;
		copy = realloc(copy, frame.size + 1);
		if (!copy || hdmicast_ring_copy(ring, &frame, copy, frame.size))
			continue;
		if (file && (fwrite(copy, 1, frame.size, file) != frame.size || fflush(file)))
			return 3;
		tell(&frame, missed);
		missed = 0;
		nanosleep(&pause, NULL);
	}
	return 1;
}
