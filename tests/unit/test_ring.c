// SPDX-License-Identifier: GPL-3.0-or-later
/* What a reader gets, in which order, and what it is told of the rest: shm/hdmicast-ring.h. */
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "rings.h"
#include "preload.h"

#define KEY  true
#define MORE false

static void a_frame_arrives_as_it_was_sent(void **state)
{
	struct ring *ring = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();
	uint8_t bytes[] = "luma!chroma";
	struct frame sent = {
		.format = 0x3231564e,
		.width = 1920,
		.height = 1080,
		.plane = { { bytes, 2048, 5 }, { bytes + 5, 1024, 6 } },
		.range = RANGE_FULL,
		.matrix = MATRIX_709,
		.key = true,
		.online = true,
		.sequence = 1ull << 40,
		.captured_ns = 1,
		.encode_begin_ns = 2,
		.encode_end_ns = 3,
	};
	struct hdmicast_frame got;
	char copy[16] = "";
	int64_t before = now_ns();

	(void)state;
	assert_int_equal(ring_publish_frame(ring, &sent, 7), 0);
	assert_int_equal(hdmicast_ring_next(reader, &got), 0);
	assert_int_equal(got.size, 11);
	assert_int_equal(hdmicast_ring_copy(reader, &got, copy, sizeof(copy)), 0);
	assert_string_equal(copy, "luma!chroma");
	assert_int_equal((uintptr_t)got.data % 64, 0);
	assert_int_equal(got.fourcc, sent.format);
	assert_int_equal(got.width, 1920);
	assert_int_equal(got.height, 1080);
	assert_int_equal(got.stride, 2048);
	assert_int_equal(got.stride2, 1024);
	assert_int_equal(got.plane_offset[0], 5);
	assert_int_equal(got.plane_offset[1], 0);
	assert_int_equal(got.flags, HDMICAST_FRAME_KEY | HDMICAST_FRAME_ONLINE |
					    HDMICAST_FRAME_FULL_RANGE | HDMICAST_FRAME_BT709);
	assert_int_equal(got.source_sequence, 1ull << 40);
	assert_int_equal(got.captured_ns, 1);
	assert_int_equal(got.encode_begin_ns, 2);
	assert_int_equal(got.encode_end_ns, 3);
	assert_int_equal(got.dropped, 7);
	assert_true(got.published_ns >= before && got.published_ns <= now_ns());
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void frames_come_in_order_and_once(void **state)
{
	struct ring *ring = new_ring(1 << 16, 8);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	assert_none(reader);
	publish(ring, 100, KEY);
	publish(ring, 200, MORE);
	publish(ring, 0, MORE);
	assert_next(reader, 0, 0);
	assert_next(reader, 1, 0);
	assert_next(reader, 2, 0);
	assert_none(reader);
	assert_int_equal(hdmicast_ring_lost(reader), 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void no_frame_is_split_by_the_end_of_the_ring(void **state)
{
	struct ring *ring = new_ring(10000, 64);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	for (unsigned n = 0; n < 1000; n++) {
		assert_int_equal(publish(ring, (n * 428) % 9984, KEY), 0);
		assert_next(reader, n, 0);
	}
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void all_frames_that_fit_stay_readable(void **state)
{
	struct ring *ring = new_ring(8 * 1024, 64);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	publish(ring, 1024, KEY);
	assert_next(reader, 0, 0);
	for (unsigned n = 1; n <= 8; n++)
		publish(ring, 1024, MORE);
	for (unsigned n = 1; n <= 8; n++)
		assert_next(reader, n, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_slow_reader_goes_on_at_the_newest_key_frame(void **state)
{
	struct ring *ring = new_ring(1 << 16, 8);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	publish(ring, 64, KEY);
	assert_next(reader, 0, 0);
	for (unsigned n = 1; n < 20; n++)
		publish(ring, 64, n == 10 || n == 16);
	assert_next(reader, 16, 15);
	assert_next(reader, 17, 0);
	assert_int_equal(hdmicast_ring_lost(reader), 15);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_reader_without_a_key_frame_asks_and_waits_for_one(void **state)
{
	struct ring *ring = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();
	struct ring_readers readers;

	(void)state;
	publish(ring, 64, KEY);
	assert_next(reader, 0, 0);
	ring_get_readers(ring, &readers);
	for (unsigned n = 1; n < 20; n++)
		publish(ring, 64, MORE);
	assert_none(reader);
	ring_get_readers(ring, &readers);
	assert_true(readers.key_request);
	publish(ring, 64, MORE);
	assert_none(reader);
	publish(ring, 64, KEY);
	assert_next(reader, 21, 20);
	publish(ring, 64, MORE);
	assert_next(reader, 22, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_new_reader_starts_at_the_newest_key_frame(void **state)
{
	struct ring *ring = new_ring(1 << 16, 16);
	struct hdmicast_ring *reader;

	(void)state;
	for (unsigned n = 0; n < 10; n++)
		publish(ring, 64, n == 2 || n == 7);
	reader = new_reader();
	assert_next(reader, 7, 0);
	assert_next(reader, 8, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void newest_skips_only_to_key_frames(void **state)
{
	struct ring *ring = new_ring(1 << 16, 16);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame;

	(void)state;
	for (unsigned n = 0; n < 8; n++)
		publish(ring, 64, n == 0 || n == 5);
	assert_int_equal(hdmicast_ring_newest(reader, &frame), 0);
	assert_int_equal(frame.sequence, 5);
	assert_int_equal(hdmicast_ring_newest(reader, &frame), 0);
	assert_int_equal(frame.sequence, 6);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_frame_that_was_overwritten_is_never_valid(void **state)
{
	struct ring *ring = new_ring(8 * 1024, 64);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame, other;
	char copy[4096];

	(void)state;
	publish(ring, 4096, KEY);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	other = frame;
	publish(ring, 4096, KEY);
	assert_true(hdmicast_ring_valid(reader, &frame));
	publish(ring, 4, KEY);
	assert_int_equal(hdmicast_ring_copy(reader, &other, copy, sizeof(copy)), -ESTALE);
	assert_null(other.data);
	assert_next(reader, 1, 1);
	assert_next(reader, 2, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static struct ring *writing;
static void *closed_page;

/* In the middle of a copy: the writer comes round. */
static void on_fault(int number)
{
	uint32_t words[16];

	(void)number;
	for (unsigned i = 0; i < 4; i++)
		publish_in(writing, words, sizeof(words), KEY);
	if (mprotect(closed_page, 4096, PROT_READ | PROT_WRITE))
		abort();
}

static void a_copy_that_was_overtaken_is_none(void **state)
{
	struct sigaction act = { .sa_handler = on_fault }, before;
	struct ring *ring = writing = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame;

	(void)state;
	closed_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(closed_page, MAP_FAILED);
	publish(ring, 64, KEY);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	sigaction(SIGSEGV, &act, &before);
	assert_int_equal(hdmicast_ring_copy(reader, &frame, closed_page, 4096), -ESTALE);
	sigaction(SIGSEGV, &before, NULL);
	assert_null(frame.data);
	assert_int_equal(ring_published(ring), 5);
	munmap(closed_page, 4096);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_frame_that_fits_nowhere_is_counted(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame;

	(void)state;
	assert_int_equal(publish(ring, 4100, KEY), -EMSGSIZE);
	assert_int_equal(publish(ring, 4096, KEY), 0);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_int_equal(frame.sequence, 0);
	assert_int_equal(frame.oversized, 1);
	assert_int_equal(hdmicast_ring_copy(reader, &frame, &frame, 8), -EMSGSIZE);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void waiting_ends_in_time(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	const int64_t begin = now_ns();

	(void)state;
	assert_int_equal(hdmicast_ring_wait(reader, 250), -ETIMEDOUT);
	assert_in_range((now_ns() - begin) / NS_PER_MS, 250, 2000);
	assert_int_equal(hdmicast_ring_wait(reader, 0), -ETIMEDOUT);
	publish(ring, 4, KEY);
	assert_int_equal(hdmicast_ring_wait(reader, 0), 0);
	assert_int_equal(hdmicast_ring_wait(reader, -1), 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

struct waiting {
	struct hdmicast_ring *reader;
	atomic_bool begun;
	int res;
	int64_t end_ns;
};

static void *wait_for_a_frame(void *arg)
{
	struct waiting *waiting = arg;

	atomic_store(&waiting->begun, true);
	waiting->res = hdmicast_ring_wait(waiting->reader, 10000);
	waiting->end_ns = now_ns();
	return NULL;
}

static void waiting_is_ended_by_a_frame(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	int64_t best_ns = INT64_MAX;

	(void)state;
	/* Best of ten: a wake that is never sent costs a slice of waiting each time. */
	for (unsigned i = 0; i < 10; i++) {
		struct waiting waiting = { .reader = new_reader() };
		struct hdmicast_frame frame;
		pthread_t thread;
		int64_t begin;

		hdmicast_ring_next(waiting.reader, &frame);
		assert_int_equal(pthread_create(&thread, NULL, wait_for_a_frame, &waiting), 0);
		while (!atomic_load(&waiting.begun))
			sched_yield();
		/* Time for it to fall asleep; if it takes longer, the frame is found all the same. */
		usleep(5000);
		begin = now_ns();
		publish(ring, 4, KEY);
		pthread_join(thread, NULL);
		assert_int_equal(waiting.res, 0);
		best_ns = MIN(best_ns, waiting.end_ns - begin);
		hdmicast_ring_close(waiting.reader);
	}
	assert_true(best_ns < 50 * NS_PER_MS);
	ring_destroy(ring);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd on = { .fd = fd, .events = POLLIN };

	return poll(&on, 1, timeout_ms) == 1;
}

/* Which the library's thread would take here. */
static void the_programs_signals_are_for_its_own_threads(void **state)
{
	struct ring *ring = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();
	unsigned long long blocked = ~0ULL;
	unsigned n_others = 0;
	struct dirent *entry;
	DIR *threads;
	struct pollfd on = { .fd = hdmicast_ring_fd(reader), .events = POLLIN };

	(void)state;
	/* It has begun: the C library blocks all of them until then. */
	assert_int_equal(poll(&on, 1, 60000), 1);
	threads = opendir("/proc/self/task");
	assert_non_null(threads);
	while ((entry = readdir(threads))) {
		char path[300], line[200];
		unsigned long long mask;
		FILE *file;

		if (*entry->d_name == '.' || atoi(entry->d_name) == getpid())
			continue;
		n_others++;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = fopen(path, "re");
		assert_non_null(file);
		while (fgets(line, sizeof(line), file))
			if (sscanf(line, "SigBlk: %llx", &mask) == 1)
				blocked &= mask;
		fclose(file);
	}
	closedir(threads);
	assert_true(n_others >= 1); /* a sanitizer has one, too */
	for (int number = 1; number <= SIGTERM; number++)
		assert_true(number == SIGKILL || blocked >> (number - 1) & 1);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void the_descriptor_is_readable_while_there_are_frames(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	const int fd = hdmicast_ring_fd(reader);

	(void)state;
	assert_true(fd >= 0);
	publish(ring, 4, KEY);
	publish(ring, 4, KEY);
	assert_true(is_readable(fd, 10000));
	assert_next(reader, 0, 0);
	assert_true(is_readable(fd, 0));
	assert_next(reader, 1, 0);
	/* The thread may set it once more for what was read already. */
	do
		assert_none(reader);
	while (is_readable(fd, 200));
	publish(ring, 4, KEY);
	assert_true(is_readable(fd, 10000));
	assert_next(reader, 2, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static uint32_t beat_of_first_place(void)
{
	struct hdmicast_ring_reader reader;
	AUTO(auto_close) int fd = open_object(".ctl", O_RDONLY);

	assert_int_equal(pread(fd, &reader, sizeof(reader), sizeof(struct hdmicast_ring_control)),
		sizeof(reader));
	return reader.beat;
}

/* The writer counts who said so within ten seconds, and publishes for nobody else. */
static void who_polls_stays_a_reader_while_nothing_comes(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	const int fd = hdmicast_ring_fd(reader);
	uint32_t before;

	(void)state;
	while (is_readable(fd, 200))
		assert_none(reader);
	for (unsigned i = 0; i < 2; i++) {
		before = beat_of_first_place();
		assert_true(is_readable(fd, 5000));
		assert_none(reader);
		assert_int_not_equal(beat_of_first_place(), before);
		assert_false(is_readable(fd, 0));
	}
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(a_frame_arrives_as_it_was_sent),
		RING_TEST(frames_come_in_order_and_once),
		RING_TEST(no_frame_is_split_by_the_end_of_the_ring),
		RING_TEST(all_frames_that_fit_stay_readable),
		RING_TEST(a_slow_reader_goes_on_at_the_newest_key_frame),
		RING_TEST(a_reader_without_a_key_frame_asks_and_waits_for_one),
		RING_TEST(a_new_reader_starts_at_the_newest_key_frame),
		RING_TEST(newest_skips_only_to_key_frames),
		RING_TEST(a_frame_that_was_overwritten_is_never_valid),
		RING_TEST(a_copy_that_was_overtaken_is_none),
		RING_TEST(a_frame_that_fits_nowhere_is_counted),
		RING_TEST(waiting_ends_in_time),
		RING_TEST(waiting_is_ended_by_a_frame),
		RING_TEST(the_programs_signals_are_for_its_own_threads),
		RING_TEST(the_descriptor_is_readable_while_there_are_frames),
		RING_TEST(who_polls_stays_a_reader_while_nothing_comes),
	};

	calm_down(4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
