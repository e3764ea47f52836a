/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that hang, and what their drivers' mutexes hold up meanwhile. */
#include "selftest_m2m.h"

#include <pthread.h>

enum kind { IOCTL, OPEN, CLOSE, POLL };

/* A call that may take its time, on a thread of its own. */
struct call {
	enum kind kind;
	int fd;
	unsigned long code;
	const char *path;
	int result;
	pthread_t thread;
	uint64_t arg[64];
};

static void *make_call(void *arg)
{
	struct call *call = arg;
	struct pollfd on = { .fd = call->fd, .events = POLLIN };

	switch (call->kind) {
	case IOCTL: call->result = request(call->fd, call->code, call->arg); break;
	case OPEN: call->result = open(call->path, O_RDWR | O_NONBLOCK | O_CLOEXEC); break;
	case CLOSE: call->result = close(call->fd); break;
	case POLL: call->result = poll(&on, 1, 0); break;
	}
	return NULL;
}

static void begin(struct call *call)
{
	assert_int_equal(pthread_create(&call->thread, NULL, make_call, call), 0);
}

static int finish(struct call *call)
{
	assert_int_equal(pthread_join(call->thread, NULL), 0);
	return call->result;
}

/* Hangs for a minute at most, so that what should not wait for it does not wait for ever. */
static struct call hang(const char *kind, int fd, unsigned long code, const char *name)
{
	struct call held = { .fd = fd, .code = code };

	command("%s.hang %s 60000", kind, name);
	return held;
}

static void begin_hanging(const char *kind, const char *name, struct call *held)
{
	char words[64];

	begin(held);
	snprintf(words, sizeof(words), "hanging=%s waiting=0", name);
	await_status(kind, words);
}

static void release(const char *kind, struct call *held)
{
	command("%s.release", kind);
	finish(held);
	await_status(kind, "hanging=none waiting=0");
}

static void assert_waits(const char *kind, struct call *held, struct call *waiter)
{
	begin(waiter);
	await_status(kind, "waiting=1");
	release(kind, held);
	finish(waiter);
}

/* Everything that capture and encoders ask, of each kind. */
static void every_request_hangs_by_its_name(void **state)
{
	static const char *const names[] = { "dqbuf", "dqevent", "enuminput", "enum_fmt",
		"enum_framesizes", "enum_frameintervals", "expbuf", "g_ctrl", "g_edid", "g_fmt",
		"g_input", "g_parm", "qbuf", "querybuf", "querycap", "queryctrl", "querymenu",
		"query_dv_timings", "reqbufs", "streamoff", "streamon", "subscribe_event", "s_ctrl",
		"s_dv_timings", "s_edid", "s_fmt", "s_input", "s_parm", "s_selection", "s_std",
		"try_fmt", "encoder_cmd", "unsubscribe_event" };
	static const char *const kinds[] = { "uvc", "csi", "m2m" };

	(void)state;
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			command("%s.hang %s forever 2", kinds[k], names[i]);
			command("%s.release %s", kinds[k], names[i]);
		}
}

static void a_hang_lasts_as_often_and_as_long_as_told(void **state)
{
	struct call calls[] = { { .fd = uvc.fd, .code = VIDIOC_QUERYCAP },
		{ .fd = uvc.fd, .code = VIDIOC_QUERYCAP } };
	struct v4l2_capability cap;

	(void)state;
	command("uvc.hang querycap forever 2");
	begin_hanging("uvc", "querycap", &calls[0]);
	begin_hanging("uvc", "querycap+querycap", &calls[1]);
	assert_int_equal(request(uvc.fd, VIDIOC_QUERYCAP, &cap), 0);
	command("uvc.release querycap");
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(finish(&calls[i]), 0);
	command("uvc.hang querycap 20");
	assert_int_equal(request(uvc.fd, VIDIOC_QUERYCAP, &cap), 0);
	command("uvc.hang querycap forever 9");
	command("uvc.release");
	assert_int_equal(request(uvc.fd, VIDIOC_QUERYCAP, &cap), 0);
	await_status("uvc", "hanging=none waiting=0");
}

static void what_hung_on_a_device_that_left_is_gone(void **state)
{
	struct call held = hang("uvc", uvc.fd, VIDIOC_QUERYCAP, "querycap");

	(void)state;
	begin_hanging("uvc", "querycap", &held);
	command("uvc.unplug");
	command("uvc.release");
	assert_int_equal(finish(&held), -ENODEV);
}

