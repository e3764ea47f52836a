// SPDX-License-Identifier: GPL-3.0-or-later
/* What the arbiter tells the encoder, whose stream one line cannot take, on a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"
#include "fanout/adaptation.h"
#include "fanout/arbiter.h"

#include "clock.h"

static struct encoder_limit told; /* to the encoder */
static unsigned n_looks;

/* Instead of those in the archive. */
void pipeline_get_h264_status(struct pipeline *pipeline, struct h264_status *out)
{
	(void)pipeline;
	*out = (struct h264_status){ .wanted.bitrate_kbps = 4000,
		.tuning.fps = told.fps ? told.fps : 30 };
}

void pipeline_limit_h264(struct pipeline *pipeline, const struct encoder_limit *limit)
{
	(void)pipeline;
	told = *limit;
}

void fanout_measure(struct fanout *fanout, struct fanout_load *out)
{
	(void)fanout;
	*out = (struct fanout_load){
		.viewers = 1, .congested = 1, .stream_kbps = told.bitrate_kbps
	};
	n_looks++;
}

bool sinks_get_status(struct sinks *sinks, enum sinks_kind kind, enum medium medium,
	struct sink_status *out)
{
	(void)sinks, (void)kind, (void)medium, (void)out;
	return false;
}

unsigned fanout_viewers(const struct fanout *fanout)
{
	(void)fanout;
	return 1;
}

/* A minute of watching. */
static void watch(const struct options *opt)
{
	struct event_base *base = event_base_new();
	struct arbiter *arbiter = arbiter_create(base, NULL, NULL, opt);

	told = (struct encoder_limit){ 0 };
	n_looks = 0;
	arbiter_wake(arbiter);
	for (unsigned i = 0; i < 120; i++) {
		clock_pass(ADAPTATION_PERIOD_MS * NS_PER_MS);
		event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	}
	arbiter_destroy(arbiter);
	event_base_free(base);
}

static void the_encoder_is_limited_as_far_as_the_options_let(void **state)
{
	static const struct encoder_limit least[] = { { 300, 15 }, { 1234, 7 }, { 25, 30 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(least); i++) {
		const struct options opt = { .h264_adaptive = 1,
			.h264_min_bitrate_kbps = (int)least[i].bitrate_kbps,
			.h264_min_fps = (int)least[i].fps };

		watch(&opt);
		assert_int_equal(told.bitrate_kbps, least[i].bitrate_kbps);
		assert_int_equal(told.fps, least[i].fps < 30 ? least[i].fps : 0);
	}
}

static void without_adaptation_nobody_looks(void **state)
{
	const struct options opt = { .h264_min_bitrate_kbps = 300, .h264_min_fps = 15 };

	(void)state;
	watch(&opt);
	assert_int_equal(n_looks, 0);
	assert_int_equal(told.bitrate_kbps, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_encoder_is_limited_as_far_as_the_options_let),
		cmocka_unit_test(without_adaptation_nobody_looks),
	};

	log_init(LOG_LEVEL_ERROR - 1, LOG_COLOUR_NEVER);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
