/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Grabbers that answer as bad drivers do, and memory whose readers are counted. */
#include "selftest.h"

static int64_t time_of(const struct v4l2_buffer *b)
{
	return b->timestamp.tv_sec * 1000000LL + b->timestamp.tv_usec;
}

/* How often the time changes within twelve frames in a row. */
static unsigned changes_of_time(void)
{
	struct v4l2_buffer b = client_frame(&uvc);
	int64_t before = time_of(&b);
	unsigned n = 0;

	for (unsigned i = 0; i < 11; i++) {
		b = client_frame(&uvc);
		n += time_of(&b) != before;
		before = time_of(&b);
	}
	return n;
}

static void times_are_true_or_the_same_or_held_for_four_frames(void **state)
{
	unsigned fours;

	(void)state;
	client_start(&uvc);
	assert_int_equal(changes_of_time(), 11);
	command("uvc.times same");
	client_frame(&uvc); /* one may have been made before */
	for (unsigned i = 0; i < CLIENT_BUFFERS; i++)
		client_frame(&uvc);
	assert_int_equal(changes_of_time(), 0);
	command("uvc.times fours");
	for (unsigned i = 0; i < 2 * CLIENT_BUFFERS; i++)
		client_frame(&uvc);
	fours = changes_of_time();
	command("uvc.times true");
	assert_true(fours >= 2);
	assert_true(fours < 11);
}

static void a_file_is_every_picture(void **state)
{
	static const char text[] = "\xFF\xD8 not a picture \xFF\xD9";
	char path[64];
	struct v4l2_buffer b;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/hdmicast-fake-%d-XXXXXX", (int)getpid());
	fd = mkstemp(path);
	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	close(fd);
	command("uvc.jpegs %s", path);
	unlink(path);
	client_start(&uvc);
	assert_int_equal(client_take(&uvc, &b), 0);
	command("uvc.jpegs off");
	assert_int_equal(b.bytesused, sizeof(text));
	assert_memory_equal(uvc.mem[b.index], text, sizeof(text));
}

static void a_stuck_list_of_intervals_never_ends(void **state)
{
	struct v4l2_frmivalenum f = {
		.pixel_format = V4L2_PIX_FMT_MJPEG, .width = 640, .height = 480
	};

	(void)state;
	command("uvc.intervals stuck");
	for (unsigned i = 0; i < 1000; i += 7) {
		f.index = i;
		assert_int_equal(request(uvc.fd, VIDIOC_ENUM_FRAMEINTERVALS, &f), 0);
	}
	command("uvc.intervals true");
	f.index = 1000;
	assert_int_equal(request(uvc.fd, VIDIOC_ENUM_FRAMEINTERVALS, &f), -EINVAL);
}

/* Takes a buffer, reads every step-th page of it or none, and gives it back. */
static unsigned pages_counted(size_t step)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const volatile uint8_t *mem;
	struct v4l2_buffer b;
	unsigned pages, sum = 0;

	assert_int_equal(client_take(&uvc, &b), 0);
	mem = uvc.mem[b.index];
	for (size_t at = 0; step && at < uvc.len[b.index]; at += step * page)
		sum += mem[at];
	assert_int_equal(client_queue(&uvc, b.index), 0);
	assert_int_equal(sscanf(strstr(command("uvc.status"), "pages="), "pages=%u", &pages), 1);
	return sum < UINT32_MAX ? pages : 0;
}

static void pages_that_the_client_reads_are_counted(void **state)
{
	unsigned all;
	char words[40];
	int fds[2];
	struct v4l2_buffer b;

	(void)state;
	command("uvc.count-pages on");
	assert_int_equal(set_format(uvc.fd, V4L2_PIX_FMT_YUYV, 640, 480, NULL), 0);
	client_start(&uvc);
	all = (unsigned)(uvc.len[0] / (size_t)sysconf(_SC_PAGESIZE));
	/* Each of the four buffers in turn is read whole, by half and not at all. */
	for (unsigned i = 0; i < CLIENT_BUFFERS; i++) {
		assert_int_equal(pages_counted(0), 0);
		assert_int_equal(pages_counted(1), all);
		assert_int_equal(pages_counted(2), (all + 1) / 2);
	}
	/* The kernel reads for the client. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(client_take(&uvc, &b), 0);
	assert_int_equal(write(fds[1], (uint8_t *)uvc.mem[b.index] + 8000, 4096), 4096);
	assert_int_equal(client_queue(&uvc, b.index), 0);
	assert_non_null(strstr(command("uvc.status"), "pages=2 "));
	close(fds[0]);
	close(fds[1]);
	snprintf(words, sizeof(words), " max_pages=%u ", all);
	assert_non_null(strstr(command("uvc.summary"), words));
	command("uvc.count-pages off");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, reset_uvc, finish_uvc)

const struct CMUnitTest answer_tests[] = {
	TEST(times_are_true_or_the_same_or_held_for_four_frames),
	TEST(a_file_is_every_picture),
	TEST(a_stuck_list_of_intervals_never_ends),
	TEST(pages_that_the_client_reads_are_counted),
};

const size_t n_answer_tests = sizeof(answer_tests) / sizeof(answer_tests[0]);
