/* SPDX-License-Identifier: MIT */
/*
 * A futex cannot be polled, so a thread waits for the bell and sets an eventfd. It has a mapping
 * of its own, and so needs no lock: the reader may exchange his whenever he likes.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "shm/ring_attach.h"
#include "shm/shared.h"

#define NS_PER_MS INT64_C(1000000)

/* The reader says that it is there when it is called: often enough for the writer, ten seconds. */
#define PRESENCE_MS 2000

struct ring_watch {
	char name[RING_NAME_SIZE];
	int event_fd;
	uint32_t stop; /* atomic */
	pthread_t thread;
	uint64_t epoch;  /* the thread's alone, as what follows: the ring that it saw last, */
	uint32_t seen;   /* and its bell */
	int64_t told_ns; /* when the descriptor was set */
};

void ring_watch_set(struct ring_watch *watch)
{
	const uint64_t one = 1;

	/* Refused only when it is set already. */
	if (write(watch->event_fd, &one, sizeof(one)) < 0)
		return;
}

void ring_watch_clear(struct ring_watch *watch)
{
	uint64_t count;

	if (read(watch->event_fd, &count, sizeof(count)) < 0)
		return;
}

int ring_watch_fd(const struct ring_watch *watch)
{
	return watch->event_fd;
}

static void tell(struct ring_watch *watch, uint32_t bell, int64_t now)
{
	if (bell == watch->seen && now - watch->told_ns < PRESENCE_MS * NS_PER_MS)
		return;
	watch->seen = bell;
	watch->told_ns = now;
	ring_watch_set(watch);
}

/* Until the ring is abandoned, or its writer dead: then there may be another one under the name. */
static void watch_one(struct ring_watch *watch, const struct ring_map *map)
{
	int64_t looked_ns = 0;

	if (map->epoch != watch->epoch)
		watch->told_ns = 0; /* so that tell() does: frames may have come before we looked */
	watch->epoch = map->epoch;
	while (!shared_load_acquire(&watch->stop)) {
		const uint32_t bell = shared_load_acquire(&map->header->bell);
		const int64_t now = ring_now_ns();

		tell(watch, bell, now);
		if (shared_load_acquire(&map->header->state) != HDMICAST_RING_LIVE)
			return;
		if (now - looked_ns >= RING_LOOK_MS * NS_PER_MS) {
			if (!ring_map_alive(map))
				return;
			looked_ns = now;
		}
		ring_wait_for_bell(&map->header->bell, bell, RING_SLICE_MS * NS_PER_MS);
	}
}

static void *run(void *arg)
{
	const struct timespec pause = { .tv_nsec = RING_SEARCH_MS * NS_PER_MS };
	struct ring_watch *watch = arg;
	struct ring_map map;

	while (!shared_load_acquire(&watch->stop)) {
		if (ring_map_open(&map, watch->name) == 0) {
			watch_one(watch, &map);
			ring_map_close(&map);
		}
		/* Also after a ring that ended: its successor may be a moment late. */
		if (!shared_load_acquire(&watch->stop))
			nanosleep(&pause, NULL);
	}
	return NULL;
}

int ring_watch_start(struct ring_watch **out, const char *name)
{
	struct ring_watch *watch = calloc(1, sizeof(*watch));
	sigset_t all, before;
	int res;

	if (!watch)
		return -ENOMEM;
	memcpy(watch->name, name, sizeof(watch->name));
	watch->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watch->event_fd < 0) {
		res = -errno;
		free(watch);
		return res;
	}
	/* The program's signals are for the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	res = -pthread_create(&watch->thread, NULL, run, watch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (res) {
		close(watch->event_fd);
		free(watch);
		return res;
	}
	*out = watch;
	return 0;
}

void ring_watch_stop(struct ring_watch *watch)
{
	if (!watch)
		return;
	shared_store_release(&watch->stop, 1);
	pthread_join(watch->thread, NULL);
	close(watch->event_fd);
	free(watch);
}
