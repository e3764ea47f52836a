// SPDX-License-Identifier: GPL-3.0-or-later
/* Histograms of times, and the stages that a frame's times fall into. */
#include "media/latency.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"

static struct histogram histogram;

static struct histogram_view read_it(void)
{
	struct histogram_view view;

	histogram_read(&histogram, &view);
	return view;
}

static int empty(void **state)
{
	(void)state;
	histogram = (struct histogram){ 0 };
	return 0;
}

static void a_time_at_a_bound_is_below_it(void **state)
{
	struct histogram_view view;

	(void)state;
	histogram_add(&histogram, NS_PER_MS);
	histogram_add(&histogram, NS_PER_MS + 1);
	view = read_it();
	assert_int_equal(view.count[0], 1);
	assert_int_equal(view.count[1], 1);
	assert_int_equal(view.sum_ns, 2 * NS_PER_MS + 1);
}

static void negative_and_endless_times_are_counted(void **state)
{
	struct histogram_view view;

	(void)state;
	histogram_add(&histogram, -5);
	histogram_add(&histogram, 60 * NS_PER_S);
	view = read_it();
	assert_int_equal(view.total, 2);
	assert_int_equal(view.count[0], 1);
	assert_int_equal(view.count[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(histogram_quantile_ns(&view, 990), 5 * NS_PER_S);
}

static void bounds_grow_from_a_millisecond_to_five_seconds(void **state)
{
	(void)state;
	assert_int_equal(histogram_bound_us(0), 1000);
	for (unsigned i = 1; i < HISTOGRAM_BUCKETS - 1; i++)
		assert_true(histogram_bound_us(i) > histogram_bound_us(i - 1));
	assert_int_equal(histogram_bound_us(HISTOGRAM_BUCKETS - 2), 5000000);
	assert_int_equal(histogram_bound_us(HISTOGRAM_BUCKETS - 1), 0);
}

static void quantiles_lie_within_their_bucket(void **state)
{
	struct histogram_view view;

	(void)state;
	for (int ms = 1; ms <= 100; ms++)
		histogram_add(&histogram, ms * NS_PER_MS);
	view = read_it();
	assert_in_range(histogram_quantile_ns(&view, 500), 49 * NS_PER_MS, 51 * NS_PER_MS);
	assert_in_range(histogram_quantile_ns(&view, 950), 94 * NS_PER_MS, 96 * NS_PER_MS);
	assert_in_range(histogram_quantile_ns(&view, 1), 1, NS_PER_MS);
}

static void nothing_counted_has_quantile_zero(void **state)
{
	struct histogram_view view = read_it();

	(void)state;
	assert_int_equal(histogram_quantile_ns(&view, 500), 0);
}

static int64_t total_ns(const struct latency *latency)
{
	int64_t total = 0;

	for (unsigned i = 0; i < STAGES; i++)
		total += (int64_t)latency->stage[i].sum_ns;
	return total;
}

static void stages_add_up_to_the_age(void **state)
{
	static struct latency latency;
	struct frame frame = { .online = true,
		.captured_ns = 1 * NS_PER_MS,
		.grabbed_ns = 2 * NS_PER_MS,
		.convert_begin_ns = 4 * NS_PER_MS,
		.encode_begin_ns = 7 * NS_PER_MS,
		.encode_end_ns = 15 * NS_PER_MS,
		.published_ns = 16 * NS_PER_MS };

	(void)state;
	latency_note_published(&latency, &frame);
	assert_int_equal(latency.published.sum_ns, 15 * NS_PER_MS);
	assert_int_equal(total_ns(&latency), 15 * NS_PER_MS);
	assert_int_equal(latency.stage[STAGE_CONVERT].sum_ns, 3 * NS_PER_MS);
	frame.convert_begin_ns = 0;
	latency_note_published(&latency, &frame);
	assert_int_equal(total_ns(&latency), 30 * NS_PER_MS);
}

static void the_slate_is_published_and_has_no_age(void **state)
{
	static struct latency latency;
	struct frame slate = { .captured_ns = 1, .grabbed_ns = 1, .published_ns = NS_PER_S };

	(void)state;
	latency_note_published(&latency, &slate);
	assert_int_equal(latency.frames, 1);
	assert_int_equal(total_ns(&latency), 0);
}

static void what_is_sent_counts_once(void **state)
{
	static struct latency latency;
	struct frame frame = { .online = true, .captured_ns = 1, .published_ns = 2 };
	struct latency_sending sending = { 0 };
	struct histogram_view view;

	(void)state;
	latency_note_sent(&latency, &sending);
	latency_begin_sending(&sending, &frame);
	latency_note_sent(&latency, &sending);
	latency_note_sent(&latency, &sending);
	histogram_read(&latency.sent, &view);
	assert_int_equal(view.total, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_time_at_a_bound_is_below_it, empty),
		cmocka_unit_test_setup(negative_and_endless_times_are_counted, empty),
		cmocka_unit_test(bounds_grow_from_a_millisecond_to_five_seconds),
		cmocka_unit_test_setup(quantiles_lie_within_their_bucket, empty),
		cmocka_unit_test_setup(nothing_counted_has_quantile_zero, empty),
		cmocka_unit_test(stages_add_up_to_the_age),
		cmocka_unit_test(the_slate_is_published_and_has_no_age),
		cmocka_unit_test(what_is_sent_counts_once),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
