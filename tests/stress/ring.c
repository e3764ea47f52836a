// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * One writer of three rings (1080p raw at 30 fps, JPEG at 30, H.264 at 60) and 16 programs that
 * read all of them, for some seconds. Every byte of every frame is known, so a torn frame that is
 * taken for a whole one is found; every number is, so is a loss that was not counted.
 *
 *     ring SECONDS calm      nobody is disturbed
 *     ring SECONDS rough     readers are stopped, killed and slowed, the writer killed in mid-write
 *     ring SECONDS threads   all in one process, for ThreadSanitizer
 *
 * Prints what was seen; the exit status is 0 when nothing was wrong.
 */
#include <linux/videodev2.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/util.h"
#include "shm/ring.h"

#define READERS     16
#define SLOWER      100
#define PATIENCE_NS (60 * NS_PER_S)
#define ODD         0x9E3779B97F4A7C15ULL

#ifdef __SANITIZE_THREAD__
#define RAW_BYTES (320 * 240 * 2) /* a copy is made byte by byte there */
#else
#define RAW_BYTES (1920 * 1080 * 2)
#endif

enum { RAW, JPEG, H264, RINGS };

static const struct {
	const char *name;
	uint32_t fourcc;
	int64_t period_ns;
	size_t bytes, least, most; /* of the ring, of its frames */
	unsigned slots, gop;
} kind[RINGS] = {
	[RAW] = { "raw", V4L2_PIX_FMT_YUYV, NS_PER_S / 30, 8UL * RAW_BYTES, RAW_BYTES, RAW_BYTES,
		64, 1 },
	[JPEG] = { "jpeg", V4L2_PIX_FMT_JPEG, NS_PER_S / 30, 16 << 20, 300 << 10, 600 << 10, 256,
		1 },
	[H264] = { "h264", V4L2_PIX_FMT_H264, NS_PER_S / 60, 8 << 20, 2 << 10, 100 << 10, 1024,
		60 },
};

/* What one program saw of one ring. */
struct tally {
	atomic_ullong seen, lost, caught, wrong, epochs, next;
	atomic_llong latest_ns; /* from published to taken, at most */
};

/* Between all processes. */
static struct shared {
	atomic_bool is_last, stopping, is_writing; /* nothing new is written; all go */
	atomic_uint finished;                      /* writers that wrote their last */
	atomic_bool is_slow[READERS];
	struct tally tally[READERS][RINGS];
	atomic_ullong published[RINGS];
} * shared;

static char name[RINGS][64];

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* ---- frames whose every byte is known */

static void fill(uint64_t *words, size_t count, uint64_t first)
{
	for (size_t i = 0; i < count; i++)
		words[i] = first + i * ODD;
}

/* A reader may look at what is overwritten meanwhile: no race for a sanitizer to tell of. */
__attribute__((no_sanitize("thread"))) static bool is_known(const uint64_t *words, size_t count,
	uint64_t first)
{
	uint64_t differs = 0;

	for (size_t i = 0; i < count; i++)
		differs |= words[i] ^ (first + i * ODD);
	return !differs;
}

static uint64_t first_word(unsigned medium, uint64_t sequence, size_t size)
{
	return (sequence + 1) * ODD * 3 + medium + size * 5;
}

/* ---- the writer */

static void publish(struct ring *ring, unsigned medium, uint64_t *words, uint32_t *seed)
{
	const uint64_t sequence = ring_published(ring);
	const size_t least = kind[medium].least, spread = kind[medium].most - least;
	const size_t size = (least + (spread ? next_random(seed) % spread : 0)) & ~(size_t)7;
	const bool is_key = sequence % kind[medium].gop == 0 || atomic_load(&shared->is_last);
	const struct iovec piece = { words, size };
	const struct hdmicast_ring_slot what = { .fourcc = kind[medium].fourcc,
		.flags = is_key ? HDMICAST_FRAME_KEY : 0 };

	fill(words, size / 8, first_word(medium, sequence, size));
	if (medium == RAW)
		atomic_store(&shared->is_writing, true);
	if (ring_publish(ring, &piece, 1, &what))
		abort();
	if (medium == RAW)
		atomic_store(&shared->is_writing, false);
	atomic_fetch_add(&shared->published[medium], 1);
}

