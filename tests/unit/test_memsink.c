// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A memsink as its readers see it: they are imitated with nothing but offsets into a mapping, and
 * lock in processes of their own, because a lock belongs to an open file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <float.h>
#include <linux/videodev2.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "shm/hdmicast-ring.h"
#include "shm/memsink.h"
#include "base/util.h"
#include "preload.h"

#define TTL_NS (10 * NS_PER_S)
#define MIB    1048576

/* Where the fields are: readers were compiled with these numbers. */
struct offsets {
	unsigned abi;
	size_t header, raw;
	size_t wants_key, width, height, format, stride, online, key, gop;
	size_t grab_begin, grab_end, encode_begin, encode_end; /* 0: there is none */
};

static const struct offsets abi_7 = { 7, 128, 6912000, 48, 52, 56, 60, 64, 68, 69, 72, 80, 0, 96,
	112 };
static const struct offsets abi_10 = { 10, 160, 24883200, 64, 68, 72, 76, 80, 84, 85, 88, 96, 112,
	128, 144 };
#define MAGIC_AT   0
#define VERSION_AT 8
#define ID_AT      16
#define USED_AT    24
#define CLIENT_AT  32

/* ---- a reader */

struct peer {
	int fd;
	uint8_t *memory;
	size_t size;
};

static char name[64];

static struct peer attach(void)
{
	struct peer peer = { .fd = shm_open(name, O_RDWR, 0) };
	struct stat stat;

	assert_true(peer.fd >= 0);
	assert_int_equal(fstat(peer.fd, &stat), 0);
	peer.size = (size_t)stat.st_size;
	peer.memory = mmap(NULL, peer.size, PROT_READ | PROT_WRITE, MAP_SHARED, peer.fd, 0);
	assert_ptr_not_equal(peer.memory, MAP_FAILED);
	return peer;
}

static void leave(struct peer *peer)
{
	munmap(peer->memory, peer->size);
	close(peer->fd);
}

static uint32_t u32(const struct peer *peer, size_t at)
{
	uint32_t value;

	memcpy(&value, peer->memory + at, sizeof(value));
	return value;
}

static uint64_t u64(const struct peer *peer, size_t at)
{
	uint64_t value;

	memcpy(&value, peer->memory + at, sizeof(value));
	return value;
}

static void assert_time(const struct peer *peer, size_t at, int64_t ns)
{
	long double value;

	if (!at)
		return;
	memcpy(&value, peer->memory + at, sizeof(value));
	assert_true(value > (long double)(ns - 1000) / 1e9L);
	assert_true(value < (long double)(ns + 1000) / 1e9L);
	/* Readers may be anybody: what pads it must not be what was on our stack. */
	for (size_t i = LDBL_MANT_DIG == 64 ? 10 : sizeof(value); i < sizeof(value); i++)
		assert_int_equal(peer->memory[at + i], 0);
}

static void show_up(struct peer *peer, long double at)
{
	memcpy(peer->memory + CLIENT_AT, &at, sizeof(at));
}

static long double seconds_ago(int seconds)
{
	return (long double)now_ns() / 1e9L - seconds;
}

