// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Capture buffers on their way: who calls the driver, and when. stream.c is compiled in here, over
 * a driver of our own that notes on which thread it is called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "base/util.h"
#include "driver.h"

#define COUNT 5

static struct {
	int fd; /* behind the mappings */
	bool has[COUNT];
	unsigned order[64]; /* of the buffers given */
	unsigned given, refused, stopped, freed;
	pthread_t owner;
	bool strangers; /* called by somebody else */
	bool impatient; /* time is up at once, else never */
	pthread_mutex_t lock;
	pthread_cond_t change;
} driver;

static int give(const struct v4l2_buffer *buf)
{
	if (driver.refused) {
		driver.refused--;
		return -EIO;
	}
	assert_false(driver.has[buf->index]);
	driver.has[buf->index] = true;
	driver.order[driver.given++] = buf->index;
	return 0;
}

static int take(struct v4l2_buffer *buf)
{
	for (buf->index = 0; buf->index < COUNT; buf->index++) {
		if (!driver.has[buf->index])
			continue;
		driver.has[buf->index] = false;
		return 0;
	}
	return -EAGAIN;
}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	const struct v4l2_requestbuffers *asked = arg;
	struct v4l2_buffer *buf = arg;

	(void)fd;
	driver.strangers |= !pthread_equal(pthread_self(), driver.owner);
	switch (request) {
	case VIDIOC_QUERYBUF: buf->length = 4096; return 0;
	case VIDIOC_QBUF: return give(buf);
	case VIDIOC_DQBUF: return take(buf);
	case VIDIOC_STREAMOFF: __atomic_add_fetch(&driver.stopped, 1, __ATOMIC_RELEASE); return 0;
	case VIDIOC_REQBUFS:
		pthread_mutex_lock(&driver.lock);
		driver.freed += asked->count == 0;
		pthread_cond_broadcast(&driver.change);
		pthread_mutex_unlock(&driver.lock);
		return 0;
	default: return 0;
	}
}

static int our_timedwait(pthread_cond_t *cond, pthread_mutex_t *lock, const struct timespec *until)
{
	(void)until;
	return driver.impatient ? ETIMEDOUT : pthread_cond_wait(cond, lock);
}

#define pthread_cond_timedwait our_timedwait
#define stream_create          tested_create
#define stream_start           tested_start
#define stream_requeue         tested_requeue
#define stream_take            tested_take
#define stream_close           tested_close
#include "../../src/capture/stream.c" /* NOLINT(bugprone-suspicious-include) */

struct bench {
	struct stream *stream;
	int wake_fd;
};

static int setup(void **state)
{
	struct bench *bench = xcalloc(1, sizeof(*bench));
	const char *what;

	memset(&driver, 0, sizeof(driver));
	pthread_mutex_init(&driver.lock, NULL);
	pthread_cond_init(&driver.change, NULL);
	driver.owner = pthread_self();
	driver.fd = memfd_create("driver", MFD_CLOEXEC);
	assert_int_equal(ftruncate(driver.fd, 4096), 0);
	bench->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(stream_create(&bench->stream, driver.fd, V4L2_BUF_TYPE_VIDEO_CAPTURE, 1,
				 COUNT, false, bench->wake_fd, &what),
		0);
	assert_int_equal(stream_start(bench->stream), 0);
	assert_int_equal(driver.given, COUNT);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	struct bench *bench = *state;

	stream_close(bench->stream);
	close(bench->wake_fd);
	free(bench);
	return 0;
}

static struct frame *next(struct bench *bench)
{
	struct stream_filled filled;

	assert_int_equal(stream_take(bench->stream, &filled), 0);
	return filled.frame;
}

static bool is_woken(const struct bench *bench)
{
	eventfd_t count;

	return eventfd_read(bench->wake_fd, &count) == 0;
}

static void *let_go(void *arg)
{
	frame_unref(arg);
	return NULL;
}

