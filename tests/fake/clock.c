/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sensor's clock: one thread per device, awake only while frames flow or a state is due. */
#include "device.h"
#include "report.h"
#include "script.h"
#include "vb2.h"

#include <signal.h>
#include <stdlib.h>

enum { LATE_MAX = 5 };

static int64_t interval(const struct device *dev)
{
	return dev->forced_ns ? dev->forced_ns : dev->interval_ns;
}

static int64_t stamp_time(struct device *dev, int64_t due)
{
	int64_t jitter = dev->faults.jitter_ms * NS_PER_MS;

	if (dev->faults.zero_time) {
		dev->faults.zero_time--;
		return 0;
	}
	if (dev->faults.backstep) {
		dev->faults.backstep--;
		return due - 3 * interval(dev);
	}
	return jitter ? due + rand() % (2 * jitter) - jitter : due;
}

static int64_t repeated_time(struct device *dev, uint32_t sequence, int64_t time_ns)
{
	if (dev->times != 's' && dev->times != 'f')
		return time_ns;
	if (!dev->held_time_ns || (dev->times == 'f' && sequence / 4 != dev->held_sequence / 4)) {
		dev->held_time_ns = time_ns;
		dev->held_sequence = sequence;
	}
	return dev->held_time_ns;
}

static void produce(struct device *dev, int64_t due)
{
	struct queue *q = dev->queue;
	uint32_t stamp = dev->life++, sequence = q->sequence++;
	struct buffer *buf = queue_next(q);

	counters.made++;
	if (dev->faults.drop) {
		dev->faults.drop--;
		counters.injected++;
		return;
	}
	if (!buf) {
		queue_starve(q);
		return;
	}
	buf->error = false;
	if (!dev->ops->fill(dev, buf, stamp)) {
		counters.injected++;
		return;
	}
	buf->sequence = sequence;
	buf->timestamp_ns = repeated_time(dev, sequence, stamp_time(dev, due));
	report_frame(stamp, sequence, buf->timestamp_ns, buf->bytesused);
	queue_done(q, buf, buf->error);
}

static void wait_until(struct device *dev, int64_t when)
{
	struct timespec ts = { .tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S };

	if (when == INT64_MAX)
		pthread_cond_wait(&dev->tick, &dev->lock);
	else
		pthread_cond_timedwait(&dev->tick, &dev->lock, &ts);
}

/* The device is locked; one turn either makes a frame or waits. */
static void turn(struct device *dev, int64_t now)
{
	int64_t deadline = dev->ops->deadline(dev);

	if (!dev->ops->flowing(dev, now)) {
		dev->next_ns = 0;
		device_update(dev);
		wait_until(dev, deadline);
		return;
	}
	if (!dev->next_ns) {
		dev->next_ns = now + interval(dev);
		if (!dev->queue->sequence)
			dev->next_ns += dev->first_delay_ns;
		dev->queue->touched_ns = dev->next_ns;
	}
	if (now < dev->next_ns) {
		wait_until(dev, deadline < dev->next_ns ? deadline : dev->next_ns);
		return;
	}
	produce(dev, dev->next_ns);
	dev->next_ns += interval(dev);
	if (now > dev->next_ns + LATE_MAX * interval(dev))
		dev->next_ns = now;
	device_update(dev);
}

static void *run(void *arg)
{
	struct device *dev = arg;
	int64_t seen_us = 0;

	pthread_setname_np(pthread_self(), "fake-clock");
	pthread_mutex_lock(&dev->lock);
	for (;;) {
		if (script_due(dev, dev->life)) {
			uint32_t frame = dev->life;

			pthread_mutex_unlock(&dev->lock);
			script_frame(dev, frame);
			pthread_mutex_lock(&dev->lock);
		}
		turn(dev, now_ns());
		report_cpu(&seen_us);
	}
	return NULL;
}

void device_start_clock(struct device *dev)
{
	sigset_t all, old;
	pthread_t thread;

	if (dev->thread)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (pthread_create(&thread, NULL, run, dev) == 0) {
		pthread_detach(thread);
		dev->thread = true;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
