// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The V4L2 source from open to close: what becomes of the driver's buffers, times and numbers.
 * v4l2.c and stream.c are compiled in here, over a driver and a clock of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>

#include "base/util.h"
#include "capture/controls.h"
#include "capture/device.h"
#include "capture/format.h"
#include "capture/hdmi.h"
#include "driver.h"

#undef fail /* cmocka's; v4l2.c has its own */

#define BUFFERS 4U
#define LENGTH  4096U
#define NOW     (1000 * NS_PER_S)

static struct {
	bool streaming, has_timings;
	unsigned queued[BUFFERS], n_queued; /* in this order */
	unsigned stray;                     /* queued when the stream had been stopped */
	unsigned frees;                     /* REQBUFS with 0 */
	unsigned waits;                     /* for buffers that are out */
	struct frame *returns;              /* during such a wait; NULL: it ends without */
	int error_at_start;
	uint32_t event; /* to be told of; 0: none */
	uint32_t sequence, flags, bytes;
	int64_t stamp_ns;
	short revents[3];
	struct option_size mode;
	uint32_t width; /* what it makes of the mode's */
	int n_inputs, input;
	unsigned rate; /* by VIDIOC_S_PARM, in frames per 1000 s; 0: it has none */
} driver;

static int64_t our_now(void)
{
	return NOW;
}

static int queue(const struct v4l2_buffer *buf)
{
	if (!driver.streaming && driver.frees + driver.waits)
		driver.stray++;
	assert_true(driver.n_queued < BUFFERS);
	driver.queued[driver.n_queued++] = buf->index;
	return 0;
}

static int dequeue(struct v4l2_buffer *buf)
{
	if (!driver.n_queued)
		return -EAGAIN;
	buf->index = driver.queued[0];
	memmove(driver.queued, driver.queued + 1, --driver.n_queued * sizeof(driver.queued[0]));
	buf->flags = driver.flags;
	buf->sequence = driver.sequence;
	buf->bytesused = driver.bytes;
	buf->timestamp.tv_sec = driver.stamp_ns / NS_PER_S;
	buf->timestamp.tv_usec = driver.stamp_ns % NS_PER_S / NS_PER_US;
	return 0;
}

static int request_buffers(struct v4l2_requestbuffers *request)
{
	__atomic_add_fetch(&driver.frees, !request->count, __ATOMIC_RELEASE);
	request->count = MIN(request->count, BUFFERS);
	return 0;
}

static int query_buffer(struct v4l2_buffer *buf)
{
	buf->length = LENGTH;
	buf->m.offset = buf->index * LENGTH;
	return 0;
}

static int stream(bool on)
{
	int res = on ? driver.error_at_start : 0;

	driver.streaming = on && res == 0;
	if (!on)
		driver.n_queued = 0;
	return res;
}

static int tell_event(struct v4l2_event *event)
{
	event->type = driver.event;
	driver.event = 0;
	return event->type ? 0 : -ENOENT;
}

static int choose(const int *input)
{
	if (*input >= driver.n_inputs)
		return -EINVAL;
	driver.input = *input;
	return 0;
}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	switch (request) {
	case VIDIOC_REQBUFS: return request_buffers(arg);
	case VIDIOC_QUERYBUF: return query_buffer(arg);
	case VIDIOC_QBUF: return queue(arg);
	case VIDIOC_DQBUF: return dequeue(arg);
	case VIDIOC_STREAMON: return stream(true);
	case VIDIOC_STREAMOFF: return stream(false);
	case VIDIOC_DQEVENT: return tell_event(arg);
	case VIDIOC_S_INPUT: return choose(arg);
	case VIDIOC_SUBSCRIBE_EVENT: return 0;
	default: return -ENOTTY;
	}
}

static int our_events(struct pollfd *on, nfds_t n, int64_t until_ns)
{
	int ready = 0;

	(void)until_ns;
	for (nfds_t i = 0; i < n; i++)
		ready += (on[i].revents = driver.revents[i]) != 0;
	return ready;
}

