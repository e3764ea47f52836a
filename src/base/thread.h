/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How threads are started here: small stacks, and no signals, which are the main thread's. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

/* The default of 8 MiB is only address space, but it counts against limits. */
#define THREAD_STACK_SIZE (256 * 1024)

/* thread: NULL for one that nobody joins. 0 or -errno. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t unnamed;
	sigset_t all, saved;
	int res;

	/* A new thread starts with the mask of its maker. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
	pthread_attr_setdetachstate(&attr,
		thread ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
	res = -pthread_create(thread ? thread : &unnamed, &attr, run, arg);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	return res;
}

#endif
