// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The thread of a sink between an outlet and its object. The test is the encoder, and the readers
 * at the other end: it looks at both until what is promised has come, or it was too long.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "shm/sink.h"
#include "base/util.h"
#include "preload.h"

#define PATIENCE_NS (15 * NS_PER_S)
#define SIZE        (128 + (2 << 20)) /* of an H.264 object, layout 7 */
#define ID_AT       16
#define USED_AT     24
#define CLIENT_AT   32
#define KEY_AT      48 /* readers ask there */
#define IS_KEY_AT   69

static char name[64];
static struct option_sink opt;
static struct drops drops;
static struct outlet *outlet;
static struct sink *sink;
static int reader; /* a descriptor of the object, so that its lock is another one */
static uint8_t *memory;
static atomic_int wanted, asked; /* how often the encoder was started; asked for a key frame */
static uint8_t bytes[64];
static uint64_t shown; /* what the reader says last */

static struct frame *on_wanted(void *arg, bool is_wanted)
{
	(void)arg;
	wanted += is_wanted;
	return NULL;
}

static void on_need_key(void *arg)
{
	(void)arg;
	asked++;
}

static const struct outlet_events events = { on_wanted, on_need_key };

static void release(struct frame *frame)
{
	free(frame);
}

static void publish_size(bool key, size_t size)
{
	struct frame *frame = xcalloc(1, sizeof(*frame));

	frame_init(frame, release, NULL);
	frame->format = V4L2_PIX_FMT_H264;
	frame->key = key;
	frame->plane[0] = (struct frame_plane){ bytes, 0, size };
	outlet_publish(outlet, frame);
	frame_unref(frame);
}

static void publish(bool key)
{
	publish_size(key, sizeof(bytes));
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NS_PER_MS }, NULL);
}

/* Until the expression is true. Frames do not come by themselves: see AWAIT_FRAME. */
#define AWAIT(condition)                                   \
	do {                                               \
		int64_t until_ns = now_ns() + PATIENCE_NS; \
                                                           \
		while (!(condition)) {                     \
			assert_true(now_ns() < until_ns);  \
			nap();                             \
		}                                          \
	} while (0)

static struct sink_status status(void)
{
	struct sink_status now;

	sink_get_status(sink, &now);
	return now;
}

static void show_up(void)
{
	shown++;
	memcpy(memory + CLIENT_AT, &shown, sizeof(shown));
}

static int set_up(void **state)
{
	struct sink_config config = {
		.thread = "sink-test",
		.ops = &backend_memsink,
		.backend = { .opt = &opt, .medium = MEDIUM_H264, .abi = 7 },
		.drops = &drops,
	};

	(void)state;
	snprintf(name, sizeof(name), "hdmicast-test-%d::h264", (int)getpid());
	opt = (struct option_sink){ name, 0600, true, 1, 1, 0, 0 };
	wanted = asked = 0;
	memset(&drops, 0, sizeof(drops));
	config.outlet = outlet = outlet_create(&events, NULL);
	reader = shm_open(name, O_RDWR | O_CREAT, 0600);
	if (reader < 0 || ftruncate(reader, SIZE) < 0)
		return -1;
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
	return memory == MAP_FAILED || sink_create(&sink, &config) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	sink_destroy(sink);
	outlet_destroy(outlet);
	munmap(memory, SIZE);
	close(reader);
	return shm_unlink(name) == 0; /* it was to remove it */
}

/* A reader came, and a key frame was written for it. */
static void begin(void)
{
	AWAIT(wanted == 1);
	show_up();
	publish(true);
	AWAIT(status().written == 1 && status().view.readers);
	AWAIT(outlet_wanted(outlet));
}

/* Publishes one and waits until the thread has done something with it. */
static void feed(bool key)
{
	struct sink_status before = status(), after;

	show_up();
	publish(key);
	AWAIT((after = status(), after.written + after.skipped + after.dropped) !=
		before.written + before.skipped + before.dropped);
}

/* ---- promises */

static void a_frame_a_second_is_written_for_nobody(void **state)
{
	int64_t began = now_ns();

	(void)state;
	for (int i = 1; i <= 2; i++) {
		AWAIT(wanted == i);
		publish(true);
		AWAIT(status().written == (uint64_t)i);
		AWAIT(!outlet_wanted(outlet));
		publish(true); /* nobody is there to take it */
	}
	assert_true(now_ns() - began >= NS_PER_S);
	assert_int_equal(status().written, 2);
	assert_false(status().view.readers);
}

static void all_frames_are_written_while_a_reader_is_there(void **state)
{
	uint64_t id = 0;

	(void)state;
	begin();
	for (int i = 0; i < 50; i++) {
		feed(false);
		assert_memory_not_equal(memory + ID_AT, &id, sizeof(id));
		memcpy(&id, memory + ID_AT, sizeof(id));
	}
	assert_int_equal(status().written, 51);
	assert_int_equal(status().skipped, 0);
}