/* On another thread, as readers do. */
static void let_go_elsewhere(struct frame *frame)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, let_go, frame), 0);
	pthread_join(thread, NULL);
}

static void only_the_owner_calls_the_driver(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 3; i++) {
		let_go_elsewhere(next(bench));
		assert_int_equal(driver.given, COUNT + i);
		stream_requeue(bench->stream);
		assert_int_equal(driver.given, COUNT + i + 1);
	}
	assert_false(driver.strangers);
}

static void the_owner_is_woken_when_the_driver_runs_out(void **state)
{
	struct bench *bench = *state;
	struct frame *frame[3];

	for (int i = 0; i < 3; i++)
		frame[i] = next(bench);
	let_go_elsewhere(frame[0]); /* one is left to fill, none waits */
	assert_true(is_woken(bench));
	stream_requeue(bench->stream);
	let_go_elsewhere(frame[1]);
	assert_false(is_woken(bench)); /* the next frame is soon enough */
	let_go_elsewhere(frame[2]);
	stream_requeue(bench->stream);
	assert_int_equal(driver.given, COUNT + 3);
}

static void the_first_that_came_back_is_queued_first(void **state)
{
	struct bench *bench = *state;
	struct frame *frame[3];

	for (int i = 0; i < 3; i++)
		frame[i] = next(bench);
	for (int i = 0; i < 3; i++)
		frame_unref(frame[(i + 1) % 3]);
	stream_requeue(bench->stream);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(driver.order[COUNT + i], (i + 1) % 3);
}

static void a_buffer_that_was_refused_is_tried_again(void **state)
{
	struct bench *bench = *state;

	frame_unref(next(bench));
	driver.refused = 2;
	stream_requeue(bench->stream);
	stream_requeue(bench->stream);
	assert_int_equal(driver.given, COUNT);
	stream_requeue(bench->stream);
	assert_int_equal(driver.given, COUNT + 1);
	stream_requeue(bench->stream);
	assert_int_equal(driver.given, COUNT + 1);
}

static void *come_back_after_the_stop(void *arg)
{
	while (!__atomic_load_n(&driver.stopped, __ATOMIC_ACQUIRE))
		sched_yield();
	frame_unref(arg);
	return NULL;
}

static void closing_waits_for_buffers_and_queues_none_again(void **state)
{
	struct bench *bench = *state;
	struct frame *first = next(bench), *second = next(bench), *third = next(bench);
	pthread_t thread;

	frame_unref(second);
	frame_unref(third);
	is_woken(bench);
	assert_int_equal(pthread_create(&thread, NULL, come_back_after_the_stop, first), 0);
	stream_close(bench->stream);
	bench->stream = NULL;
	pthread_join(thread, NULL);
	assert_int_equal(driver.given, COUNT);
	assert_int_equal(driver.freed, 1);
	assert_false(driver.strangers); /* all came back in time: by the owner itself */
	assert_false(is_woken(bench));
}

static void a_buffer_that_stays_out_keeps_the_stream_and_holds_up_nobody(void **state)
{
	struct bench *bench = *state;
	struct frame *kept = next(bench);

	driver.impatient = true;
	stream_close(bench->stream);
	bench->stream = NULL;
	assert_int_equal(driver.freed, 0);
	frame_unref(kept);
	pthread_mutex_lock(&driver.lock);
	while (!driver.freed)
		pthread_cond_wait(&driver.change, &driver.lock);
	pthread_mutex_unlock(&driver.lock);
	assert_true(driver.strangers); /* neither the owner nor who had it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_the_owner_calls_the_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(the_owner_is_woken_when_the_driver_runs_out, setup,
			teardown),
		cmocka_unit_test_setup_teardown(the_first_that_came_back_is_queued_first, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_buffer_that_was_refused_is_tried_again, setup,
			teardown),
		cmocka_unit_test_setup_teardown(closing_waits_for_buffers_and_queues_none_again,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_buffer_that_stays_out_keeps_the_stream_and_holds_up_nobody, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
