// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The two objects of a ring as somebody else might write them. The first byte says which:
 *
 * 0: what follows lies over a whole ring (by exclusive or, so that zeros are right): a reader opens
 *    it, and reads all that it is given. 1: what follows is the object, and nothing else.
 * Then no error may be another one than the header promises, and no byte beyond the object is
 * read: it ends with a page, and behind that there is SIGBUS.
 *
 * 2: what follows is written all over the control object, which is also shortened, while a ring is
 *    written and read. Then each frame must arrive all the same.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "shm/ring.h"

#define PAGE  4096u
#define SLOTS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char name[48], data_name[48], control_name[48];

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void remove_objects(void)
{
	shm_unlink(data_name);
	shm_unlink(control_name);
}

__attribute__((constructor)) static void choose_name(void)
{
	snprintf(name, sizeof(name), "hdmicast-fuzz-%d", (int)getpid());
	snprintf(data_name, sizeof(data_name), "/%s", name);
	snprintf(control_name, sizeof(control_name), "/%s.ctl", name);
	atexit(remove_objects);
}

/* ---- a ring that lies */

static bool is_promised(int error)
{
	const int promised[] = { 0, -EBADMSG, -EPROTONOSUPPORT, -ENODATA, -EPROTO, -EAGAIN,
		-ENOENT };

	for (size_t i = 0; i < ARRAY_SIZE(promised); i++)
		if (error == promised[i])
			return true;
	return false;
}

static void use_frame(struct hdmicast_ring *reader, struct hdmicast_frame *frame)
{
	static uint8_t copy[16 * PAGE];
	struct hdmicast_ring_info info;
	volatile uint8_t sum = 0;

	hdmicast_ring_get_info(reader, &info);
	expect(frame->size <= info.data_bytes);
	for (size_t i = 0; i < frame->size; i++)
		sum += ((const uint8_t *)frame->data)[i];
	if (frame->size <= sizeof(copy))
		hdmicast_ring_copy(reader, frame, copy, sizeof(copy));
	hdmicast_ring_valid(reader, frame);
}

static void read_object(void)
{
	struct hdmicast_ring *reader;
	struct hdmicast_frame frame;
	const int res = hdmicast_ring_open(&reader, name, 0);

	expect(is_promised(res));
	if (res)
		return;
	for (unsigned i = 0; i < 2 * SLOTS; i++) {
		hdmicast_ring_wait(reader, 0);
		if ((i & 1 ? hdmicast_ring_newest : hdmicast_ring_next)(reader, &frame) == 0)
			use_frame(reader, &frame);
	}
	hdmicast_ring_close(reader);
}

static void make_object(const void *bytes, size_t size)
{
	AUTO(auto_close) int fd = shm_open(data_name, O_RDWR | O_CREAT | O_TRUNC, 0600);

	expect(fd >= 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
}

/* A header, four slots with a frame of 1000 bytes in each, and a page of bytes behind them. */
static void describe(uint8_t object[2 * PAGE])
{
	const struct hdmicast_ring_header header = { .magic = HDMICAST_RING_MAGIC,
		.version = HDMICAST_RING_VERSION,
		.header_bytes = sizeof(header),
		.slot_bytes = sizeof(struct hdmicast_ring_slot),
		.slot_count = SLOTS,
		.slot_offset = sizeof(header),
		.data_offset = PAGE,
		.data_bytes = PAGE,
		.object_bytes = 2 * PAGE,
		.epoch = 1,
		.state = HDMICAST_RING_LIVE,
		.bell = SLOTS,
		.head = SLOTS,
		.key = 1 };

	memcpy(object, &header, sizeof(header));
	for (uint32_t n = 0; n < SLOTS; n++) {
		const struct hdmicast_ring_slot slot = { .stamp = HDMICAST_RING_STAMP(n),
			.flags = n ? 0 : HDMICAST_FRAME_KEY,
			.sequence = n,
			.offset = n * 1024u,
			.size = 1000 };

		memcpy(object + sizeof(header) + n * sizeof(slot), &slot, sizeof(slot));
	}
}

static void check_spoiled(const uint8_t *data, size_t size)
{
	uint8_t object[2 * PAGE] = { 0 };

	describe(object);
	for (size_t i = 0; i < MIN(size, sizeof(object)); i++)
		object[i] ^= data[i];
	make_object(object, sizeof(object));
	read_object();
}

/* ---- readers that lie */

static void disturb(int fd, const uint8_t *data, size_t size)
{
	const off_t at = data[0] | (off_t)data[1] << 8;

	if (data[2] & 1)
		expect(ftruncate(fd, at) == 0);
	else
		expect(pwrite(fd, data + 3, size - 3, at) == (ssize_t)(size - 3));
}

static void send_one(struct ring *ring, struct hdmicast_ring *reader, unsigned n)
{
	const struct hdmicast_ring_slot what = { .flags = HDMICAST_FRAME_KEY };
	const struct iovec piece = { &n, sizeof(n) };
	struct ring_readers readers;
	struct hdmicast_frame frame;
	unsigned got;

	ring_get_readers(ring, &readers);
	expect(readers.count <= HDMICAST_RING_READERS);
	expect(ring_publish(ring, &piece, 1, &what) == 0);
	hdmicast_ring_request_key(reader);
	expect(hdmicast_ring_next(reader, &frame) == 0 && frame.sequence == n && !frame.lost);
	expect(hdmicast_ring_copy(reader, &frame, &got, sizeof(got)) == 0 && got == n);
}

static void check_control(const uint8_t *data, size_t size)
{
	const struct ring_options opt = {
		.name = name, .bytes = PAGE, .slots = SLOTS, .mode = 0600, .group = RING_GROUP_KEEP
	};
	struct hdmicast_ring *reader = NULL;
	struct ring *ring = NULL;
	unsigned n = 0;
	int fd;

	expect(ring_create(&ring, &opt) == 0 && hdmicast_ring_open(&reader, name, 0) == 0);
	fd = shm_open(control_name, O_RDWR, 0);
	expect(fd >= 0);
	while (size > 4) {
		const size_t take = MIN(size, 4 + (size_t)data[0] % 64);

		if (take > 4)
			disturb(fd, data + 1, take - 1);
		send_one(ring, reader, n++);
		data += take;
		size -= take;
	}
	close(fd);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > 4 * PAGE)
		return 0;
	remove_objects();
	switch (data[0] % 3) {
	case 0: check_spoiled(data + 1, size - 1); break;
	case 1:
		make_object(data + 1, size - 1);
		read_object();
		break;
	default: check_control(data + 1, size - 1);
	}
	return 0;
}
