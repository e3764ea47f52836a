// SPDX-License-Identifier: GPL-3.0-or-later
/* Rings that are replaced, removed, forgotten and grown, and what readers do to be counted. */
#include <linux/videodev2.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "rings.h"
#include "shm/sink_backend.h"
#include "preload.h"

#define KEY       true
#define PICTURE_W 64
#define PICTURE_H 48

static struct ring_readers readers_of(struct ring *ring)
{
	struct ring_readers readers;

	ring_get_readers(ring, &readers);
	return readers;
}

/* Until a reader that waits a little at a time has a frame. */
static bool comes_through(struct hdmicast_ring *reader, struct hdmicast_frame *frame)
{
	const int64_t until = now_ns() + 15 * NS_PER_S;

	while (now_ns() < until) {
		if (hdmicast_ring_wait(reader, 20) == 0 && hdmicast_ring_next(reader, frame) == 0)
			return true;
	}
	return false;
}

/* ---- who is there */

static void who_shortens_the_object_makes_nobody_vanish(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader(), *other = new_reader();
	int fd = open_object(".ctl", O_RDWR);

	(void)state;
	assert_int_equal(readers_of(ring).count, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(readers_of(ring).count, 2);
	}
	hdmicast_ring_close(other);
	assert_int_equal(readers_of(ring).count, 1);
	close(fd);
	hdmicast_ring_close(reader);
	assert_int_equal(readers_of(ring).count, 0);
	ring_destroy(ring);
}

static void who_writes_over_the_header_keeps_nobody_out(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader;
	int fd = open_object(".ctl", O_RDWR);
	static const char garbage[64] = "garbage";

	(void)state;
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage), 0), sizeof(garbage));
	reader = new_reader(); /* finds no place */
	assert_int_equal(readers_of(ring).count, 0);
	assert_int_equal(hdmicast_ring_wait(reader, 0), -ETIMEDOUT); /* tries again */
	assert_int_equal(readers_of(ring).count, 1);
	close(fd);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void who_says_a_lot_without_a_lock_is_not_there(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_ring_reader lie[HDMICAST_RING_READERS - 1];
	int fd = open_object(".ctl", O_RDWR);

	(void)state;
	memset(lie, 0x5a, sizeof(lie));
	/* From the second place on: the first one is a reader's. */
	assert_true(pwrite(fd, lie + 1, sizeof(lie) - sizeof(*lie),
			    sizeof(struct hdmicast_ring_control) + sizeof(*lie)) > 0);
	assert_int_equal(readers_of(ring).count, 1);
	assert_false(readers_of(ring).key_request);
	assert_int_equal(readers_of(ring).lost, 0);
	close(fd);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

/* Whoever writes over what readers say can silence them, but not take their locks. */
static void who_is_not_heard_is_there_as_long_as_the_place_is_locked(void **state)
{
	static const unsigned places[] = { 0, 1, 7, 62 };
	struct ring *ring = new_ring(4096, 4);
	int fds[ARRAY_SIZE(places)];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		struct flock lock = {
			.l_type = F_WRLCK, .l_start = 64 + 32 * places[i], .l_len = 32
		};

		fds[i] = open_object(".ctl", O_RDWR);
		assert_int_equal(fcntl(fds[i], F_OFD_SETLK, &lock), 0);
		assert_int_equal(readers_of(ring).count, i + 1);
	}
	close(fds[1]);
	assert_int_equal(readers_of(ring).count, ARRAY_SIZE(places) - 1);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		if (i != 1)
			close(fds[i]);
	}
	assert_int_equal(readers_of(ring).count, 0);
	ring_destroy(ring);
}