/* A reader gives its frame back meanwhile, or none does. */
static int our_wait(pthread_cond_t *cond, pthread_mutex_t *lock, const struct timespec *until)
{
	struct frame *returns = driver.returns;

	(void)cond;
	(void)until;
	driver.waits++;
	driver.returns = NULL;
	if (!returns)
		return ETIMEDOUT;
	pthread_mutex_unlock(lock);
	frame_unref(returns);
	pthread_mutex_lock(lock);
	return 0;
}

static int our_open(struct v4l2_device *out, const char *path, struct source_identity *identity,
	enum v4l2_buf_type *type)
{
	(void)path;
	(void)identity;
	*type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	out->fd = memfd_create("driver", MFD_CLOEXEC);
	assert_true(out->fd >= 0);
	return ftruncate(out->fd, BUFFERS * LENGTH);
}

static bool our_has_timings(int fd)
{
	(void)fd;
	return driver.has_timings;
}

static int our_lock_timings(int fd, int stop_fd, struct hdmi_mode *out)
{
	(void)fd;
	(void)stop_fd;
	*out = (struct hdmi_mode){ driver.mode.width, driver.mode.height, 59940 };
	return 0;
}

static int our_negotiate(int fd, enum v4l2_buf_type type, const struct options *opt,
	struct option_size size, struct capture_format *out)
{
	uint32_t width = driver.width ? driver.width : size.width;

	(void)fd;
	(void)type;
	*out = (struct capture_format){ .fourcc = opt->format,
		.driver_fourcc = opt->format,
		.width = width,
		.height = size.height,
		.memory_planes = 1,
		.stride = { width } };
	return 0;
}

static unsigned our_set_rate(int fd, enum v4l2_buf_type type, const struct capture_format *format,
	const struct options *opt)
{
	(void)fd;
	(void)type;
	(void)format;
	(void)opt;
	return driver.rate;
}

static void our_apply(int fd, const struct options *opt)
{
	(void)fd;
	(void)opt;
}

extern const struct source_ops tested_v4l2;
#define now_ns                 our_now
#define wait_for_events        our_events
#define pthread_cond_timedwait our_wait
#define device_open            our_open
#define hdmi_has_timings       our_has_timings
#define hdmi_lock_timings      our_lock_timings
#define format_negotiate       our_negotiate
#define format_set_rate        our_set_rate
#define controls_apply         our_apply
#define source_v4l2            tested_v4l2
#define stream_create          tested_create
#define stream_start           tested_start
#define stream_requeue         tested_requeue
#define stream_take            tested_take
#define stream_close           tested_close
#define describe               describe_buffer /* v4l2.c has one of its own */
#include "../../src/capture/stream.c"          /* NOLINT(bugprone-suspicious-include) */
#undef describe
#undef LOG_TOPIC
#include "../../src/capture/v4l2.c" /* NOLINT(bugprone-suspicious-include) */

static struct options opt;
static struct drops drops;
static struct source_memory memory;
static const struct source_config config = {
	.opt = &opt, .drops = &drops, .stop_fd = -1, .wake_fd = -1, .memory = &memory
};
static struct source *source;

static int setup(void **state)
{
	(void)state;
	memset(&driver, 0, sizeof(driver));
	memset(&drops, 0, sizeof(drops));
	memset(&memory, 0, sizeof(memory));
	opt = (struct options){ .device = "/dev/none",
		.format = V4L2_PIX_FMT_GREY,
		.resolution = { 64, 32 },
		.buffers = 3,
		.workers = 1,
		.min_frame_size = 128,
		.dv_timings = true,
		.raw_sink.name = "" };
	driver.n_inputs = 1;
	driver.rate = 29970;
	driver.flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
	driver.bytes = 64 * 32;
	driver.stamp_ns = NOW;
	driver.revents[0] = POLLIN;
	source = NULL;
	return 0;
}

