// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The project's own writer of rings, for tests in other languages: writer NAME BYTES SLOTS, then a
 * command on each line of stdin, each answered by a line.
 *
 *     put SIZE FLAGS [FOURCC WIDTH HEIGHT STRIDE STRIDE2 OFFSET OFFSET]   each byte is the frame's number
 *     flood COUNT SIZE    so many key frames, as fast as it can
 *     resize BYTES        another ring under the name
 *     readers             how many, whether one asked for a key frame, what they lost
 *
 * At the end of stdin it ends, as a writer should.
 */
#include <inttypes.h>

#include "base/util.h"
#include "shm/ring.h"

static int put(struct ring *ring, const char *words)
{
	struct hdmicast_ring_slot what = { .captured_ns = now_ns(), .source_sequence = 7 };
	char fourcc[5] = "    ";
	unsigned flags = 0;
	size_t size = 0;

	if (sscanf(words, "%zu %u %4c %u %u %u %u %u %u", &size, &flags, fourcc, &what.width,
		    &what.height, &what.stride, &what.stride2, &what.plane_offset[0],
		    &what.plane_offset[1]) < 2)
		return -EINVAL;
	what.flags = flags;
	memcpy(&what.fourcc, fourcc, sizeof(what.fourcc));
	AUTO(auto_free) char *bytes = xcalloc(1, size + 1);
	const struct iovec piece = { bytes, size };

	memset(bytes, (int)(ring_published(ring) & 0xFF), size);
	return ring_publish(ring, &piece, 1, &what);
}

static int flood(struct ring *ring, unsigned count, unsigned size)
{
	char words[32];
	int res = 0;

	snprintf(words, sizeof(words), "%u %d", size, HDMICAST_FRAME_KEY);
	while (count-- && !res)
		res = put(ring, words);
	return res;
}

static void tell_readers(struct ring *ring)
{
	struct ring_readers readers;

	ring_get_readers(ring, &readers);
	printf("%u %d %" PRIu64 "\n", readers.count, readers.key_request, readers.lost);
}

int main(int argc, char *argv[])
{
	struct ring_options opt = { .mode = 0640, .group = RING_GROUP_KEEP };
	struct ring *ring = NULL;
	unsigned count, size;
	char line[256];
	int res;

	if (argc != 4)
		return 2;
	opt.name = argv[1];
	opt.bytes = strtoul(argv[2], NULL, 10);
	opt.slots = (unsigned)strtoul(argv[3], NULL, 10);
	res = ring_create(&ring, &opt);
	printf("%d\n", res);
	fflush(stdout);
	while (res == 0 && fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "put ", 4) == 0) {
			printf("%d\n", put(ring, line + 4));
		} else if (sscanf(line, "flood %u %u", &count, &size) == 2) {
			printf("%d\n", flood(ring, count, size));
		} else if (sscanf(line, "resize %zu", &opt.bytes) == 1) {
			printf("%d\n", ring_replace(&ring, &opt));
		} else if (strncmp(line, "readers", 7) == 0) {
			tell_readers(ring);
		} else {
			break;
		}
		fflush(stdout);
	}
	ring_destroy(ring);
	return res < 0;
}
