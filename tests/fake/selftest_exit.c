/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process leaves behind is found at its exit: LEAK and MUNMAP. */
#include "selftest_m2m.h"

#include <pthread.h>
#include <sys/wait.h>

static void *hang_for_ever(void *arg)
{
	struct v4l2_capability cap;

	request(*(int *)arg, VIDIOC_QUERYCAP, &cap);
	return arg;
}

/* Ends while $FAKE_HANG holds a call that has the only buffers. */
static int leave_hanging(void)
{
	static struct client c;
	pthread_t thread;

	c = client_open("/dev/fake-uvc");
	client_buffers(&c, 2);
	pthread_create(&thread, NULL, hang_for_ever, &c.fd);
	await_status("uvc", "hanging=querycap");
	return 0;
}

/* What the environment told the fakes is in force from the start. */
static int ask_intervals(void)
{
	struct client c = client_open("/dev/fake-uvc");
	struct v4l2_frmivalenum f = {
		.index = 1000, .pixel_format = V4L2_PIX_FMT_MJPEG, .width = 640, .height = 480
	};
	int res = request(c.fd, VIDIOC_ENUM_FRAMEINTERVALS, &f);

	client_close(&c);
	return res == 0 ? 0 : 2;
}

int leave_behind(const char *what)
{
	struct v4l2_exportbuffer exp = { .type = M2M_OUT, .flags = O_CLOEXEC };

	if (!strcmp(what, "hang"))
		return leave_hanging();
	if (!strcmp(what, "intervals"))
		return ask_intervals();
	m2m_open(&m2m, "/dev/fake-m2m");
	m2m_map(&m2m, 1, 1);
	if (!strcmp(what, "export") && request(m2m.fd, VIDIOC_EXPBUF, &exp) < 0)
		return 2;
	if (!strcmp(what, "mapping"))
		m2m.n_cap = 0;
	if (strcmp(what, "descriptor"))
		m2m_close(&m2m);
	return 0;
}

static void run_child(const char *what, const char *report)
{
	char ctl[80];
	pid_t pid;
	int status = -1;

	snprintf(ctl, sizeof(ctl), "%s.ctl", report);
	pid = fork();
	if (pid == 0) {
		setenv("HDMICAST_FAKE_REPORT", report, 1);
		setenv("HDMICAST_FAKE_CTL", ctl, 1);
		setenv("FAKE_HANG", "querycap forever", 1);
		setenv("FAKE_INTERVALS", "stuck", 1);
		execl("/proc/self/exe", "selftest", what, NULL);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(ctl);
}

/* How often the words are in what it reports. */
static unsigned reports(const char *what, const char *words)
{
	char path[64], line[512];
	unsigned n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/hdmicast-fake-%d-XXXXXX", (int)getpid());
	close(mkstemp(path));
	run_child(what, path);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, words) && line[0] != 's';
	fclose(file);
	unlink(path);
	return n;
}

static void what_is_left_is_told(void **state)
{
	(void)state;
	assert_int_equal(reports("nothing", ""), 0);
	assert_int_equal(reports("descriptor", "LEAK descriptor"), 1);
	assert_int_equal(reports("descriptor", "MUNMAP"), 2);
	assert_int_equal(reports("mapping", "MUNMAP"), 1);
	assert_int_equal(reports("export", "LEAK 1 exported"), 1);
}

static void a_hang_does_not_hold_the_process_nor_blame_it(void **state)
{
	(void)state;
	assert_int_equal(reports("hang", ""), 0);
}

static void commands_of_the_environment_hold_from_the_start(void **state)
{
	(void)state;
	assert_int_equal(reports("intervals", ""), 0);
}

const struct CMUnitTest exit_tests[] = {
	cmocka_unit_test(what_is_left_is_told),
	cmocka_unit_test(a_hang_does_not_hold_the_process_nor_blame_it),
	cmocka_unit_test(commands_of_the_environment_hold_from_the_start),
};

const size_t n_exit_tests = sizeof(exit_tests) / sizeof(exit_tests[0]);
