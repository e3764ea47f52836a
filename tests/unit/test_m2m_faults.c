// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The hardware encoder when things go wrong. The letters and numbers in comments are the rules of
 * real drivers that the fake enforces: tests/fake/README.md.
 */
#include "m2m.h"

static void open_here(void)
{
	struct encoder_config config = config_here();

	CHECK(start(&config) == 0);
}

/* ---- what comes out */

/* G16: a frame that rate control dropped is known after a moment, and nothing waits for it. */
static void dropped_frames_are_counted(void)
{
	open_here();
	CHECK(feed_many(3) == 0);
	command("drop 1");
	CHECK(feed(false) == 0 && settle_all() == 0);
	CHECK(encoder->lost == 1 && n_units == 3);
	command("drop 1");
	CHECK(feed_many(3) == 0);
	CHECK(encoder->lost == 2 && n_units == 5 && order[4] == 6);
	stop();
}

/* G16: by itself, and once, whether the firmware remembers it or not. */
static void a_key_frame_that_was_dropped_is_told(void)
{
	open_here();
	CHECK(feed_many(3) == 0);
	command("drop 1");
	CHECK(feed(true) == 0 && settle_all() == 0);
	CHECK(n_units == 3 && encoder->lost == 1 && counted("forced") == 1);
	CHECK(encoder->keys_lost == 1); /* who wanted it asks again */
	CHECK(feed_many(2) == 0 && n_units == 5 && counted("forced") == 1);
	stop();
}

/* G16, old kernels: each drop costs a buffer, until none is left; that is for the watchdog. */
static void lost_buffers_are_no_busy_loop(void)
{
	open_here();
	command("pre2022 on");
	command("drop 100");
	CHECK(feed(false) == 0 && feed(false) == 0);
	settle(0, 0, 300);
	command("drop 0");
	CHECK(feed(false) == 0);
	settle(0, 0, 500);
	stop();
}

/* G17: pieces are one unit; G19: buffers go back at once, or these few would stop it. */
static void pieces_are_joined(void)
{
	open_here();
	CHECK(feed_many(12) == 0);
	CHECK(n_units == 12 && encoder->lost == 0 && counted("pieces") > 12);
	stop();
	check_pictures(3);
}

/* G17: a unit that fills its last buffer may go on. Nobody knows, so the next is a key frame. */
static void a_unit_whose_end_is_doubtful_is_followed_by_a_key_frame(void)
{
	size_t size;

	open_here();
	CHECK(feed_many(3) == 0 && n_keys == 1);
	size = sizes[1];
	stop();
	submitted = n_units = n_keys = 0;
	command("split %zu", size);
	open_here();
	CHECK(feed_many(1) == 0);
	CHECK(feed(false) == 0 && settle_all() == 0);
	CHECK(sizes[1] == size && !keys[1] && encoder->lost == 0);
	CHECK(feed_many(2) == 0 && n_units == 4);
	CHECK(keys[2] && !keys[3]);
	stop();
}

/* G18: what is damaged is not passed on, and what builds on it is healed. */
static void a_damaged_unit_is_dropped_and_a_key_frame_follows(void)
{
	open_here();
	CHECK(feed_many(5) == 0 && n_keys == 1);
	command("error 1");
	CHECK(feed(false) == 0 && settle_all() == 0);
	CHECK(n_units == 5 && encoder->lost == 1);
	CHECK(feed_many(2) == 0);
	CHECK(n_units == 7 && keys[5] && !keys[6] && order[5] == 6);
	stop();
}

/* G20, G25: the picture may come back before its unit or after it; nobody spins meanwhile. */
static void waiting_costs_nothing(void)
{
	unsigned before;

	open_here();
	CHECK(feed_many(30) == 0 && n_units == 30);
	command("stall 800");
	CHECK(feed(false) == 0);
	before = n_turns;
	CHECK(settle_all() == 0 && n_units == 31 && encoder->lost == 0);
	CHECK(n_turns - before < 2 * 800 / 20);
	stop();
}

static void two_frames_are_in_flight(void)
{
	open_here();
	CHECK(feed_many(11) == 0 && n_units == 11);
	CHECK(counted("max_in_flight") == 2);
	stop();
}