static void *write_ring(void *arg)
{
	const unsigned medium = (unsigned)(uintptr_t)arg;
	const struct ring_options opt = { .name = name[medium],
		.bytes = kind[medium].bytes,
		.slots = kind[medium].slots,
		.mode = 0600,
		.group = RING_GROUP_KEEP };
	AUTO(auto_free) uint64_t *words = malloc(kind[medium].most);
	uint32_t seed = (uint32_t)now_ns();
	int64_t due = now_ns();
	struct ring *ring;

	if (!words || ring_create(&ring, &opt))
		abort();
	while (!atomic_load(&shared->is_last)) {
		const struct timespec until = { due / NS_PER_S, due % NS_PER_S };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		publish(ring, medium, words, &seed);
		due = MAX(due + kind[medium].period_ns, now_ns() - NS_PER_S);
	}
	publish(ring, medium, words, &seed); /* a key frame, for those who wait for one */
	atomic_fetch_add(&shared->finished, 1);
	while (!atomic_load(&shared->stopping))
		usleep(10000);
	ring_destroy(ring);
	return NULL;
}

/* ---- a reader */

struct reading {
	unsigned medium, index;
	struct hdmicast_ring *ring;
	struct tally *tally;
	uint64_t epoch, last;
	void *copy;
};

static bool follows(const struct reading *reading, const struct hdmicast_frame *frame)
{
	const bool is_new = reading->epoch != frame->epoch;

	if ((is_new || frame->lost) && !(frame->flags & HDMICAST_FRAME_KEY))
		return false;
	return is_new || frame->sequence == reading->last + 1 + frame->lost;
}

/* 1: it was whole and right; 0: overwritten meanwhile, as the library says; -1: wrong. */
static int use(struct reading *reading, struct hdmicast_frame *frame)
{
	const uint64_t first = first_word(reading->medium, frame->sequence, frame->size);
	bool is_right;

	if (frame->sequence % 8) {
		is_right = is_known(frame->data, frame->size / 8, first);
		return !hdmicast_ring_valid(reading->ring, frame) ? 0 : is_right ? 1 : -1;
	}
	if (hdmicast_ring_copy(reading->ring, frame, reading->copy, kind[reading->medium].most))
		return 0;
	return is_known(reading->copy, frame->size / 8, first) ? 1 : -1;
}

static void read_one(struct reading *reading)
{
	struct tally *tally = reading->tally;
	struct hdmicast_frame frame;
	int res;

	if (hdmicast_ring_next(reading->ring, &frame))
		return;
	if (!follows(reading, &frame))
		atomic_fetch_add(&tally->wrong, 1);
	atomic_fetch_add(&tally->epochs, reading->epoch != frame.epoch);
	atomic_fetch_add(&tally->lost, frame.lost);
	tally->latest_ns = MAX(tally->latest_ns, now_ns() - frame.published_ns);
	reading->epoch = frame.epoch;
	reading->last = frame.sequence;
	tally->next = frame.sequence + 1;
	res = use(reading, &frame);
	if (res > 0)
		atomic_fetch_add(&tally->seen, 1);
	else if (res < 0)
		atomic_fetch_add(&tally->wrong, 1);
	else
		atomic_fetch_add(&tally->caught, 1);
	if (!res)
		reading->last--; /* it is among the lost ones of the next */
}

static void *read_ring(void *arg)
{
	AUTO(auto_free) struct reading *reading = arg;
	int64_t began;

	reading->copy = malloc(kind[reading->medium].most);
	if (!reading->copy ||
		hdmicast_ring_open(&reading->ring, name[reading->medium], HDMICAST_RING_EARLY))
		abort();
	while (!atomic_load(&shared->stopping)) {
		if (hdmicast_ring_wait(reading->ring, 100))
			continue;
		began = now_ns();
		read_one(reading);
		if (atomic_load(&shared->is_slow[reading->index]))
			usleep((useconds_t)(MIN((now_ns() - began) * (SLOWER - 1), NS_PER_S) /
					    1000));
	}
	hdmicast_ring_close(reading->ring);
	free(reading->copy);
	return NULL;
}

