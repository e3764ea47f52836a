// SPDX-License-Identifier: GPL-3.0-or-later
/* How the stream is limited, on a clock and lines that the test makes up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/util.h"
#include "fanout/adaptation.h"

#define WANTED 4000

/* An encoder, and lines that take so much. */
struct world {
	struct adaptation adapt;
	int64_t now_ns;
	unsigned n_lines, line_kbps[3];
	unsigned least_stream; /* the encoder makes no less */
	unsigned need_kbps;    /* what the picture takes */
	unsigned above;        /* the limit, in percent: how much more it makes */
	bool others;
};

static struct world make(unsigned n_lines, unsigned first, unsigned second)
{
	return (struct world){ .adapt = { .least_kbps = 300, .least_fps = 15 },
		.now_ns = 1000 * NS_PER_S,
		.n_lines = n_lines,
		.line_kbps = { first, second },
		.need_kbps = 100000 };
}

static unsigned kbps(const struct world *world)
{
	return world->adapt.kbps ? world->adapt.kbps : WANTED;
}

static void look(struct world *world)
{
	unsigned stream = MAX(MIN(kbps(world), world->need_kbps), world->least_stream);
	struct adaptation_look look = { .now_ns = world->now_ns += ADAPTATION_PERIOD_MS * NS_PER_MS,
		.wanted_kbps = WANTED,
		.fps = world->adapt.fps ? world->adapt.fps : 30,
		.viewers = world->n_lines,
		.others = world->others };

	stream += stream * world->above / 100;
	if (world->adapt.fps)
		stream = stream * world->adapt.fps / 30;
	look.stream_kbps = stream;
	for (unsigned i = 0; i < world->n_lines; i++) {
		if (world->line_kbps[i] >= stream)
			continue;
		look.congested++;
		look.line_kbps = MAX(look.line_kbps, world->line_kbps[i]);
	}
	adaptation_step(&world->adapt, &look);
}

static void go(struct world *world, unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 1000 / ADAPTATION_PERIOD_MS; i++)
		look(world);
}

static void a_fast_line_is_not_limited(void **state)
{
	struct world world = make(1, 10000, 0);

	(void)state;
	go(&world, 60);
	assert_int_equal(world.adapt.kbps, 0);
}

static void a_slow_line_alone_gets_less_than_it_takes_soon(void **state)
{
	struct world world = make(1, 1000, 0);

	(void)state;
	go(&world, 3);
	assert_in_range(kbps(&world), 700, 950);
	for (unsigned i = 0; i < 60; i++) {
		go(&world, 1);
		assert_in_range(kbps(&world), 700, 1060);
		assert_int_equal(world.adapt.fps, 0);
	}
}

static void one_hiccup_limits_nothing(void **state)
{
	struct world world = make(1, 1000, 0);

	(void)state;
	look(&world);
	world.line_kbps[0] = 10000;
	go(&world, 5);
	assert_int_equal(world.adapt.kbps, 0);
}

static void a_slow_line_beside_a_fast_one_limits_nothing(void **state)
{
	struct world world = make(2, 1000, 10000);

	(void)state;
	go(&world, 30);
	assert_int_equal(world.adapt.kbps, 0);
	world = make(1, 1000, 0);
	world.others = true; /* in shared memory */
	go(&world, 30);
	assert_int_equal(world.adapt.kbps, 0);
}

static void two_slow_lines_get_what_the_faster_takes(void **state)
{
	struct world world = make(2, 500, 2000);

	(void)state;
	go(&world, 20);
	assert_in_range(kbps(&world), 1500, 2300);
}

static void a_fast_viewer_that_comes_gets_all_soon(void **state)
{
	struct world world = make(1, 1000, 10000);

	(void)state;
	go(&world, 10);
	world.n_lines = 2;
	go(&world, 12);
	assert_int_equal(world.adapt.kbps, 0);
}

static void a_line_that_recovers_gets_all_again(void **state)
{
	struct world world = make(1, 1000, 0);

	(void)state;
	go(&world, 10);
	world.line_kbps[0] = 10000;
	go(&world, 5);
	assert_in_range(kbps(&world), 700, WANTED - 1);
	go(&world, 60);
	assert_int_equal(world.adapt.kbps, 0);
}

/* From the last change of the limit on. */
static int64_t time_until_the_next_change(struct world *world)
{
	int64_t begin_ns = world->adapt.changed_ns;

	for (unsigned i = 0; i < 100 && world->adapt.changed_ns == begin_ns; i++)
		look(world);
	return world->adapt.changed_ns - begin_ns;
}