static void a_reader_that_goes_is_forgotten(void **state)
{
	int64_t began;

	(void)state;
	begin();
	began = now_ns();
	AWAIT(!status().view.readers);
	assert_true(now_ns() - began >= NS_PER_S / 2);
	/* The one of that second may be due. */
	AWAIT((publish(true), !outlet_wanted(outlet)));
}

/* From the first moment on: what came before leans on frames that nobody saw. */
static void it_begins_with_a_key_frame(void **state)
{
	(void)state;
	AWAIT(wanted == 1);
	publish(false);
	publish(false);
	assert_int_equal(status().written, 0);
	publish(true);
	AWAIT(status().written == 1);
	assert_int_equal(memory[IS_KEY_AT], 1);
	AWAIT(wanted == 2); /* the same mailbox, which waits for no key frame any more */
	publish(false);
	AWAIT(status().skipped == 1);
	publish(true);
	AWAIT(status().written == 2);
}

static void after_a_skipped_frame_comes_a_key_frame(void **state)
{
	int before;

	(void)state;
	begin();
	AWAIT((feed(false), status().written > 1));
	nanosleep(&(struct timespec){ .tv_nsec = 120 * NS_PER_MS }, NULL); /* requests are spaced */
	before = asked;
	assert_int_equal(flock(reader, LOCK_EX), 0);
	feed(false);
	assert_int_equal(status().skipped, 1);
	AWAIT(asked == before + 1);
	assert_int_equal(flock(reader, LOCK_UN), 0);
	feed(false);
	assert_int_equal(status().skipped, 2);
	feed(true);
	assert_int_equal(status().skipped, 2);
	feed(false);
	assert_int_equal(status().skipped, 2);
}

/* Each would cost the other viewers of the stream a key frame. */
static void who_stays_in_the_lock_is_not_asked_for(void **state)
{
	int64_t began;
	int before;

	(void)state;
	begin();
	assert_int_equal(flock(reader, LOCK_EX), 0);
	feed(true);
	before = asked;
	for (began = now_ns(); now_ns() - began < 12 * NS_PER_S / 10;)
		feed(false);
	assert_int_equal(asked, before);
	assert_int_equal(flock(reader, LOCK_UN), 0);
	AWAIT((feed(false), asked == before + 1));
}

static void a_request_for_a_key_frame_is_passed_on(void **state)
{
	int before;

	(void)state;
	begin();
	nanosleep(&(struct timespec){ .tv_nsec = 120 * NS_PER_MS }, NULL); /* they are spaced */
	before = asked;
	memory[KEY_AT] = 1;
	AWAIT(asked > before); /* and again, for it stays */
	feed(false);
	assert_int_equal(memory[KEY_AT], 1);
	feed(true);
	assert_int_equal(memory[KEY_AT], 0);
}

static void a_reader_that_always_asks_gets_ten_a_second_at_most(void **state)
{
	int64_t began;
	int before;

	(void)state;
	begin();
	before = asked;
	for (began = now_ns(); now_ns() - began < NS_PER_S;) {
		memory[KEY_AT] = 1;
		feed(false);
	}
	assert_in_range(asked - before, 1, (now_ns() - began) / (100 * NS_PER_MS) + 1);
}

static void frames_that_are_too_large_are_counted(void **state)
{
	(void)state;
	begin();
	show_up();
	publish_size(true, (2 << 20) + 1); /* nobody reads what it has not */
	AWAIT(status().dropped == 1);
	assert_int_equal(drops_get(&drops, DROP_SINK), 1);
	feed(false);
	assert_int_equal(status().skipped, 1);
	feed(true);
	assert_int_equal(status().written, 2);
}

static void frames_are_apart_so_that_readers_see_each(void **state)
{
	int64_t began;

	(void)state;
	begin();
	feed(true);
	began = now_ns();
	for (int i = 0; i < 5; i++)
		publish(false);
	AWAIT(status().written == 7);
	assert_true(now_ns() - began >= 12 * NS_PER_MS);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_a_second_is_written_for_nobody),
		TEST(all_frames_are_written_while_a_reader_is_there),
		TEST(a_reader_that_goes_is_forgotten),
		TEST(it_begins_with_a_key_frame),
		TEST(after_a_skipped_frame_comes_a_key_frame),
		TEST(who_stays_in_the_lock_is_not_asked_for),
		TEST(a_request_for_a_key_frame_is_passed_on),
		TEST(a_reader_that_always_asks_gets_ten_a_second_at_most),
		TEST(frames_that_are_too_large_are_counted),
		TEST(frames_are_apart_so_that_readers_see_each),
	};

	calm_down(4);
	return cmocka_run_group_tests_name("sink", tests, NULL, NULL);
}