/* ---- what fails */

/* §1.23, G26: EIO is the end of this one, and of nothing else. */
static void an_io_error_is_said(void)
{
	open_here();
	CHECK(feed_many(3) == 0);
	command("eio");
	CHECK(feed(false) == -EIO || settle_all() == -EIO);
	stop();
	open_here();
	CHECK(feed_many(3) == 0);
	stop();
}

/* G25: a device that is gone is no busy loop. */
static void a_device_that_is_gone_is_said(void)
{
	int res;

	open_here();
	CHECK(feed_many(3) == 0);
	command("stall 5000");
	CHECK(feed(false) == 0);
	command("unplug");
	res = settle_all();
	CHECK(res == -ENODEV || res == -EIO);
	stop();
}

/* G25: and neither is one that only poll() knows to be dead. */
static void a_dead_queue_is_said(void)
{
	open_here();
	command("stall 5000");
	CHECK(feed(false) == 0);
	command("eio");
	command("fail dqbuf eagain 1000");
	CHECK(settle_all() == -EIO);
	hurry(); /* the stall goes on */
	stop();
}

/* G3, G7, G8: a refused start is final, with EINTR and EAGAIN too, and nobody tries again. */
static void a_refused_start_is_final(void)
{
	struct encoder_config config = config_here();

	CHECK(start(&config) == -EIO);
	CHECK(start(&config) == 0 && feed_many(2) == 0 && n_units == 2);
	stop();
}

/* B2, G35: nothing can be had of it; §2.10 */
static void a_wedged_one_is_said_so(void)
{
	struct encoder_config config = config_here();
	int64_t begin;

	open_here();
	CHECK(feed_many(2) == 0);
	command("wedge");
	hurry();
	feed(false); /* which it may refuse already */
	CHECK(settle(0, 0, 300) < 0);
	begin = now_ns();
	stop();
	CHECK(start(&config) < 0);
	CHECK(now_ns() - begin > NS_PER_S);
	calm_set(1, SLOWER);
	alarm(150);
	command("reboot");
	open_here();
	CHECK(feed_many(2) == 0);
	stop();
}

static const struct m2m_case cases[] = {
	PLAIN(dropped_frames_are_counted, "m2m"),
	PLAIN(a_key_frame_that_was_dropped_is_told, "m2m"),
	PLAIN(lost_buffers_are_no_busy_loop, "m2m"),
	CASE("pieces_are_joined", pieces_are_joined, "m2m:split=4096", V4L2_PIX_FMT_MJPEG, 1280,
		720),
	CASE("small_pieces_of_a_driver_with_headers_apart", pieces_are_joined,
		"m2m:variant=mediatek,split=1500", V4L2_PIX_FMT_MJPEG, 1280, 720),
	CASE("a_unit_whose_end_is_doubtful_is_followed_by_a_key_frame",
		a_unit_whose_end_is_doubtful_is_followed_by_a_key_frame, "m2m", V4L2_PIX_FMT_MJPEG,
		640, 480),
	PLAIN(a_damaged_unit_is_dropped_and_a_key_frame_follows, "m2m"),
	PLAIN(waiting_costs_nothing, "m2m"),
	CASE("two_frames_are_in_flight", two_frames_are_in_flight, "m2m:latency=40",
		V4L2_PIX_FMT_MJPEG, 640, 480),
	PLAIN(an_io_error_is_said, "m2m"),
	PLAIN(a_device_that_is_gone_is_said, "m2m"),
	PLAIN(a_dead_queue_is_said, "m2m"),
	CASE("a_refused_start_is_final", a_refused_start_is_final, "m2m:fail=streamon eintr 1",
		V4L2_PIX_FMT_MJPEG, 640, 480),
	CASE("a_start_that_is_not_ready_is_final", a_refused_start_is_final,
		"m2m:fail=streamon eagain 1", V4L2_PIX_FMT_MJPEG, 640, 480),
	PLAIN(a_wedged_one_is_said_so, "m2m"),
};

int main(int argc, char *argv[])
{
	(void)argc;
	return run_cases(cases, ARRAY_SIZE(cases), argv);
}
