// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The hardware encoder on everything the fake one can be. The letters and numbers in comments are
 * the rules of real drivers that the fake enforces: tests/fake/README.md.
 */
#include "m2m.h"

static void open_here(void)
{
	struct encoder_config config = config_here();

	CHECK(start(&config) == 0);
}

/* E1 to E15, B6 to B11, G1, G2, G5, G6, G9, G14, G39 */
static void what_went_in_comes_out(void)
{
	open_here();
	CHECK(encoder->n_inputs >= 1 && encoder->fd >= 0);
	CHECK(feed_many(20) == 0);
	CHECK(n_units == 20 && keys[0] && n_keys == 1 && encoder->lost == 0);
	for (unsigned i = 0; i < n_units; i++)
		CHECK(order[i] == i);
	stop();
	check_pictures(3);
}

/* E8, E16, G24: no size is cut or stretched without a word. */
static void a_size_beyond_it_is_refused(void)
{
	struct encoder_config config = config_here();
	int fd = open(NODE, O_RDWR | O_CLOEXEC); /* the fake listens once it was touched */

	CHECK(fd >= 0 && close(fd) == 0);
	config.boost = true; /* which is about rates only */
	CHECK(start(&config) == -ERANGE);
	CHECK(counted("sessions") == 0);
}

/* E18 */
static void another_kind_of_node_is_refused(void)
{
	struct encoder_config config = config_here();

	CHECK(start(&config) == -ENODEV);
}

/* ---- rates and controls */

/* G3, C5: what the level has no room for is never asked for. */
static void rates_are_clamped_to_the_level(void)
{
	struct encoder_config config = config_here();

	config.tuning.bitrate_kbps = 100000;
	config.tuning.fps = 60;
	CHECK(start(&config) == 0);
	CHECK(encoder->level == 40 && encoder->tuning.fps == 30);
	CHECK(encoder->tuning.bitrate_kbps == 20000);
	CHECK(feed_many(2) == 0 && n_units == 2);
	stop();
}

/* G3 */
static void a_boost_is_level_4_2(void)
{
	struct encoder_config config = config_here();

	config.boost = true;
	config.tuning.fps = 60;
	CHECK(start(&config) == 0);
	CHECK(encoder->level == 42 && encoder->tuning.fps == 60);
	CHECK(feed_many(2) == 0 && n_units == 2);
	stop();
}

/* G3 is of the Pi's: others know themselves what they can do, and no boost is needed. */
static void other_hardware_may_do_more_than_a_pi(void)
{
	struct encoder_config config = config_here();

	config.tuning.fps = 60;
	config.tuning.bitrate_kbps = 30000;
	CHECK(start(&config) == 0);
	CHECK(encoder->level == 42 && encoder->tuning.fps == 60);
	CHECK(encoder->tuning.bitrate_kbps == 30000);
	CHECK(feed_many(2) == 0 && n_units == 2);
	stop();
}

/* G12, G21, G22: what makes the firmware hang is never asked for. */
static void what_hangs_the_hardware_is_raised(void)
{
	struct encoder_config config = config_here();

	config.tuning = (struct encoder_tuning){ .bitrate_kbps = 25, .gop = 1, .fps = 5 };
	CHECK(start(&config) == 0);
	CHECK(encoder->tuning.bitrate_kbps == 1000 && encoder->tuning.fps == 10);
	CHECK(encoder->tuning.gop == 2 && encoder->tuning.min_qp == 16);
	CHECK(feed_many(6) == 0 && n_units == 6 && n_keys == 3);
	stop();
}

/* C6, C7, G11, G12 */
static void key_frames_come_with_their_period(void)
{
	struct encoder_config config = config_here();

	config.tuning.gop = 10;
	CHECK(start(&config) == 0);
	CHECK(feed_many(35) == 0 && n_units == 35);
	for (unsigned i = 0; i < n_units; i++)
		CHECK(keys[i] == (i % 10 == 0));
	stop();
}

/* C4, C6, G12, G13 */
static void without_a_period_key_frames_come_when_asked_for(void)
{
	struct encoder_config config = config_here();

	config.tuning.gop = 0;
	CHECK(start(&config) == 0);
	CHECK(feed_many(100) == 0 && n_keys == 1);
	CHECK(feed(true) == 0 && settle_all() == 0);
	CHECK(n_units == 101 && n_keys == 2 && keys[100]);
	CHECK(feed_many(5) == 0 && n_keys == 2);
	stop();
}

/* C2, C9, C10, G38: live, and what holds is what is said. */
static void rate_and_period_change_while_frames_flow(void)
{
	struct encoder_tuning tuning;
	size_t before = 0, after = 0;

	open_here();
	CHECK(feed_many(20) == 0);
	tuning = encoder->tuning;
	tuning.bitrate_kbps = 1010;
	tuning.gop = 5;
	tuning.min_qp = 40;
	CHECK(encoder->ops->tune(encoder, &tuning) == 0);
	CHECK(encoder->tuning.gop == 5 && encoder->tuning.bitrate_kbps <= 1025);
	CHECK(encoder->tuning.bitrate_kbps >= 1000 && encoder->level == 40);
	CHECK(feed_many(40) == 0 && n_units == 60);
	for (unsigned i = 0; i < 15; i++) {
		before += sizes[5 + i];
		after += sizes[45 + i];
	}
	CHECK(n_keys > 6 && after < before);
	stop();
	check_pictures(6);
}

