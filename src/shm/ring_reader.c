/* SPDX-License-Identifier: MIT */
/*
 * The reader. `next` is the frame to be read next; it only moves forward, so every loop over it
 * ends, whatever the shared memory claims.
 */
#include "shm/hdmicast-ring.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shm/ring_attach.h"
#include "shm/shared.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

struct hdmicast_ring {
	char name[RING_NAME_SIZE];
	struct ring_map map;
	struct ring_seat seat;
	struct ring_watch *watch; /* NULL until hdmicast_ring_fd() */
	uint32_t next;
	int needs_key;     /* the frames up to the next key frame are of no use */
	uint64_t lost;     /* in all */
	uint64_t gap;      /* before the next frame; not in `lost` yet */
	int64_t asked_ns;  /* for a key frame, after losses */
	int64_t looked_ns; /* whether the writer lives */
	int is_dead;       /* it did not, then */
	int had_ring;      /* what came before in the next one was missed, too */
};

/* At once when a loss is new, then again, should the first request not have been heard. */
static void need_key(struct hdmicast_ring *ring)
{
	const int64_t now = ring_now_ns();

	if (ring->needs_key && now - ring->asked_ns < 500 * NS_PER_MS)
		return;
	ring->needs_key = 1;
	ring->asked_ns = now;
	hdmicast_ring_request_key(ring);
}

/* Where one begins who cannot go on at `next`: at the newest key frame, or behind the newest frame. */
static void resume(struct hdmicast_ring *ring, uint32_t head)
{
	const uint32_t key = shared_load_acquire(&ring->map.header->key) - 1;
	const uint32_t ahead = key - ring->next, behind = head - key;

	ring->seat.says.laps++;
	if (ahead >= 1 && ahead <= INT32_MAX && behind >= 1 && behind <= ring->map.slot_count) {
		ring->gap += ahead;
		ring->next = key;
		return;
	}
	ring->gap += (uint32_t)(head - ring->next);
	ring->next = head;
	need_key(ring);
}

/* A new reader has lost nothing yet, unless it comes from another ring. */
static void start(struct hdmicast_ring *ring)
{
	const uint32_t head = shared_load_acquire(&ring->map.header->head);
	const uint32_t key = shared_load_acquire(&ring->map.header->key) - 1;
	struct hdmicast_ring_slot slot;

	ring->is_dead = 0;
	ring->needs_key = 0;
	ring->next = head;
	if ((uint32_t)(head - key) - 1 < ring->map.slot_count &&
		ring_map_read(&ring->map, key, &slot))
		ring->next = key;
	else
		need_key(ring);
	if (ring->had_ring)
		ring->gap += ring->next;
	ring->had_ring = 1;
}

static int attach(struct hdmicast_ring *ring)
{
	int res = ring_map_open(&ring->map, ring->name);

	if (res)
		return res;
	ring_seat_take(&ring->seat, ring->name, ring->map.epoch);
	start(ring);
	return 0;
}

/* What was not read of this ring never will be. */
static void detach(struct hdmicast_ring *ring)
{
	if (ring->map.fd >= 0)
		ring->gap += shared_load_acquire(&ring->map.header->head) - ring->next;
	ring_seat_leave(&ring->seat);
	ring_map_close(&ring->map);
}

/* Who found no place, because somebody wrote over the control object, tries again. */
static void beat(struct hdmicast_ring *ring)
{
	const int64_t now = ring_now_ns();

	if (ring->seat.fd < 0 && ring->map.fd >= 0 && now - ring->seat.beat_ns >= NS_PER_S) {
		ring->seat.beat_ns = now;
		ring_seat_take(&ring->seat, ring->name, ring->map.epoch);
	}
	ring_seat_beat(&ring->seat, ring->lost, 0);
}

/*
 * The writer died: its successor would have told the readers, unless someone removed the object,
 * or it was killed itself before it could. What can still be read here is kept until there is
 * another one.
 */
static void look_for_successor(struct hdmicast_ring *ring)
{
	const int64_t now = ring_now_ns();
	const int64_t apart_ms = ring->is_dead ? RING_SEARCH_MS : RING_LOOK_MS;
	struct ring_map other;

	if (now - ring->looked_ns < apart_ms * NS_PER_MS)
		return;
	ring->looked_ns = now;
	ring->is_dead = !ring_map_alive(&ring->map);
	if (!ring->is_dead || ring_map_open(&other, ring->name))
		return;
	if (other.epoch == ring->map.epoch) {
		ring_map_close(&other);
		return;
	}
	detach(ring);
	ring->map = other;
	ring_seat_take(&ring->seat, ring->name, ring->map.epoch);
	start(ring);
}

static int is_abandoned(const struct hdmicast_ring *ring)
{
	return shared_load_acquire(&ring->map.header->state) != HDMICAST_RING_LIVE;
}