static void open_it(void)
{
	assert_int_equal(tested_v4l2.open(&source, &config), 0);
}

static struct frame *next(void)
{
	struct frame *frame = NULL;

	assert_int_equal(tested_v4l2.next(source, &frame, 0), 0);
	return frame;
}

static void a_frame_that_comes_back_is_queued_again(void **state)
{
	struct frame *frame;

	(void)state;
	open_it();
	for (unsigned i = 0; i < 3 * BUFFERS; i++) {
		frame = next();
		assert_int_equal(driver.n_queued, BUFFERS - 1);
		frame_unref(frame);
	}
	tested_v4l2.close(source);
	assert_int_equal(driver.waits, 0);
	assert_int_equal(driver.frees, 1);
}

static void closing_waits_for_frames_that_are_out(void **state)
{
	(void)state;
	open_it();
	driver.returns = next();
	tested_v4l2.close(source);
	assert_int_equal(driver.waits, 1);
	assert_int_equal(driver.frees, 1);
	assert_int_equal(driver.stray, 0);
}

static void a_frame_that_stays_out_keeps_its_memory_and_is_not_queued_again(void **state)
{
	struct frame *frame;

	(void)state;
	open_it();
	frame = next();
	tested_v4l2.close(source);
	assert_int_equal(driver.waits, 1);
	assert_int_equal(driver.frees, 0);
	memset(frame->plane[0].data, 1, frame->plane[0].size);
	frame_unref(frame);
	while (!__atomic_load_n(&driver.frees, __ATOMIC_ACQUIRE))
		sched_yield(); /* a thread of its own closes it */
	assert_int_equal(driver.stray, 0);
}

static int64_t captured_at(int64_t stamp_ns)
{
	struct frame *frame;
	int64_t at;

	driver.stamp_ns = stamp_ns;
	frame = next();
	assert_int_equal(frame->grabbed_ns, NOW);
	at = frame->captured_ns;
	frame_unref(frame);
	return at;
}

static void times_of_the_last_two_seconds_are_believed(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(captured_at(NOW), NOW);
	assert_int_equal(captured_at(NOW - NS_PER_MS), NOW - NS_PER_MS);
	assert_int_equal(captured_at(NOW - 1999 * NS_PER_MS), NOW - 1999 * NS_PER_MS);
	tested_v4l2.close(source);
}

static void times_that_cannot_be_are_replaced(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(captured_at(NOW - 2 * NS_PER_S), NOW);
	assert_int_equal(captured_at(0), NOW);
	assert_int_equal(captured_at(NOW + NS_PER_MS), NOW);
	driver.flags = V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN;
	assert_int_equal(captured_at(NOW - NS_PER_MS), NOW);
	tested_v4l2.close(source);
}

static void the_drivers_gaps_are_told_and_its_steps_back_are_not(void **state)
{
	static const struct {
		uint32_t sequence;
		uint64_t expected;
	} steps[] = { { 0, 1 }, { 1, 2 }, { 5, 6 }, { 5, 7 }, { 0, 8 }, { 2, 10 }, { 5000, 11 } };

	(void)state;
	open_it();
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct frame *frame;

		driver.sequence = steps[i].sequence;
		frame = next();
		assert_int_equal(frame->sequence, steps[i].expected);
		frame_unref(frame);
	}
	tested_v4l2.close(source);
}

static uint32_t width_of(uint32_t source_width, uint32_t drivers_width)
{
	struct frame *frame;
	uint32_t width;

	driver.has_timings = true;
	driver.mode = (struct option_size){ source_width, 2 };
	driver.width = drivers_width;
	driver.bytes = drivers_width * 2;
	open_it();
	frame = next();
	width = frame->width;
	assert_int_equal(frame->plane[0].stride, drivers_width);
	frame_unref(frame);
	tested_v4l2.close(source);
	return width;
}

