// SPDX-License-Identifier: GPL-3.0-or-later
/* --desired-fps by time: the right number of frames, evenly spaced, whatever the source sends. */
#include "base/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"

#define START_NS (1000 * NS_PER_S)

struct outcome {
	double fps;
	int64_t max_gap_ns, min_gap_ns;
};

static int64_t noise(int64_t amplitude_ns, unsigned *seed)
{
	return amplitude_ns ? (int64_t)rand_r(seed) % (2 * amplitude_ns) - amplitude_ns : 0;
}

/* Sends `seconds` of a source through a limiter; the first second settles and is not counted. */
static struct outcome run(double source_fps, unsigned limit, int seconds, int64_t jitter_ns)
{
	struct outcome out = { 0, 0, INT64_MAX };
	struct limiter limiter;
	int64_t last = 0, first = 0;
	unsigned passed = 0, seed = 1;

	limiter_init(&limiter, limit);
	for (int i = 0; i < (int)(source_fps * seconds); i++) {
		int64_t at = START_NS + (int64_t)(i * (double)NS_PER_S / source_fps) +
			     noise(jitter_ns, &seed);

		if (!limiter_pass(&limiter, at))
			continue;
		if (at >= START_NS + NS_PER_S) {
			first = first ? first : at;
			if (last >= START_NS + NS_PER_S) {
				out.max_gap_ns = MAX(out.max_gap_ns, at - last);
				out.min_gap_ns = MIN(out.min_gap_ns, at - last);
			}
			passed++;
		}
		last = at;
	}
	out.fps = (passed - 1) / ((double)(last - first) / NS_PER_S);
	return out;
}

static void assert_rate(struct outcome got, double least, double most)
{
	if (got.fps < least || got.fps > most)
		fail_msg("%.2f fps, not %.2f to %.2f", got.fps, least, most);
}

/* No gap is longer than the grid's and one frame of the source together. */
static void assert_even(struct outcome got, double source_fps, unsigned limit, int64_t jitter_ns)
{
	int64_t source_ns = (int64_t)(NS_PER_S / source_fps), grid_ns = NS_PER_S / limit;

	if (got.max_gap_ns > grid_ns + source_ns + 2 * jitter_ns)
		fail_msg("a gap of %lld ms", (long long)got.max_gap_ns / NS_PER_MS);
	if (got.min_gap_ns < grid_ns - source_ns - 2 * jitter_ns)
		fail_msg("a gap of only %lld ms", (long long)got.min_gap_ns / NS_PER_MS);
}

static void thirty_one_to_thirty_gives_thirty(void **state)
{
	struct outcome got = run(31, 30, 60, 0);

	(void)state;
	assert_rate(got, 29.5, 30.05);
	assert_even(got, 31, 30, 0);
}

static void sixty_one_to_thirty_gives_thirty(void **state)
{
	struct outcome got = run(61, 30, 60, 0);

	(void)state;
	assert_rate(got, 29.5, 30.05);
	assert_even(got, 61, 30, 0);
}

static void sixty_to_twenty_five_gives_twenty_five(void **state)
{
	struct outcome got = run(60, 25, 60, 0);

	(void)state;
	assert_rate(got, 24.5, 25.05);
	assert_even(got, 60, 25, 0);
}

/* Frames stand right on the grid here, so one that is a little early must not be taken for late. */
static void jitter_does_not_make_half_the_rate_uneven(void **state)
{
	struct outcome got = run(60, 30, 20, NS_PER_MS);

	(void)state;
	assert_rate(got, 29.9, 30.1);
	assert_in_range(got.max_gap_ns / NS_PER_US, 33000, 36000);
	assert_in_range(got.min_gap_ns / NS_PER_US, 31000, 34000);
}

static void every_pair_of_rates_comes_out_right(void **state)
{
	static const double sources[] = { 24, 25, 29.97, 30, 31, 50, 59.94, 60, 61, 120 };
	static const unsigned limits[] = { 1, 5, 10, 15, 20, 24, 25, 29, 30, 50, 59, 60 };

	(void)state;
	for (unsigned s = 0; s < ARRAY_SIZE(sources); s++) {
		for (unsigned l = 0; l < ARRAY_SIZE(limits); l++) {
			double wanted = MIN(sources[s], limits[l]);
			struct outcome got = run(sources[s], limits[l], 60, 0);

			if (got.fps < wanted * 0.98 || got.fps > wanted * 1.02)
				fail_msg("%.2f limited to %u gives %.2f", sources[s], limits[l],
					got.fps);
			if (limits[l] < sources[s])
				assert_even(got, sources[s], limits[l], 0);
		}
	}
}

static void a_source_at_the_limit_passes_whole_in_spite_of_jitter(void **state)
{
	struct outcome got = run(30, 30, 120, 8 * NS_PER_MS);

	(void)state;
	assert_rate(got, 29.8, 30.1);
}

static void a_source_a_little_below_the_limit_passes_whole(void **state)
{
	struct outcome got = run(29.97, 30, 120, 2 * NS_PER_MS);

	(void)state;
	assert_rate(got, 29.9, 30.0);
}

static void jitter_does_not_change_the_rate(void **state)
{
	struct outcome got = run(60, 25, 120, 5 * NS_PER_MS);

	(void)state;
	assert_rate(got, 24.5, 25.2);
	assert_even(got, 60, 25, 5 * NS_PER_MS);
	assert_rate(run(31, 30, 120, 5 * NS_PER_MS), 29.5, 30.2);
	assert_rate(run(61, 30, 120, 5 * NS_PER_MS), 29.5, 30.2);
}

