/* SPDX-License-Identifier: MIT */
/*
 * Inside libhdmicast-ring: finding a ring, and saying to its writer that one is here.
 * Nothing that is read from an object is used before it was checked.
 */
#ifndef SHM_RING_ATTACH_H
#define SHM_RING_ATTACH_H

#include <stddef.h>
#include <stdint.h>

#include "shm/hdmicast-ring.h"

#define RING_NAME_SIZE 256

/*
 * Waiting is cut into pieces, for a look whether the writer lives. A successor tells of itself,
 * but for rare cases, so that one need not look in each piece.
 */
#define RING_SLICE_MS  100
#define RING_LOOK_MS   200
#define RING_SEARCH_MS 50 /* between two looks for a ring, when there is none, or a dead writer's */

/* A mapped data object. The copies of its geometry were checked; its own are not looked at again. */
struct ring_map {
	int fd; /* -1: not attached */
	const uint8_t *base;
	size_t bytes;
	const struct hdmicast_ring_header *header;
	const uint8_t *slots, *data;
	uint32_t slot_count, slot_bytes, writer_pid;
	uint64_t data_bytes, epoch;
	char writer[56];
};

/* "/NAME" from either form; -EINVAL. */
int ring_set_name(char out[RING_NAME_SIZE], const char *name);
/* Errors as hdmicast_ring_open(). */
int ring_map_open(struct ring_map *out, const char *name);
void ring_map_close(struct ring_map *map);
/* 1 while the writer holds its lock. */
int ring_map_alive(const struct ring_map *map);
/* The slot of frame n. 1: it is whole; 0: the frame is gone, or not right. */
int ring_map_read(const struct ring_map *map, uint32_t n, struct hdmicast_ring_slot *out);
/* Whether frame n is whole still, after all loads before this call. */
int ring_map_whole(const struct ring_map *map, uint32_t n);

/* One's place in the control object. */
struct ring_seat {
	int fd; /* -1: none; nothing can be said then */
	unsigned index;
	struct hdmicast_ring_reader says;
	int64_t beat_ns;
};

/* Without access to the control object there is no seat, and no error. */
void ring_seat_take(struct ring_seat *seat, const char *name, uint64_t epoch);
void ring_seat_leave(struct ring_seat *seat);
/* Says that one is here, once a second; at once when told to. */
void ring_seat_beat(struct ring_seat *seat, uint64_t lost, int at_once);

int64_t ring_now_ns(void);
/*
 * Until the bell is not `value` any more, a wake, a signal, or the time is up: then -ETIMEDOUT.
 * Wakes the next who wait, too.
 */
int ring_wait_for_bell(const uint32_t *bell, uint32_t value, int64_t ns);

/* The thread behind hdmicast_ring_fd(). */
struct ring_watch;

int ring_watch_start(struct ring_watch **out, const char *name);
void ring_watch_stop(struct ring_watch *watch);
int ring_watch_fd(const struct ring_watch *watch);
void ring_watch_set(struct ring_watch *watch);
void ring_watch_clear(struct ring_watch *watch);

#endif
