// SPDX-License-Identifier: GPL-3.0-or-later
/* How often a driver is called that says it was interrupted. ioctl.c is compiled in here. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <cmocka.h>

static unsigned calls, interruptions;

static int our_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd, (void)request, (void)arg;
	assert_true(++calls < 1000);
	errno = EINTR;
	return calls <= interruptions ? -1 : 0;
}

#define ioctl           our_ioctl
#define v4l2_ioctl      tested_ioctl
#define v4l2_ioctl_once tested_once
#include "../../src/v4l2/ioctl.c" /* NOLINT(bugprone-suspicious-include) */

static int setup(void **state)
{
	(void)state;
	calls = 0;
	return 0;
}

static void a_call_that_a_signal_ended_is_made_again(void **state)
{
	(void)state;
	interruptions = 3;
	assert_int_equal(tested_ioctl(3, 0, NULL), 0);
	assert_int_equal(calls, 4);
}

static void but_not_for_ever(void **state)
{
	(void)state;
	interruptions = UINT_MAX;
	assert_int_equal(tested_ioctl(3, 0, NULL), -EINTR);
}

static void nor_where_it_is_final(void **state)
{
	(void)state;
	interruptions = 1;
	assert_int_equal(tested_once(3, 0, NULL), -EINTR);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_call_that_a_signal_ended_is_made_again, setup),
		cmocka_unit_test_setup(but_not_for_ever, setup),
		cmocka_unit_test_setup(nor_where_it_is_final, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
