// SPDX-License-Identifier: GPL-3.0-or-later
/* Which paths lead to a file of --static, and that none leads out of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "base/util.h"
#include "http/static.h"

static char root[64];

static void write_file(const char *name)
{
	AUTO(auto_fclose) FILE *file = fopen(name, "w");

	assert_non_null(file);
	fputs(name, file);
}

/* The tree: www/{index.html,a.css,empty/,sub/index.html,link→../secret,dir→..,pipe}, secret. */
static int make_tree(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/hdmicast-test-%d-XXXXXX", (int)getpid());
	assert_non_null(mkdtemp(root));
	assert_int_equal(chdir(root), 0);
	mkdir("www", 0755);
	mkdir("www/sub", 0755);
	mkdir("www/empty", 0755);
	write_file("secret");
	write_file("www/index.html");
	write_file("www/a.css");
	write_file("www/..hidden");
	write_file("www/sub/index.html");
	assert_int_equal(symlink("../secret", "www/link"), 0);
	assert_int_equal(symlink("a.css", "www/inner-link"), 0);
	assert_int_equal(symlink("..", "www/dir"), 0);
	assert_int_equal(symlink("sub", "www/inner-dir"), 0);
	assert_int_equal(symlink("../../secret", "www/empty/index.html"), 0);
	assert_int_equal(mkfifo("www/pipe", 0644), 0);
	return 0;
}

static int remove_tree(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return chdir("/") < 0 || system(command);
}

/* By both ways; they must agree. NULL: there must be no such file. */
static void assert_opens(const char *path, const char *expected)
{
	int (*const ways[])(const char *, const char *, off_t *) = { static_open,
		static_open_walking };

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		char text[64] = "";
		off_t size = -1;
		AUTO(auto_close) int fd = ways[i]("www", path, &size);

		if (!expected && fd >= 0)
			fail_msg("%s was opened", path);
		if (expected && fd < 0)
			fail_msg("%s: %s", path, strerror(-fd));
		if (!expected)
			continue;
		assert_int_equal(read(fd, text, sizeof(text) - 1), size);
		assert_string_equal(text, expected);
	}
}

static void files_and_indexes_are_found(void **state)
{
	(void)state;
	assert_opens("/", "www/index.html");
	assert_opens("/index.html", "www/index.html");
	assert_opens("/a.css", "www/a.css");
	assert_opens("//a.css", "www/a.css");
	assert_opens("/sub", "www/sub/index.html");
	assert_opens("/sub/", "www/sub/index.html");
	assert_opens("/sub//index.html", "www/sub/index.html");
	assert_opens("/./a.css", "www/a.css");
	assert_opens("/..hidden", "www/..hidden");
}

static void nothing_above_the_directory_is_reached(void **state)
{
	(void)state;
	assert_opens("/../secret", NULL);
	assert_opens("/..", NULL);
	assert_opens("/sub/../../secret", NULL);
	assert_opens("/sub/../a.css", NULL);
	assert_opens("//etc/passwd", NULL);
	assert_opens("/nothing", NULL);
	assert_opens("/a.css/", NULL);
	assert_opens("/a.css/x", NULL);
}

static void links_and_pipes_are_not_served(void **state)
{
	(void)state;
	assert_opens("/link", NULL);
	assert_opens("/inner-link", NULL);
	assert_opens("/dir/secret", NULL);
	assert_opens("/inner-dir/", NULL);
	assert_opens("/inner-dir/index.html", NULL);
	assert_opens("/empty/", NULL);
	assert_opens("/pipe", NULL);
}

static void types_go_by_the_extension(void **state)
{
	(void)state;
	assert_string_equal(static_type("/"), "text/html; charset=utf-8");
	assert_string_equal(static_type("/a.b/x.JS"), "text/javascript");
	assert_string_equal(static_type("/a.js/x"), "application/octet-stream");
	assert_string_equal(static_type("/x."), "application/octet-stream");
	assert_string_equal(static_type("/favicon.ico"), "image/x-icon");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_indexes_are_found),
		cmocka_unit_test(nothing_above_the_directory_is_reached),
		cmocka_unit_test(links_and_pipes_are_not_served),
		cmocka_unit_test(types_go_by_the_extension),
	};

	return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
