// SPDX-License-Identifier: GPL-3.0-or-later
/* The scheduler, on a clock and with an encoder that are made up: what is encoded, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "encoder/scheduler.h"

#define MS       NS_PER_MS
#define FRAME_NS (NS_PER_S / 30)

static struct scheduler scheduler;
static struct session_view view; /* of the encoder */
static struct frame frame;       /* the next one */
static int64_t now;
static unsigned submitted, keys;

static bool is_key; /* what is in flight is to be one */

static int setup(void **state)
{
	(void)state;
	scheduler_init(&scheduler);
	scheduler.wish.tuning.bitrate_kbps = 1000;
	view = (struct session_view){ .state = SESSION_RUNNING, .fps = 1000 };
	frame = (struct frame){ .online = true };
	now = 1000 * NS_PER_S;
	submitted = keys = 0;
	scheduler_begin(&scheduler);
	return 0;
}

static void hand_over(void)
{
	is_key = scheduler_hand_over(&scheduler, &view, &frame, now, now);
	keys += is_key;
	view.in_flight++;
	view.begin_ns = view.waiting_ns = now;
	submitted++;
}

/* The frame in flight comes out, of that size. */
static void come_out(size_t size, bool as_key)
{
	view.in_flight--;
	view.units++;
	view.last_size = size;
	view.ended_ns = now;
	if (as_key) {
		view.keys++;
		view.last_key_ns = now;
	}
}

/* The next frame, after `ns`, has been looked at. True: it is in flight. */
static bool look_at(int64_t ns, bool is_same)
{
	now += ns;
	frame.sequence++;
	frame.captured_ns = now;
	scheduler_look(&scheduler, &view, now);
	if (scheduler_judge(&scheduler, &view, &frame, is_same, now) != VERDICT_ENCODE)
		return false;
	hand_over();
	return true;
}

/* The same, and it is out: of a small size, and a key frame if it was to be one or is the first. */
static bool feed_sized(int64_t ns, bool is_same, size_t size)
{
	if (!look_at(ns, is_same))
		return false;
	come_out(size, is_key || !view.units);
	return true;
}

static bool feed(int64_t ns, bool is_same)
{
	return feed_sized(ns, is_same, 8);
}

/* ---- pictures that stand still */

static void a_picture_that_never_gets_sharp_is_encoded_for_two_seconds(void **state)
{
	int64_t begin = now;

	(void)state;
	scheduler.wish.static_fps = 1;
	feed_sized(0, false, 100000);
	for (int i = 0; i < 300 && feed_sized(FRAME_NS, true, 100000); i++)
		;
	assert_in_range(now - begin, 2 * NS_PER_S, 2 * NS_PER_S + FRAME_NS);
}

static void a_picture_that_is_sharp_is_left_out_sooner_and_comes_once_a_second(void **state)
{
	int64_t begin = now;
	int count = 0;

	(void)state;
	scheduler.wish.static_fps = 1;
	feed(0, false);
	for (int i = 0; i < 300 && feed(FRAME_NS, true); i++)
		;
	assert_in_range(now - begin, 8 * FRAME_NS, 9 * FRAME_NS);
	for (int i = 0; i < 300; i++) /* ten seconds */
		count += feed(FRAME_NS, true);
	assert_in_range(count, 9, 11);
	assert_true(feed(FRAME_NS, false)); /* a change is never left out */
}

static void a_picture_that_stands_still_is_encoded_until_it_is_sharp(void **state)
{
	int count = 0;

	(void)state;
	scheduler.wish.static_fps = 1;
	for (int i = 0; i < 80; i++)
		count += feed_sized(10 * MS, i > 0, count < 30 ? 100000 : 8);
	assert_in_range(count, 30 + 8, 30 + 8 + 1);
}

static void static_fps_0_leaves_nothing_out(void **state)
{
	(void)state;
	assert_false(scheduler_compares(&scheduler));
	for (int i = 0; i < 300; i++)
		assert_true(feed(FRAME_NS, true));
}

/* ---- key frames */

static void a_key_frame_is_made_of_a_still_picture_at_once(void **state)
{
	(void)state;
	scheduler.wish.static_fps = 1;
	for (int i = 0; i < 20; i++)
		feed(FRAME_NS, i > 0);
	assert_false(feed(FRAME_NS, true));
	scheduler_ask_key(&scheduler, now);
	assert_true(feed(FRAME_NS, true));
	assert_int_equal(keys, 1);
	assert_false(feed(FRAME_NS, true)); /* and no more than one */
}