/* A process that holds the lock: as one that is slow, or was stopped inside. */
static pid_t lock_elsewhere(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = shm_open(name, O_RDWR, 0);

		if (fd < 0 || flock(fd, LOCK_EX) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- the writer */

static struct memsink *open_mode(const struct offsets *abi, const char *suffix, unsigned mode)
{
	struct memsink *sink;

	snprintf(name, sizeof(name), "hdmicast-test-%d::%s", (int)getpid(), suffix);
	assert_int_equal(memsink_open(&sink, name, mode, abi->abi, TTL_NS), 0);
	return sink;
}

static struct memsink *open_sink(const struct offsets *abi, const char *suffix)
{
	return open_mode(abi, suffix, 0600);
}

static struct frame unit(uint8_t *data, size_t size, bool key)
{
	return (struct frame){ .format = V4L2_PIX_FMT_H264,
		.width = 1920,
		.height = 1080,
		.plane[0] = { data, 0, size },
		.key = key,
		.online = true,
		.captured_ns = 1001 * NS_PER_MS,
		.grabbed_ns = 1002 * NS_PER_MS,
		.encode_begin_ns = 1003 * NS_PER_MS,
		.encode_end_ns = 1004 * NS_PER_MS };
}

static uint8_t bytes[64] = "\0\0\0\1 an access unit";

/* What the stack below us holds when the next function is called. */
__attribute__((noinline)) static void spoil_stack(void)
{
	volatile uint8_t garbage[4096];

	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = 0xA5;
}

static int write_unit(struct memsink *sink, bool key)
{
	struct frame frame = unit(bytes, sizeof(bytes), key);

	spoil_stack();
	return memsink_write(sink, &frame, 30);
}

static struct memsink_view look(struct memsink *sink, int64_t now)
{
	struct memsink_view view;

	assert_int_equal(memsink_look(sink, now, &view), 0);
	return view;
}

/* ---- promises */

static void check_fields(const struct offsets *abi)
{
	struct memsink *sink = open_sink(abi, "h264");
	struct peer peer = attach();

	assert_int_equal(peer.size, abi->header + 2 * MIB);
	assert_int_equal(write_unit(sink, true), 0);
	assert_true(u64(&peer, MAGIC_AT) == 0xCAFEBABECAFEBABEULL);
	assert_int_equal(u32(&peer, VERSION_AT), abi->abi);
	assert_true(u64(&peer, ID_AT) != 0);
	assert_int_equal(u64(&peer, USED_AT), sizeof(bytes));
	assert_int_equal(peer.memory[abi->wants_key], 0);
	assert_int_equal(u32(&peer, abi->width), 1920);
	assert_int_equal(u32(&peer, abi->height), 1080);
	assert_int_equal(u32(&peer, abi->format), 875967048);
	assert_int_equal(u32(&peer, abi->stride), 0);
	assert_int_equal(peer.memory[abi->online], 1);
	assert_int_equal(peer.memory[abi->key], 1);
	assert_int_equal(u32(&peer, abi->gop), 30);
	assert_time(&peer, abi->grab_begin, 1001 * NS_PER_MS);
	assert_time(&peer, abi->grab_end, 1002 * NS_PER_MS);
	assert_time(&peer, abi->encode_begin, 1003 * NS_PER_MS);
	assert_time(&peer, abi->encode_end, 1004 * NS_PER_MS);
	assert_memory_equal(peer.memory + abi->header, bytes, sizeof(bytes));
	leave(&peer);
	memsink_close(sink, true);
}

static void fields_are_where_6_36_reads_them(void **state)
{
	(void)state;
	check_fields(&abi_7);
}

static void fields_are_where_6_62_reads_them(void **state)
{
	(void)state;
	check_fields(&abi_10);
}

static void each_frame_has_another_id(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	struct peer peer = attach();
	uint64_t before = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(write_unit(sink, true), 0);
		assert_true(u64(&peer, ID_AT) != before);
		before = u64(&peer, ID_AT);
	}
	leave(&peer);
	memsink_close(sink, true);
}

static void assert_size(const struct offsets *abi, const char *suffix, size_t size)
{
	struct memsink *sink = open_sink(abi, suffix);
	struct peer peer = attach();

	assert_int_equal(memsink_capacity(sink), size);
	assert_int_equal(peer.size, abi->header + size);
	leave(&peer);
	memsink_close(sink, true);
}

static void the_end_of_the_name_says_how_large_it_is(void **state)
{
	struct memsink *sink;

	(void)state;
	assert_size(&abi_7, "jpeg", 4 * MIB);
	assert_size(&abi_10, "JPEG", 4 * MIB);
	assert_size(&abi_7, "raw", abi_7.raw);
	assert_size(&abi_10, "raw", abi_10.raw);
	assert_size(&abi_10, "a.raw:H264", 2 * MIB);
	assert_int_equal(memsink_open(&sink, "hdmicast-test.raw:", 0600, 7, TTL_NS), -EPROTO);
	assert_int_equal(memsink_open(&sink, "hdmicast-test:a.jpeg", 0600, 7, TTL_NS), -EPROTO);
	assert_int_equal(memsink_open(&sink, "h264", 0600, 7, TTL_NS), -EPROTO);
	assert_int_equal(memsink_open(&sink, "", 0600, 7, TTL_NS), -EPROTO);
}

static void names_that_cannot_be_are_refused(void **state)
{
	struct memsink *sink;
	char longest[400];

	(void)state;
	assert_int_equal(memsink_open(&sink, "a/b.raw", 0600, 7, TTL_NS), -EINVAL);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + sizeof(longest) - 5, ".raw", 5);
	assert_int_equal(memsink_open(&sink, longest, 0600, 7, TTL_NS), -ENAMETOOLONG);
}

