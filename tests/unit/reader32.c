// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * reader32 NAME COUNT: asks for a key frame, waits for that many frames and prints a line for each.
 * The Makefile compiles it for 32 bits, with the library; test_ring32 runs it.
 */
#include <stdlib.h>

#include "ringlines.h"

static int fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, hdmicast_ring_strerror(error));
	return 1;
}

int main(int argc, char **argv)
{
	struct hdmicast_ring *ring;
	int res;

	if (argc != 3)
		return 2;
	printf("%u bits\n", (unsigned)sizeof(void *) * 8);
	if ((res = hdmicast_ring_open(&ring, argv[1], 0)) < 0)
		return fail("open", res);
	if ((res = hdmicast_ring_request_key(ring)) < 0)
		return fail("ask", res);
	for (int left = atoi(argv[2]); left > 0; left--) {
		struct hdmicast_frame frame;
		char line[RINGLINE_SIZE];

		if ((res = hdmicast_ring_wait(ring, 300000)) < 0 ||
			(res = hdmicast_ring_next(ring, &frame)) < 0)
			return fail("read", res);
		describe_frame(line, &frame);
		if (!hdmicast_ring_valid(ring, &frame))
			return fail("valid", -116);
		puts(line);
		fflush(stdout);
	}
	hdmicast_ring_close(ring);
	return 0;
}