static void columns_that_a_receiver_leaves_unwritten_are_cut(void **state)
{
	(void)state;
	assert_int_equal(width_of(1366, 1368), 1366);
	assert_int_equal(width_of(1280, 1280), 1280);
	assert_int_equal(width_of(1360, 1366), 1366); /* no rounding: it scales */
}

static void without_dv_timings_the_resolution_is_what_was_asked_for(void **state)
{
	struct frame *frame;

	(void)state;
	driver.has_timings = true;
	driver.mode = (struct option_size){ 1366, 2 };
	opt.dv_timings = false;
	open_it();
	frame = next();
	assert_int_equal(frame->width, 64);
	frame_unref(frame);
	tested_v4l2.close(source);
}

static void the_input_is_the_one_that_was_asked_for(void **state)
{
	(void)state;
	driver.n_inputs = 3;
	opt.input = 2;
	open_it();
	assert_int_equal(driver.input, 2);
	tested_v4l2.close(source);
	opt.input = 3;
	assert_int_equal(tested_v4l2.open(&source, &config), -EINVAL);
}

static void a_device_that_knows_no_inputs_has_the_first(void **state)
{
	(void)state;
	driver.n_inputs = 0;
	open_it();
	tested_v4l2.close(source);
}

static void assert_dropped(enum drop_reason reason, uint32_t flags, uint32_t bytes)
{
	struct frame *none = NULL;

	driver.flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | flags;
	driver.bytes = bytes;
	assert_int_equal(tested_v4l2.next(source, &none, 0), -EAGAIN);
	assert_null(none);
	assert_int_equal(drops_get(&drops, reason), 1);
}

static void what_is_no_picture_is_counted_by_reason(void **state)
{
	(void)state;
	open_it();
	assert_true(BUFFERS < 5); /* so that each goes back to the driver */
	assert_dropped(DROP_FLAGGED, V4L2_BUF_FLAG_ERROR, 64 * 32);
	assert_dropped(DROP_MALFORMED, 0, LENGTH + 1);
	assert_dropped(DROP_EMPTY, 0, 0);
	assert_dropped(DROP_SMALL, 0, 127);
	assert_dropped(DROP_SHORT, 0, 64 * 32 - 1);
	tested_v4l2.close(source);
}

static int next_error(short device, short stop)
{
	struct frame *none = NULL;
	int res;

	driver.revents[0] = device;
	driver.revents[1] = stop;
	res = tested_v4l2.next(source, &none, 0);
	frame_unref(none);
	return res;
}

static void each_end_of_a_wait_has_its_error(void **state)
{
	(void)state;
	open_it();
	assert_int_equal(next_error(0, 0), -ETIMEDOUT);
	assert_int_equal(next_error(POLLIN, POLLIN), -ECANCELED);
	assert_int_equal(next_error(POLLHUP | POLLERR, 0), -ENODEV);
	driver.event = V4L2_EVENT_SOURCE_CHANGE;
	assert_int_equal(next_error(POLLIN | POLLPRI, 0), -ERESTART);
	driver.event = V4L2_EVENT_EOS;
	assert_int_equal(next_error(POLLPRI, 0), -ERESTART);
	assert_false(source->controls_changed);
	driver.event = V4L2_EVENT_CTRL;
	assert_int_equal(next_error(POLLPRI, 0), -ETIMEDOUT);
	assert_true(source->controls_changed);
	driver.event = V4L2_EVENT_CTRL;
	assert_int_equal(next_error(POLLIN | POLLPRI, 0), 0);
	tested_v4l2.close(source);
}

static void a_link_that_is_too_slow_is_known_from_the_refusal_to_start(void **state)
{
	(void)state;
	driver.error_at_start = -EINVAL;
	assert_int_equal(tested_v4l2.open(&source, &config), -EINVAL);
	driver.has_timings = true;
	driver.mode = opt.resolution;
	assert_int_equal(tested_v4l2.open(&source, &config), -EOVERFLOW);
	assert_int_equal(driver.frees, 2);
}