static void a_dot_serves_where_there_is_no_colon(void **state)
{
	struct memsink *sink;

	(void)state;
	snprintf(name, sizeof(name), "hdmicast-test-%d.jpeg", (int)getpid());
	assert_int_equal(memsink_open(&sink, name, 0600, 7, TTL_NS), 0);
	assert_int_equal(memsink_capacity(sink), 4 * MIB);
	memsink_close(sink, true);
}

static unsigned mode_of(const struct peer *peer)
{
	struct stat stat;

	assert_int_equal(fstat(peer->fd, &stat), 0);
	return stat.st_mode & 07777;
}

static void the_mode_is_exact_whatever_the_umask(void **state)
{
	mode_t before = umask(0077);
	struct memsink *sink = open_mode(&abi_7, "h264", 0777);
	struct peer peer = attach();

	(void)state;
	assert_int_equal(mode_of(&peer), 0777);
	assert_int_equal(umask(before), 0077);
	leave(&peer);
	memsink_close(sink, true);
}

static void what_was_left_behind_is_used_on(void **state)
{
	struct memsink *sink = open_mode(&abi_7, "h264", 0600);
	struct peer peer = attach();
	uint64_t id;

	(void)state;
	assert_int_equal(write_unit(sink, true), 0);
	id = u64(&peer, ID_AT);
	memsink_close(sink, false);
	sink = open_mode(&abi_7, "h264", 0660);
	assert_int_equal(mode_of(&peer), 0660);
	assert_int_equal(write_unit(sink, true), 0);
	assert_true(u64(&peer, ID_AT) != id);
	leave(&peer);
	memsink_close(sink, true);
}

static void assert_allocated(const struct peer *peer)
{
	struct stat stat;

	assert_int_equal(fstat(peer->fd, &stat), 0);
	assert_true((off_t)stat.st_blocks * 512 >= (off_t)peer->size);
}

/* A hole is SIGBUS for who has it mapped when /dev/shm is full. */
static void no_reader_meets_a_hole(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "jpeg");
	struct peer peer = attach();

	(void)state;
	assert_allocated(&peer);
	memsink_close(sink, false);
	/* Nor in what others left behind. */
	assert_int_equal(ftruncate(peer.fd, 0), 0);
	assert_int_equal(ftruncate(peer.fd, (off_t)peer.size), 0);
	sink = open_sink(&abi_7, "jpeg");
	assert_allocated(&peer);
	assert_int_equal(ftruncate(peer.fd, 100), 0);
	look(sink, now_ns());
	assert_allocated(&peer);
	leave(&peer);
	memsink_close(sink, true);
}

static void what_there_is_no_room_for_is_not_left_behind(void **state)
{
	struct memsink *sink;
	struct rlimit limit, low;
	int res;

	(void)state;
	snprintf(name, sizeof(name), "hdmicast-test-%d::raw", (int)getpid());
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	low = limit;
	low.rlim_cur = MIB;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	res = memsink_open(&sink, name, 0600, 7, TTL_NS);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(res, -EFBIG);
	assert_int_equal(shm_open(name, O_RDWR, 0), -1);
}