static void uvc_holds_the_queue_only(void **state)
{
	struct call held = hang("uvc", uvc.fd, VIDIOC_QBUF, "qbuf");
	struct call waiters[] = { { .kind = POLL, .fd = uvc.fd },
		{ .fd = uvc.fd, .code = VIDIOC_REQBUFS },
		{ .fd = uvc.fd, .code = VIDIOC_STREAMOFF } };
	struct v4l2_format f = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	struct v4l2_control ctrl = { .id = V4L2_CID_BRIGHTNESS };

	(void)state;
	begin_hanging("uvc", "qbuf", &held);
	close(open("/dev/fake-uvc", O_RDWR | O_CLOEXEC));
	assert_int_equal(request(uvc.fd, VIDIOC_G_FMT, &f), 0);
	assert_int_equal(request(uvc.fd, VIDIOC_G_CTRL, &ctrl), 0);
	await_status("uvc", "hanging=qbuf waiting=0");
	for (unsigned i = 0; i < 3; i++) {
		assert_waits("uvc", &held, &waiters[i]);
		held = hang("uvc", uvc.fd, VIDIOC_QBUF, "qbuf");
		begin_hanging("uvc", "qbuf", &held);
	}
	release("uvc", &held);
}

static void a_dqbuf_that_waits_holds_nothing(void **state)
{
	struct call call = { .fd = uvc.fd, .code = VIDIOC_DQBUF };
	struct v4l2_buffer *b = (struct v4l2_buffer *)call.arg;

	(void)state;
	command("uvc.stall");
	assert_int_equal(fcntl(uvc.fd, F_SETFL, 0), 0);
	client_buffers(&uvc, 2);
	assert_int_equal(client_queue(&uvc, 0), 0);
	assert_int_equal(client_stream(&uvc, true), 0);
	b->type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
	b->memory = V4L2_MEMORY_MMAP;
	begin(&call);
	await_status("uvc", "blocked=1");
	assert_int_equal(client_queue(&uvc, 1), 0);
	command("uvc.resume");
	assert_int_equal(finish(&call), 0);
}

static void open_poll_and_close_wait(const char *kind, const char *path, int fd)
{
	struct call waiters[] = { { .kind = OPEN, .path = path },
		{ .kind = POLL, .fd = open(path, O_RDWR | O_CLOEXEC) },
		{ .fd = waiters[1].fd, .code = VIDIOC_QUERYCAP },
		{ .kind = CLOSE, .fd = waiters[1].fd } };
	struct call held;

	for (unsigned i = 0; i < 4; i++) {
		held = hang(kind, fd, VIDIOC_S_CTRL, "s_ctrl");
		begin_hanging(kind, "s_ctrl", &held);
		assert_waits(kind, &held, &waiters[i]);
	}
	assert_true(waiters[0].result >= 0);
	close(waiters[0].result);
	command("%s.busy on", kind);
	begin(&waiters[0]);
	await_status(kind, "hanging=none waiting=1");
	command("%s.busy off", kind);
	close(finish(&waiters[0]));
}

static void unicam_holds_its_node(void **state)
{
	struct client csi = client_open("/dev/fake-csi");

	(void)state;
	open_poll_and_close_wait("csi", "/dev/fake-csi", csi.fd);
	client_close(&csi);
}

static void bcm2835_holds_its_device(void **state)
{
	(void)state;
	open_poll_and_close_wait("m2m", "/dev/fake-m2m", m2m.fd);
}

static void other_encoders_hold_the_handle_only(void **state)
{
	struct encoder other;
	struct call held, waiter;

	(void)state;
	m2m_close(&m2m);
	command("m2m.variant spec");
	m2m_open(&m2m, "/dev/fake-m2m");
	held = hang("m2m", m2m.fd, VIDIOC_S_CTRL, "s_ctrl");
	begin_hanging("m2m", "s_ctrl", &held);
	m2m_open(&other, "/dev/fake-m2m");
	m2m_ready(&other, POLLIN, 0);
	m2m_close(&other);
	await_status("m2m", "hanging=s_ctrl waiting=0");
	waiter = (struct call){ .kind = POLL, .fd = m2m.fd };
	assert_waits("m2m", &held, &waiter);
}

#define UVC(name) cmocka_unit_test_setup_teardown(name, reset_uvc, finish_uvc)
#define M2M(name) cmocka_unit_test_setup_teardown(name, reset_m2m, finish_m2m)

const struct CMUnitTest hang_tests[] = {
	UVC(every_request_hangs_by_its_name),
	UVC(a_hang_lasts_as_often_and_as_long_as_told),
	UVC(what_hung_on_a_device_that_left_is_gone),
	UVC(uvc_holds_the_queue_only),
	UVC(a_dqbuf_that_waits_holds_nothing),
	UVC(unicam_holds_its_node),
	M2M(bcm2835_holds_its_device),
	M2M(other_encoders_hold_the_handle_only),
};

const size_t n_hang_tests = sizeof(hang_tests) / sizeof(hang_tests[0]);