/* Goes over to another ring when this one was abandoned. */
static void refresh(struct hdmicast_ring *ring)
{
	if (ring->map.fd >= 0 && !is_abandoned(ring))
		return look_for_successor(ring);
	detach(ring);
	attach(ring);
}

/* The next frame that is of use: 0, or -EAGAIN. */
static int find(struct hdmicast_ring *ring, struct hdmicast_ring_slot *slot)
{
	/* No more rounds than there are frames: who changes the head meanwhile may not hold us. */
	for (uint32_t round = 0; round <= ring->map.slot_count; round++) {
		const uint32_t head = shared_load_acquire(&ring->map.header->head);
		const uint32_t waiting = head - ring->next;

		if (!waiting)
			return -EAGAIN;
		if (waiting > ring->map.slot_count ||
			!ring_map_read(&ring->map, ring->next, slot)) {
			resume(ring, head);
			continue;
		}
		if (!ring->needs_key || slot->flags & HDMICAST_FRAME_KEY)
			return 0;
		ring->next++;
		ring->gap++;
		need_key(ring);
	}
	return -EAGAIN;
}

/* As find(), in the next ring when this one has nothing left. */
static int find_anywhere(struct hdmicast_ring *ring, struct hdmicast_ring_slot *slot)
{
	if (ring->map.fd >= 0 && find(ring, slot) == 0)
		return 0;
	/* Its last frames may have come just before it was abandoned. */
	if (ring->map.fd >= 0 && is_abandoned(ring) && find(ring, slot) == 0)
		return 0;
	refresh(ring);
	return ring->map.fd >= 0 ? find(ring, slot) : -EAGAIN;
}

/* With the descriptor reset before the last look, no frame can come unseen. */
static int find_and_reset(struct hdmicast_ring *ring, struct hdmicast_ring_slot *slot)
{
	int res = find_anywhere(ring, slot);

	if (!res || !ring->watch)
		return res;
	ring_watch_clear(ring->watch);
	res = find_anywhere(ring, slot);
	if (!res)
		ring_watch_set(ring->watch);
	return res;
}

int hdmicast_ring_open(struct hdmicast_ring **out, const char *name, unsigned flags)
{
	struct hdmicast_ring *ring = calloc(1, sizeof(*ring));
	int res;

	if (!ring)
		return -ENOMEM;
	ring->map.fd = ring->seat.fd = -1;
	res = ring_set_name(ring->name, name);
	if (!res) {
		res = attach(ring);
		if ((flags & HDMICAST_RING_EARLY) && (res == -ENOENT || res == -EAGAIN))
			res = 0;
	}
	if (res)
		hdmicast_ring_close(ring);
	else
		*out = ring;
	return res;
}

void hdmicast_ring_close(struct hdmicast_ring *ring)
{
	if (!ring)
		return;
	ring_watch_stop(ring->watch);
	detach(ring);
	free(ring);
}

/* One piece of waiting: for the bell to be other than it was before the last look at the frames. */
static void wait_slice(struct hdmicast_ring *ring, uint32_t bell, int64_t left_ns)
{
	const int searches = ring->map.fd < 0 || ring->is_dead;
	const int64_t slice = (searches ? RING_SEARCH_MS : RING_SLICE_MS) * NS_PER_MS;
	const int64_t ns = left_ns < slice ? left_ns : slice;
	const struct timespec ts = { .tv_nsec = ns };

	if (ring->map.fd < 0)
		nanosleep(&ts, NULL);
	else
		ring_wait_for_bell(&ring->map.header->bell, bell, ns);
}

int hdmicast_ring_wait(struct hdmicast_ring *ring, int timeout_ms)
{
	const int64_t end = timeout_ms < 0 ? INT64_MAX : ring_now_ns() + timeout_ms * NS_PER_MS;
	struct hdmicast_ring_slot slot;

	for (;;) {
		const uint64_t epoch = ring->map.fd < 0 ? 0 : ring->map.epoch;
		uint32_t bell = 0;
		int64_t left;

		beat(ring);
		if (ring->map.fd >= 0)
			bell = shared_load_acquire(&ring->map.header->bell);
		if (find_anywhere(ring, &slot) == 0)
			return 0;
		if (ring->map.fd >= 0 && ring->map.epoch != epoch)
			continue; /* another ring's bell */
		left = end - ring_now_ns();
		if (left <= 0)
			return -ETIMEDOUT;
		wait_slice(ring, bell, left);
	}
}

int hdmicast_ring_fd(struct hdmicast_ring *ring)
{
	if (!ring->watch) {
		int res = ring_watch_start(&ring->watch, ring->name);

		if (res)
			return res;
	}
	return ring_watch_fd(ring->watch);
}