static void no_limit_passes_everything(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 0);
	for (int i = 0; i < 100; i++)
		assert_true(limiter_pass(&limiter, START_NS + i));
}

static void the_first_frame_passes(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 1);
	assert_true(limiter_pass(&limiter, START_NS));
	assert_false(limiter_pass(&limiter, START_NS + 33 * NS_PER_MS));
}

/* Passes `seconds` of 60 fps from `from_ns` on through; returns how many came through. */
static unsigned send(struct limiter *limiter, int64_t from_ns, int seconds)
{
	unsigned passed = 0;

	for (int i = 0; i < 60 * seconds; i++)
		passed += limiter_pass(limiter, from_ns + i * NS_PER_S / 60);
	return passed;
}

static void after_a_pause_the_first_frame_passes_and_no_burst_follows(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 30);
	assert_in_range(send(&limiter, START_NS, 2), 59, 61);
	assert_true(limiter_pass(&limiter, START_NS + 100 * NS_PER_S));
	assert_in_range(send(&limiter, START_NS + 100 * NS_PER_S + NS_PER_S / 60, 2), 58, 60);
}

static void a_clock_that_steps_back_does_not_stop_the_picture(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 30);
	send(&limiter, START_NS, 2);
	assert_in_range(send(&limiter, START_NS - 500 * NS_PER_S, 2), 59, 61);
}

static void a_slower_source_runs_no_debt(void **state)
{
	struct limiter limiter;

	(void)state;
	limiter_init(&limiter, 30);
	for (int i = 0; i < 100; i++) /* five seconds */
		assert_true(limiter_pass(&limiter, START_NS + i * NS_PER_S / 20));
	assert_in_range(send(&limiter, START_NS + 5 * NS_PER_S, 2), 58, 63);
}

/* A second of a source; of its frames only each `step`-th is seen. True: it has another rate now. */
static bool measure(struct cadence *cadence, unsigned fps, unsigned step)
{
	static uint64_t sequence;
	static int64_t at_ns = START_NS;
	bool changed = false;

	for (unsigned i = 0; i < fps; i += step) {
		sequence += step;
		at_ns += step * NS_PER_S / fps + 1;
		changed |= cadence_measure(cadence, sequence, at_ns);
	}
	return changed;
}

static void a_source_is_as_fast_as_its_numbers_say(void **state)
{
	struct cadence cadence = { 0 };

	(void)state;
	assert_false(cadence_measure(&cadence, 0, START_NS));
	assert_true(measure(&cadence, 60, 1));
	assert_int_equal(cadence.fps, 60);
	assert_false(measure(&cadence, 60, 3)); /* frames that nobody saw count, too */
	assert_false(measure(&cadence, 58, 1)); /* too little to be told */
	assert_int_equal(cadence.fps, 60);
	measure(&cadence, 30, 1);
	measure(&cadence, 30, 1);
	assert_int_equal(cadence.fps, 30);
}

static void the_meter_counts_whole_seconds(void **state)
{
	struct rate rate = { 0 };

	(void)state;
	assert_int_equal(rate_get(&rate, START_NS), 0);
	for (int i = 0; i < 75; i++)
		rate_tick(&rate, START_NS + i * NS_PER_S / 30);
	assert_int_equal(rate_get(&rate, START_NS + 2500 * NS_PER_MS), 30);
}

static void the_meter_falls_to_zero_when_nothing_comes(void **state)
{
	struct rate rate = { 0 };

	(void)state;
	for (int i = 0; i < 60; i++)
		rate_tick(&rate, START_NS + i * NS_PER_S / 30);
	assert_int_equal(rate_get(&rate, START_NS + 2100 * NS_PER_MS), 30);
	assert_int_equal(rate_get(&rate, START_NS + 3100 * NS_PER_MS), 0);
	rate_tick(&rate, START_NS + 10 * NS_PER_S);
	assert_int_equal(rate_get(&rate, START_NS + 10 * NS_PER_S), 0);
	assert_int_equal(rate_get(&rate, START_NS + 11 * NS_PER_S), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thirty_one_to_thirty_gives_thirty),
		cmocka_unit_test(sixty_one_to_thirty_gives_thirty),
		cmocka_unit_test(sixty_to_twenty_five_gives_twenty_five),
		cmocka_unit_test(jitter_does_not_make_half_the_rate_uneven),
		cmocka_unit_test(every_pair_of_rates_comes_out_right),
		cmocka_unit_test(a_source_at_the_limit_passes_whole_in_spite_of_jitter),
		cmocka_unit_test(a_source_a_little_below_the_limit_passes_whole),
		cmocka_unit_test(jitter_does_not_change_the_rate),
		cmocka_unit_test(no_limit_passes_everything),
		cmocka_unit_test(the_first_frame_passes),
		cmocka_unit_test(after_a_pause_the_first_frame_passes_and_no_burst_follows),
		cmocka_unit_test(a_clock_that_steps_back_does_not_stop_the_picture),
		cmocka_unit_test(a_slower_source_runs_no_debt),
		cmocka_unit_test(a_source_is_as_fast_as_its_numbers_say),
		cmocka_unit_test(the_meter_counts_whole_seconds),
		cmocka_unit_test(the_meter_falls_to_zero_when_nothing_comes),
	};

	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
