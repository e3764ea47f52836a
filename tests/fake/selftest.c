/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs under LD_PRELOAD of the library it tests. */
#include "selftest.h"

#include "../unit/preload.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { CALM = 3 }; /* times slower */

static char ctl_path[64], report_path[80];

int request(int fd, unsigned long code, void *arg)
{
	return ioctl(fd, code, arg) < 0 ? -errno : 0;
}

static void exchange(const char *line, char *reply, size_t size)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ssize_t n;

	strcpy(addr.sun_path, getenv("HDMICAST_FAKE_CTL"));
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	n = recv(fd, reply, size - 1, 0);
	assert_true(n > 0);
	reply[n] = '\0';
	close(fd);
}

const char *command(const char *fmt, ...)
{
	static char reply[4200];
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	exchange(line, reply, sizeof(reply));
	if (strncmp(reply, "ok", 2))
		fail_msg("%s -> %s", line, reply);
	return reply;
}

void await_status(const char *kind, const char *words)
{
	for (unsigned i = 0; i < 3000; i++) {
		if (strstr(command("%s.status", kind), words))
			return;
		usleep(10 * 1000);
	}
	fail_msg("%s never says %s", kind, words);
}

void time_calm(void)
{
	calm_set(1, CALM);
}

void time_quick(void)
{
	calm_set(10, 1);
}

void time_stop(void)
{
	calm_set(0, 1);
}

void time_step(int ms)
{
	own_step(preload_own(), ms * INT64_C(1000000));
}

struct client client_open(const char *path)
{
	struct client c = { .fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) };

	assert_true(c.fd >= 0);
	return c;
}

static void unmap(struct client *c)
{
	for (unsigned i = 0; i < c->count; i++)
		munmap(c->mem[i], c->len[i]);
	c->count = 0;
}

void client_close(struct client *c)
{
	unmap(c);
	close(c->fd);
}

void client_buffers(struct client *c, unsigned count)
{
	struct v4l2_requestbuffers req = {
		.count = count, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP
	};

	assert_int_equal(request(c->fd, VIDIOC_REQBUFS, &req), 0);
	for (unsigned i = 0; i < req.count; i++) {
		struct v4l2_buffer b = { .index = i, .type = req.type, .memory = req.memory };

		assert_int_equal(request(c->fd, VIDIOC_QUERYBUF, &b), 0);
		c->len[i] = b.length;
		c->mem[i] = mmap(NULL, b.length, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd,
			b.m.offset);
		assert_ptr_not_equal(c->mem[i], MAP_FAILED);
		c->count++;
	}
}

int client_queue(struct client *c, unsigned index)
{
	struct v4l2_buffer b = {
		.index = index, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP
	};

	return request(c->fd, VIDIOC_QBUF, &b);
}

int client_stream(struct client *c, bool on)
{
	int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;

	return request(c->fd, on ? VIDIOC_STREAMON : VIDIOC_STREAMOFF, &type);
}

void client_start(struct client *c)
{
	client_buffers(c, CLIENT_BUFFERS);
	for (unsigned i = 0; i < c->count; i++)
		assert_int_equal(client_queue(c, i), 0);
	assert_int_equal(client_stream(c, true), 0);
}

short client_poll(struct client *c, short events, int timeout_ms)
{
	struct pollfd on = { .fd = c->fd, .events = events };

	return poll(&on, 1, timeout_ms) > 0 ? on.revents : 0;
}

int client_take(struct client *c, struct v4l2_buffer *b)
{
	*b = (struct v4l2_buffer){ .type = V4L2_BUF_TYPE_VIDEO_CAPTURE,
		.memory = V4L2_MEMORY_MMAP };
	client_poll(c, POLLIN, 2000);
	return request(c->fd, VIDIOC_DQBUF, b);
}

bool client_rest(struct client *c, struct v4l2_buffer *b)
{
	return client_poll(c, POLLIN, 200) && client_take(c, b) == 0;
}

struct v4l2_buffer client_frame(struct client *c)
{
	struct v4l2_buffer b;

	assert_int_equal(client_take(c, &b), 0);
	assert_int_equal(client_queue(c, b.index), 0);
	return b;
}

int set_format(int fd, uint32_t fourcc, unsigned w, unsigned h, struct v4l2_pix_format *out)
{
	struct v4l2_format f = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
	int res;

	f.fmt.pix.pixelformat = fourcc;
	f.fmt.pix.width = w;
	f.fmt.pix.height = h;
	if (out)
		f.fmt.pix.bytesperline = out->bytesperline;
	res = request(fd, VIDIOC_S_FMT, &f);
	if (out)
		*out = f.fmt.pix;
	return res;
}

unsigned violations(const char *rule)
{
	static long seen;
	char line[512], prefix[32];
	FILE *file = fopen(report_path, "r");
	unsigned n = 0;

	if (!file)
		return 0;
	snprintf(prefix, sizeof(prefix), "%s ", rule);
	fseek(file, seen, SEEK_SET);
	while (fgets(line, sizeof(line), file))
		n += !strncmp(line, prefix, strlen(prefix));
	seen = ftell(file);
	fclose(file);
	return n;
}

static int run(const char *name, const struct CMUnitTest *tests, size_t n)
{
	return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

int main(int argc, char **argv)
{
	int failed;

	if (argc > 1)
		return leave_behind(argv[1]);
	if (!getenv("HDMICAST_TEST_CLOCK") && preload_set("fake/libfakev4l2.so " PRELOAD_CLOCK) &&
		preload_calm(CALM))
		execv("/proc/self/exe", argv);
	snprintf(ctl_path, sizeof(ctl_path), "/tmp/hdmicast-fake-%d-XXXXXX", (int)getpid());
	close(mkstemp(ctl_path));
	snprintf(report_path, sizeof(report_path), "%s.report", ctl_path);
	setenv("HDMICAST_FAKE",
		"uvc:size=640x480,sizes=1920x1080+1280x720+640x480,frames=4;"
		"csi:edid=set,settle=100,renegotiate=200;m2m",
		1);
	setenv("HDMICAST_FAKE_CTL", ctl_path, 1);
	setenv("HDMICAST_FAKE_REPORT", report_path, 1);
	preload_calmed(); /* it opens a file, and at the first the library reads its settings */
	if (access("/dev/fake-uvc", R_OK)) {
		fputs("selftest: wants LD_PRELOAD=libfakev4l2.so\n", stderr);
		return 2;
	}
	failed = run("fake-uvc", uvc_tests, n_uvc_tests);
	failed += run("fake-hang", hang_tests, n_hang_tests);
	failed += run("fake-queue", queue_tests, n_queue_tests);
	failed += run("fake-answers", answer_tests, n_answer_tests);
	failed += run("fake-exit", exit_tests, n_exit_tests);
	failed += run("fake-csi", csi_tests, n_csi_tests);
	failed += run("fake-m2m-format", m2m_format_tests, n_m2m_format_tests);
	failed += run("fake-m2m-controls", m2m_control_tests, n_m2m_control_tests);
	failed += run("fake-m2m-queue", m2m_queue_tests, n_m2m_queue_tests);
	failed += run("fake-m2m-stream", m2m_stream_tests, n_m2m_stream_tests);
	failed += run("fake-m2m-stop", m2m_stop_tests, n_m2m_stop_tests);
	failed += run("fake-m2m-variants", m2m_variant_tests, n_m2m_variant_tests);
	unlink(ctl_path);
	unlink(report_path);
	unsetenv("HDMICAST_FAKE_REPORT"); /* or the summary at exit would make it anew */
	return failed != 0;
}
