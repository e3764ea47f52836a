// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What shared memory costs: how soon a reader runs, what its writer pays for one reader and for
 * sixteen, and what a reader does that has nothing to read. The same for a memsink whose readers
 * poll as ustreamer's do, and for a bare futex: what the machine can do at best.
 *
 * Readers are processes of their own. Those of the ring and of the futex map it read-only.
 */
#include <linux/futex.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/util.h"
#include "shm/memsink.h"
#include "shm/ring.h"

#define MANY        16
#define MAX_READERS (3 * MANY) /* of three rings at once */
#define MAX_FRAMES  1024
#define FRAMES      250
#define ROUNDS      5
#define PERIOD_NS   (4 * NS_PER_MS)
#define IDLE_S      5

/* Shared by the processes: when each frame was there, and when each reader ran for it. */
struct shared {
	uint32_t n_ready;
	uint32_t futex_bell;
	uint8_t bytes[100000]; /* a frame, as long as the futex is the bell */
	int64_t there_ns[MAX_FRAMES];
	int64_t run_ns[MAX_READERS][MAX_FRAMES]; /* 0: never */
};

static struct shared *results;
static const struct shared *results_to_read;
static char name[64];
static uint8_t *picture;

/* ---- media */

struct bench_medium {
	const char *name;
	void *(*open)(const char *name, size_t size);
	void (*publish)(void *self, unsigned n, size_t size);
	void (*close)(void *self);
	void (*read)(unsigned me, const char *name); /* until it is killed */
};

static void note(unsigned me, uint64_t n, int64_t run_ns)
{
	if (n < MAX_FRAMES)
		results->run_ns[me][n] = run_ns;
}

static void be_ready(void)
{
	__atomic_fetch_add(&results->n_ready, 1, __ATOMIC_RELEASE);
}

static void die_unless(bool well, const char *what)
{
	if (well)
		return;
	fprintf(stderr, "%s: %m\n", what);
	exit(1);
}