static void a_lower_limit_has_a_second_to_show(void **state)
{
	struct world world = make(1, 100, 0);

	(void)state;
	go(&world, 1);
	assert_int_equal(kbps(&world), WANTED / 8);
	assert_int_equal(time_until_the_next_change(&world), NS_PER_S);
	assert_int_equal(kbps(&world), 300);
}

static void a_limit_is_raised_every_two_seconds(void **state)
{
	struct world world = make(1, 1000, 0);

	(void)state;
	go(&world, 3);
	world.line_kbps[0] = 10000;
	time_until_the_next_change(&world);
	for (unsigned i = 0; i < 2; i++) {
		unsigned before = kbps(&world);

		assert_int_equal(time_until_the_next_change(&world), 2 * NS_PER_S);
		assert_true(kbps(&world) > before);
	}
}

static void a_limit_is_raised_every_second_for_a_line_that_is_free(void **state)
{
	struct world world = make(1, 1000, 10000);

	(void)state;
	go(&world, 3);
	world.n_lines = 2;
	time_until_the_next_change(&world);
	assert_int_equal(time_until_the_next_change(&world), NS_PER_S);
}

static void what_is_not_used_is_not_raised(void **state)
{
	struct world world = make(1, 1000, 0);
	unsigned before;

	(void)state;
	go(&world, 3);
	world.need_kbps = 50;
	before = kbps(&world);
	go(&world, 60);
	assert_int_equal(kbps(&world), before);
}

static void nothing_goes_below_the_floor(void **state)
{
	struct world world = make(1, 10, 0);

	(void)state;
	go(&world, 60);
	assert_int_equal(world.adapt.kbps, 300);
	assert_int_equal(world.adapt.fps, 15);
}

static void frames_are_left_out_when_bits_cannot_be(void **state)
{
	struct world world = make(1, 1000, 0);

	(void)state;
	world.least_stream = 1400;
	go(&world, 20);
	assert_in_range(world.adapt.fps, 15, 22);
	world.least_stream = 0;
	world.line_kbps[0] = 10000;
	go(&world, 60);
	assert_int_equal(world.adapt.fps, 0);
	assert_int_equal(world.adapt.kbps, 0);
}

static void an_encoder_that_is_a_little_above_its_limit_leaves_no_frames_out(void **state)
{
	struct world world = make(1, 500, 0);

	(void)state;
	world.above = 10;
	for (unsigned i = 0; i < 60; i++) {
		go(&world, 1);
		assert_int_equal(world.adapt.fps, 0);
	}
	assert_in_range(kbps(&world), 350, 450);
}

static void a_rate_that_was_too_much_is_tried_again_seldom(void **state)
{
	struct world world = make(1, 1000, 0);
	unsigned changes = 0, before;

	(void)state;
	world.least_stream = 1300;
	go(&world, 20);
	for (unsigned i = 0; i < 120 * 1000 / ADAPTATION_PERIOD_MS; i++) {
		before = world.adapt.fps;
		look(&world);
		changes += world.adapt.fps != before;
	}
	assert_in_range(changes, 2, 12);
}

static void it_is_forgotten_when_nobody_watches(void **state)
{
	struct world world = make(1, 1000, 0);

	(void)state;
	go(&world, 5);
	assert_int_not_equal(world.adapt.kbps, 0);
	world.n_lines = 0;
	go(&world, 5);
	assert_int_not_equal(world.adapt.kbps, 0); /* a page that is loaded again */
	go(&world, 10);
	assert_int_equal(world.adapt.kbps, 0);
	assert_int_equal(world.adapt.least_kbps, 300);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fast_line_is_not_limited),
		cmocka_unit_test(a_slow_line_alone_gets_less_than_it_takes_soon),
		cmocka_unit_test(one_hiccup_limits_nothing),
		cmocka_unit_test(a_slow_line_beside_a_fast_one_limits_nothing),
		cmocka_unit_test(two_slow_lines_get_what_the_faster_takes),
		cmocka_unit_test(a_fast_viewer_that_comes_gets_all_soon),
		cmocka_unit_test(a_line_that_recovers_gets_all_again),
		cmocka_unit_test(a_lower_limit_has_a_second_to_show),
		cmocka_unit_test(a_limit_is_raised_every_two_seconds),
		cmocka_unit_test(a_limit_is_raised_every_second_for_a_line_that_is_free),
		cmocka_unit_test(what_is_not_used_is_not_raised),
		cmocka_unit_test(nothing_goes_below_the_floor),
		cmocka_unit_test(frames_are_left_out_when_bits_cannot_be),
		cmocka_unit_test(an_encoder_that_is_a_little_above_its_limit_leaves_no_frames_out),
		cmocka_unit_test(a_rate_that_was_too_much_is_tried_again_seldom),
		cmocka_unit_test(it_is_forgotten_when_nobody_watches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
