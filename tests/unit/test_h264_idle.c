// SPDX-License-Identifier: GPL-3.0-or-later
/* An H.264 encoder that nobody watches, on a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>

#include "base/util.h"
#include "clock.h"
#include "encoder/h264.h"
#include "slate/draw.h"

#define ANSWER_MS 20000 /* of real time, against hanging for ever */

static struct options opt;
static struct drops drops;
static struct outlet *raw;
static struct h264_encoder *encoder;
static struct mailbox *viewer;

static struct h264_status status(void)
{
	struct h264_status now;

	h264_encoder_get_status(encoder, &now);
	return now;
}

/* Its thread looks at all when it is woken: it has, when the bitrate is this one. */
static void let_it_look(unsigned kbps)
{
	opt.h264_bitrate_kbps = (int)kbps;
	h264_encoder_obey(encoder, &opt);
	for (int i = 0; i < ANSWER_MS; i++) {
		if (status().tuning.bitrate_kbps == kbps || !*status().device)
			return;
		poll(NULL, 0, 1);
	}
	fail_msg("it looks at nothing");
}

static void watch(void)
{
	struct pollfd on = { .fd = mailbox_fd(viewer), .events = POLLIN };
	struct frame *picture;

	outlet_attach(h264_encoder_outlet(encoder), viewer);
	assert_int_equal(draw_create(&picture, 64, 48), 0);
	draw_fill(picture, 0, 0, 64, 48, draw_bars[1]);
	picture->captured_ns = now_ns();
	outlet_publish(raw, picture);
	frame_unref(picture);
	assert_int_equal(poll(&on, 1, ANSWER_MS), 1);
	frame_unref(mailbox_take(viewer));
	outlet_detach(h264_encoder_outlet(encoder), viewer);
}

static void an_encoder_that_nobody_watches_is_let_go_after_a_minute(void **state)
{
	(void)state;
#ifndef WITH_X264
	skip();
#endif
	opt = (struct options){
		.h264_encoder = H264_ENCODER_X264, .h264_bitrate_kbps = 1000, .h264_m2m_device = ""
	};
	raw = outlet_create(NULL, NULL);
	assert_int_equal(mailbox_create(&viewer, 8), 0);
	assert_int_equal(h264_encoder_create(&encoder, &opt, raw, &drops), 0);
	watch();
	let_it_look(1100); /* from here on it is idle */
	clock_pass(59 * NS_PER_S);
	let_it_look(1200);
	assert_string_equal(status().encoder, "x264");
	watch();
	assert_int_equal(status().opened, 1);
	let_it_look(1300);
	clock_pass(61 * NS_PER_S);
	let_it_look(1400);
	assert_string_equal(status().encoder, "none");
	assert_string_equal(status().state, "idle");
	watch();
	h264_encoder_destroy(encoder);
	outlet_destroy(raw);
	mailbox_destroy(viewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_encoder_that_nobody_watches_is_let_go_after_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
