/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The clock that a test owns, see clock.h. A wait with an end is made of short real ones, after
 * each of which the time is looked at again: whoever changes it need not know who waits.
 */
#include "real.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct test_clock *shared;
static pthread_once_t map_once = PTHREAD_ONCE_INIT;

/* Not by libc: the fake devices stand in front of it, and ask for the time. */
static void map(void)
{
	const char *path = getenv("HDMICAST_TEST_CLOCK");
	long fd = -1, mem = -1;

	if (path && *path)
		fd = REAL(syscall)(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		mem = REAL(syscall)(SYS_mmap, NULL, sizeof(*shared), PROT_READ, MAP_SHARED, fd, 0L);
		REAL(syscall)(SYS_close, fd);
	}
	if (mem != -1)
		shared = (const struct test_clock *)mem;
	else if (path && *path)
		abort(); /* a test that believes that it owns the time */
}

bool clock_is_ours(void)
{
	pthread_once(&map_once, map);
	return shared;
}

int64_t real_ns(clockid_t id)
{
	struct timespec ts;

	REAL(clock_gettime)(id, &ts);
	return to_ns(&ts);
}

static struct test_clock_slot slot_in_force(void)
{
	const _Atomic uint64_t *generation = (const _Atomic uint64_t *)&shared->generation;
	struct test_clock_slot slot;
	uint64_t seen;

	do {
		seen = atomic_load_explicit(generation, memory_order_acquire);
		slot = shared->slot[seen & 1];
		atomic_thread_fence(memory_order_acquire);
	} while (seen != atomic_load_explicit(generation, memory_order_relaxed));
	return seen ? slot : (struct test_clock_slot){ 0, 0, 1, 1 };
}

static int64_t at(const struct test_clock_slot *slot)
{
	return slot->virtual_ns + (int64_t)((__int128)(real_ns(CLOCK_MONOTONIC) - slot->real_ns) *
					    slot->rate / slot->per);
}

int64_t clock_ns(void)
{
	const struct test_clock_slot slot = slot_in_force();

	return at(&slot);
}

int64_t clock_wall_ns(void)
{
	return clock_ns() + shared->wall_ns;
}

/* Who waits for a moment of years waits for one of the wall clock: the other begins at boot. */
int64_t clock_from(const struct timespec *when)
{
	const int64_t ns = to_ns(when);

	return ns > 20 * 365 * 86400 * NS_PER_S ? ns - shared->wall_ns : ns;
}

int64_t clock_slice(int64_t due_ns)
{
	const struct test_clock_slot slot = slot_in_force();
	int64_t left;

	left = due_ns - at(&slot);
	if (left <= 0)
		return 0;
	if (!slot.rate || left > SLICE_NS * slot.rate / slot.per)
		return SLICE_NS;
	return left * slot.per / slot.rate + 1;
}

/* ---- telling the time */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!clock_is_ours())
		return REAL(clock_gettime)(id, ts);
	switch (id) {
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME: *ts = to_timespec(clock_ns()); return 0;
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_TAI: *ts = to_timespec(clock_wall_ns()); return 0;
	default: return REAL(clock_gettime)(id, ts);
	}
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	int64_t ns;

	if (!clock_is_ours())
		return REAL(gettimeofday)(tv, zone);
	ns = clock_wall_ns();
	*tv = (struct timeval){ ns / NS_PER_S, ns % NS_PER_S / 1000 };
	return 0;
}

time_t time(time_t *out)
{
	time_t now;

	if (!clock_is_ours())
		return REAL(time)(out);
	now = clock_wall_ns() / NS_PER_S;
	if (out)
		*out = now;
	return now;
}
