// SPDX-License-Identifier: GPL-3.0-or-later
/* Writers that come, go and die, readers that do, and objects that lie: shm/hdmicast-ring.h. */
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "rings.h"
#include "preload.h"

#define KEY true

static unsigned count_readers(struct ring *ring)
{
	struct ring_readers readers;

	ring_get_readers(ring, &readers);
	return readers.count;
}

static void readers_are_counted(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader[70];

	(void)state;
	assert_int_equal(count_readers(ring), 0);
	for (unsigned i = 0; i < 3; i++)
		reader[i] = new_reader();
	assert_int_equal(count_readers(ring), 3);
	hdmicast_ring_close(reader[1]);
	assert_int_equal(count_readers(ring), 2);
	reader[1] = new_reader();
	for (unsigned i = 3; i < ARRAY_SIZE(reader); i++)
		reader[i] = new_reader();
	assert_int_equal(count_readers(ring), HDMICAST_RING_READERS);
	publish(ring, 4, KEY);
	assert_next(reader[69], 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(reader); i++)
		hdmicast_ring_close(reader[i]);
	ring_destroy(ring);
}

/* Runs `body` in a child, which ends up waiting to be killed; returns once the body is through. */
static pid_t start_child(void (*body)(void))
{
	int fds[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		alarm(60);
		body();
		if (write(fds[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	return pid;
}

static void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void read_in_child(void)
{
	struct hdmicast_ring *reader;

	if (hdmicast_ring_open(&reader, ring_name(), 0))
		_exit(1);
}

static void a_killed_reader_is_gone_at_once(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	pid_t pid = start_child(read_in_child);

	(void)state;
	assert_int_equal(count_readers(ring), 1);
	kill_child(pid);
	assert_int_equal(count_readers(ring), 0);
	ring_destroy(ring);
}

static void a_request_for_a_key_frame_is_heard_once(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader;
	struct ring_readers readers;

	(void)state;
	publish(ring, 4, KEY);
	reader = new_reader();
	ring_get_readers(ring, &readers);
	assert_false(readers.key_request);
	assert_int_equal(hdmicast_ring_request_key(reader), 0);
	ring_get_readers(ring, &readers);
	assert_true(readers.key_request);
	ring_get_readers(ring, &readers);
	assert_false(readers.key_request);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void a_reader_follows_to_a_larger_ring(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader = new_reader();
	struct hdmicast_frame frame;
	uint64_t epoch;

	(void)state;
	publish(ring, 4, KEY);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	epoch = frame.epoch;
	publish(ring, 4, KEY);
	ring_destroy(ring);
	ring = new_ring(1 << 20, 4);
	publish(ring, 1 << 18, KEY);
	/* What was left in the old one first. */
	assert_next(reader, 1, 0);
	assert_int_equal(hdmicast_ring_next(reader, &frame), 0);
	assert_int_equal(frame.sequence, 0);
	assert_int_not_equal(frame.epoch, epoch);
	assert_true(is_known(frame.data, frame.size, 0));
	assert_int_equal(count_readers(ring), 1);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

struct waiting {
	struct hdmicast_ring *reader;
	atomic_bool begun;
	int res;
};

static void *wait_for_a_frame(void *arg)
{
	struct waiting *waiting = arg;

	atomic_store(&waiting->begun, true);
	waiting->res = hdmicast_ring_wait(waiting->reader, 10000);
	return NULL;
}

static void write_in_child(void)
{
	const struct ring_options opt = { .name = ring_name(),
		.bytes = 4096,
		.slots = 4,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct ring *ring;

	if (ring_create(&ring, &opt) || publish(ring, 4, KEY))
		_exit(1);
}

static void a_waiting_reader_follows_when_the_writer_was_killed(void **state)
{
	pid_t pid = start_child(write_in_child);
	struct waiting waiting = { .reader = new_reader() };
	struct hdmicast_ring_info info;
	struct ring *ring;
	pthread_t thread;

	(void)state;
	assert_next(waiting.reader, 0, 0);
	hdmicast_ring_get_info(waiting.reader, &info);
	assert_true(info.attached && info.alive);
	assert_int_equal(info.writer_pid, pid);
	kill_child(pid);
	hdmicast_ring_get_info(waiting.reader, &info);
	assert_true(info.attached && !info.alive);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_a_frame, &waiting), 0);
	while (!atomic_load(&waiting.begun))
		sched_yield();
	ring = new_ring(1 << 16, 4);
	publish(ring, 8, KEY);
	pthread_join(thread, NULL);
	assert_int_equal(waiting.res, 0);
	assert_next(waiting.reader, 0, 0);
	hdmicast_ring_close(waiting.reader);
	ring_destroy(ring);
}

static void a_reader_may_come_before_the_ring(void **state)
{
	struct hdmicast_ring *reader;
	struct ring *ring;

	(void)state;
	assert_int_equal(hdmicast_ring_open(&reader, ring_name(), 0), -ENOENT);
	assert_int_equal(hdmicast_ring_open(&reader, ring_name(), HDMICAST_RING_EARLY), 0);
	assert_none(reader);
	assert_int_equal(hdmicast_ring_wait(reader, 60), -ETIMEDOUT);
	ring = new_ring(4096, 4);
	publish(ring, 4, KEY);
	assert_int_equal(hdmicast_ring_wait(reader, 10000), 0);
	assert_next(reader, 0, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void the_writers_name_ends_whatever_it_is(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring_info info;
	struct hdmicast_ring *reader;
	char noise[sizeof(info.writer)];
	int fd = open_object("", O_RDWR);

	(void)state;
	memset(noise, 'x', sizeof(noise));
	assert_int_equal(pwrite(fd, noise, sizeof(noise),
				 offsetof(struct hdmicast_ring_header, writer)),
		sizeof(noise));
	close(fd);
	reader = new_reader();
	assert_int_equal(hdmicast_ring_get_info(reader, &info), 0);
	assert_int_equal(strnlen(info.writer, sizeof(info.writer)), sizeof(info.writer) - 1);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void two_writers_never_share_a_name(void **state)
{
	const struct ring_options opt = { .name = ring_name(),
		.bytes = 4096,
		.slots = 4,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct ring *ring = new_ring(4096, 4), *other;
	struct hdmicast_ring *reader;

	(void)state;
	assert_int_equal(ring_create(&other, &opt), -EBUSY);
	publish(ring, 4, KEY);
	reader = new_reader();
	assert_next(reader, 0, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static mode_t mode_of(const char *suffix)
{
	struct stat st;
	int fd = open_object(suffix, O_RDONLY);

	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	return st.st_mode & 0777;
}

/* Nobody else writes frames; who may read them may say so. */
static void the_access_is_what_was_asked_for(void **state)
{
	static const mode_t modes[][3] = { { 0664, 0644, 0666 }, { 0640, 0640, 0660 },
		{ 0600, 0600, 0600 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		const struct ring_options opt = { .name = ring_name(),
			.bytes = 4096,
			.slots = 4,
			.mode = modes[i][0],
			.group = RING_GROUP_KEEP };
		mode_t before = umask(0077);
		struct ring *ring;

		assert_int_equal(ring_create(&ring, &opt), 0);
		umask(before);
		assert_int_equal(mode_of(""), modes[i][1]);
		assert_int_equal(mode_of(".ctl"), modes[i][2]);
		ring_destroy(ring);
		assert_int_equal(open_object("", O_RDONLY), -1);
		assert_int_equal(open_object(".ctl", O_RDONLY), -1);
	}
}

static void names_and_sizes_are_checked(void **state)
{
	struct ring_options opt = {
		.bytes = 4096, .slots = 4, .mode = 0600, .group = RING_GROUP_KEEP
	};
	const char *const bad[] = { "", "/", "a/b", "..", ".hidden" }, *const control = "a.ctl";
	struct hdmicast_ring *reader;
	struct ring *ring;
	char longest[300];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		opt.name = bad[i];
		assert_int_equal(ring_create(&ring, &opt), -EINVAL);
		assert_int_equal(hdmicast_ring_open(&reader, bad[i], 0), -EINVAL);
	}
	opt.name = control;
	assert_int_equal(ring_create(&ring, &opt), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[251] = 0;
	opt.name = longest;
	assert_int_equal(ring_create(&ring, &opt), -ENAMETOOLONG);
	assert_int_equal(hdmicast_ring_open(&reader, longest, 0), -EINVAL);
	longest[250] = 0;
	assert_int_equal(ring_create(&ring, &opt), 0);
	assert_int_equal(hdmicast_ring_open(&reader, longest, 0), 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
	opt.name = ring_name();
	opt.slots = HDMICAST_RING_MAX_SLOTS + 1;
	assert_int_equal(ring_create(&ring, &opt), -EINVAL);
	opt.slots = 4;
	opt.bytes = 1ull << 39;
	assert_int_equal(ring_create(&ring, &opt), -ENOSPC);
	assert_int_equal(open_object("", O_RDONLY), -1);
}

static void write_object(const void *bytes, size_t size, off_t at)
{
	int fd = open_object("", O_RDWR | O_CREAT);

	assert_int_equal(pwrite(fd, bytes, size, at), size);
	close(fd);
}

static void what_is_no_ring_is_left_alone(void **state)
{
	const struct ring_options opt = { .name = ring_name(),
		.bytes = 4096,
		.slots = 4,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct hdmicast_ring *reader;
	struct ring *ring;
	int fd;

	(void)state;
	write_object("something of someone else", 25, 0);
	assert_int_equal(ring_create(&ring, &opt), -EEXIST);
	assert_int_equal(hdmicast_ring_open(&reader, ring_name(), 0), -EBADMSG);
	fd = open_object("", O_RDONLY);
	assert_true(fd >= 0);
	close(fd);
}

static int create_ring(struct ring **ring)
{
	const struct ring_options opt = { .name = ring_name(),
		.bytes = 4096,
		.slots = 4,
		.mode = 0644,
		.group = RING_GROUP_KEEP };

	return ring_create(ring, &opt);
}

static void path_of(char *path, size_t size, const char *suffix)
{
	snprintf(path, size, "/dev/shm/%s%s", ring_name(), suffix);
}

static void assert_no_ring(int error)
{
	struct hdmicast_ring *reader;
	struct ring *ring;

	assert_int_equal(hdmicast_ring_open(&reader, ring_name(), 0), -EBADMSG);
	assert_int_equal(create_ring(&ring), error);
}

static void what_is_no_shared_memory_is_no_ring(void **state)
{
	char path[96];

	(void)state;
	path_of(path, sizeof(path), "");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_no_ring(-EEXIST);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_no_ring(-ELOOP);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_no_ring(-EEXIST);
	rmdir(path);
}

static void a_reader_goes_by_what_is_no_control_object(void **state)
{
	struct ring *ring = new_ring(4096, 4);
	struct hdmicast_ring *reader;
	char path[96];

	(void)state;
	path_of(path, sizeof(path), ".ctl");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	publish(ring, 4, KEY);
	reader = new_reader();
	assert_next(reader, 0, 0);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

static void what_is_no_control_object_is_left_alone(void **state)
{
	static const char word[] = "something of someone else";
	int fd = open_object(".ctl", O_RDWR | O_CREAT);
	struct ring *ring;
	char found[sizeof(word)];

	(void)state;
	assert_int_equal(write(fd, word, sizeof(word)), sizeof(word));
	assert_int_equal(create_ring(&ring), -EEXIST);
	close(fd);
	fd = open_object(".ctl", O_RDWR);
	assert_int_equal(read(fd, found, sizeof(found)), sizeof(found));
	assert_string_equal(found, word);
	/* Of a writer that died when it had made nothing else. */
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	assert_int_equal(create_ring(&ring), 0);
	ring_destroy(ring);
}

static void what_readers_made_of_a_dead_ring_keeps_none_from_coming_back(void **state)
{
	static const char garbage[64] = "garbage";
	struct ring *ring;
	int fd;

	(void)state;
	kill_child(start_child(write_in_child));
	fd = open_object(".ctl", O_RDWR);
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage), 0), sizeof(garbage));
	close(fd);
	assert_int_equal(create_ring(&ring), 0);
	ring_destroy(ring);
}

/* That takes no more than to open it for reading, which all readers may. */
static void a_reader_that_locks_keeps_no_ring_from_coming_back(void **state)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	struct ring *ring, *other;
	int fd;

	(void)state;
	kill_child(start_child(write_in_child));
	fd = open_object("", O_RDONLY);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(create_ring(&ring), 0);
	assert_int_equal(create_ring(&other), -EBUSY);
	assert_true(ring_is_named(ring));
	close(fd);
	ring_destroy(ring);
}

/* Its owner could shorten what we have mapped. */
static void another_users_ring_is_left_alone(void **state)
{
	struct ring *ring;
	int fd;

	(void)state;
	if (geteuid() != 0)
		skip();
	kill_child(start_child(write_in_child));
	fd = open_object("", O_RDWR);
	assert_int_equal(fchown(fd, 65534, (gid_t)-1), 0);
	assert_int_equal(create_ring(&ring), -EACCES);
	assert_int_equal(fchown(fd, 0, (gid_t)-1), 0);
	assert_int_equal(create_ring(&ring), 0);
	close(fd);
	ring_destroy(ring);
}

/* A ring as a dead writer leaves it, to be spoiled. */
static void leave_a_ring(struct hdmicast_ring_header *header)
{
	kill_child(start_child(write_in_child));
	int fd = open_object("", O_RDONLY);

	assert_int_equal(pread(fd, header, sizeof(*header), 0), sizeof(*header));
	close(fd);
}

static int error_of(const struct hdmicast_ring_header *header)
{
	struct hdmicast_ring *reader;
	int res;

	write_object(header, sizeof(*header), 0);
	res = hdmicast_ring_open(&reader, ring_name(), 0);
	if (!res)
		hdmicast_ring_close(reader);
	return res;
}

static void each_fault_of_an_object_has_its_error(void **state)
{
	struct hdmicast_ring_header good, bad;
	int fd;

	(void)state;
	leave_a_ring(&good);
	assert_int_equal(error_of(&good), 0);
	bad = good, bad.magic++;
	assert_int_equal(error_of(&bad), -EBADMSG);
	bad = good, bad.version++;
	assert_int_equal(error_of(&bad), -EPROTONOSUPPORT);
	bad = good, bad.state = HDMICAST_RING_NEW;
	assert_int_equal(error_of(&bad), -EAGAIN);
	bad = good, bad.state = HDMICAST_RING_GONE;
	assert_int_equal(error_of(&bad), -ENOENT);
	bad = good, bad.state = HDMICAST_RING_GONE + 1;
	assert_int_equal(error_of(&bad), -EPROTO);
	bad = good, bad.object_bytes += 1 << 20;
	assert_int_equal(error_of(&bad), -ENODATA);
	bad = good, bad.slot_count = 3;
	assert_int_equal(error_of(&bad), -EPROTO);
	bad = good, bad.slot_count = 1 << 16;
	assert_int_equal(error_of(&bad), -EPROTO);
	bad = good, bad.slot_bytes = 64;
	assert_int_equal(error_of(&bad), -EPROTO);
	bad = good, bad.slot_offset = UINT64_MAX - 7;
	assert_int_equal(error_of(&bad), -EPROTO);
	bad = good, bad.data_offset = UINT64_MAX;
	assert_int_equal(error_of(&bad), -EPROTO);
	bad = good, bad.data_bytes = UINT64_MAX;
	assert_int_equal(error_of(&bad), -EPROTO);
	fd = open_object("", O_RDWR);
	assert_int_equal(ftruncate(fd, 100), 0);
	close(fd);
	struct hdmicast_ring *reader;
	assert_int_equal(hdmicast_ring_open(&reader, ring_name(), 0), -ENODATA);
}

static uint32_t n_random = 1;

static uint32_t any(void)
{
	n_random = n_random * 1664525 + 1013904223;
	return n_random >> 8;
}

static void use_reader(void)
{
	struct hdmicast_frame frame;
	struct hdmicast_ring *reader;
	volatile uint8_t sum = 0;

	if (hdmicast_ring_open(&reader, ring_name(), 0))
		return;
	for (unsigned i = 0; i < 8; i++) {
		hdmicast_ring_wait(reader, 0);
		if ((i & 1 ? hdmicast_ring_newest : hdmicast_ring_next)(reader, &frame))
			continue;
		for (size_t at = 0; at < frame.size; at++)
			sum += ((const uint8_t *)frame.data)[at];
		hdmicast_ring_valid(reader, &frame);
	}
	hdmicast_ring_close(reader);
}

static void a_lying_object_harms_no_reader(void **state)
{
	struct hdmicast_ring_header good, bad;
	uint8_t slots[4 * sizeof(struct hdmicast_ring_slot)], spoiled[sizeof(slots)];
	int fd;

	(void)state;
	leave_a_ring(&good);
	fd = open_object("", O_RDWR);
	assert_int_equal(pread(fd, slots, sizeof(slots), sizeof(good)), sizeof(slots));
	for (unsigned round = 0; round < 3000; round++) {
		bad = good;
		memcpy(spoiled, slots, sizeof(slots));
		for (unsigned i = 0; i < round % 4; i++)
			((uint32_t *)&bad)[2 + any() % 35] = any() % 3 ? any() % 300 : any() << 8;
		for (unsigned i = 0; i < round % 7; i++)
			((uint32_t *)spoiled)[any() % (sizeof(slots) / 4)] = any() % 3
										     ? any() % 5000
										     : ~0u;
		bad.state = HDMICAST_RING_LIVE;
		assert_int_equal(pwrite(fd, &bad, sizeof(bad), 0), sizeof(bad));
		assert_int_equal(pwrite(fd, spoiled, sizeof(slots), sizeof(bad)), sizeof(slots));
		use_reader();
	}
	close(fd);
}

static void garbage_in_the_control_object_harms_nobody(void **state)
{
	struct ring *ring = new_ring(1 << 16, 8);
	struct hdmicast_ring *reader = new_reader();
	uint32_t garbage[1024];
	int fd = open_object(".ctl", O_RDWR);

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(garbage); i++)
			garbage[i] = any();
		assert_true(pwrite(fd, garbage, any() % sizeof(garbage), 0) >= 0);
		if (round % 5 == 0)
			assert_int_equal(ftruncate(fd, any() % 5000), 0);
		assert_true(count_readers(ring) <= HDMICAST_RING_READERS);
		publish(ring, 64, KEY);
		assert_next(reader, round, 0);
		hdmicast_ring_request_key(reader);
	}
	close(fd);
	hdmicast_ring_close(reader);
	ring_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(readers_are_counted),
		RING_TEST(a_killed_reader_is_gone_at_once),
		RING_TEST(a_request_for_a_key_frame_is_heard_once),
		RING_TEST(a_reader_follows_to_a_larger_ring),
		RING_TEST(a_waiting_reader_follows_when_the_writer_was_killed),
		RING_TEST(a_reader_may_come_before_the_ring),
		RING_TEST(the_writers_name_ends_whatever_it_is),
		RING_TEST(two_writers_never_share_a_name),
		RING_TEST(the_access_is_what_was_asked_for),
		RING_TEST(names_and_sizes_are_checked),
		RING_TEST(what_is_no_ring_is_left_alone),
		RING_TEST(what_is_no_shared_memory_is_no_ring),
		RING_TEST(a_reader_goes_by_what_is_no_control_object),
		RING_TEST(what_is_no_control_object_is_left_alone),
		RING_TEST(what_readers_made_of_a_dead_ring_keeps_none_from_coming_back),
		RING_TEST(another_users_ring_is_left_alone),
		RING_TEST(a_reader_that_locks_keeps_no_ring_from_coming_back),
		RING_TEST(each_fault_of_an_object_has_its_error),
		RING_TEST(a_lying_object_harms_no_reader),
		RING_TEST(garbage_in_the_control_object_harms_nobody),
	};

	calm_down(4);
	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
