/* SPDX-License-Identifier: MIT */
/*
 * Rule: what an object says is copied once, checked, and only the copy is used.
 */
#include "shm/ring_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "shm/shared.h"

#define NS_PER_S INT64_C(1000000000)
#define PASS_ON  2 /* as many readers are woken by each */

_Static_assert(sizeof(off_t) == 8, "compile with -D_FILE_OFFSET_BITS=64");

int64_t ring_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int ring_wait_for_bell(const uint32_t *bell, uint32_t value, int64_t ns)
{
	const uint32_t bit = HDMICAST_RING_BELL_BIT(value);
	const int64_t end = ring_now_ns() + ns;
	/* Two longs are what SYS_futex takes, also where time_t has 64 bits and a long has not. */
	const long timeout[2] = { (long)(end / NS_PER_S), (long)(end % NS_PER_S) };

	if (syscall(SYS_futex, bell, FUTEX_WAIT_BITSET, value, timeout, NULL, bit))
		return errno == ETIMEDOUT ? -ETIMEDOUT : 0;
	syscall(SYS_futex, bell, FUTEX_WAKE_BITSET, PASS_ON, NULL, NULL, bit);
	return 0;
}

int ring_set_name(char out[RING_NAME_SIZE], const char *name)
{
	size_t length;

	name += *name == '/';
	length = strlen(name);
	if (!length || length > RING_NAME_SIZE - sizeof("/.ctl") || strchr(name, '/') ||
		*name == '.')
		return -EINVAL;
	snprintf(out, RING_NAME_SIZE, "/%s", name);
	return 0;
}

/* Each sum is checked before it is made: the numbers may be anything. */
static int check(const struct hdmicast_ring_header *header, uint64_t size)
{
	const uint64_t slots = (uint64_t)header->slot_count * header->slot_bytes;

	if (header->magic != HDMICAST_RING_MAGIC)
		return -EBADMSG;
	if (header->version > HDMICAST_RING_VERSION)
		return -EPROTONOSUPPORT;
	if (header->version < 1 || header->header_bytes < sizeof(*header) ||
		header->slot_bytes < sizeof(struct hdmicast_ring_slot) || header->slot_bytes % 8 ||
		header->slot_bytes > 4096 || header->slot_count < 2 ||
		header->slot_count > HDMICAST_RING_MAX_SLOTS ||
		(header->slot_count & (header->slot_count - 1)))
		return -EPROTO;
	if (header->object_bytes > size)
		return -ENODATA;
	if (header->slot_offset % 8 || header->slot_offset < header->header_bytes ||
		header->slot_offset > header->object_bytes ||
		slots > header->object_bytes - header->slot_offset ||
		header->data_offset > header->object_bytes ||
		header->data_offset < header->slot_offset + slots ||
		header->data_bytes > header->object_bytes - header->data_offset)
		return -EPROTO;
	return header->object_bytes > SIZE_MAX ? -ENOMEM : 0;
}

static int read_header(int fd, struct hdmicast_ring_header *header)
{
	struct stat st;
	ssize_t size;
	int res;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	size = pread(fd, header, sizeof(*header), 0);
	if (size < 0)
		return -errno;
	if (size == 0)
		return -EAGAIN;
	if ((size_t)size < sizeof(header->magic) || header->magic != HDMICAST_RING_MAGIC)
		return -EBADMSG;
	if (size < (ssize_t)sizeof(*header))
		return -ENODATA;
	/* Of a ring in the making, nothing else is right yet. */
	if (header->version <= HDMICAST_RING_VERSION && header->state == HDMICAST_RING_NEW)
		return -EAGAIN;
	if (header->version <= HDMICAST_RING_VERSION && header->state == HDMICAST_RING_GONE)
		return -ENOENT;
	/* A state that nobody knows would be looked at again and again. */
	res = check(header, (uint64_t)st.st_size);
	return !res && header->state != HDMICAST_RING_LIVE ? -EPROTO : res;
}

static int map_object(struct ring_map *map, const struct hdmicast_ring_header *like)
{
	void *base = mmap(NULL, (size_t)like->object_bytes, PROT_READ, MAP_SHARED, map->fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	map->base = base;
	map->bytes = (size_t)like->object_bytes;
	map->header = base;
	map->slots = map->base + like->slot_offset;
	map->data = map->base + like->data_offset;
	map->slot_count = like->slot_count;
	map->slot_bytes = like->slot_bytes;
	map->data_bytes = like->data_bytes;
	map->epoch = like->epoch;
	map->writer_pid = like->writer_pid;
	memcpy(map->writer, like->writer, sizeof(map->writer));
	map->writer[sizeof(map->writer) - 1] = 0;
	return 0;
}

/* What has the name may be a pipe, which one would wait in for ever, or a link, or a directory. */
static int open_object(const char *name, int how)
{
	int fd = shm_open(name, how | O_NONBLOCK, 0);

	if (fd >= 0)
		return fd;
	return errno == ELOOP || errno == ENXIO || errno == EISDIR ? -EBADMSG : -errno;
}

int ring_map_open(struct ring_map *out, const char *name)
{
	struct hdmicast_ring_header header = { 0 };
	struct ring_map map = { .fd = open_object(name, O_RDONLY) };
	int res;

	if (map.fd < 0)
		return map.fd;
	res = read_header(map.fd, &header);
	if (!res)
		res = map_object(&map, &header);
	if (res) {
		close(map.fd);
		return res;
	}
	*out = map;
	return 0;
}

void ring_map_close(struct ring_map *map)
{
	if (map->fd < 0)
		return;
	munmap((void *)map->base, map->bytes);
	close(map->fd);
	map->fd = -1;
}

int ring_map_alive(const struct ring_map *map)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (map->fd < 0 || fcntl(map->fd, F_OFD_GETLK, &lock))
		return 0;
	return lock.l_type != F_UNLCK;
}

