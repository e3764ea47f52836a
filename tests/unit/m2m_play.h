/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs each case in a process of its own: this program again, with the fake devices preloaded. A
 * case has failed when that process says so, when it hangs, and when the fake reports a mistake.
 */
#ifndef TESTS_M2M_PLAY_H
#define TESTS_M2M_PLAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <linux/videodev2.h>

#include "base/util.h"
#include "preload.h"

#define NODE   "/dev/fake-m2m"
#define SLOWER 4 /* how much slower the time of a case goes: what is late there is very late */

struct m2m_case {
	const char *name, *fake; /* HDMICAST_FAKE */
	void (*run)(void);
	uint32_t format, width, height; /* of the source */
};

/* `title` is the test's name, and says what `function` proves there. */
#define CASE(title, function, device, ...)             \
	{                                              \
		title, device, (function), __VA_ARGS__ \
	}
#define PLAIN(function, device) CASE(#function, function, device, V4L2_PIX_FMT_MJPEG, 640, 480)

/* What the child does with a case; the exit status. */
static int run_child(const struct m2m_case *it);

static void become_child(const struct m2m_case *it, const char *folder, int out)
{
	char path[PATH_MAX];

	if (!preload_set("fake/libfakev4l2.so " PRELOAD_CLOCK) || !preload_calm(SLOWER))
		_exit(126);
	setenv("HDMICAST_FAKE", it->fake, 1);
	setenv("HDMICAST_FAKE_PATH", NODE, 1);
	snprintf(path, sizeof(path), "%s/ctl", folder);
	setenv("HDMICAST_FAKE_CTL", path, 1);
	snprintf(path, sizeof(path), "%s/report", folder);
	setenv("HDMICAST_FAKE_REPORT", path, 1);
	dup2(out, 1);
	dup2(out, 2);
	execl("/proc/self/exe", "test_m2m", "--case", it->name, NULL);
	_exit(127);
}

/* The first line that is not the summary goes to what. */
static bool is_clean(const char *folder, char *what, size_t size)
{
	char path[PATH_MAX];
	bool clean = false;
	FILE *report;

	snprintf(path, sizeof(path), "%s/report", folder);
	report = fopen(path, "r");
	snprintf(what, size, "the fake left no report");
	while (report && fgets(what, (int)size, report)) {
		clean = !strncmp(what, "summary ", 8);
		if (!clean)
			break;
	}
	if (report)
		fclose(report);
	return clean;
}

static void read_all(int fd, char *to, size_t size)
{
	size_t used = 0;
	ssize_t n;

	/* The end of a long output says more than its beginning. */
	while ((n = read(fd, to + used, size - 1 - used)) > 0) {
		used += (size_t)n;
		if (used > size / 2) {
			memmove(to, to + used - size / 4, size / 4);
			used = size / 4;
		}
	}
	to[used] = '\0';
}

static void play(void **state)
{
	const struct m2m_case *it = *state;
	char folder[64], said[8192], what[512], path[PATH_MAX];
	int out[2], status;
	bool clean;
	pid_t pid;

	snprintf(folder, sizeof(folder), "/tmp/hdmicast-m2m-%d-XXXXXX", (int)getpid());
	assert_non_null(mkdtemp(folder));
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		become_child(it, folder, out[1]);
	close(out[1]);
	read_all(out[0], said, sizeof(said));
	close(out[0]);
	waitpid(pid, &status, 0);
	clean = is_clean(folder, what, sizeof(what));
	snprintf(path, sizeof(path), "rm -r %s", folder);
	assert_int_equal(system(path), 0);
	if (status || getenv("M2M_VERBOSE"))
		print_message("%s", said);
	if (status)
		fail_msg("it ended with status %#x", (unsigned)status);
	if (!clean)
		fail_msg("the fake says: %s", what);
}

static int run_cases(const struct m2m_case *cases, size_t count, char *argv[])
{
	struct CMUnitTest *tests = xcalloc(count, sizeof(*tests));
	int res;

	for (size_t i = 0; i < count; i++) {
		if (argv[1] && !strcmp(argv[1], "--case") && argv[2] &&
			!strcmp(argv[2], cases[i].name)) {
			free(tests);
			return run_child(&cases[i]);
		}
		tests[i] = (struct CMUnitTest){
			.name = cases[i].name, .test_func = play, .initial_state = (void *)&cases[i]
		};
	}
	if (argv[1])
		cmocka_set_test_filter(argv[1]);
	res = _cmocka_run_group_tests("m2m", tests, count, NULL, NULL);
	free(tests);
	return res;
}

#endif
