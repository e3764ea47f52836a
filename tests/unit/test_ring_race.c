// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The writer overtakes readers all the time, while they are stopped, killed and slow: what they
 * take for a frame is one, and what they miss is counted.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "rings.h"

#define RING_BYTES (64 * 1024)
#define LARGEST    (24 * 1024)
#define KEY_PERIOD 10
#define READERS    4
#define SECONDS    2

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* What one reader saw. */
struct seen {
	uint64_t frames, torn, missed;
	uint64_t epoch, last;
	bool begun;
};

/* Whether the frame is what the numbers around it say, all of it. */
static bool is_right(struct seen *seen, const struct hdmicast_frame *frame, bool fresh)
{
	if (seen->begun && seen->epoch == frame->epoch &&
		frame->sequence != seen->last + 1 + frame->lost)
		return false;
	/* After a loss, one goes on at a key frame. */
	if ((fresh || frame->lost) && frame->sequence % KEY_PERIOD)
		return false;
	seen->begun = true;
	seen->epoch = frame->epoch;
	seen->last = frame->sequence;
	seen->missed += frame->lost;
	return true;
}

/* Uses the frame in place or by a copy. True: the library says that it was whole. */
static bool is_whole(struct hdmicast_ring *reader, struct hdmicast_frame frame, bool by_copy,
	uint32_t *copy, bool *known)
{
	if (by_copy && hdmicast_ring_copy(reader, &frame, copy, LARGEST))
		return false;
	*known = is_known(by_copy ? copy : frame.data, frame.size, (uint32_t)frame.sequence);
	return by_copy || hdmicast_ring_valid(reader, &frame);
}

/* False: the library gave out something wrong. */
static bool read_one(struct hdmicast_ring *reader, struct seen *seen, uint32_t *copy)
{
	struct hdmicast_frame frame;
	bool known = false, fresh;

	if (hdmicast_ring_next(reader, &frame))
		return true;
	fresh = !seen->begun || seen->epoch != frame.epoch;
	if (!is_right(seen, &frame, fresh))
		return false;
	if (is_whole(reader, frame, seen->frames++ & 1, copy, &known))
		return known;
	seen->torn++;
	seen->last--; /* it is among the lost ones of the next */
	return true;
}

static bool write_one(struct ring *ring, uint32_t *seed)
{
	const bool key = ring_published(ring) % KEY_PERIOD == 0;

	return publish(ring, next_random(seed) % (LARGEST / 4) * 4, key) == 0;
}

static atomic_bool stopping, wrong;
static atomic_uint n_reading; /* have seen a frame */

static void *read_on_thread(void *arg)
{
	AUTO(auto_free) uint32_t *copy = malloc(LARGEST);
	struct hdmicast_ring *reader = arg;
	struct seen seen = { 0 };
	bool is_reading = false;

	while (!atomic_load(&stopping)) {
		if (hdmicast_ring_wait(reader, 100) == 0 && !read_one(reader, &seen, copy))
			atomic_store(&wrong, true);
		if (seen.frames && !is_reading)
			atomic_fetch_add(&n_reading, 1);
		is_reading = seen.frames > 0;
	}
	return NULL;
}

static void threads_never_take_a_torn_frame_for_a_whole_one(void **state)
{
	struct ring *ring = new_ring(RING_BYTES, 16);
	struct hdmicast_ring *reader[READERS];
	const int64_t end = now_ns() + SECONDS * NS_PER_S, too_late = end + 60 * NS_PER_S;
	pthread_t thread[READERS];
	uint32_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < READERS; i++) {
		reader[i] = new_reader();
		assert_int_equal(pthread_create(&thread[i], NULL, read_on_thread, reader[i]), 0);
	}
	while ((now_ns() < end || atomic_load(&n_reading) < READERS) && now_ns() < too_late &&
		!atomic_load(&wrong))
		assert_true(write_one(ring, &seed));
	assert_true(atomic_load(&wrong) || atomic_load(&n_reading) == READERS);
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
		hdmicast_ring_close(reader[i]);
	}
	assert_false(atomic_load(&wrong));
	ring_destroy(ring);
}

/* Exits with 0 when told to end and all was right, not before it saw something: 2 for something wrong. */
static volatile sig_atomic_t ended;

static void end(int signal)
{
	(void)signal;
	ended = 1;
}

static _Noreturn void be_reader(void)
{
	AUTO(auto_free) uint32_t *copy = malloc(LARGEST);
	struct hdmicast_ring *reader;
	struct seen seen = { 0 };

	if (hdmicast_ring_open(&reader, ring_name(), HDMICAST_RING_EARLY))
		_exit(4);
	while (!ended || !seen.frames) {
		if (hdmicast_ring_wait(reader, 100) == 0 && !read_one(reader, &seen, copy))
			_exit(2);
	}
	_exit(0);
}

static _Noreturn void be_writer(void)
{
	const struct ring_options opt = { .name = ring_name(),
		.bytes = RING_BYTES,
		.slots = 16,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct ring *ring;
	uint32_t seed = (uint32_t)getpid();

	if (ring_create(&ring, &opt))
		_exit(4);
	while (write_one(ring, &seed))
		;
	_exit(5);
}

static pid_t start(void (*body)(void))
{
	pid_t pid;

	signal(SIGTERM, end); /* from its first moment on */
	pid = fork();
	if (!pid) {
		alarm(60);
		body();
	}
	assert_true(pid > 0);
	return pid;
}

/* One of those things that happen to processes. */
static void disturb(pid_t *reader, pid_t *writer, uint32_t *seed)
{
	pid_t *victim = &reader[next_random(seed) % READERS];

	switch (next_random(seed) % 6) {
	case 0:
		kill(*victim, SIGKILL);
		waitpid(*victim, NULL, 0);
		*victim = start(be_reader);
		break;
	case 1:
		kill(*writer, SIGKILL);
		waitpid(*writer, NULL, 0);
		*writer = start(be_writer);
		break;
	default:
		kill(*victim, SIGSTOP);
		usleep(next_random(seed) % 20000);
		kill(*victim, SIGCONT);
	}
}

static void processes_survive_what_happens_to_others(void **state)
{
	pid_t writer, reader[READERS];
	const int64_t until = now_ns() + SECONDS * NS_PER_S;
	uint32_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < READERS; i++)
		reader[i] = start(be_reader);
	writer = start(be_writer);
	while (now_ns() < until) {
		disturb(reader, &writer, &seed);
		usleep(next_random(&seed) % 20000);
	}
	for (unsigned i = 0; i < READERS; i++) {
		int status;

		kill(reader[i], SIGTERM);
		waitpid(reader[i], &status, 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, since children of a process with threads may not use the heap. */
		RING_TEST(processes_survive_what_happens_to_others),
		RING_TEST(threads_never_take_a_torn_frame_for_a_whole_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