static void a_request_is_not_forgotten_for_an_older_one(void **state)
{
	(void)state;
	scheduler_ask_key(&scheduler, 2000);
	scheduler_ask_key(&scheduler, 1000); /* of a turn that began before */
	assert_int_equal(atomic_load(&scheduler.asked_ns), 2000);
	scheduler_ask_key(&scheduler, 3000);
	assert_int_equal(atomic_load(&scheduler.asked_ns), 3000);
}

/* Each viewer that came while the first encoder opened has asked. */
static void one_key_frame_serves_all_who_asked_before_it(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		scheduler_ask_key(&scheduler, now += FRAME_NS);
	frame.range = RANGE_FULL;
	for (int i = 0; i < 60; i++)
		feed(FRAME_NS, false);
	assert_int_equal(keys, 1);
}

static void samples_that_mean_something_else_begin_with_a_key_frame(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		frame.range = i / 3 ? RANGE_FULL : RANGE_LIMITED;
		assert_true(look_at(FRAME_NS, false));
		assert_int_equal(is_key, i == 3);
		come_out(8, i % 3 == 0);
	}
}

/* A frame goes in, and all is silent; then a key frame, which is asked for `ns` before the next. */
static unsigned keys_asked_for_within(int64_t ns)
{
	feed(0, false);
	feed(NS_PER_S, false);
	scheduler_ask_key(&scheduler, now);
	assert_true(look_at(FRAME_NS, false));
	assert_true(look_at(ns, false));
	return keys;
}

static void a_key_frame_that_is_on_its_way_is_not_asked_for_again(void **state)
{
	(void)state;
	assert_int_equal(keys_asked_for_within(400 * MS), 1);
}

static void a_key_frame_that_was_lost_is_asked_for_again_after_half_a_second(void **state)
{
	(void)state;
	assert_int_equal(keys_asked_for_within(600 * MS), 2);
}

/* The session has seen it: the encoder dropped it, or made an ordinary one of it. */
static void a_key_frame_that_became_none_is_made_of_the_next(void **state)
{
	(void)state;
	feed(0, false);
	frame.range = RANGE_FULL; /* which only a key frame can say */
	for (int i = 0; i < 3; i++) {
		assert_true(look_at(NS_PER_S, false));
		assert_true(is_key);
		view.keys_lost++;
		come_out(8, false);
	}
	assert_true(look_at(NS_PER_S, false));
	assert_true(is_key);
	come_out(8, true);
	assert_true(look_at(NS_PER_S, false));
	assert_false(is_key);
}

/* Also where the next frame went in before that was known: at 60 fps, or on a slow Pi. */
static void a_key_frame_that_became_none_is_asked_for_again_at_once(void **state)
{
	(void)state;
	feed(0, false);
	assert_true(look_at(NS_PER_S, false));
	scheduler_ask_key(&scheduler, now);
	assert_true(look_at(FRAME_NS, false));
	assert_true(is_key);
	come_out(8, false);
	assert_true(look_at(FRAME_NS, false));
	assert_false(is_key);
	view.keys_lost++;
	come_out(8, false);
	assert_true(look_at(FRAME_NS, false));
	assert_true(is_key);
}

static void a_new_encoder_owes_no_key_frame_of_the_one_before(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		feed(NS_PER_S, false);
	scheduler_ask_key(&scheduler, now);
	assert_true(look_at(NS_PER_S, false));
	view = (struct session_view){ .state = SESSION_RUNNING, .fps = 1000 };
	scheduler_begin(&scheduler);
	feed(FRAME_NS, false);
	now += 200 * MS;
	assert_true(look_at(FRAME_NS, false));
	scheduler_ask_key(&scheduler, now);
	assert_true(look_at(FRAME_NS, false));
	assert_true(is_key);
}

static void a_storm_of_requests_costs_ten_key_frames_a_second(void **state)
{
	(void)state;
	feed(0, false);
	for (int i = 0; i < 100; i++) { /* two seconds */
		scheduler_ask_key(&scheduler, now);
		feed(20 * MS, false);
	}
	assert_in_range(keys, 15, 20);
}