/* E17 */
static void the_rate_changes_while_frames_flow(void)
{
	struct encoder_tuning tuning;

	open_here();
	CHECK(feed_many(3) == 0 && counted("fps") == 30);
	tuning = encoder->tuning;
	tuning.fps = 20;
	CHECK(encoder->ops->tune(encoder, &tuning) == 0);
	CHECK(encoder->tuning.fps == 20);
	CHECK(feed_many(3) == 0 && counted("fps") == 20 && n_units == 6);
	stop();
}

/* C9: the hardware hears of it, and takes it up at the next key frame. */
static void the_range_of_qp_changes_while_frames_flow(void)
{
	struct encoder_tuning tuning;

	open_here();
	CHECK(feed_many(3) == 0 && counted("min_qp") == 16 && counted("max_qp") == 51);
	tuning = encoder->tuning;
	tuning.min_qp = 30;
	tuning.max_qp = 45;
	CHECK(encoder->ops->tune(encoder, &tuning) == 0);
	CHECK(encoder->tuning.min_qp == 30 && encoder->tuning.max_qp == 45);
	CHECK(feed(true) == 0 && feed_many(3) == 0 && n_units == 7);
	CHECK(counted("min_qp") == 30 && counted("max_qp") == 45);
	stop();
}

/* C3, C8: what is refused stays as it was, and everything goes on. */
static void a_refused_control_is_not_the_end(void)
{
	struct encoder_tuning tuning;

	open_here();
	CHECK(feed_many(3) == 0);
	command("reject %u", V4L2_CID_MPEG_VIDEO_BITRATE);
	tuning = encoder->tuning;
	tuning.bitrate_kbps = 2000;
	CHECK(encoder->ops->tune(encoder, &tuning) == 0);
	CHECK(encoder->tuning.bitrate_kbps == 8000);
	CHECK(feed_many(3) == 0 && n_units == 6);
	stop();
}

/* G10: parameter sets that come alone stand before every key frame all the same. */
static void parameter_sets_stand_before_each_key_frame(void)
{
	size_t at;

	open_here();
	CHECK(feed_many(5) == 0);
	at = sizes[0];
	CHECK(feed(true) == 0 && settle_all() == 0);
	CHECK(keys[0] && keys[5]);
	for (unsigned i = 1; i < 5; i++)
		at += sizes[i];
	for (unsigned i = 0; i < 2; i++) {
		uint8_t head[5];

		fseek(tape, i ? (long)at : 0, SEEK_SET);
		CHECK(fread(head, 1, 5, tape) == 5 && !memcmp(head, "\0\0\0\1", 4));
		CHECK((head[4] & 0x1F) == H264_NAL_SPS);
	}
	fseek(tape, 0, SEEK_END);
	stop();
	check_pictures(3);
}

/* ---- memory */

/* B3: fewer buffers rather than none. */
static void little_memory_will_do(void)
{
	open_here();
	CHECK(feed_many(10) == 0);
	CHECK(n_units == 10);
	stop();
	check_pictures(3);
}

/* B3, B2 */
static void no_memory_is_said_so(void)
{
	struct encoder_config config = config_here();

	CHECK(start(&config) == -ENOMEM);
}

