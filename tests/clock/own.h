/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The owner's side of clock.h, for tests in C; of one thread. */
#ifndef TEST_CLOCK_OWN_H
#define TEST_CLOCK_OWN_H

#include "clock.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct own_clock {
	struct test_clock *shared;
	char path[64];
};

/* Past every library that changes the time. */
static inline int64_t own_real_ns(clockid_t id)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, id, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

static inline int64_t own_now_ns(const struct own_clock *own)
{
	const struct test_clock_slot *slot = &own->shared->slot[own->shared->generation & 1];

	return slot->virtual_ns +
	       (own_real_ns(CLOCK_MONOTONIC) - slot->real_ns) * slot->rate / slot->per;
}

/* From now on, and after a step, rate/per seconds go by in one. */
static inline void own_set(struct own_clock *own, int64_t step_ns, int64_t rate, int64_t per)
{
	const uint64_t next = own->shared->generation + 1;
	const int64_t now = own_now_ns(own);

	own->shared->slot[next & 1] = (struct test_clock_slot){ own_real_ns(CLOCK_MONOTONIC),
		now + step_ns, rate, per };
	__atomic_store_n(&own->shared->generation, next, __ATOMIC_RELEASE);
}

static inline void own_step(struct own_clock *own, int64_t ns)
{
	const struct test_clock_slot *slot = &own->shared->slot[own->shared->generation & 1];

	own_set(own, ns, slot->rate, slot->per);
}

/* It goes as the machine's does. Before anything asks for the time, and the environment names it. */
static inline bool own_create(struct own_clock *own)
{
	struct test_clock initial = {
		.wall_ns = own_real_ns(CLOCK_REALTIME) - own_real_ns(CLOCK_MONOTONIC),
		.slot = { { 0, 0, 1, 1 }, { 0, 0, 1, 1 } },
	};
	int fd;

	*own = (struct own_clock){ 0 };
	snprintf(own->path, sizeof(own->path), "/dev/shm/hdmicast-clock-%d-XXXXXX", (int)getpid());
	fd = mkstemp(own->path);
	if (fd < 0 || write(fd, &initial, sizeof(initial)) != sizeof(initial))
		return false;
	own->shared = (struct test_clock *)mmap(NULL, sizeof(initial), PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, 0);
	close(fd);
	return own->shared != MAP_FAILED && !setenv("HDMICAST_TEST_CLOCK", own->path, 1);
}

/* One that another has created. */
static inline void own_open(struct own_clock *own, const char *path)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);

	*own = (struct own_clock){ 0 };
	own->shared = (struct test_clock *)mmap(NULL, sizeof(*own->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED, fd, 0);
	close(fd);
	if (own->shared == MAP_FAILED)
		abort();
}

static inline void own_remove(struct own_clock *own)
{
	unlink(own->path);
}

#endif