static void a_picture_is_repeated_for_a_newcomer_once(void **state)
{
	(void)state;
	feed(0, false);
	now += NS_PER_S;
	assert_false(scheduler_repeats(&scheduler, &view, now));
	scheduler_ask_key(&scheduler, now);
	assert_true(scheduler_repeats(&scheduler, &view, now));
	feed(0, false);
	assert_int_equal(keys, 1);
	assert_false(scheduler_repeats(&scheduler, &view, now + NS_PER_S));
}

static void a_repetition_waits_until_key_frames_are_apart(void **state)
{
	(void)state;
	feed(0, false);
	scheduler_ask_key(&scheduler, now + 1);
	assert_false(scheduler_repeats(&scheduler, &view, now + 99 * MS));
	assert_int_equal(scheduler_due_ns(&scheduler, &view, true, now + 99 * MS), now + 100 * MS);
	assert_int_equal(scheduler_due_ns(&scheduler, &view, false, now + 99 * MS), INT64_MAX);
	assert_true(scheduler_repeats(&scheduler, &view, now + 100 * MS));
}

/* ---- rates and limits */

static unsigned count_of_60_fps(unsigned frames)
{
	scheduler_note_rate(&scheduler, 60);
	for (unsigned i = 0; i < frames; i++)
		feed(NS_PER_S / 60, false);
	return submitted;
}

static void no_more_frames_go_in_than_the_encoder_may_be_given(void **state)
{
	(void)state;
	scheduler.wish.tuning.fps = 60;
	view.fps = 30;
	assert_in_range(count_of_60_fps(60), 28, 33);
}

static void a_limit_lowers_what_was_asked_for_and_leaves_frames_out(void **state)
{
	(void)state;
	scheduler.wish.tuning.bitrate_kbps = 4000;
	scheduler.limit = (struct encoder_limit){ 1000, 20 };
	assert_in_range(count_of_60_fps(90), 28, 33);
	assert_int_equal(scheduler_tuning(&scheduler).bitrate_kbps, 1000);
	assert_int_equal(scheduler_tuning(&scheduler).fps, 20);
	scheduler.limit = (struct encoder_limit){ 0 };
	assert_int_equal(scheduler_tuning(&scheduler).bitrate_kbps, 4000);
	assert_int_equal(scheduler_tuning(&scheduler).fps, 60);
}

/* The slate has the time that it had before. */
static void a_limit_leaves_nothing_out_that_is_repeated_for_a_newcomer(void **state)
{
	(void)state;
	scheduler.limit.fps = 20;
	frame.online = false;
	feed(0, false);
	now += 200 * MS;
	scheduler_ask_key(&scheduler, now);
	assert_int_equal(scheduler_judge(&scheduler, &view, &frame, false, now), VERDICT_ENCODE);
}

static void a_level_is_chosen_for_what_a_limit_may_rise_to(void **state)
{
	(void)state;
	scheduler_note_rate(&scheduler, 60);
	scheduler.limit.fps = 20;
	assert_int_equal(scheduler_most_fps(&scheduler), 60);
	scheduler.wish.tuning.fps = 25; /* but not for what was not asked for */
	assert_int_equal(scheduler_most_fps(&scheduler), 25);
}

static void a_rate_that_changes_is_told_to_the_encoder(void **state)
{
	(void)state;
	scheduler_note_rate(&scheduler, 30);
	for (int i = 0; i < 200; i++)
		feed(NS_PER_S / 60, false);
	assert_int_equal(scheduler_tuning(&scheduler).fps, 60);
	assert_int_equal(scheduler_most_fps(&scheduler), 60);
}

/* A word that was heard before says nothing against what was measured since. */
static void what_is_measured_counts_more_than_what_a_source_repeats(void **state)
{
	(void)state;
	for (int i = 0; i < 200; i++) {
		scheduler_note_rate(&scheduler, 60);
		feed(NS_PER_S / 30, false);
	}
	assert_int_equal(scheduler_tuning(&scheduler).fps, 30);
	assert_int_equal(scheduler_most_fps(&scheduler), 60);
	scheduler_note_rate(&scheduler, 50);
	assert_int_equal(scheduler_tuning(&scheduler).fps, 50);
}

/* ---- just in time */