/* Of another version, it is larger or smaller than this one wants it. */
static void what_was_left_behind_grows_but_never_shrinks(void **state)
{
	struct memsink *sink = open_sink(&abi_10, "raw");
	struct peer peer = attach();

	(void)state;
	memsink_close(sink, false);
	sink = open_sink(&abi_7, "raw");
	peer.memory[peer.size - 1] = 1; /* SIGBUS if it were gone */
	leave(&peer);
	memsink_close(sink, false);

	peer.fd = shm_open(name, O_RDWR, 0);
	assert_int_equal(ftruncate(peer.fd, 10), 0);
	close(peer.fd);
	sink = open_sink(&abi_10, "raw");
	peer = attach();
	assert_int_equal(peer.size, abi_10.header + abi_10.raw);
	leave(&peer);
	memsink_close(sink, true);
}

static void what_is_no_shared_memory_is_refused(void **state)
{
	struct memsink *sink;
	char path[96];

	(void)state;
	snprintf(name, sizeof(name), "hdmicast-test-%d.raw", (int)getpid());
	snprintf(path, sizeof(path), "/dev/shm/%s", name);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(memsink_open(&sink, name, 0600, 7, TTL_NS), -EMEDIUMTYPE);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(memsink_open(&sink, name, 0600, 7, TTL_NS), -EMEDIUMTYPE);
	rmdir(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_true(memsink_open(&sink, name, 0600, 7, TTL_NS) < 0);
	unlink(path);
}

static void another_users_object_is_used_or_refused_by_its_mode(void **state)
{
	static const struct {
		mode_t mode;
		int res;
	} rows[] = { { 0666, 0 }, { 0600, -EACCES } };

	(void)state;
	if (geteuid() != 0)
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memsink *sink = open_mode(&abi_7, "h264", rows[i].mode);
		int res;

		memsink_close(sink, false);
		assert_int_equal(seteuid(65534), 0);
		res = memsink_open(&sink, name, 0660, 7, TTL_NS);
		if (res == 0)
			memsink_close(sink, false);
		assert_int_equal(seteuid(0), 0);
		shm_unlink(name);
		assert_int_equal(res, rows[i].res);
	}
}

static void a_ring_that_has_the_name_is_left_alone(void **state)
{
	static const uint64_t magic = HDMICAST_RING_MAGIC;
	struct memsink *sink = open_sink(&abi_7, "h264");
	uint64_t still = 0;
	int fd = shm_open(name, O_RDWR, 0);

	(void)state;
	memsink_close(sink, false);
	assert_int_equal(pwrite(fd, &magic, sizeof(magic), 0), sizeof(magic));
	assert_int_equal(memsink_open(&sink, name, 0660, 7, TTL_NS), -EMEDIUMTYPE);
	assert_int_equal(pread(fd, &still, sizeof(still), 0), sizeof(still));
	assert_true(still == magic);
	close(fd);
	shm_unlink(name);
}

static void a_reader_that_keeps_the_lock_costs_two_milliseconds(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	pid_t pid = lock_elsewhere();
	int64_t best = INT64_MAX;

	(void)state;
	assert_false(memsink_lock(sink, 0));
	for (int i = 0; i < 5; i++) {
		int64_t began = now_ns();

		assert_int_equal(write_unit(sink, true), -EAGAIN);
		best = MIN(best, now_ns() - began);
	}
	assert_true(best >= 2 * NS_PER_MS);
	assert_true(best < 4 * NS_PER_MS);
	kill(pid, SIGSTOP);
	assert_int_equal(write_unit(sink, true), -EAGAIN);
	end(pid);
	assert_true(memsink_lock(sink, 0));
	memsink_unlock(sink);
	assert_int_equal(write_unit(sink, true), 0);
	memsink_close(sink, true);
}

