// SPDX-License-Identifier: GPL-3.0-or-later
/* Which worker of the JPEG encoder takes a frame. jpeg.c is compiled in here, to see them rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "slate/draw.h"

#define jpeg_encoder_create      tested_create
#define jpeg_encoder_destroy     tested_destroy
#define jpeg_encoder_outlet      tested_outlet
#define jpeg_encoder_set_quality tested_set_quality
#include "../../src/encoder/jpeg.c" /* NOLINT(bugprone-suspicious-include) */

#define WORKERS   4
#define ANSWER_MS 20000 /* of real time, against hanging for ever */

static struct options opt = { .workers = WORKERS, .quality = 80 };
static struct drops drops;
static struct jpeg_encoder *encoder;

/* Until all but the leader do; returns that one, who will take the next frame. */
static unsigned await_rest(void)
{
	for (int i = 0; i < ANSWER_MS; i++) {
		unsigned resting = 0, leader = WORKERS;

		pthread_mutex_lock(&encoder->lock);
		for (const struct worker *at = encoder->resting; at; at = at->below)
			resting++;
		for (unsigned w = 0; w < WORKERS; w++)
			leader = encoder->worker[w].leads ? w : leader;
		pthread_mutex_unlock(&encoder->lock);
		if (resting == WORKERS - 1 && leader < WORKERS)
			return leader;
		poll(NULL, 0, 1);
	}
	fail_msg("the workers do not come to rest");
	return 0;
}

static void a_light_load_keeps_to_two_workers(void **state)
{
	struct outlet *raw = outlet_create(NULL, NULL);
	struct mailbox *viewer;
	struct frame *picture;
	unsigned used = 0; /* a bit for each that was */

	(void)state;
	assert_int_equal(draw_create(&picture, 64, 48), 0);
	picture->key = picture->online = true;
	draw_fill(picture, 0, 0, 64, 48, draw_bars[1]);
	assert_int_equal(mailbox_create(&viewer, 8), 0);
	assert_int_equal(tested_create(&encoder, &opt, raw, &drops), 0);
	outlet_attach(tested_outlet(encoder), viewer);
	for (int i = 0; i < 5 * WORKERS; i++) {
		struct pollfd on = { .fd = mailbox_fd(viewer), .events = POLLIN };

		used |= 1U << await_rest();
		outlet_publish(raw, picture);
		assert_int_equal(poll(&on, 1, ANSWER_MS), 1);
		frame_unref(mailbox_take(viewer));
	}
	assert_int_equal(__builtin_popcount(used), 2);
	outlet_detach(tested_outlet(encoder), viewer);
	tested_destroy(encoder);
	frame_unref(picture);
	outlet_destroy(raw);
	mailbox_destroy(viewer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_light_load_keeps_to_two_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