/* However late the thread is between looking whether there is room, and when there will be. */
static void what_is_not_due_at_a_turn_is_due_after_it(void **state)
{
	int64_t room_ns;

	(void)state;
	scheduler.convert_ns = 3 * MS;
	view.in_flight = 1;
	view.begin_ns = now;
	view.encode_ns = NS_PER_S;
	room_ns = now + NS_PER_S - scheduler.convert_ns - scheduler.lead_ns;
	for (int64_t at = room_ns - 2; at <= room_ns + 2; at++) {
		assert_int_equal(scheduler_has_room(&scheduler, &view, at), at >= room_ns);
		assert_true(scheduler_due_ns(&scheduler, &view, false, at) ==
			    (at < room_ns ? room_ns : INT64_MAX));
	}
}

/*
 * A source four times as fast as the encoder, which takes 20 ms, and preparing 3 of that: what it
 * gets is never old, and it never waits long for the next.
 */
static void an_overloaded_encoder_gets_fresh_frames_in_time(void **state)
{
	enum { CONVERT = 3, ENCODE = 20, SOURCE = 5 };
	int64_t captured[2] = { 0 }, ends = 0, newest = 0, idle = 0;

	(void)state;
	scheduler.convert_ns = CONVERT * MS;
	view.encode_ns = ENCODE * MS;
	for (int ms = 0; ms < 1000; ms++, now += MS) {
		if (ms % SOURCE == 0)
			newest = now;
		if (view.in_flight && now >= ends) {
			assert_true(now - captured[0] <= (ENCODE + CONVERT + SOURCE + 5) * MS);
			captured[0] = captured[1];
			come_out(8, false);
			view.begin_ns = view.in_flight ? now : 0;
			ends = now + ENCODE * MS;
		}
		idle += ms > 200 && !view.in_flight;
		scheduler_look(&scheduler, &view, now);
		if (!newest || !scheduler_has_room(&scheduler, &view, now))
			continue;
		captured[view.in_flight] = newest;
		if (!view.in_flight)
			ends = now + (CONVERT + ENCODE) * MS;
		scheduler_hand_over(&scheduler, &view, &frame, now, now + CONVERT * MS);
		if (!view.in_flight++)
			view.begin_ns = now + CONVERT * MS;
		newest = 0;
		assert_true(view.in_flight <= 2);
	}
	assert_true(view.units >= 45);
	assert_in_range(idle, 0, 40);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_picture_that_never_gets_sharp_is_encoded_for_two_seconds),
		TEST(a_picture_that_is_sharp_is_left_out_sooner_and_comes_once_a_second),
		TEST(a_picture_that_stands_still_is_encoded_until_it_is_sharp),
		TEST(static_fps_0_leaves_nothing_out),
		TEST(a_key_frame_is_made_of_a_still_picture_at_once),
		TEST(a_request_is_not_forgotten_for_an_older_one),
		TEST(one_key_frame_serves_all_who_asked_before_it),
		TEST(samples_that_mean_something_else_begin_with_a_key_frame),
		TEST(a_key_frame_that_is_on_its_way_is_not_asked_for_again),
		TEST(a_key_frame_that_was_lost_is_asked_for_again_after_half_a_second),
		TEST(a_key_frame_that_became_none_is_made_of_the_next),
		TEST(a_key_frame_that_became_none_is_asked_for_again_at_once),
		TEST(a_new_encoder_owes_no_key_frame_of_the_one_before),
		TEST(a_storm_of_requests_costs_ten_key_frames_a_second),
		TEST(a_picture_is_repeated_for_a_newcomer_once),
		TEST(a_repetition_waits_until_key_frames_are_apart),
		TEST(no_more_frames_go_in_than_the_encoder_may_be_given),
		TEST(a_limit_lowers_what_was_asked_for_and_leaves_frames_out),
		TEST(a_limit_leaves_nothing_out_that_is_repeated_for_a_newcomer),
		TEST(a_level_is_chosen_for_what_a_limit_may_rise_to),
		TEST(a_rate_that_changes_is_told_to_the_encoder),
		TEST(what_is_measured_counts_more_than_what_a_source_repeats),
		TEST(what_is_not_due_at_a_turn_is_due_after_it),
		TEST(an_overloaded_encoder_gets_fresh_frames_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
