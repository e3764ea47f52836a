/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Test programs that start themselves again with libraries of the tests in front of libc. */
#ifndef TESTS_PRELOAD_H
#define TESTS_PRELOAD_H

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clock/own.h"

#define PRELOAD_CLOCK "clock/libtestclock.so"

/*
 * Sets LD_PRELOAD to libraries of the build that this program is of, separated by blanks, and before
 * them the runtime of the sanitizer we are built with. False when one is not there.
 */
static inline bool preload_set(const char *libraries)
{
	char path[PATH_MAX], all[4 * PATH_MAX] = "", names[128], *name, *rest;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	void *symbol = dlsym(RTLD_DEFAULT, "__asan_init");
	size_t folder;
	Dl_info info;

	if (n < 0)
		return false;
	path[n] = '\0';
	for (int i = 0; i < 2; i++)
		*strrchr(path, '/') = '\0';
	folder = strlen(path);
	if (!symbol)
		symbol = dlsym(RTLD_DEFAULT, "__tsan_init");
	if (symbol && dladdr(symbol, &info) && strstr(info.dli_fname, "san.so"))
		snprintf(all, sizeof(all), "%s ", info.dli_fname);
	snprintf(names, sizeof(names), "%s", libraries);
	for (name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
		snprintf(path + folder, sizeof(path) - folder, "/%s", name);
		if (access(path, R_OK) < 0)
			return false;
		strcat(strcat(all, path), " ");
	}
	return !setenv("LD_PRELOAD", all, 1);
}

/* A clock for those that are started from now on, which goes so many times slower. */
static inline bool preload_calm(int slower)
{
	struct own_clock own;

	if (!own_create(&own))
		return false;
	own_set(&own, 0, 1, slower);
	return true;
}

/* The program's own clock after calm_down(). */
static inline struct own_clock *preload_own(void)
{
	static struct own_clock own;

	return &own;
}

/* They have it by now: nothing of it stays, and what is started next is in the machine's time. */
static inline void preload_calmed(void)
{
	const char *path = getenv("HDMICAST_TEST_CLOCK");
	struct timespec ts;

	if (!path)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	own_open(preload_own(), path);
	unlink(path);
	unsetenv("HDMICAST_TEST_CLOCK");
}

/*
 * First in main() of tests that say how long something takes: the program begins again, and its
 * time goes slower, so that being late on a busy machine is less late.
 */
static inline void calm_down(int slower)
{
	if (getenv("HDMICAST_TEST_CLOCK")) {
		preload_calmed();
		unsetenv("LD_PRELOAD");
		return;
	}
	if (!preload_set(PRELOAD_CLOCK) || !preload_calm(slower)) {
		fputs("no " PRELOAD_CLOCK ", or no room for a clock in /dev/shm\n", stderr);
		exit(1);
	}
	execl("/proc/self/exe", program_invocation_name, NULL);
	exit(1);
}

/* From now on rate/per seconds of the program go by in one: (0, 1) stops its time. */
static inline void calm_set(int64_t rate, int64_t per)
{
	own_set(preload_own(), 0, rate, per);
}

#endif
