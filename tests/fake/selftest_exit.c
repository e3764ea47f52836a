/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process leaves behind is found at its exit: LEAK and MUNMAP. */
#include "selftest_m2m.h"

#include <sys/wait.h>

int leave_behind(const char *what)
{
	struct v4l2_exportbuffer exp = { .type = M2M_OUT, .flags = O_CLOEXEC };

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
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		setenv("HDMICAST_FAKE_REPORT", report, 1);
		unsetenv("HDMICAST_FAKE_CTL");
		execl("/proc/self/exe", "selftest", what, NULL);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* How often the words are in what it reports. */
static unsigned reports(const char *what, const char *words)
{
	char path[] = "/tmp/fake-exit-XXXXXX", line[512];
	unsigned n = 0;
	FILE *file;

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

const struct CMUnitTest exit_tests[] = {
	cmocka_unit_test(what_is_left_is_told),
};

const size_t n_exit_tests = sizeof(exit_tests) / sizeof(exit_tests[0]);
