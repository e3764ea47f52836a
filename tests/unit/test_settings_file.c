// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The file of settings, at each moment at which the power may fail: fsync(2) and renameat(2) are
 * this test's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/util.h"
#include "settings/settings_file.h"

static char dir[64];

/* Of the thread that writes; read after its end. */
static char calls[64];      /* F: fsync of a file, D: of the directory, R: renameat */
static char at_fsync[64];   /* what settings.json said when a file was synced last */
static bool is_disk_broken; /* fsync of a file fails */

static void read_text(const char *name, char *text, size_t size)
{
	AUTO(auto_close) int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, size - 1);

	text[MAX(got, 0)] = '\0';
}

static void note(char call)
{
	size_t used = strlen(calls);

	assert_true(used + 1 < sizeof(calls));
	calls[used] = call;
	calls[used + 1] = '\0';
}

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	note(S_ISDIR(st.st_mode) ? 'D' : 'F');
	if (S_ISDIR(st.st_mode))
		return 0;
	read_text(SETTINGS_FILE_NAME, at_fsync, sizeof(at_fsync));
	errno = EIO;
	return is_disk_broken ? -1 : 0;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	note('R');
	return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

/* By a program that starts, changes it, and ends. */
static void put(const char *text)
{
	struct settings_file *file;

	*calls = *at_fsync = '\0';
	assert_int_equal(settings_file_create(&file, dir), 0);
	settings_file_put(file, xstrdup(text));
	settings_file_destroy(file);
}

static void assert_says(const char *name, const char *expected)
{
	char text[64];

	read_text(name, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void the_old_file_stays_until_the_new_one_is_on_the_disk(void **state)
{
	(void)state;
	put("old");
	put("new");
	assert_string_equal(calls, "FRD");
	assert_string_equal(at_fsync, "old");
	assert_says(SETTINGS_FILE_NAME, "new");
}

static void what_does_not_reach_the_disk_is_not_put_in_place(void **state)
{
	(void)state;
	put("old");
	is_disk_broken = true;
	put("new");
	is_disk_broken = false;
	assert_string_equal(calls, "F");
	assert_says(SETTINGS_FILE_NAME, "old");
	put("newer");
	assert_says(SETTINGS_FILE_NAME, "newer");
}

static void what_was_put_last_is_written_before_the_end(void **state)
{
	struct settings_file *file;
	char text[8] = "";

	(void)state;
	*calls = '\0';
	assert_int_equal(settings_file_create(&file, dir), 0);
	for (unsigned n = 0; n < 20; n++) {
		snprintf(text, sizeof(text), "%u", n);
		settings_file_put(file, xstrdup(text));
	}
	settings_file_destroy(file);
	assert_says(SETTINGS_FILE_NAME, "19");
}

/* Not only at the end, which a loss of power leaves out. */
static void what_was_put_is_written_soon(void **state)
{
	struct settings_file *file;
	char text[8] = "";

	(void)state;
	*calls = '\0';
	assert_int_equal(settings_file_create(&file, dir), 0);
	settings_file_put(file, xstrdup("soon"));
	for (unsigned n = 0; n < 60000 && strcmp(text, "soon") != 0; n++) {
		usleep(1000);
		read_text(SETTINGS_FILE_NAME, text, sizeof(text));
	}
	assert_string_equal(text, "soon");
	settings_file_destroy(file);
}

static void it_is_for_its_owner_alone_and_no_link_leads_elsewhere(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(symlink("elsewhere", SETTINGS_FILE_NAME ".new"), 0);
	put("new");
	assert_int_equal(stat("elsewhere", &st), -1);
	assert_int_equal(unlink(SETTINGS_FILE_NAME ".new"), 0);
	put("newer");
	assert_int_equal(lstat(SETTINGS_FILE_NAME, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static int make_dir(void **state)
{
	(void)state;
	umask(0);
	snprintf(dir, sizeof(dir), "/tmp/hdmicast-test-%d-XXXXXX", (int)getpid());
	return !mkdtemp(dir) || chdir(dir);
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(SETTINGS_FILE_NAME);
	unlink(SETTINGS_FILE_NAME ".new");
	return chdir("/") || rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_old_file_stays_until_the_new_one_is_on_the_disk),
		cmocka_unit_test(what_does_not_reach_the_disk_is_not_put_in_place),
		cmocka_unit_test(what_was_put_last_is_written_before_the_end),
		cmocka_unit_test(what_was_put_is_written_soon),
		cmocka_unit_test(it_is_for_its_owner_alone_and_no_link_leads_elsewhere),
	};

	log_init(LOG_LEVEL_ERROR - 1, LOG_COLOUR_NEVER);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