static void controls_are_to_be_listed_once_with_the_first_picture(void **state)
{
	static struct source_controls list;

	(void)state;
	open_it();
	assert_false(source->controls_changed);
	frame_unref(next());
	assert_true(source->controls_changed);
	tested_v4l2.list(source, &list);
	assert_false(source->controls_changed);
	frame_unref(next());
	assert_false(source->controls_changed);
	tested_v4l2.close(source);
}

static int take(uint32_t sequence, int64_t age_ns, struct frame **out)
{
	driver.sequence = sequence;
	driver.stamp_ns = NOW - age_ns;
	return tested_v4l2.next(source, out, 0);
}

static void a_picture_that_a_later_one_overtook_is_left_out(void **state)
{
	struct frame *frame;
	uint64_t last = 0;

	(void)state;
	open_it();
	for (uint32_t number = 8; number < 12; number++) {
		assert_int_equal(take(number + 1, 20 * NS_PER_MS, &frame), 0);
		assert_true(frame->sequence > last);
		last = frame->sequence;
		frame_unref(frame);
		assert_int_equal(take(number, 50 * NS_PER_MS, &frame), -EAGAIN);
	}
	assert_int_equal(drops_get(&drops, DROP_OVERTAKEN), 4);
	driver.flags |= V4L2_BUF_FLAG_ERROR;
	assert_int_equal(take(16, 15 * NS_PER_MS, &frame), -EAGAIN);
	driver.flags &= ~(unsigned)V4L2_BUF_FLAG_ERROR;
	assert_int_equal(take(15, 18 * NS_PER_MS, &frame), 0); /* none that was shown overtook it */
	frame_unref(frame);
	assert_int_equal(take(0, 10 * NS_PER_MS, &frame), 0); /* it counts from 0 again */
	frame_unref(frame);
	assert_int_equal(take(0, 12 * NS_PER_MS, &frame),
		0); /* or not at all, and its time steps back */
	frame_unref(frame);
	tested_v4l2.close(source);
	assert_int_equal(driver.waits, 0); /* for no buffer */
}

static unsigned fps_of_first(void)
{
	struct frame *frame;
	unsigned fps;

	open_it();
	frame = next();
	fps = frame->fps;
	frame_unref(frame);
	tested_v4l2.close(source);
	return fps;
}

static void a_receiver_without_a_rate_has_that_of_its_source(void **state)
{
	(void)state;
	driver.has_timings = true;
	driver.mode = (struct option_size){ 64, 32 };
	assert_int_equal(fps_of_first(), 30);
	driver.rate = 0;
	assert_int_equal(fps_of_first(), 60);
	driver.has_timings = false;
	assert_int_equal(fps_of_first(), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_that_comes_back_is_queued_again),
		TEST(closing_waits_for_frames_that_are_out),
		TEST(a_frame_that_stays_out_keeps_its_memory_and_is_not_queued_again),
		TEST(times_of_the_last_two_seconds_are_believed),
		TEST(times_that_cannot_be_are_replaced),
		TEST(the_drivers_gaps_are_told_and_its_steps_back_are_not),
		TEST(columns_that_a_receiver_leaves_unwritten_are_cut),
		TEST(without_dv_timings_the_resolution_is_what_was_asked_for),
		TEST(the_input_is_the_one_that_was_asked_for),
		TEST(a_device_that_knows_no_inputs_has_the_first),
		TEST(what_is_no_picture_is_counted_by_reason),
		TEST(each_end_of_a_wait_has_its_error),
		TEST(a_link_that_is_too_slow_is_known_from_the_refusal_to_start),
		TEST(a_receiver_without_a_rate_has_that_of_its_source),
		TEST(a_picture_that_a_later_one_overtook_is_left_out),
		TEST(controls_are_to_be_listed_once_with_the_first_picture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