static const uint32_t *slot_words(const struct ring_map *map, uint32_t n)
{
	const size_t index = n & (map->slot_count - 1);

	return (const uint32_t *)(const void *)(map->slots + index * map->slot_bytes);
}

int ring_map_whole(const struct ring_map *map, uint32_t n)
{
	shared_fence_loads();
	return shared_load(slot_words(map, n)) == HDMICAST_RING_STAMP(n);
}

int ring_map_read(const struct ring_map *map, uint32_t n, struct hdmicast_ring_slot *out)
{
	const uint32_t *from = slot_words(map, n);
	uint32_t words[sizeof(*out) / sizeof(uint32_t)];

	if (shared_load_acquire(from) != HDMICAST_RING_STAMP(n))
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = shared_load(&from[i]);
	if (!ring_map_whole(map, n))
		return 0;
	memcpy(out, words, sizeof(*out));
	return out->offset <= map->data_bytes && out->size <= map->data_bytes - out->offset;
}

/* ---- the seat */

static off_t seat_offset(unsigned index)
{
	return (off_t)(sizeof(struct hdmicast_ring_control) +
		       index * sizeof(struct hdmicast_ring_reader));
}

#define SHARED_SEAT (HDMICAST_RING_READERS - 1)

static int lock_seat(int fd, unsigned index)
{
	struct flock lock = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = seat_offset(index),
		.l_len = sizeof(struct hdmicast_ring_reader) };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* The first one that nobody holds; the last one is for all who find none. */
static unsigned find_seat(int fd)
{
	unsigned index = 0;

	while (index < SHARED_SEAT && !lock_seat(fd, index))
		index++;
	return index;
}

/* On from what the one before said last, so that the writer sees a change. */
static void sit_down(struct ring_seat *seat, unsigned index)
{
	struct hdmicast_ring_reader before = { 0 };

	seat->index = index;
	if (pread(seat->fd, &before, sizeof(before), seat_offset(index)) < 0)
		memset(&before, 0, sizeof(before));
	seat->says.beat = before.beat;
	seat->says.keys = before.keys;
}

void ring_seat_take(struct ring_seat *seat, const char *name, uint64_t epoch)
{
	const uint32_t laps = seat->says.laps;
	struct hdmicast_ring_control control;
	char path[RING_NAME_SIZE + 4];
	int fd;

	snprintf(path, sizeof(path), "%s.ctl", name);
	fd = open_object(path, O_RDWR);
	if (fd < 0)
		return;
	/* An epoch that differs: the writer is about to replace one of the two objects. */
	if (pread(fd, &control, sizeof(control), 0) != (ssize_t)sizeof(control) ||
		control.magic != HDMICAST_RING_CONTROL_MAGIC || control.epoch != epoch) {
		close(fd);
		return;
	}
	seat->fd = fd;
	memset(&seat->says, 0, sizeof(seat->says));
	sit_down(seat, find_seat(fd));
	seat->says.laps = laps;
	seat->says.pid = (uint32_t)getpid();
	ring_seat_beat(seat, 0, 1);
}

void ring_seat_leave(struct ring_seat *seat)
{
	if (seat->fd < 0)
		return;
	seat->says.beat = 0;
	if (seat->index < SHARED_SEAT &&
		pwrite(seat->fd, &seat->says, sizeof(seat->says), seat_offset(seat->index)) < 0)
		seat->says.pid = 0; /* nothing to be done: the lock goes in any case */
	close(seat->fd);
	seat->fd = -1;
}

/* The shared one is no safe one. What was asked for there may have gone unheard. */
static void leave_shared(struct ring_seat *seat)
{
	const unsigned other = seat->says.beat % SHARED_SEAT;

	if (seat->index != SHARED_SEAT || !lock_seat(seat->fd, other))
		return;
	sit_down(seat, other);
	seat->says.keys++;
}

void ring_seat_beat(struct ring_seat *seat, uint64_t lost, int at_once)
{
	const int64_t now = ring_now_ns();

	if (seat->fd < 0 || (!at_once && now - seat->beat_ns < NS_PER_S))
		return;
	leave_shared(seat);
	seat->beat_ns = now;
	seat->says.lost = lost;
	if (!++seat->says.beat)
		seat->says.beat = 1;
	if (pwrite(seat->fd, &seat->says, sizeof(seat->says), seat_offset(seat->index)) < 0)
		seat->beat_ns = 0; /* again next time */
}