static const struct m2m_case cases[] = {
	CASE("pi_takes_jpegs", what_went_in_comes_out, "m2m", V4L2_PIX_FMT_MJPEG, 1280, 720),
	CASE("pi_takes_yuyv", what_went_in_comes_out, "m2m", V4L2_PIX_FMT_YUYV, 720, 576),
	CASE("pi_takes_uyvy", what_went_in_comes_out, "m2m", V4L2_PIX_FMT_UYVY, 1360, 768),
	CASE("pi_takes_nv12", what_went_in_comes_out, "m2m", V4L2_PIX_FMT_NV12, 1366, 768),
	CASE("pi_takes_rgb", what_went_in_comes_out, "m2m", V4L2_PIX_FMT_RGB24, 800, 600),
	CASE("old_pi_takes_yuyv", what_went_in_comes_out, "m2m:variant=bcm2835-old",
		V4L2_PIX_FMT_YUYV, 720, 400),
	CASE("specification", what_went_in_comes_out, "m2m:variant=spec", V4L2_PIX_FMT_MJPEG, 1280,
		720),
	CASE("coda_is_single_planar", what_went_in_comes_out, "m2m:variant=coda",
		V4L2_PIX_FMT_MJPEG, 1366, 768),
	CASE("mediatek_has_planes_of_their_own", what_went_in_comes_out, "m2m:variant=mediatek",
		V4L2_PIX_FMT_MJPEG, 1280, 720),
	CASE("mediatek_semi_planar", what_went_in_comes_out, "m2m:variant=mediatek",
		V4L2_PIX_FMT_NV12, 720, 576),
	CASE("mediatek_planar", what_went_in_comes_out, "m2m:variant=mediatek", V4L2_PIX_FMT_YUV420,
		1366, 768),
	CASE("venus_pads_and_crops", what_went_in_comes_out, "m2m:variant=venus",
		V4L2_PIX_FMT_MJPEG, 1366, 768),
	/* Before 4.13 a selection knew the single-planar name of the queue only. */
	CASE("venus_pads_and_crops_with_old_kernels", what_went_in_comes_out,
		"m2m:variant=venus,pre2017", V4L2_PIX_FMT_MJPEG, 1366, 768),
	CASE("wider_than_a_pi_can", a_size_beyond_it_is_refused, "m2m", V4L2_PIX_FMT_MJPEG, 2048,
		1080),
	CASE("more_macroblocks_than_a_pi_can", a_size_beyond_it_is_refused, "m2m",
		V4L2_PIX_FMT_MJPEG, 1920, 1200),
	CASE("a_few_more_macroblocks_than_a_pi_can", a_size_beyond_it_is_refused, "m2m",
		V4L2_PIX_FMT_MJPEG, 1920, 1104),
	CASE("odd_sizes", a_size_beyond_it_is_refused, "m2m", V4L2_PIX_FMT_MJPEG, 641, 480),
	CASE("pi_5", another_kind_of_node_is_refused, "m2m:variant=pi5", V4L2_PIX_FMT_MJPEG, 640,
		480),
	CASE("decoder", another_kind_of_node_is_refused, "m2m:variant=decoder", V4L2_PIX_FMT_MJPEG,
		640, 480),
	CASE("isp", another_kind_of_node_is_refused, "m2m:variant=isp", V4L2_PIX_FMT_MJPEG, 640,
		480),
	CASE("encoder_of_jpegs", another_kind_of_node_is_refused, "m2m:variant=image",
		V4L2_PIX_FMT_MJPEG, 640, 480),
	CASE("rates_are_clamped_to_the_level", rates_are_clamped_to_the_level, "m2m",
		V4L2_PIX_FMT_MJPEG, 1920, 1080),
	CASE("a_boost_is_level_4_2", a_boost_is_level_4_2, "m2m", V4L2_PIX_FMT_MJPEG, 1920, 1080),
	CASE("other_hardware_may_do_more_than_a_pi", other_hardware_may_do_more_than_a_pi,
		"m2m:variant=spec", V4L2_PIX_FMT_MJPEG, 1920, 1080),
	CASE("what_hangs_the_hardware_is_raised", what_hangs_the_hardware_is_raised, "m2m",
		V4L2_PIX_FMT_MJPEG, 1920, 1080),
	PLAIN(key_frames_come_with_their_period, "m2m"),
	CASE("key_frames_come_with_their_period_in_old_kernels", key_frames_come_with_their_period,
		"m2m:variant=bcm2835-old", V4L2_PIX_FMT_MJPEG, 640, 480),
	CASE("key_frames_come_with_their_period_by_its_other_name",
		key_frames_come_with_their_period, "m2m:variant=coda", V4L2_PIX_FMT_MJPEG, 640,
		480),
	PLAIN(without_a_period_key_frames_come_when_asked_for, "m2m"),
	PLAIN(rate_and_period_change_while_frames_flow, "m2m"),
	PLAIN(the_rate_changes_while_frames_flow, "m2m"),
	PLAIN(the_range_of_qp_changes_while_frames_flow, "m2m"),
	PLAIN(a_refused_control_is_not_the_end, "m2m"),
	PLAIN(parameter_sets_stand_before_each_key_frame, "m2m"),
	CASE("parameter_sets_that_come_once", parameter_sets_stand_before_each_key_frame,
		"m2m:variant=coda", V4L2_PIX_FMT_MJPEG, 640, 480),
	CASE("parameter_sets_that_come_alone", parameter_sets_stand_before_each_key_frame,
		"m2m:variant=mediatek", V4L2_PIX_FMT_MJPEG, 640, 480),
	CASE("little_memory_will_do", little_memory_will_do, "m2m:cma=9", V4L2_PIX_FMT_MJPEG, 1920,
		1080),
	CASE("less_memory_will_do", little_memory_will_do, "m2m:cma=7", V4L2_PIX_FMT_MJPEG, 1920,
		1080),
	CASE("hardly_any_memory_will_do", little_memory_will_do, "m2m:cma=5", V4L2_PIX_FMT_MJPEG,
		1920, 1080),
	CASE("no_memory_is_said_so", no_memory_is_said_so, "m2m:cma=2", V4L2_PIX_FMT_MJPEG, 1920,
		1080),
};

int main(int argc, char *argv[])
{
	(void)argc;
	return run_cases(cases, ARRAY_SIZE(cases), argv);
}