static void only_a_key_frame_answers_a_request_for_one(void **state)
{
	static const struct offsets *const abis[] = { &abi_7, &abi_10 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(abis); i++) {
		struct memsink *sink = open_sink(abis[i], "h264");
		struct peer peer = attach();

		assert_false(look(sink, now_ns()).wants_key);
		peer.memory[abis[i]->wants_key] = 1;
		assert_true(look(sink, now_ns()).wants_key);
		assert_int_equal(write_unit(sink, false), 0);
		assert_true(look(sink, now_ns()).wants_key);
		assert_int_equal(write_unit(sink, true), 0);
		assert_false(look(sink, now_ns()).wants_key);
		assert_int_equal(peer.memory[abis[i]->wants_key], 0);
		leave(&peer);
		memsink_close(sink, true);
	}
}

static void a_reader_counts_for_the_time_to_live(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	struct peer peer = attach();
	int64_t now = now_ns();

	(void)state;
	assert_false(look(sink, now).has_clients);
	show_up(&peer, seconds_ago(0));
	assert_true(look(sink, now).has_clients);
	assert_true(look(sink, now + TTL_NS - 1).has_clients);
	assert_false(look(sink, now + TTL_NS).has_clients);
	show_up(&peer, seconds_ago(0));
	assert_true(look(sink, now + TTL_NS).has_clients);
	leave(&peer);
	memsink_close(sink, true);
}

static bool is_recalled(const void *client, size_t size)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	struct peer peer = attach();
	bool recalled;

	memcpy(peer.memory + CLIENT_AT, client, size);
	leave(&peer);
	memsink_close(sink, false);
	sink = open_sink(&abi_7, "h264");
	recalled = look(sink, now_ns()).has_clients;
	memsink_close(sink, true);
	return recalled;
}

/* Of what was left behind, only what can be true is believed. */
static void readers_from_before_a_restart_count_on(void **state)
{
	long double at = seconds_ago(1);
	uint8_t garbage[sizeof(at)];

	(void)state;
	assert_true(is_recalled(&at, sizeof(at)));
	at = seconds_ago(11);
	assert_false(is_recalled(&at, sizeof(at)));
	at = seconds_ago(-1000);
	assert_false(is_recalled(&at, sizeof(at)));
	at = -1;
	assert_false(is_recalled(&at, sizeof(at)));
	memset(garbage, 0xFF, sizeof(garbage));
	assert_false(is_recalled(garbage, sizeof(garbage)));
}

static void writing_leaves_what_readers_write(void **state)
{
	struct memsink *sink = open_sink(&abi_10, "h264");
	struct peer peer = attach();
	uint8_t said[32];

	(void)state;
	for (unsigned i = 0; i < sizeof(said); i++)
		peer.memory[CLIENT_AT + i] = said[i] = (uint8_t)(i + 1);
	assert_int_equal(write_unit(sink, false), 0);
	assert_memory_equal(peer.memory + CLIENT_AT, said, sizeof(said));
	leave(&peer);
	memsink_close(sink, true);
}

static void a_frame_that_is_too_large_is_refused(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	size_t size = 2 * MIB + 1;
	AUTO(auto_free) uint8_t *data = malloc(size);
	struct frame frame = unit(data, size, true);
	struct peer peer = attach();

	(void)state;
	assert_non_null(data);
	memset(data, 7, size);
	assert_int_equal(write_unit(sink, true), 0);
	assert_int_equal(memsink_write(sink, &frame, 0), -EMSGSIZE);
	assert_int_equal(u64(&peer, USED_AT), sizeof(bytes));
	frame.plane[0].size--;
	assert_int_equal(memsink_write(sink, &frame, 0), 0);
	assert_int_equal(u64(&peer, USED_AT), 2 * MIB);
	assert_int_equal(peer.memory[abi_7.header + 2 * MIB - 1], 7);
	leave(&peer);
	memsink_close(sink, true);
}

