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

struct ring_watch {
	char name[RING_NAME_SIZE];
	int event_fd;
	uint32_t stop; /* atomic */
	pthread_t thread;
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

/* Until the ring is abandoned, or its writer dead and someone else's ring under the name. */
static void watch_one(struct ring_watch *watch, const struct ring_map *map)
{
	uint32_t seen = shared_load_acquire(&map->header->bell);

	ring_watch_set(watch); /* what came before we looked */
	while (!shared_load_acquire(&watch->stop)) {
		const uint32_t bell = shared_load_acquire(&map->header->bell);

		if (bell != seen)
			ring_watch_set(watch);
		seen = bell;
		if (shared_load_acquire(&map->header->state) != HDMICAST_RING_LIVE)
			return;
		if (ring_wait_for_bell(&map->header->bell, bell, RING_SLICE_MS * NS_PER_MS) ==
				-ETIMEDOUT &&
			!ring_map_alive(map))
			return;
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
