// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * How long the pipeline waits for frames, and what it takes silence for. pipeline.c is compiled in
 * here, over a source and a clock of our own: time passes only while the source is waited for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "slate/draw.h"

#define NOW_NS (1000 * NS_PER_S)

static struct {
	int64_t at_ns;
	unsigned frames, drops; /* that come, one after the other, before it falls silent */
	int64_t every_ns;
	uint64_t sequence;
} script;

static int64_t our_now(void)
{
	return script.at_ns;
}

#define now_ns                   our_now
#define pipeline_create          tested_create
#define pipeline_start           tested_start
#define pipeline_stop            tested_stop
#define pipeline_destroy         tested_destroy
#define pipeline_jpeg            tested_jpeg
#define pipeline_h264            tested_h264
#define pipeline_raw             tested_raw
#define pipeline_get_h264_status tested_get_h264_status
#define pipeline_set_options     tested_set_options
#define pipeline_limit_h264      tested_limit_h264
#define pipeline_device_controls tested_desk
#define pipeline_get_status      tested_get_status
#define pipeline_drops           tested_drops
#define pipeline_latency         tested_latency
#define pipeline_encoder_type    tested_encoder_type
#define pipeline_change_fd       tested_change_fd
#define pipeline_alive_ns        tested_alive_ns
#include "../../src/pipeline/pipeline.c" /* NOLINT(bugprone-suspicious-include) */

static int scripted_next(struct source *source, struct frame **out, int64_t until_ns)
{
	(void)source;
	if (script.drops || script.frames)
		script.at_ns += script.every_ns;
	if (script.drops) {
		script.drops--;
		return -EAGAIN;
	}
	if (script.frames) {
		script.frames--;
		assert_int_equal(draw_create(out, 64, 48), 0);
		(*out)->online = true;
		(*out)->sequence = ++script.sequence;
		(*out)->captured_ns = (*out)->grabbed_ns = script.at_ns;
		return 0;
	}
	assert_true(until_ns <= script.at_ns + NS_PER_S); /* it is to be seen alive */
	script.at_ns = MAX(script.at_ns, until_ns);
	return -ETIMEDOUT;
}

/* A driver that takes its time to tell its controls. */
static void slow_list(struct source *source, struct source_controls *out)
{
	(void)out;
	source->controls_changed = false;
	script.at_ns += 3 * NS_PER_S;
}

static const struct source_ops ops = { .name = "script", .next = scripted_next, .list = slow_list };
static struct source source = { .ops = &ops };
static struct options opt;
static struct pipeline *pipe_;

static int setup(void **state)
{
	(void)state;
	memset(&script, 0, sizeof(script));
	script.at_ns = NOW_NS;
	script.every_ns = NS_PER_S / 50;
	opt = (struct options){ .source = "testcard",
		.device = "",
		.workers = 1,
		.quality = 80,
		.resolution = { 64, 48 },
		.device_timeout_s = 1,
		.h264_encoder = H264_ENCODER_OFF };
	return 0;
}

/* How long it reads, in ms, and why it ends. */
static int64_t read_for(int *why)
{
	int64_t began;

	assert_int_equal(tested_create(&pipe_, &opt), 0);
	pipe_->ops = &ops;
	pipe_->opened_fps = opt.desired_fps;
	pipe_->memory.said = -EIO;
	began = script.at_ns;
	*why = read_frames(pipe_, &source);
	return (script.at_ns - began) / NS_PER_MS;
}

static void the_first_frame_has_five_seconds(void **state)
{
	int why;

	(void)state;
	assert_in_range(read_for(&why), 5000, 5001);
	assert_int_equal(why, -ETIMEDOUT);
	tested_destroy(pipe_);
}

static void what_its_driver_takes_for_a_list_is_no_silence(void **state)
{
	int why;

	(void)state;
	source.controls_changed = true;
	assert_in_range(read_for(&why), 3000 + 5000, 3000 + 5001);
	assert_int_equal(why, -ETIMEDOUT);
	tested_destroy(pipe_);
}

static void the_next_has_the_time_that_was_asked_for(void **state)
{
	int why;

	(void)state;
	script.frames = 50;
	assert_in_range(read_for(&why), 1000 + 1000, 1000 + 1001);
	assert_int_equal(why, -ETIMEDOUT);
	tested_destroy(pipe_);
}

static void a_slow_source_has_time_for_three_frames(void **state)
{
	int why;

	(void)state;
	script.frames = 4;
	script.every_ns = NS_PER_S;
	opt.desired_fps = 1;
	assert_in_range(read_for(&why), 4000 + 3000, 4000 + 3001);
	assert_int_equal(why, -ETIMEDOUT);
	tested_destroy(pipe_);
}

static void damage_is_told_from_silence(void **state)
{
	int why;

	(void)state;
	script.drops = 1000;
	read_for(&why);
	assert_int_equal(why, -EBADMSG);
	tested_destroy(pipe_);
}

static void a_picture_makes_errors_news_again(void **state)
{
	int why;

	(void)state;
	read_for(&why);
	assert_int_equal(pipe_->memory.said, -EIO);
	tested_destroy(pipe_);
	script.frames = 1;
	read_for(&why);
	assert_int_equal(pipe_->memory.said, 0);
	tested_destroy(pipe_);
}

static void a_source_that_is_too_slow_for_what_is_asked_is_opened_again(void **state)
{
	struct options faster;
	int64_t began = script.at_ns;

	(void)state;
	opt.desired_fps = 10;
	faster = opt;
	faster.desired_fps = 30;
	assert_int_equal(tested_create(&pipe_, &opt), 0);
	pipe_->ops = &ops;
	pipe_->opened_fps = 10;
	tested_set_options(pipe_, &faster);
	assert_int_equal(read_frames(pipe_, &source), -ERESTART);
	assert_int_equal(script.at_ns, began);
	tested_destroy(pipe_);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_frame_has_five_seconds),
		TEST(what_its_driver_takes_for_a_list_is_no_silence),
		TEST(the_next_has_the_time_that_was_asked_for),
		TEST(a_slow_source_has_time_for_three_frames),
		TEST(damage_is_told_from_silence),
		TEST(a_picture_makes_errors_news_again),
		TEST(a_source_that_is_too_slow_for_what_is_asked_is_opened_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