static void who_locked_all_places_keeps_nobody_in_the_shared_one(void **state)
{
	struct flock all = { .l_type = F_WRLCK };
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader;
	int fd = open_object(".ctl", O_RDWR);

	(void)state;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	reader = new_reader();
	assert_int_equal(readers_of(ring).count, HDMICAST_RING_READERS);
	close(fd);
	assert_int_equal(readers_of(ring).count, 1); /* the shared place */
	hdmicast_ring_request_key(reader);
	assert_true(readers_of(ring).key_request);
	fd = open_object(".ctl", O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_GETLK, &all), 0);
	assert_int_equal(all.l_type, F_WRLCK);
	assert_int_equal(all.l_len, sizeof(struct hdmicast_ring_reader));
	close(fd);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void laps_and_losses_are_told(void **state)
{
	struct ring *ring = new_ring(1 << 16, 4);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		publish(ring, 16, KEY);
	assert_next(reader, 9, 9);
	for (unsigned i = 0; i < 10; i++)
		publish(ring, 16, KEY);
	assert_next(reader, 19, 9);
	hdmicast_ring_request_key(reader); /* says all that there is to say */
	assert_int_equal(readers_of(ring).laps, 2);
	assert_int_equal(readers_of(ring).lost, 18);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_wake_is_counted_for_who_slept(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	const int64_t until = now_ns() + 15 * NS_PER_S;
	pid_t pid;

	(void)state;
	publish(ring, 4, KEY);
	assert_int_equal(ring_wakes(ring), 0);
	pid = fork();
	if (!pid) {
		struct hdmicast_ring *reader = new_reader();
		struct hdmicast_frame frame;

		while (hdmicast_ring_wait(reader, 5000) == 0)
			hdmicast_ring_next(reader, &frame);
		_exit(0);
	}
	while (!ring_wakes(ring)) {
		assert_true(now_ns() < until);
		usleep(1000);
		publish(ring, 4, KEY);
	}
	assert_int_equal(ring_wakes(ring), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ring_destroy(ring);
}

/* ---- other rings under the name */

static void a_replaced_ring_is_never_missing(void **state)
{
	const struct ring_options larger = { .name = ring_name(),
		.bytes = 1 << 20,
		.slots = 4,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame;

	(void)state;
	publish(ring, 4, KEY);
	assert_next(reader, 0, 0);
	assert_int_equal(ring_replace(&ring, &larger), 0);
	publish(ring, 1 << 18, KEY);
	/* At the first look. */
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_int_equal(frame.size, 1 << 18);
	assert_int_equal(readers_of(ring).count, 1);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

/* Though the new one has a frame of that number, too, which is whole. */
static void a_frame_of_the_ring_before_is_not_valid(void **state)
{
	const struct ring_options larger = { .name = ring_name(),
		.bytes = 1 << 19,
		.slots = 4,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame before;

	(void)state;
	publish(ring, 16, KEY);
	assert_int_equal(hdmicast_ring_next(reader, &before), 0);
	assert_int_equal(ring_replace(&ring, &larger), 0);
	publish(ring, 16, KEY);
	assert_next(reader, 0, 0);
	assert_false(hdmicast_ring_valid(reader, &before));
	assert_null(before.data);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void what_is_missed_between_two_rings_is_counted(void **state)
{
	const struct ring_options next = { .name = ring_name(),
		.bytes = 8192,
		.slots = 8,
		.mode = 0600,
		.group = RING_GROUP_KEEP };

	(void)state;
	for (int waits = 0; waits < 2; waits++) {
		struct ring *ring = new_ring(4096, 4);
		struct hdmicast_ring *reader = new_reader();

		for (int i = 0; i < 3; i++)
			publish(ring, 4, KEY);
		assert_next(reader, 0, 0);
		assert_int_equal(ring_replace(&ring, &next), 0);
		for (int i = 0; i < 5; i++)
			publish(ring, 4, KEY);
		/* The old one's rest first; of the new one, the newest. */
		for (uint64_t sequence = 1; sequence < 3; sequence++) {
			if (waits)
				assert_int_equal(hdmicast_ring_wait(reader, 0), 0);
			assert_next(reader, sequence, 0);
		}
		if (waits)
			assert_int_equal(hdmicast_ring_wait(reader, 0), 0);
		assert_next(reader, 4, 4);
		assert_int_equal(hdmicast_ring_lost(reader), 4);
		hdmicast_ring_close(reader);
		ring_destroy(ring);
	}
}

static void a_frame_that_is_borrowed_stays_readable_while_one_looks_at_the_ring(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_ring_info info;
	struct hdmicast_frame frame;

	(void)state;
	publish(ring, 64, KEY);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	ring_destroy(ring);
	ring = new_ring(8192, 4);
	assert_int_equal(hdmicast_ring_get_info(reader, &info), 0);
	assert_false(info.attached);
	assert_true(is_known(frame.data, frame.size, 0));
	assert_true(hdmicast_ring_valid(reader, &frame));
	assert_int_equal(hdmicast_ring_wait(reader, 0), -ETIMEDOUT);
	hdmicast_ring_get_info(reader, &info);
	assert_true(info.attached);
	assert_int_equal(info.data_bytes, 8192);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_ring_that_cannot_be_replaced_is_over(void **state)
{
	const struct ring_options wrong = { .name = ring_name(), .bytes = 1, .slots = 4 };
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();

	(void)state;
	assert_int_equal(ring_replace(&ring, &wrong), -EINVAL);
	assert_null(ring);
	assert_int_equal(hdmicast_ring_wait(reader, 0), -ETIMEDOUT);
	assert_int_equal(open_object("", O_RDONLY), -1);
	hdmicast_ring_close(reader);
}

static void a_removed_ring_is_noticed_and_its_successor_left_alone(void **state)
{
	struct ring *ring = new_ring(4096, 4), *other;
	static const char *const suffixes[] = { "", ".ctl" };
	char path[96];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(suffixes); i++) {
		assert_true(ring_is_named(ring));
		snprintf(path, sizeof(path), "/%s%s", ring_name(), suffixes[i]);
		assert_int_equal(shm_unlink(path), 0);
		assert_false(ring_is_named(ring));
		remove_objects(NULL);
		other = new_ring(4096, 4);
		ring_destroy(ring);
		assert_true(ring_is_named(other));
		ring = other;
	}
	ring_destroy(ring);
}

/* As a daemon that is killed while it takes over: its ring has no name, and is not called off. */
static void leave_an_orphan(struct hdmicast_ring **reader)
{
	int fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		publish(new_ring(4096, 4), 4, KEY);
		assert_int_equal(write(fds[1], "", 1), 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	*reader = new_reader();
	assert_next(*reader, 0, 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	remove_objects(NULL);
}

static struct ring *orphan(struct hdmicast_ring **reader)
{
	leave_an_orphan(reader);
	return new_ring(1 << 16, 4);
}

struct search {
	struct hdmicast_ring *reader;
	int64_t found_ns;
};

static void *search(void *arg)
{
	struct search *search = arg;

	search->found_ns = hdmicast_ring_wait(search->reader, 10000) ? 0 : now_ns();
	return NULL;
}

/* How long until a reader is with a ring that comes this long after its own was orphaned. */
static int64_t measure_search(useconds_t later_us)
{
	struct search searching;
	struct ring *ring;
	pthread_t thread;
	int64_t begin_ns;

	leave_an_orphan(&searching.reader);
	assert_int_equal(pthread_create(&thread, NULL, search, &searching), 0);
	usleep(later_us);
	ring = new_ring(1 << 16, 4);
	publish(ring, 8, KEY);
	begin_ns = now_ns();
	pthread_join(thread, NULL);
	assert_true(searching.found_ns);
	hdmicast_ring_close(searching.reader);
	ring_destroy(ring);
	return searching.found_ns - begin_ns;
}

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The median, since the machine may be busy. */
static void an_orphan_looks_for_another_ring_every_50_ms(void **state)
{
	int64_t took_ns[7];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(took_ns); i++)
		took_ns[i] = measure_search(300000 + 27000 * i);
	qsort(took_ns, ARRAY_SIZE(took_ns), sizeof(*took_ns), compare);
	print_message("median %lld us, most %lld us\n",
		(long long)took_ns[ARRAY_SIZE(took_ns) / 2] / 1000,
		(long long)took_ns[ARRAY_SIZE(took_ns) - 1] / 1000);
	assert_true(took_ns[ARRAY_SIZE(took_ns) / 2] < 60 * NS_PER_MS);
}

static void who_waits_a_little_at_a_time_leaves_an_orphan(void **state)
{
	struct hdmicast_ring *reader;
	struct hdmicast_frame frame;
	struct ring *ring = orphan(&reader);
	const int64_t begin_ns = now_ns();

	(void)state;
	publish(ring, 8, KEY);
	assert_true(comes_through(reader, &frame));
	/* Whether its writer lives, it looks every 200 ms. */
	assert_true(now_ns() - begin_ns < NS_PER_S);
	assert_int_equal(frame.size, 8);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void who_never_waits_leaves_an_orphan(void **state)
{
	struct hdmicast_ring *reader;
	struct hdmicast_frame frame;
	struct ring *ring = orphan(&reader);
	const int64_t until = now_ns() + 15 * NS_PER_S;

	(void)state;
	publish(ring, 8, KEY);
	while (hdmicast_ring_next(reader, &frame)) {
		assert_true(now_ns() < until);
		usleep(1000);
	}
	assert_int_equal(frame.size, 8);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void what_was_forgotten_is_no_beginning(void **state)
{
	struct ring *ring = new_ring(1 << 16, 8);
	struct hdmicast_ring *reader, *earlier = new_reader();

	(void)state;
	publish(ring, 4, KEY);
	publish(ring, 4, !KEY);
	ring_forget(ring);
	reader = new_reader();
	assert_none(reader);
	assert_true(readers_of(ring).key_request);
	publish(ring, 4, !KEY);
	assert_none(reader);
	publish(ring, 4, KEY);
	assert_next(reader, 3, 1);
	/* Who was there has it all. */
	for (unsigned i = 0; i < 4; i++)
		assert_next(earlier, i, 0);
	hdmicast_ring_close(reader);
	hdmicast_ring_close(earlier);
	ring_destroy(ring);
}

/* ---- as the daemon uses it */

static uint8_t bytes[1 << 20];

static struct frame picture(size_t size)
{
	return (struct frame){ .format = V4L2_PIX_FMT_YUYV,
		.width = PICTURE_W,
		.height = PICTURE_H,
		.key = true,
		.plane = { { bytes, PICTURE_W * 2, size } } };
}

static struct sink_backend *open_store(enum medium medium, size_t size)
{
	static struct option_sink opt;
	static struct backend_config config;
	struct sink_backend *backend;

	opt = (struct option_sink){
		.name = ring_name(), .mode = 0600, .group = OPTION_GROUP_KEEP, .bytes = size
	};
	config = (struct backend_config){ .opt = &opt, .medium = medium };
	assert_int_equal(backend_ring.open(&backend, &config), 0);
	return backend;
}

static void a_ring_for_raw_pictures_grows_to_eight_of_them(void **state)
{
	struct sink_backend *backend = open_store(MEDIUM_RAW, 0);
	struct hdmicast_ring *reader = new_reader();
	struct frame small = picture(10000), large = picture(100000), larger = picture(150000);
	struct hdmicast_frame frame;
	struct backend_view view;
	uint64_t epoch;

	(void)state;
	assert_int_equal(backend_ring.write(backend, &small, 0), 0);
	assert_int_equal(backend->capacity, 64 << 10);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	epoch = frame.epoch;
	assert_int_equal(backend_ring.write(backend, &large, 5), 0);
	assert_int_equal(backend->capacity, 800000);
	/* Before the reader has come to it, too. */
	assert_int_equal(backend_ring.look(backend, now_ns(), &view), 0);
	assert_int_equal(view.readers, 1);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_int_equal(frame.size, 100000);
	assert_int_not_equal(frame.epoch, epoch);
	assert_int_equal(frame.dropped, 0); /* since this ring is */
	epoch = frame.epoch;
	/* Not for each that is a little larger, nor for smaller ones. */
	assert_int_equal(backend_ring.write(backend, &larger, 7), 0);
	assert_int_equal(backend_ring.write(backend, &small, 7), 0);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_int_equal(frame.epoch, epoch);
	assert_int_equal(frame.dropped, 2);
	hdmicast_ring_close(reader);
	backend_ring.close(backend);
}

static void a_ring_whose_size_was_given_stays_as_it_is(void **state)
{
	struct sink_backend *backend = open_store(MEDIUM_RAW, 50000);
	struct frame small = picture(20000), large = picture(60000);

	(void)state;
	assert_int_equal(backend_ring.write(backend, &small, 0), 0);
	assert_int_equal(backend_ring.write(backend, &large, 0), -EMSGSIZE);
	assert_int_equal(backend->capacity, 50000);
	backend_ring.close(backend);
}

static void a_ring_that_cannot_grow_goes_on_and_is_not_tried_for_each_frame(void **state)
{
	struct sink_backend *backend = open_store(MEDIUM_RAW, 0);
	struct frame small = picture(10000), huge = picture(1ULL << 40);
	struct hdmicast_ring *reader;

	(void)state;
	huge.plane[0].data = bytes; /* is never read */
	assert_true(backend_ring.write(backend, &huge, 0) < 0);
	reader = new_reader();
	for (unsigned i = 0; i < 3; i++)
		assert_true(backend_ring.write(backend, &huge, 0) < 0);
	assert_int_equal(backend_ring.write(backend, &small, 0), 0);
	assert_int_equal(hdmicast_ring_wait(reader, 0), 0); /* the same ring */
	hdmicast_ring_close(reader);
	backend_ring.close(backend);
}

static void a_ring_without_readers_forgets(void **state)
{
	struct sink_backend *backend = open_store(MEDIUM_JPEG, 0);
	struct frame frame = picture(1000);
	struct hdmicast_ring *reader = new_reader();
	struct backend_view view;

	(void)state;
	assert_int_equal(backend_ring.write(backend, &frame, 0), 0);
	assert_int_equal(backend_ring.look(backend, now_ns(), &view), 0);
	assert_int_equal(view.readers, 1);
	hdmicast_ring_close(reader);
	reader = new_reader();
	assert_int_equal(hdmicast_ring_wait(reader, 0), 0);
	hdmicast_ring_close(reader);
	assert_int_equal(backend_ring.look(backend, now_ns(), &view), 0);
	assert_int_equal(view.readers, 0);
	reader = new_reader();
	assert_int_equal(hdmicast_ring_wait(reader, 0), -ETIMEDOUT);
	hdmicast_ring_close(reader);
	backend_ring.close(backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(who_shortens_the_object_makes_nobody_vanish),
		RING_TEST(who_writes_over_the_header_keeps_nobody_out),
		RING_TEST(who_says_a_lot_without_a_lock_is_not_there),
		RING_TEST(who_is_not_heard_is_there_as_long_as_the_place_is_locked),
		RING_TEST(who_locked_all_places_keeps_nobody_in_the_shared_one),
		RING_TEST(laps_and_losses_are_told),
		RING_TEST(a_wake_is_counted_for_who_slept),
		RING_TEST(a_replaced_ring_is_never_missing),
		RING_TEST(a_frame_of_the_ring_before_is_not_valid),
		RING_TEST(what_is_missed_between_two_rings_is_counted),
		RING_TEST(a_frame_that_is_borrowed_stays_readable_while_one_looks_at_the_ring),
		RING_TEST(a_ring_that_cannot_be_replaced_is_over),
		RING_TEST(a_removed_ring_is_noticed_and_its_successor_left_alone),
		RING_TEST(who_waits_a_little_at_a_time_leaves_an_orphan),
		RING_TEST(who_never_waits_leaves_an_orphan),
		RING_TEST(an_orphan_looks_for_another_ring_every_50_ms),
		RING_TEST(what_was_forgotten_is_no_beginning),
		RING_TEST(a_ring_for_raw_pictures_grows_to_eight_of_them),
		RING_TEST(a_ring_whose_size_was_given_stays_as_it_is),
		RING_TEST(a_ring_that_cannot_grow_goes_on_and_is_not_tried_for_each_frame),
		RING_TEST(a_ring_without_readers_forgets),
	};

	calm_down(4);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
