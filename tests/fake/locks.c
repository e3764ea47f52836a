/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mutexes of drivers. One is a flag under the device lock: the device and the commands go on
 * while a call holds it, and only the calls that take it, too, wait.
 */
#include "device.h"

static bool is_taken(const struct handle *h, unsigned mutexes)
{
	const struct device *dev = h->dev;

	return ((dev->held | h->held) & mutexes) || (dev->busy && mutexes & MUTEX_DEVICE);
}

static unsigned mutexes_of(const struct handle *h, uint32_t call)
{
	return h->dev->ops->mutexes ? h->dev->ops->mutexes(h, call) : MUTEX_DEVICE;
}

static void take(struct handle *h, unsigned mutexes)
{
	h->dev->waiting++;
	while (is_taken(h, mutexes))
		pthread_cond_wait(&h->dev->freed, &h->dev->lock);
	h->dev->waiting--;
	h->dev->held |= mutexes & ~(unsigned)MUTEX_HANDLE;
	h->held |= mutexes & MUTEX_HANDLE;
}

unsigned locks_take(struct handle *h, uint32_t call)
{
	unsigned mutexes = mutexes_of(h, call);

	take(h, mutexes);
	return mutexes;
}

void locks_drop(struct handle *h, unsigned mutexes)
{
	h->dev->held &= ~mutexes;
	h->held &= ~mutexes;
	pthread_cond_broadcast(&h->dev->freed);
}

void locks_wait_done(struct handle *h)
{
	unsigned mutexes = mutexes_of(h, VIDIOC_DQBUF);

	locks_drop(h, mutexes);
	pthread_cond_wait(&h->dev->done, &h->dev->lock);
	take(h, mutexes);
}
