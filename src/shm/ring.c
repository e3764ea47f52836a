/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rule: a stamp says that its slot and its frame's bytes are whole, so a stamp is taken away
 * before one of those is written to, and set after. docs/ring.md proves it.
 */
#include "shm/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "shm/futex_wake.h"
#include "shm/shared.h"
#include "shm/shm_object.h"

#define ALIGNMENT     64u
#define MIN_BYTES     4096u
#define MAX_BYTES     (1ull << 40)
#define READER_TTL_NS (10 * NS_PER_S)
#define SHARED_READER (HDMICAST_RING_READERS - 1)

struct ring {
	struct shm_object_names names;
	int fd, control_fd;
	size_t object_bytes;
	struct hdmicast_ring_header *header; /* where the object is mapped */
	struct hdmicast_ring_slot *slots;
	uint8_t *data;

	/* Ours alone: nothing that decides where we write lies in shared memory. */
	uint32_t slot_count;
	uint64_t data_bytes;
	uint64_t head, tail; /* sequences of the next frame and of the oldest whole one */
	uint64_t position;   /* bytes ever used; modulo data_bytes, where the next frame goes */
	uint64_t *placed;    /* for each slot, the position at which its frame begins */
	uint64_t oversized, wakes, epoch;
	struct futex_wake waker;
	uint32_t keys[HDMICAST_RING_READERS]; /* what was heard last, as what follows */
	uint32_t shared_beat;
	int64_t shared_beat_ns; /* 0: nobody is there */
};