/* Planes of one row of a byte more than they need, filled with their number. */
static void check_raw(uint32_t format, const uint32_t stride[3], const uint32_t rows[3],
	const uint32_t out_stride[3])
{
	struct memsink *sink = open_sink(&abi_7, "raw");
	struct frame frame = { .format = format, .width = 8, .height = rows[0], .key = true };
	struct peer peer = attach();
	uint8_t plane[3][256];
	size_t at = abi_7.header, used = 0;

	for (int i = 0; i < 3 && stride[i]; i++) {
		memset(plane[i], i + 1, sizeof(plane[i]));
		frame.plane[i] = (struct frame_plane){ plane[i], stride[i], sizeof(plane[i]) };
		used += (size_t)out_stride[i] * rows[i];
	}
	assert_int_equal(memsink_write(sink, &frame, 0), 0);
	assert_int_equal(u64(&peer, USED_AT), used);
	assert_int_equal(u32(&peer, abi_7.stride), stride[0]);
	for (int i = 0; i < 3 && stride[i]; i++) {
		for (uint32_t row = 0; row < rows[i]; row++, at += out_stride[i])
			for (uint32_t x = 0; x < MIN(stride[i], out_stride[i]); x++)
				assert_int_equal(peer.memory[at + x], i + 1);
	}
	leave(&peer);
	memsink_close(sink, true);
}

#define THREE(a, b, c) ((const uint32_t[3]){ a, b, c })

static void raw_planes_lie_as_v4l2_has_them(void **state)
{
	(void)state;
	check_raw(V4L2_PIX_FMT_YUYV, THREE(20, 0, 0), THREE(4, 0, 0), THREE(20, 0, 0));
	check_raw(V4L2_PIX_FMT_NV12, THREE(16, 16, 0), THREE(4, 2, 0), THREE(16, 16, 0));
	check_raw(V4L2_PIX_FMT_NV16, THREE(16, 16, 0), THREE(4, 4, 0), THREE(16, 16, 0));
	check_raw(V4L2_PIX_FMT_NV24, THREE(16, 32, 0), THREE(4, 4, 0), THREE(16, 32, 0));
	check_raw(V4L2_PIX_FMT_YUV420, THREE(16, 8, 8), THREE(4, 2, 2), THREE(16, 8, 8));
	/* Of an odd number of rows the last one has colours, too. */
	check_raw(V4L2_PIX_FMT_NV12, THREE(16, 16, 0), THREE(5, 3, 0), THREE(16, 16, 0));
	check_raw(V4L2_PIX_FMT_YUV420, THREE(16, 8, 8), THREE(5, 3, 3), THREE(16, 8, 8));
	/* From memory of their own, with a stride that one piece of memory cannot have. */
	check_raw(V4L2_PIX_FMT_YUV420, THREE(16, 16, 16), THREE(4, 2, 2), THREE(16, 8, 8));
}

static void a_reader_that_truncates_it_harms_nobody(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	struct peer peer = attach();

	(void)state;
	assert_int_equal(ftruncate(peer.fd, 0), 0);
	assert_int_equal(write_unit(sink, true), 0);
	assert_int_equal(u64(&peer, USED_AT), sizeof(bytes));
	assert_int_equal(ftruncate(peer.fd, 0), 0);
	assert_false(look(sink, now_ns()).has_clients);
	assert_int_equal(peer.memory[peer.size - 1], 0); /* SIGBUS if it were gone */
	leave(&peer);
	memsink_close(sink, true);
}

static void garbage_everywhere_harms_nothing(void **state)
{
	static const struct offsets *const abis[] = { &abi_7, &abi_10 };

	(void)state;
	srandom(1);
	for (int i = 0; i < 400; i++) {
		const struct offsets *abi = abis[i % 2];
		struct memsink *sink = open_sink(abi, "h264");
		struct peer peer = attach();

		for (size_t at = 0; at < abi->header; at++)
			peer.memory[at] = i < 4 ? 0xFF : (uint8_t)random();
		look(sink, now_ns());
		assert_int_equal(write_unit(sink, i & 4), 0);
		assert_int_equal(u64(&peer, USED_AT), sizeof(bytes));
		assert_int_equal(u32(&peer, abi->width), 1920);
		leave(&peer);
		memsink_close(sink, i & 8);
	}
	shm_unlink(name);
}