static void *ring_open(const char *at, size_t size)
{
	const struct ring_options opt = { .name = at,
		.bytes = MAX(size, 4096) * 8,
		.slots = 64,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	struct ring *ring = NULL;

	die_unless(ring_create(&ring, &opt) == 0, "no ring in /dev/shm");
	return ring;
}

static void ring_put(void *self, unsigned n, size_t size)
{
	const struct hdmicast_ring_slot what = { .flags = HDMICAST_FRAME_KEY };
	const struct iovec piece = { picture, size };

	(void)n;
	ring_publish(self, &piece, 1, &what);
}

static void ring_close(void *self)
{
	ring_destroy(self);
}

static void ring_read(unsigned me, const char *at)
{
	struct hdmicast_ring *reader;
	struct hdmicast_frame frame;

	die_unless(hdmicast_ring_open(&reader, at, 0) == 0, at);
	be_ready();
	for (;;) {
		int64_t now;

		hdmicast_ring_wait(reader, -1);
		now = now_ns();
		if (hdmicast_ring_next(reader, &frame) || frame.sequence >= MAX_FRAMES)
			continue;
		results->there_ns[frame.sequence] = frame.published_ns;
		note(me, frame.sequence, now);
	}
}

static void ring_poll(unsigned me, const char *at)
{
	struct pollfd on = { .events = POLLIN };
	struct hdmicast_ring *reader;
	struct hdmicast_frame frame;

	die_unless(hdmicast_ring_open(&reader, at, 0) == 0, at);
	on.fd = hdmicast_ring_fd(reader);
	be_ready();
	for (;;) {
		poll(&on, 1, -1);
		while (hdmicast_ring_next(reader, &frame) == 0)
			note(me, frame.sequence, now_ns());
	}
}

static void *sink_open(const char *at, size_t size)
{
	struct memsink *sink = NULL;

	(void)size;
	die_unless(memsink_open(&sink, at, 0600, 7, 10 * NS_PER_S) == 0, "no memsink in /dev/shm");
	return sink;
}

static void sink_put(void *self, unsigned n, size_t size)
{
	const struct frame frame = { .format = V4L2_PIX_FMT_JPEG,
		.plane[0] = { .data = picture, .size = size },
		.key = true };

	memcpy(picture, &n, sizeof(n));
	if (memsink_write(self, &frame, 0) == 0)
		results->there_ns[n] = now_ns();
}

static void sink_close(void *self)
{
	memsink_close(self, true);
}

/* As ustreamer's clients: they take the lock or sleep for a millisecond, and look. Layout 7. */
static void sink_read(unsigned me, const char *at)
{
	const int fd = shm_open(at, O_RDWR, 0);
	const size_t size = 128 + 1920 * 1200 * 3;
	uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint64_t last = 0, id;

	die_unless(base != MAP_FAILED, at);
	be_ready();
	for (;; usleep(1000)) {
		const int64_t now = now_ns();
		const long double there = (long double)now / NS_PER_S;
		unsigned n;

		if (flock(fd, LOCK_EX | LOCK_NB))
			continue;
		memcpy(&id, base + 16, sizeof(id));
		memcpy(base + 32, &there, sizeof(there));
		memcpy(&n, base + 128, sizeof(n));
		flock(fd, LOCK_UN);
		if (id != last)
			note(me, n, now);
		last = id;
	}
}

static void *futex_open(const char *at, size_t size)
{
	(void)at, (void)size;
	results->futex_bell = 0;
	return results;
}

static void futex_put(void *self, unsigned n, size_t size)
{
	(void)self;
	memcpy(results->bytes, picture, MIN(size, sizeof(results->bytes)));
	results->there_ns[n] = now_ns();
	__atomic_store_n(&results->futex_bell, n + 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &results->futex_bell, FUTEX_WAKE, MANY, NULL, NULL, 0);
}

static void futex_close(void *self)
{
	(void)self;
}

static void futex_read(unsigned me, const char *at)
{
	const uint32_t *bell = &results_to_read->futex_bell;
	uint32_t seen = 0;

	(void)at;
	be_ready();
	for (;;) {
		syscall(SYS_futex, bell, FUTEX_WAIT, seen, NULL, NULL, 0);
		if (__atomic_load_n(bell, __ATOMIC_ACQUIRE) != seen)
			note(me, seen++, now_ns());
	}
}

static const struct bench_medium ring_medium = { "ring", ring_open, ring_put, ring_close,
	ring_read };
static const struct bench_medium poll_medium = { "ring, poll", ring_open, ring_put, ring_close,
	ring_poll };
static const struct bench_medium sink_medium = { "memsink", sink_open, sink_put, sink_close,
	sink_read };
static const struct bench_medium futex_medium = { "bare futex", futex_open, futex_put, futex_close,
	futex_read };

/* ---- a run */

struct stream {
	size_t size;
	int64_t period_ns;
};

struct run {
	const struct bench_medium *medium;
	const struct stream *stream;
	unsigned streams, readers; /* of each stream */
	int64_t length_ns;
};

/* CPU time for each frame: in the call that publishes, and of the whole process. */
struct cost {
	int64_t publish_ns, process_ns;
};

struct writing {
	char name[3][80];
	void *self[3];
	pid_t pid[MAX_READERS];
};

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static pid_t start_reader(const struct bench_medium *medium, unsigned me, const char *at)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		medium->read(me, at);
	}
	die_unless(pid > 0, "fork");
	return pid;
}

static void begin(struct writing *writing, const struct run *run)
{
	memset(results, 0, sizeof(*results));
	for (unsigned i = 0; i < run->streams; i++) {
		snprintf(writing->name[i], sizeof(writing->name[i]), "%s%u:raw", name, i);
		writing->self[i] = run->medium->open(writing->name[i], run->stream[i].size);
		for (unsigned j = 0; j < run->readers; j++) {
			const unsigned me = i * run->readers + j;

			writing->pid[me] = start_reader(run->medium, me, writing->name[i]);
		}
	}
	while (__atomic_load_n(&results->n_ready, __ATOMIC_ACQUIRE) < run->streams * run->readers)
		poll(NULL, 0, 1);
	poll(NULL, 0, 50); /* for the last one to fall asleep */
}