static uint64_t align(uint64_t bytes)
{
	return (bytes + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

static uint32_t round_up_slots(unsigned slots)
{
	uint32_t count = 2;

	while (count < slots)
		count *= 2;
	return count;
}

static void describe(struct hdmicast_ring_header *header, const struct ring_options *opt)
{
	*header = (struct hdmicast_ring_header){
		.magic = HDMICAST_RING_MAGIC,
		.version = HDMICAST_RING_VERSION,
		.header_bytes = sizeof(*header),
		.slot_bytes = sizeof(struct hdmicast_ring_slot),
		.slot_count = round_up_slots(opt->slots),
		.slot_offset = sizeof(*header),
		.data_bytes = align(opt->bytes),
		.epoch = (uint64_t)wall_us(),
		.writer_pid = (uint32_t)getpid(),
		.writer = "hdmicast " VERSION,
		.state = HDMICAST_RING_NEW,
	};
	/* Frames begin on a page, so that raw pictures may be mapped by devices one day. */
	header->data_offset = header->slot_offset + header->slot_count * header->slot_bytes;
	header->data_offset = (header->data_offset + 4095) & ~UINT64_C(4095);
	header->object_bytes = header->data_offset + header->data_bytes;
}

static int map(struct ring *ring, const struct hdmicast_ring_header *like)
{
	uint8_t *base;

	if (like->object_bytes > SIZE_MAX)
		return -ENOMEM;
	ring->object_bytes = (size_t)like->object_bytes;
	base = mmap(NULL, ring->object_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	ring->header = (struct hdmicast_ring_header *)base;
	ring->waker.word = &ring->header->bell;
	ring->slots = (struct hdmicast_ring_slot *)(base + like->slot_offset);
	ring->data = base + like->data_offset;
	ring->slot_count = like->slot_count;
	ring->data_bytes = like->data_bytes;
	ring->placed = xcalloc(ring->slot_count, sizeof(*ring->placed));
	return 0;
}

static int make_objects(struct ring *ring, const struct ring_options *opt)
{
	struct hdmicast_ring_header like;
	int res;

	describe(&like, opt);
	ring->epoch = like.epoch;
	ring->control_fd = shm_object_create_control(&ring->names, like.epoch, opt->mode,
		opt->group);
	if (ring->control_fd < 0)
		return ring->control_fd;
	ring->fd = shm_object_create_data(&ring->names, &like, opt->mode, opt->group);
	if (ring->fd < 0)
		return ring->fd;
	res = map(ring, &like);
	if (!res)
		shared_store_release(&ring->header->state, HDMICAST_RING_LIVE);
	return res;
}

int ring_create(struct ring **out, const struct ring_options *opt)
{
	struct hdmicast_ring_header *old = NULL;
	struct ring *ring;
	int res;

	if (opt->bytes < MIN_BYTES || opt->bytes > MAX_BYTES || !opt->slots ||
		opt->slots > HDMICAST_RING_MAX_SLOTS)
		return -EINVAL;
	ring = xcalloc(1, sizeof(*ring));
	ring->fd = ring->control_fd = -1;
	res = shm_object_set_names(&ring->names, opt->name);
	if (!res)
		res = shm_object_take_over(&ring->names, &old);
	if (!res)
		res = make_objects(ring, opt);
	/* Only now: whoever it wakes finds the new ring. */
	shm_object_retire(old);
	if (res) {
		ring_destroy(ring);
		return res;
	}
	*out = ring;
	return 0;
}

/* Another writer may have taken them over, if somebody removed ours. */
static void remove_names(const struct ring *ring)
{
	shm_object_remove(ring->names.data, ring->fd);
	shm_object_remove(ring->names.control, ring->control_fd);
}

/* Whoever the end of the old one wakes finds the new one. */
int ring_replace(struct ring **ring, const struct ring_options *opt)
{
	struct ring *old = *ring;
	int res;

	remove_names(old);
	*ring = NULL;
	res = ring_create(ring, opt);
	ring_destroy(old);
	return res;
}

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	remove_names(ring);
	if (ring->header) {
		shared_store_release(&ring->header->state, HDMICAST_RING_GONE);
		futex_wake_all(&ring->header->bell);
		munmap(ring->header, ring->object_bytes);
	}
	close_fd(&ring->control_fd);
	close_fd(&ring->fd);
	free(ring->placed);
	free(ring);
}

/* Takes the stamps of all frames that lose bytes up to position `end`, or their slot. */
static void evict(struct ring *ring, uint64_t end)
{
	const uint32_t mask = ring->slot_count - 1;

	while (ring->tail < ring->head &&
		(ring->placed[ring->tail & mask] + ring->data_bytes < end ||
			ring->head - ring->tail > mask)) {
		shared_store(&ring->slots[ring->tail & mask].stamp, 0);
		ring->tail++;
	}
	shared_store(&ring->header->tail, (uint32_t)ring->tail);
	shared_fence_stores();
}

/* Makes room for one frame in one piece, where it lies from then on. */
static uint64_t reserve(struct ring *ring, uint64_t size)
{
	const uint64_t need = align(size);
	const uint64_t offset = ring->position % ring->data_bytes;
	uint64_t begin = ring->position;

	if (offset + need > ring->data_bytes)
		begin += ring->data_bytes - offset;
	evict(ring, begin + need);
	ring->placed[ring->head & (ring->slot_count - 1)] = begin;
	ring->position = begin + need;
	return begin % ring->data_bytes;
}

/* Word by word: a reader may look at the same time. */
static void write_slot(struct hdmicast_ring_slot *slot, const struct hdmicast_ring_slot *from)
{
	uint32_t words[sizeof(*slot) / sizeof(uint32_t)];
	uint32_t *to = (uint32_t *)slot;

	memcpy(words, from, sizeof(words));
	for (size_t i = 1; i < ARRAY_SIZE(words); i++)
		shared_store(&to[i], words[i]);
	shared_store_release(&slot->stamp, HDMICAST_RING_STAMP(from->sequence));
}

/* The order matters: who sees the bell sees the head, who sees the head sees the frame. */
static void announce(struct ring *ring, bool key, int64_t now_ns)
{
	const uint32_t next = (uint32_t)++ring->head;

	if (key)
		shared_store_release(&ring->header->key, next);
	shared_store_release(&ring->header->head, next);
	ring->wakes += futex_wake_frame(&ring->waker, now_ns);
}

int ring_publish(struct ring *ring, const struct iovec *pieces, unsigned count,
	const struct hdmicast_ring_slot *what)
{
	struct hdmicast_ring_slot slot = *what;
	uint8_t *to;

	slot.size = 0;
	for (unsigned i = 0; i < count; i++)
		slot.size += pieces[i].iov_len;
	if (slot.size > ring->data_bytes) {
		ring->oversized++;
		return -EMSGSIZE;
	}
	slot.sequence = ring->head;
	slot.oversized = ring->oversized;
	slot.offset = reserve(ring, slot.size);
	to = ring->data + slot.offset;
	for (unsigned i = 0; i < count; i++) {
		shared_copy(to, pieces[i].iov_base, pieces[i].iov_len);
		to += pieces[i].iov_len;
	}
	slot.published_ns = now_ns();
	write_slot(&ring->slots[ring->head & (ring->slot_count - 1)], &slot);
	announce(ring, slot.flags & HDMICAST_FRAME_KEY, slot.published_ns);
	return 0;
}

static uint32_t frame_flags(const struct frame *frame)
{
	return (frame->key ? HDMICAST_FRAME_KEY : 0) | (frame->online ? HDMICAST_FRAME_ONLINE : 0) |
	       (frame->range == RANGE_FULL ? HDMICAST_FRAME_FULL_RANGE : 0) |
	       (frame->matrix == MATRIX_709 ? HDMICAST_FRAME_BT709 : 0);
}

int ring_publish_frame(struct ring *ring, const struct frame *frame, uint64_t dropped)
{
	struct hdmicast_ring_slot what = {
		.flags = frame_flags(frame),
		.captured_ns = frame->captured_ns,
		.fourcc = frame->format,
		.width = frame->width,
		.height = frame->height,
		.stride = frame->plane[0].stride,
		.stride2 = frame->plane[1].stride,
		.source_sequence = frame->sequence,
		.dropped = dropped,
		.encode_begin_ns = frame->encode_begin_ns,
		.encode_end_ns = frame->encode_end_ns,
	};
	struct iovec pieces[FRAME_PLANES];
	unsigned count = 0;
	size_t size = 0;

	for (; count < FRAME_PLANES && frame->plane[count].data; count++) {
		pieces[count] = (struct iovec){ frame->plane[count].data,
			frame->plane[count].size };
		if (count)
			what.plane_offset[count - 1] = (uint32_t)size;
		size += frame->plane[count].size;
	}
	return ring_publish(ring, pieces, count, &what);
}

static off_t place_offset(unsigned index)
{
	return (off_t)(sizeof(struct hdmicast_ring_control) +
		       index * sizeof(struct hdmicast_ring_reader));
}

/* Somebody's lock on some places of those from `from` up to `to`, which are these then. */
static bool find_lock(int fd, unsigned *from, unsigned *to)
{
	struct flock lock = { .l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = place_offset(*from),
		.l_len = place_offset(*to) - place_offset(*from) };

	if (*from == *to || fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type == F_UNLCK)
		return false;
	while (place_offset(*from + 1) <= lock.l_start)
		++*from;
	while (lock.l_len && *to > *from + 1 && place_offset(*to - 1) >= lock.l_start + lock.l_len)
		--*to;
	return true;
}

/*
 * Which places are locked: the kernel says so, whom nobody can silence, and it ends a lock with its
 * holder, at once. It names any one lock of many, so one asks again before that, then behind it.
 */
static void find_taken(int fd, bool *taken)
{
	unsigned from = 0, to = SHARED_READER;

	while (from < SHARED_READER) {
		unsigned first = from, end = to;

		if (find_lock(fd, &first, &end)) {
			memset(taken + first, true, end - first);
			to = first;
			continue;
		}
		for (from = to; from < SHARED_READER && taken[from];)
			from++;
		to = SHARED_READER;
	}
}

/* Nobody holds a lock there: who goes on saying something else is there. */
static bool hear_shared(struct ring *ring, uint32_t beat, int64_t now)
{
	if (beat != ring->shared_beat)
		ring->shared_beat_ns = now;
	ring->shared_beat = beat;
	return ring->shared_beat_ns && now - ring->shared_beat_ns < READER_TTL_NS;
}

void ring_get_readers(struct ring *ring, struct ring_readers *out)
{
	const struct hdmicast_ring_control right = shm_object_describe_control(ring->epoch);
	bool is_there[HDMICAST_RING_READERS] = { false };
	struct {
		struct hdmicast_ring_control control;
		struct hdmicast_ring_reader reader[HDMICAST_RING_READERS];
	} said = { 0 };

	*out = (struct ring_readers){ 0 };
	/* Shorter when someone cut it: then nobody says anything, and it grows as they write. */
	if (pread(ring->control_fd, &said, sizeof(said), 0) < 0)
		return;
	find_taken(ring->control_fd, is_there);
	is_there[SHARED_READER] = hear_shared(ring, said.reader[SHARED_READER].beat, now_ns());
	for (unsigned i = 0; i < HDMICAST_RING_READERS; i++) {
		const struct hdmicast_ring_reader *reader = &said.reader[i];
		const bool asks = reader->keys != ring->keys[i];

		ring->keys[i] = reader->keys;
		if (!is_there[i])
			continue;
		out->key_request |= asks;
		out->count++;
		out->lost += reader->lost;
		out->laps += reader->laps;
	}
	/* Without it, no other reader takes a place. */
	if (memcmp(&said.control, &right, sizeof(right)) != 0 &&
		pwrite(ring->control_fd, &right, sizeof(right), 0) < 0)
		return;
}

void ring_forget(struct ring *ring)
{
	shared_store_release(&ring->header->key, 0);
}

bool ring_is_named(const struct ring *ring)
{
	struct stat data, control;

	return fstat(ring->fd, &data) == 0 && data.st_nlink &&
	       fstat(ring->control_fd, &control) == 0 && control.st_nlink;
}

uint64_t ring_wakes(const struct ring *ring)
{
	return ring->wakes;
}

uint64_t ring_published(const struct ring *ring)
{
	return ring->head;
}
