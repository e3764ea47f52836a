// SPDX-License-Identifier: GPL-3.0-or-later
/* Waiting for events, and macros that look once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "base/util.h"
#include "base/wait.h"

static int looks;

/* A clock that jumps over zero between two looks at it. */
static int64_t late_clock(void)
{
	return looks++ ? -3 * NS_PER_MS : 1;
}

static void macros_evaluate_each_argument_once(void **state)
{
	(void)state;
	looks = 0;
	assert_true(MAX(late_clock(), 0) == 1);
	assert_int_equal(looks, 1);
	looks = 0;
	assert_true(MIN(5, late_clock()) == 1);
	assert_int_equal(looks, 1);
	looks = 0;
	assert_true(CLAMP(late_clock(), 0, 1000) == 1);
	assert_int_equal(looks, 1);
	looks = 0;
	assert_true(MIN(MAX(late_clock(), 0), MIN(7, 9)) == 1);
	assert_int_equal(looks, 1);
}

static void a_time_that_is_past_is_no_error(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd on = { .fd = fd, .events = POLLIN };

	(void)state;
	assert_int_equal(wait_for_events(&on, 1, now_ns() - 1), 0);
	assert_int_equal(wait_for_events(&on, 1, INT64_MIN / 2), 0);
	wake(fd);
	assert_int_equal(wait_for_events(&on, 1, now_ns() - 1), 1);
	assert_int_equal(on.revents, POLLIN);
	assert_int_equal(wait_for_events(&on, 1, WAIT_FOR_EVER), 1);
	close(fd);
}

static void what_the_kernel_refuses_is_as_if_nothing_had_happened(void **state)
{
	struct rlimit was, few;
	struct pollfd on[] = { { .fd = eventfd(1, 0), .events = POLLIN, .revents = POLLHUP },
		{ .fd = -1, .revents = POLLHUP } };

	(void)state;
	getrlimit(RLIMIT_NOFILE, &was);
	few = (struct rlimit){ 1, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few); /* poll() of more is EINVAL */
	assert_int_equal(wait_for_events(on, 2, WAIT_FOR_EVER), 0);
	assert_int_equal(on[0].revents | on[1].revents, 0);
	setrlimit(RLIMIT_NOFILE, &was);
	assert_int_equal(wait_for_events(on, 2, WAIT_FOR_EVER), 1);
	close(on[0].fd);
}

static void waking_what_is_awake_or_gone_is_fine(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd on = { .fd = fd, .events = POLLIN };

	(void)state;
	assert_int_equal(eventfd_write(fd, UINT64_MAX - 1), 0);
	wake(fd);
	assert_int_equal(wait_for_events(&on, 1, 0), 1);
	wake(-1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(macros_evaluate_each_argument_once),
		cmocka_unit_test(a_time_that_is_past_is_no_error),
		cmocka_unit_test(what_the_kernel_refuses_is_as_if_nothing_had_happened),
		cmocka_unit_test(waking_what_is_awake_or_gone_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
