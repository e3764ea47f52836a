/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small helpers that every file may use: scope guards, allocation, time.
 * A scope guard restores errno, so that a function may log or return -errno after it ran.
 */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define AUTO(guard)       __attribute__((cleanup(guard)))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NS_PER_S          1000000000LL
#define NS_PER_MS         1000000LL
#define NS_PER_US         1000LL

/* Each argument is evaluated once: it may be a look at the clock, or at what others write. */
#ifdef __clang_analyzer__ /* which counts how complex a function is with all that macros stand for */
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#else
#define MIN(a, b) PICK_(<, a, b, __COUNTER__)
#define MAX(a, b) PICK_(>, a, b, __COUNTER__)
#endif
#define CLAMP(value, lo, hi) MIN(MAX(value, lo), hi)

/* Each use has names of its own, so that one may stand inside another. */
#define PICK_(op, a, b, number) PICK_AS_(op, a, b, number)
#define PICK_AS_(op, a, b, number)                                             \
	__extension__({                                                        \
		__typeof__((a) + (b)) left##number = (a), right##number = (b); \
		left##number op right##number ? left##number : right##number;  \
	})

static inline void auto_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void auto_free(void *pointer)
{
	int saved = errno;

	free(*(void **)pointer);
	errno = saved;
}

static inline void auto_fclose(FILE **file)
{
	int saved = errno;

	if (*file)
		fclose(*file);
	errno = saved;
}

/* Takes the descriptor out of its guard. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Small objects only: the process ends when even those do not fit. Frames use plain malloc. */
static inline void *xcalloc(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		abort();
	return memory;
}

static inline char *xstrdup(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		abort();
	return copy;
}

/* CLOCK_MONOTONIC: every time in the program but those meant for people. */
static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static inline int64_t wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

#endif