static void end(struct writing *writing, const struct run *run)
{
	for (unsigned i = 0; i < run->streams * run->readers; i++) {
		kill(writing->pid[i], SIGKILL);
		waitpid(writing->pid[i], NULL, 0);
	}
	for (unsigned i = 0; i < run->streams; i++)
		run->medium->close(writing->self[i]);
}

/* The stream whose frame is due next. */
static unsigned pick(const int64_t due_ns[3], unsigned streams)
{
	unsigned first = 0;

	for (unsigned i = 1; i < streams; i++)
		if (due_ns[i] < due_ns[first])
			first = i;
	return first;
}

static struct cost write_frames(struct writing *writing, const struct run *run)
{
	const int64_t began = now_ns(), process_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	int64_t due_ns[3] = { began, began + NS_PER_MS, began + 2 * NS_PER_MS };
	struct cost cost = { 0 };
	unsigned n[3] = { 0 }, frames = 0;

	for (unsigned i; due_ns[i = pick(due_ns, run->streams)] < began + run->length_ns;
		frames++) {
		const struct timespec until = { due_ns[i] / NS_PER_S, due_ns[i] % NS_PER_S };
		int64_t before;

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		run->medium->publish(writing->self[i], n[i]++, run->stream[i].size);
		cost.publish_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
		due_ns[i] += run->stream[i].period_ns;
	}
	cost.publish_ns /= frames;
	cost.process_ns = (clock_ns(CLOCK_PROCESS_CPUTIME_ID) - process_ns) / frames;
	poll(NULL, 0, 50);
	return cost;
}

static struct cost run_once(const struct run *run)
{
	struct writing writing;
	struct cost cost;

	begin(&writing, run);
	cost = write_frames(&writing, run);
	end(&writing, run);
	return cost;
}

/* ---- what is printed */

static void show_latency(const struct bench_medium *medium, unsigned readers)
{
	const struct stream stream = { 100000, PERIOD_NS };
	const struct run run = { medium, &stream, 1, readers, 4 * FRAMES * PERIOD_NS };
	AUTO(auto_free) int64_t *all = xcalloc(MANY * MAX_FRAMES, sizeof(*all));
	size_t n = 0;

	run_once(&run);
	for (unsigned i = 0; i < readers; i++)
		for (unsigned j = 0; j < MAX_FRAMES; j++)
			if (results->run_ns[i][j] && results->there_ns[j])
				all[n++] = results->run_ns[i][j] - results->there_ns[j];
	die_unless(n > 0, "no reader saw a frame");
	qsort(all, n, sizeof(*all), compare);
	printf("%-10s %2u readers run after %7.1f us (median), %7.1f (95 %%), %7.1f (99 %%); %zu "
	       "of %u frames\n",
		medium->name, readers, all[n / 2] / 1e3, all[n * 95 / 100] / 1e3,
		all[n * 99 / 100] / 1e3, n, 4 * FRAMES * readers);
	fflush(stdout);
}

/* One reader and many by turns, so that both have the machine as it is; the medians of the rounds. */
static void show_cost(const struct bench_medium *medium, const char *what,
	const struct stream *stream, unsigned streams, int64_t length_ns)
{
	const struct run one = { medium, stream, streams, 1, length_ns };
	const struct run many = { medium, stream, streams, MANY, length_ns };
	int64_t publish[2][ROUNDS], process[2][ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned j = 0; j < 2; j++) {
			const struct cost cost = run_once(j ? &many : &one);

			publish[j][i] = cost.publish_ns;
			process[j][i] = cost.process_ns;
		}
	}
	for (unsigned j = 0; j < 2; j++) {
		qsort(publish[j], ROUNDS, sizeof(int64_t), compare);
		qsort(process[j], ROUNDS, sizeof(int64_t), compare);
	}
	printf("%-10s %-22s a frame costs %7.1f us with 1 reader, %7.1f with %u: x %.2f; the "
	       "process %7.1f, %7.1f: x %.2f\n",
		medium->name, what, publish[0][ROUNDS / 2] / 1e3, publish[1][ROUNDS / 2] / 1e3,
		MANY, (double)publish[1][ROUNDS / 2] / (double)publish[0][ROUNDS / 2],
		process[0][ROUNDS / 2] / 1e3, process[1][ROUNDS / 2] / 1e3,
		(double)process[1][ROUNDS / 2] / (double)process[0][ROUNDS / 2]);
	fflush(stdout);
}

