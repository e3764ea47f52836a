// SPDX-License-Identifier: GPL-3.0-or-later
/* What was measured in the last ten seconds. */
#include "base/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"

#define START_NS (1000 * NS_PER_S)

static struct window_view look(const struct window *window, int64_t now_ns)
{
	struct window_view view;

	window_get(window, now_ns, &view);
	return view;
}

static void percentiles_are_what_so_many_do_not_exceed(void **state)
{
	struct window window = { 0 };
	struct window_view view;

	(void)state;
	for (int i = 0; i < 100; i++)
		window_add(&window, START_NS + i, (i * 37) % 100 + 1); /* 1 to 100, shuffled */
	view = look(&window, START_NS + 100);
	assert_int_equal(view.count, 100);
	assert_int_equal(view.sum, 5050);
	assert_int_equal(view.p50, 50);
	assert_int_equal(view.p95, 95);
	assert_int_equal(view.p99, 99);
}

static void one_value_is_all_of_them(void **state)
{
	struct window window = { 0 };
	struct window_view view;

	(void)state;
	assert_int_equal(look(&window, START_NS).count, 0);
	window_add(&window, START_NS, -7);
	view = look(&window, START_NS);
	assert_int_equal(view.p50, -7);
	assert_int_equal(view.p99, -7);
}

static void what_is_older_than_ten_seconds_counts_no_more(void **state)
{
	struct window window = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++)
		window_add(&window, START_NS + i * NS_PER_S, i);
	assert_int_equal(look(&window, START_NS + 19 * NS_PER_S).count, 10);
	assert_int_equal(look(&window, START_NS + 19 * NS_PER_S).p50, 14);
	assert_int_equal(look(&window, START_NS + 29 * NS_PER_S).count, 0);
}

static void of_too_many_the_newest_count(void **state)
{
	static struct window window;

	(void)state;
	for (unsigned i = 0; i < WINDOW_SAMPLES + 100; i++)
		window_add(&window, START_NS, i);
	assert_int_equal(look(&window, START_NS).count, WINDOW_SAMPLES);
	assert_int_equal(look(&window, START_NS).p50, 100 + WINDOW_SAMPLES / 2 - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_what_so_many_do_not_exceed),
		cmocka_unit_test(one_value_is_all_of_them),
		cmocka_unit_test(what_is_older_than_ten_seconds_counts_no_more),
		cmocka_unit_test(of_too_many_the_newest_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