static void lend(struct hdmicast_ring *ring, const struct hdmicast_ring_slot *slot,
	struct hdmicast_frame *out)
{
	*out = (struct hdmicast_frame){
		.data = ring->map.data + slot->offset,
		.size = (size_t)slot->size,
		.epoch = ring->map.epoch,
		.sequence = slot->sequence,
		.lost = ring->gap,
		.flags = slot->flags,
		.fourcc = slot->fourcc,
		.width = slot->width,
		.height = slot->height,
		.stride = slot->stride,
		.stride2 = slot->stride2,
		.plane_offset = { slot->plane_offset[0], slot->plane_offset[1] },
		.captured_ns = slot->captured_ns,
		.published_ns = slot->published_ns,
		.encode_begin_ns = slot->encode_begin_ns,
		.encode_end_ns = slot->encode_end_ns,
		.source_sequence = slot->source_sequence,
		.dropped = slot->dropped,
		.oversized = slot->oversized,
	};
	ring->lost += ring->gap;
	ring->gap = 0;
	ring->needs_key = 0;
	ring->next++;
}

int hdmicast_ring_next(struct hdmicast_ring *ring, struct hdmicast_frame *out)
{
	struct hdmicast_ring_slot slot;
	int res;

	beat(ring);
	res = find_and_reset(ring, &slot);
	/* A writer that is not ours may lie about the number; ours never does. */
	if (!res && (uint32_t)slot.sequence != ring->next)
		slot.sequence = ring->next;
	if (!res)
		lend(ring, &slot, out);
	return res;
}

int hdmicast_ring_newest(struct hdmicast_ring *ring, struct hdmicast_frame *out)
{
	if (ring->map.fd >= 0) {
		const uint32_t head = shared_load_acquire(&ring->map.header->head);
		const uint32_t key = shared_load_acquire(&ring->map.header->key) - 1;
		const uint32_t waiting = head - ring->next;

		/* The key frame lies between the next frame and the head. */
		if ((uint32_t)(key - ring->next) < waiting && waiting <= INT32_MAX) {
			ring->gap += (uint32_t)(key - ring->next);
			ring->next = key;
		}
	}
	return hdmicast_ring_next(ring, out);
}

int hdmicast_ring_valid(struct hdmicast_ring *ring, struct hdmicast_frame *frame)
{
	if (!frame->data)
		return 0;
	if (ring->map.fd >= 0 && frame->epoch == ring->map.epoch &&
		ring_map_whole(&ring->map, (uint32_t)frame->sequence))
		return 1;
	frame->data = NULL;
	ring->gap++;
	/* What follows an H.264 frame that was lost cannot be decoded. */
	need_key(ring);
	return 0;
}

int hdmicast_ring_copy(struct hdmicast_ring *ring, struct hdmicast_frame *frame, void *to,
	size_t room)
{
	if (frame->size > room)
		return -EMSGSIZE;
	if (!hdmicast_ring_valid(ring, frame))
		return -ESTALE;
	shared_copy(to, frame->data, frame->size);
	return hdmicast_ring_valid(ring, frame) ? 0 : -ESTALE;
}

int hdmicast_ring_request_key(struct hdmicast_ring *ring)
{
	if (ring->seat.fd < 0)
		return ring->map.fd < 0 ? -ENOENT : -EACCES;
	ring->seat.says.keys++;
	ring_seat_beat(&ring->seat, ring->lost, 1);
	return 0;
}

uint64_t hdmicast_ring_lost(const struct hdmicast_ring *ring)
{
	return ring->lost + ring->gap;
}

int hdmicast_ring_get_info(struct hdmicast_ring *ring, struct hdmicast_ring_info *out)
{
	*out = (struct hdmicast_ring_info){ 0 };
	/* A frame may be lent: only who has no ring looks for another one here. */
	if (ring->map.fd < 0)
		refresh(ring);
	if (ring->map.fd < 0)
		return 0;
	out->attached = shared_load_acquire(&ring->map.header->state) == HDMICAST_RING_LIVE;
	out->alive = ring_map_alive(&ring->map);
	out->epoch = ring->map.epoch;
	out->data_bytes = ring->map.data_bytes;
	out->slot_count = ring->map.slot_count;
	out->writer_pid = ring->map.writer_pid;
	memcpy(out->writer, ring->map.writer, sizeof(out->writer));
	return 0;
}

const char *hdmicast_ring_strerror(int error)
{
	switch (error) {
	case 0: return "no error";
	case -ENOENT: return "there is no ring of this name: does the writer run?";
	case -EACCES: return "the ring is not for this user: is the group or the mode right?";
	case -EINVAL:
		return "no ring has such a name: no '/' in it, no '.' in front, 250 bytes at most";
	case -EBADMSG: return "the object of this name is no ring";
	case -EPROTONOSUPPORT: return "the ring is of a newer version than this library";
	case -ENODATA: return "the object is shorter than the ring it claims to be";
	case -EPROTO: return "the header of the ring contradicts itself";
	case -EAGAIN: return "nothing yet: try again";
	case -ESTALE: return "the writer has overwritten the frame meanwhile";
	case -EMSGSIZE: return "the frame is larger than the room for it";
	case -ETIMEDOUT: return "no frame came in time";
	default: return strerror(error < 0 ? -error : error);
	}
}