static void trace(pid_t pid)
{
	int status;

	die_unless(waitpid(pid, &status, 0) == pid, "wait");
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACECLONE);
	ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
}

/* Enters and leaves, both stop it. The library's thread counts, too. */
static unsigned count_stops(int64_t until)
{
	unsigned stops = 0;
	int status;
	pid_t who;

	while (now_ns() < until && (who = waitpid(-1, &status, __WALL)) > 0 && WIFSTOPPED(status)) {
		stops++;
		ptrace(PTRACE_SYSCALL, who, NULL, NULL);
	}
	return stops;
}

static void show_idle(const struct bench_medium *medium)
{
	char at[80];
	void *self;
	unsigned stops;
	pid_t pid;

	snprintf(at, sizeof(at), "%s:raw", name);
	self = medium->open(at, 4096);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		medium->read(0, at);
	}
	trace(pid);
	count_stops(now_ns() + NS_PER_S); /* what it does to begin with */
	stops = count_stops(now_ns() + IDLE_S * NS_PER_S);
	printf("%-10s an idle reader makes %.1f system calls a second\n", medium->name,
		stops / 2.0 / IDLE_S);
	fflush(stdout);
	kill(pid, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0)
		continue; /* its other thread comes first, and only by this */
	medium->close(self);
}

static void map_results(void)
{
	int fd = memfd_create("results", MFD_CLOEXEC);
	const void *to_read;

	die_unless(fd >= 0 && ftruncate(fd, sizeof(*results)) == 0, "memfd");
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	to_read = mmap(NULL, sizeof(*results), PROT_READ, MAP_SHARED, fd, 0);
	die_unless(results != MAP_FAILED && to_read != MAP_FAILED, "mmap");
	results_to_read = to_read;
}

int main(void)
{
	const size_t raw = (size_t)1920 * 1080 * 2;
	const struct {
		const char *what;
		struct stream stream;
	} size[] = { { "10 kB", { 10000, PERIOD_NS } }, { "100 kB", { 100000, PERIOD_NS } },
		{ "4.1 MB", { raw, PERIOD_NS } } };
	const struct stream mix[] = { { raw, NS_PER_S / 30 }, { 20000, NS_PER_S / 60 },
		{ 200000, NS_PER_S / 30 } };

	snprintf(name, sizeof(name), "hdmicast-bench-%d-", (int)getpid());
	map_results();
	picture = calloc(1, raw);
	die_unless(picture, "memory");
	memset(picture, 1, raw);
	show_latency(&futex_medium, 1);
	show_latency(&ring_medium, 1);
	show_latency(&sink_medium, 1);
	show_latency(&ring_medium, MANY);
	show_latency(&sink_medium, MANY);
	show_idle(&ring_medium);
	show_idle(&poll_medium);
	show_idle(&sink_medium);
	for (size_t i = 0; i < ARRAY_SIZE(size); i++)
		show_cost(&ring_medium, size[i].what, &size[i].stream, 1, FRAMES * PERIOD_NS);
	show_cost(&ring_medium, "raw + H.264 + JPEG", mix, ARRAY_SIZE(mix), NS_PER_S);
	show_cost(&sink_medium, "100 kB", &size[1].stream, 1, FRAMES * PERIOD_NS);
	return 0;
}
