// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What the ring costs: from publishing to a reader that runs, what a frame costs the writer with
 * more and more readers, and what a reader does that has nothing to read.
 */
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "shm/ring.h"
#include "util.h"

#define MAX_READERS 16
#define MAX_FRAMES  1000
#define PERIOD_NS   (4 * NS_PER_MS)
#define IDLE_S      5

/* Shared by the processes: what each reader measured. */
struct shared {
	uint32_t count[MAX_READERS];
	int64_t age_ns[MAX_READERS][MAX_FRAMES];
	uint64_t lost[MAX_READERS];
};

static struct shared *results;
static char name[64];

static int compare(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static struct hdmicast_ring *open_reader(void)
{
	struct hdmicast_ring *reader;

	if (hdmicast_ring_open(&reader, name, 0))
		_exit(1);
	return reader;
}

static _Noreturn void be_reader(unsigned me)
{
	struct hdmicast_ring *reader = open_reader();
	struct hdmicast_frame frame;

	while (results->count[me] < MAX_FRAMES && hdmicast_ring_wait(reader, 5000) == 0) {
		int64_t now = now_ns();

		if (hdmicast_ring_next(reader, &frame))
			continue;
		results->age_ns[me][results->count[me]++] = now - frame.published_ns;
	}
	results->lost[me] = hdmicast_ring_lost(reader);
	_exit(0);
}

static struct ring *make_ring(size_t size)
{
	const struct ring_options opt = {
		.name = name, .bytes = size * 8, .slots = 64, .mode = 0600, .group = RING_GROUP_KEEP
	};
	struct ring *ring;

	if (ring_create(&ring, &opt)) {
		fprintf(stderr, "no ring in /dev/shm\n");
		exit(1);
	}
	return ring;
}

static void pause_until(int64_t ns)
{
	const struct timespec ts = { ns / NS_PER_S, ns % NS_PER_S };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* CPU time of the writer for each frame. */
static int64_t write_frames(struct ring *ring, size_t size, unsigned count)
{
	const struct hdmicast_ring_slot what = { .flags = HDMICAST_FRAME_KEY };
	const struct iovec piece = { calloc(1, size), size };
	int64_t next = now_ns(), spent = 0;

	for (unsigned i = 0; i < count; i++) {
		int64_t begin;

		pause_until(next += PERIOD_NS);
		begin = cpu_ns();
		ring_publish(ring, &piece, 1, &what);
		spent += cpu_ns() - begin;
	}
	free(piece.iov_base);
	return spent / count;
}

static void show_ages(unsigned readers)
{
	AUTO(auto_free) int64_t *all = xcalloc(readers * MAX_FRAMES + 1, sizeof(*all));
	uint64_t lost = 0;
	size_t n = 0;

	for (unsigned i = 0; i < readers; i++) {
		memcpy(all + n, results->age_ns[i], results->count[i] * sizeof(*all));
		n += results->count[i];
		lost += results->lost[i];
	}
	if (!n)
		return;
	qsort(all, n, sizeof(*all), compare);
	printf(", readers run after %.1f us (p99 %.1f), %llu lost", all[n / 2] / 1e3,
		all[n * 99 / 100] / 1e3, (unsigned long long)lost);
}

static void measure(size_t size, unsigned readers)
{
	struct ring *ring = make_ring(size);
	struct ring_readers there = { 0 };
	pid_t pid[MAX_READERS];
	int64_t spent;

	memset(results, 0, sizeof(*results));
	for (unsigned i = 0; i < readers; i++) {
		pid[i] = fork();
		if (!pid[i])
			be_reader(i);
	}
	while (there.count < readers) {
		poll(NULL, 0, 10);
		ring_get_readers(ring, &there);
	}
	spent = write_frames(ring, size, MAX_FRAMES);
	for (unsigned i = 0; i < readers; i++) {
		kill(pid[i], SIGTERM);
		waitpid(pid[i], NULL, 0);
	}
	printf("%8zu bytes, %2u readers: writer %.1f us a frame", size, readers, spent / 1e3);
	show_ages(readers);
	printf("\n");
	fflush(stdout);
	ring_destroy(ring);
}

/* Enters and leaves, both stop it. */
static unsigned count_stops(pid_t pid, int64_t until)
{
	unsigned stops = 0;
	int status;

	while (now_ns() < until && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		stops++;
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	}
	return stops;
}

static void measure_idle(void)
{
	struct ring *ring = make_ring(4096);
	unsigned stops;
	pid_t pid = fork();

	if (!pid) {
		struct hdmicast_ring *reader = open_reader();

		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		hdmicast_ring_wait(reader, IDLE_S * 2000);
		_exit(0);
	}
	stops = count_stops(pid, now_ns() + IDLE_S * NS_PER_S);
	printf("an idle reader makes %.1f system calls a second\n", stops / 2.0 / IDLE_S);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ring_destroy(ring);
}

int main(void)
{
	const size_t size[] = { 10000, 200000, 1920 * 1080 * 2 };
	const unsigned readers[] = { 0, 1, 16 };

	snprintf(name, sizeof(name), "hdmicast-bench-%d", (int)getpid());
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	if (results == MAP_FAILED)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(size); i++)
		for (size_t j = 0; j < ARRAY_SIZE(readers); j++)
			measure(size[i], readers[j]);
	measure_idle();
	return 0;
}
