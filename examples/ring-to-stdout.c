/* SPDX-License-Identifier: MIT */
/*
 * Writes what is published in a ring to stdout, as it comes:
 *
 *     cc ring-to-stdout.c -o ring-to-stdout $(pkg-config --cflags --libs hdmicast-ring)
 *     ./ring-to-stdout NAME | ffplay -fflags nobuffer -f h264 -
 */
#include <hdmicast-ring.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char *argv[])
{
	struct hdmicast_ring *ring;
	struct hdmicast_frame frame;
	char *copy = NULL;
	int res = argc == 2 ? hdmicast_ring_open(&ring, argv[1], HDMICAST_RING_EARLY) : -22;

	if (res) {
		fprintf(stderr, "ring-to-stdout NAME: %s\n", hdmicast_ring_strerror(res));
		return 1;
	}
	while (hdmicast_ring_wait(ring, -1) == 0 && !ferror(stdout)) {
		if (hdmicast_ring_next(ring, &frame) != 0)
			continue;
		/* A frame may be overwritten while it is used; what goes to a pipe cannot be recalled. */
		copy = realloc(copy, frame.size + 1);
		if (!copy)
			break;
		if (hdmicast_ring_copy(ring, &frame, copy, frame.size) != 0)
			continue;
		if (frame.lost)
			fprintf(stderr, "%llu lost\n", (unsigned long long)frame.lost);
		fwrite(copy, 1, frame.size, stdout);
		fflush(stdout);
	}
	free(copy);
	hdmicast_ring_close(ring);
	return 0;
}