/* ---- processes */

static void start_threads(pthread_t *thread, bool reads, unsigned index)
{
	for (unsigned medium = 0; medium < RINGS; medium++) {
		struct reading *reading = xcalloc(1, sizeof(*reading));
		void *arg = reading;

		reading->medium = medium;
		reading->index = index;
		reading->tally = &shared->tally[index][medium];
		if (!reads) {
			free(reading);
			arg = (void *)(uintptr_t)medium;
		}
		if (pthread_create(&thread[medium], NULL, reads ? read_ring : write_ring, arg))
			abort();
	}
}

static void join_threads(const pthread_t *thread, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		pthread_join(thread[i], NULL);
}

static pid_t start(bool reads, unsigned index)
{
	const pid_t parent = getpid();
	pthread_t thread[RINGS];
	pid_t pid = fork();

	if (pid < 0)
		abort();
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	start_threads(thread, reads, index);
	join_threads(thread, RINGS);
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* ---- what happens to them */

static unsigned stops, kills, slowed, writer_kills, in_mid_write;

/*
 * In the middle of a raw picture, which is large: it is stopped there first, to be certain. False:
 * it was not caught there, and lives.
 */
static bool catch_writer(pid_t writer, int64_t until)
{
	while (now_ns() < until) {
		if (!atomic_load(&shared->is_writing))
			continue;
		kill(writer, SIGSTOP);
		waitpid(writer, NULL, WUNTRACED);
		if (atomic_load(&shared->is_writing))
			return true;
		kill(writer, SIGCONT);
	}
	return false;
}

static void kill_writer(pid_t *writer)
{
	in_mid_write += catch_writer(*writer, now_ns() + NS_PER_S);
	end(*writer);
	writer_kills++;
	atomic_store(&shared->is_writing, false);
	*writer = start(false, 0);
}

enum { KILL, KILL_WRITER, SLOW, STOP, EVENTS };

static void disturb(unsigned event, pid_t *reader, pid_t *writer, uint32_t *seed)
{
	const unsigned victim = next_random(seed) % READERS;

	switch (event) {
	case KILL:
		end(reader[victim]);
		reader[victim] = start(true, victim);
		kills++;
		break;
	case KILL_WRITER: kill_writer(writer); break;
	case SLOW:
		slowed += !atomic_load(&shared->is_slow[victim]);
		shared->is_slow[victim] = !shared->is_slow[victim];
		break;
	default:
		kill(reader[victim], SIGSTOP);
		usleep(next_random(seed) % 500000);
		kill(reader[victim], SIGCONT);
		stops++;
	}
}

/* Each of them first, then as it comes. */
static unsigned choose(unsigned round, uint32_t *seed)
{
	static const unsigned weighed[] = { KILL, KILL_WRITER, SLOW, SLOW, STOP, STOP, STOP, STOP };

	return round < EVENTS ? round : weighed[next_random(seed) % ARRAY_SIZE(weighed)];
}

static bool have_all_happened(void)
{
	return stops && kills && slowed && in_mid_write;
}

static bool has_each_seen_each(void)
{
	for (unsigned i = 0; i < READERS; i++)
		for (unsigned medium = 0; medium < RINGS; medium++)
			if (!shared->tally[i][medium].seen)
				return false;
	return true;
}

static bool have_all_read(void)
{
	if (atomic_load(&shared->finished) < RINGS)
		return false;
	for (unsigned i = 0; i < READERS; i++)
		for (unsigned medium = 0; medium < RINGS; medium++)
			if (shared->tally[i][medium].next != shared->published[medium])
				return false;
	return true;
}

static void stop(bool is_calm)
{
	const int64_t until = now_ns() + PATIENCE_NS;

	atomic_store(&shared->is_last, true);
	while (is_calm && !have_all_read() && now_ns() < until)
		usleep(10000);
	atomic_store(&shared->stopping, true);
}

/* A busy machine has some patience more for what has to be seen. */
static bool lasts(int64_t until, bool is_rough)
{
	const bool is_done = has_each_seen_each() && (!is_rough || have_all_happened());

	return now_ns() < (is_done ? until : until + PATIENCE_NS);
}

static void run_processes(int64_t until, bool is_rough)
{
	pid_t reader[READERS], writer = start(false, 0);
	uint32_t seed = 7;

	for (unsigned i = 0; i < READERS; i++)
		reader[i] = start(true, i);
	for (unsigned round = 0; lasts(until, is_rough); round++) {
		usleep(100000);
		if (is_rough)
			disturb(choose(round, &seed), reader, &writer, &seed);
	}
	/* Whoever was started or slowed last has its turn, too. */
	for (unsigned i = 0; i < READERS; i++)
		atomic_store(&shared->is_slow[i], false);
	sleep(1);
	stop(!is_rough);
	waitpid(writer, NULL, 0);
	for (unsigned i = 0; i < READERS; i++)
		waitpid(reader[i], NULL, 0);
}

static void run_threads(int64_t until)
{
	pthread_t thread[READERS + 1][RINGS];

	for (unsigned i = 0; i <= READERS; i++)
		start_threads(thread[i], i > 0, i ? i - 1 : 0);
	while (lasts(until, false))
		usleep(100000);
	stop(false);
	join_threads(thread[0], (READERS + 1) * RINGS);
}

/* ---- the outcome */

static bool report(unsigned medium, bool is_calm)
{
	const unsigned long long published = atomic_load(&shared->published[medium]);
	unsigned long long seen = 0, lost = 0, caught = 0, wrong = 0, least = ~0ULL, epochs = 0;
	long long latest_ns = 0;

	for (unsigned i = 0; i < READERS; i++) {
		const struct tally *tally = &shared->tally[i][medium];

		seen += tally->seen;
		lost += tally->lost;
		caught += tally->caught;
		wrong += tally->wrong;
		epochs += tally->epochs;
		least = MIN(least, tally->seen);
		latest_ns = MAX(latest_ns, tally->latest_ns);
		/* Each number was read or counted up to here; who is undisturbed gets the last. */
		wrong += is_calm && tally->next != published;
	}
	printf("%s: %llu published, %llu read by %d readers (each %llu at least), %llu counted as "
	       "lost, %llu caught while torn, %llu rings seen, taken after %lld ms at most; %llu "
	       "wrong\n",
		kind[medium].name, published, seen, READERS, least, lost, caught, epochs,
		latest_ns / NS_PER_MS, wrong);
	return !wrong && least > 0;
}

/* What did not happen was not shown to be harmless. */
static bool report_events(void)
{
	printf("readers stopped %u times, killed %u, slowed %u; writer killed %u times, while it "
	       "wrote %u\n",
		stops, kills, slowed, writer_kills, in_mid_write);
	return have_all_happened();
}

int main(int argc, char *argv[])
{
	const char *how = argc > 2 ? argv[2] : "";
	const int64_t until = now_ns() + (argc > 1 ? atol(argv[1]) : 0) * NS_PER_S;
	const bool is_rough = strcmp(how, "rough") == 0, is_calm = strcmp(how, "calm") == 0;
	bool ok = true;

	if (!is_rough && !is_calm && strcmp(how, "threads") != 0) {
		fputs("ring SECONDS calm|rough|threads\n", stderr);
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (shared == MAP_FAILED)
		return 2;
	for (unsigned i = 0; i < RINGS; i++)
		snprintf(name[i], sizeof(name[i]), "hdmicast-stress-%d-%s", (int)getpid(),
			kind[i].name);
	if (is_rough || is_calm)
		run_processes(until, is_rough);
	else
		run_threads(until);
	for (unsigned i = 0; i < RINGS; i++)
		ok = report(i, is_calm) && ok;
	if (is_rough)
		ok = report_events() && ok;
	return !ok;
}