static void an_object_that_was_removed_is_noticed(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264"), *second;
	struct memsink_view view;
	struct peer peer;

	(void)state;
	shm_unlink(name);
	assert_int_equal(memsink_look(sink, now_ns(), &view), -ESTALE);
	second = open_sink(&abi_7, "h264");
	memsink_close(sink, true); /* must not take the second one's name */
	peer = attach();
	leave(&peer);
	memsink_close(second, true);
	assert_int_equal(shm_open(name, O_RDWR, 0), -1);
}

/* Readers of another version than theirs close it and open the name again. */
static void readers_of_a_removed_object_are_sent_away(void **state)
{
	struct memsink *sink = open_sink(&abi_10, "h264");
	struct peer peer = attach();

	(void)state;
	assert_int_equal(write_unit(sink, true), 0);
	memsink_close(sink, true);
	assert_int_equal(u32(&peer, VERSION_AT), 0);
	leave(&peer);
}

/* The limit of file sizes stands for /dev/shm being full: the slot must not be half of each. */
static void a_frame_that_could_not_be_written_is_not_there(void **state)
{
	struct memsink *sink = open_sink(&abi_7, "h264");
	struct peer peer = attach();
	AUTO(auto_free) uint8_t *data = calloc(1, MIB);
	struct frame frame = unit(data, MIB, true);
	struct rlimit limit, low;

	(void)state;
	assert_int_equal(write_unit(sink, true), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	low = limit;
	low.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(memsink_write(sink, &frame, 0), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_true(u64(&peer, MAGIC_AT) == 0);
	assert_int_equal(write_unit(sink, true), 0);
	assert_true(u64(&peer, MAGIC_AT) != 0);
	leave(&peer);
	memsink_close(sink, true);
}

/* Also when it failed. */
static int clean_up(void **state)
{
	(void)state;
	shm_unlink(name);
	return 0;
}

#define TEST(function) cmocka_unit_test_teardown(function, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fields_are_where_6_36_reads_them),
		TEST(fields_are_where_6_62_reads_them),
		TEST(each_frame_has_another_id),
		TEST(the_end_of_the_name_says_how_large_it_is),
		TEST(a_dot_serves_where_there_is_no_colon),
		TEST(names_that_cannot_be_are_refused),
		TEST(the_mode_is_exact_whatever_the_umask),
		TEST(what_was_left_behind_is_used_on),
		TEST(what_was_left_behind_grows_but_never_shrinks),
		TEST(no_reader_meets_a_hole),
		TEST(what_there_is_no_room_for_is_not_left_behind),
		TEST(what_is_no_shared_memory_is_refused),
		TEST(another_users_object_is_used_or_refused_by_its_mode),
		TEST(a_ring_that_has_the_name_is_left_alone),
		TEST(a_reader_that_keeps_the_lock_costs_two_milliseconds),
		TEST(only_a_key_frame_answers_a_request_for_one),
		TEST(a_reader_counts_for_the_time_to_live),
		TEST(readers_from_before_a_restart_count_on),
		TEST(writing_leaves_what_readers_write),
		TEST(a_frame_that_is_too_large_is_refused),
		TEST(raw_planes_lie_as_v4l2_has_them),
		TEST(a_reader_that_truncates_it_harms_nobody),
		TEST(garbage_everywhere_harms_nothing),
		TEST(an_object_that_was_removed_is_noticed),
		TEST(readers_of_a_removed_object_are_sent_away),
		TEST(a_frame_that_could_not_be_written_is_not_there),
	};

	calm_down(10);
	return cmocka_run_group_tests_name("memsink", tests, NULL, NULL);
}
