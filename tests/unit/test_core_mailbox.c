// SPDX-License-Identifier: GPL-3.0-or-later
/* The one overflow rule, who is told what, and that no thread ever waits: see src/media/mailbox.h. */
#include "media/mailbox.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/util.h"

static atomic_int n_alive;

static void release(struct frame *frame)
{
	atomic_fetch_sub(&n_alive, 1);
	free(frame);
}

static struct frame *make(uint64_t sequence, bool key)
{
	struct frame *frame = xcalloc(1, sizeof(*frame));

	frame_init(frame, release, NULL);
	frame->sequence = sequence;
	frame->key = key;
	atomic_fetch_add(&n_alive, 1);
	return frame;
}

static struct mailbox *new_mailbox(unsigned depth)
{
	struct mailbox *mailbox;

	assert_int_equal(mailbox_create(&mailbox, depth), 0);
	return mailbox;
}

static bool is_readable(struct mailbox *mailbox)
{
	struct pollfd on = { .fd = mailbox_fd(mailbox), .events = POLLIN };

	return poll(&on, 1, 0) == 1;
}

static void assert_next(struct mailbox *mailbox, uint64_t sequence)
{
	struct frame *frame;

	assert_true(is_readable(mailbox));
	frame = mailbox_take(mailbox);
	assert_non_null(frame);
	assert_int_equal(frame->sequence, sequence);
	frame_unref(frame);
}

static void assert_empty(struct mailbox *mailbox)
{
	assert_false(is_readable(mailbox));
	assert_null(mailbox_take(mailbox));
}

static int nothing_leaks(void **state)
{
	int left = atomic_exchange(&n_alive, 0); /* the next test starts clean all the same */

	(void)state;
	assert_int_equal(left, 0);
	return 0;
}

static void a_new_mailbox_is_empty(void **state)
{
	struct mailbox *mailbox = new_mailbox(1);

	(void)state;
	assert_empty(mailbox);
	assert_int_equal(mailbox_dropped(mailbox), 0);
	mailbox_destroy(mailbox);
	mailbox_destroy(NULL);
}

static void depth_one_keeps_the_newest(void **state)
{
	struct mailbox *mailbox = new_mailbox(1);

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		assert_false(mailbox_put(mailbox, make(i, true)));
	assert_int_equal(mailbox_dropped(mailbox), 2);
	assert_int_equal(n_alive, 1);
	assert_next(mailbox, 2);
	assert_empty(mailbox);
	mailbox_destroy(mailbox);
}

static void depth_n_keeps_the_order(void **state)
{
	struct mailbox *mailbox = new_mailbox(3);

	(void)state;
	mailbox_put(mailbox, make(0, true));
	mailbox_put(mailbox, make(1, false));
	assert_next(mailbox, 0);
	mailbox_put(mailbox, make(2, false));
	mailbox_put(mailbox, make(3, false));
	for (uint64_t i = 1; i <= 3; i++)
		assert_next(mailbox, i);
	assert_empty(mailbox);
	assert_int_equal(mailbox_dropped(mailbox), 0);
	mailbox_destroy(mailbox);
}

static void a_new_mailbox_waits_for_a_key_frame(void **state)
{
	struct mailbox *mailbox = new_mailbox(4);

	(void)state;
	assert_true(mailbox_put(mailbox, make(0, false)));
	assert_true(mailbox_put(mailbox, make(1, false)));
	assert_empty(mailbox);
	assert_int_equal(mailbox_dropped(mailbox), 2);
	assert_false(mailbox_put(mailbox, make(2, true)));
	assert_false(mailbox_put(mailbox, make(3, false)));
	assert_next(mailbox, 2);
	assert_next(mailbox, 3);
	mailbox_destroy(mailbox);
}

static void a_full_mailbox_empties_itself_and_waits_for_a_key_frame(void **state)
{
	struct mailbox *mailbox = new_mailbox(2);

	(void)state;
	mailbox_put(mailbox, make(0, true));
	mailbox_put(mailbox, make(1, false));
	assert_true(mailbox_put(mailbox, make(2, false)));
	assert_empty(mailbox);
	assert_int_equal(n_alive, 0);
	assert_int_equal(mailbox_dropped(mailbox), 3);
	assert_true(mailbox_put(mailbox, make(3, false)));
	assert_empty(mailbox);
	assert_false(mailbox_put(mailbox, make(4, true)));
	assert_next(mailbox, 4);
	mailbox_destroy(mailbox);
}

static void a_key_frame_into_a_full_mailbox_starts_it_again(void **state)
{
	struct mailbox *mailbox = new_mailbox(2);

	(void)state;
	mailbox_put(mailbox, make(0, true));
	mailbox_put(mailbox, make(1, false));
	assert_false(mailbox_put(mailbox, make(2, true)));
	assert_next(mailbox, 2);
	assert_empty(mailbox);
	assert_int_equal(mailbox_dropped(mailbox), 2);
	mailbox_destroy(mailbox);
}

static void what_is_left_is_released_with_the_mailbox(void **state)
{
	struct mailbox *mailbox = new_mailbox(2);

	(void)state;
	mailbox_put(mailbox, make(0, true));
	mailbox_put(mailbox, make(1, true));
	mailbox_destroy(mailbox);
}

struct told {
	int wanted, need_key;
	bool is_wanted;
};

static struct frame *on_wanted(void *arg, bool wanted)
{
	struct told *told = arg;

	told->wanted++;
	told->is_wanted = wanted;
	return NULL;
}

static void on_need_key(void *arg)
{
	((struct told *)arg)->need_key++;
}

static const struct outlet_events events = { on_wanted, on_need_key };

static void publish(struct outlet *outlet, struct frame *frame)
{
	outlet_publish(outlet, frame);
	frame_unref(frame);
}

static void every_reader_gets_every_frame(void **state)
{
	struct outlet *outlet = outlet_create(NULL, NULL);
	struct mailbox *a = new_mailbox(3), *b = new_mailbox(3);

	(void)state;
	outlet_attach(outlet, a);
	publish(outlet, make(0, true));
	outlet_attach(outlet, b);
	publish(outlet, make(1, true));
	assert_int_equal(n_alive, 2);
	assert_next(a, 0);
	assert_next(a, 1);
	assert_next(b, 1);
	assert_empty(b);
	outlet_detach(outlet, a);
	publish(outlet, make(2, true));
	assert_empty(a);
	assert_next(b, 2);
	outlet_detach(outlet, b);
	outlet_destroy(outlet);
	outlet_destroy(NULL);
	mailbox_destroy(a);
	mailbox_destroy(b);
}

static void publishing_for_nobody_keeps_nothing(void **state)
{
	struct outlet *outlet = outlet_create(NULL, NULL);

	(void)state;
	publish(outlet, make(0, true));
	assert_int_equal(n_alive, 0);
	outlet_destroy(outlet);
}

static void the_producer_hears_of_the_first_reader_and_of_the_last(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct mailbox *a = new_mailbox(1), *b = new_mailbox(1);

	(void)state;
	assert_false(outlet_wanted(outlet));
	outlet_attach(outlet, a);
	assert_true(told.wanted == 1 && told.is_wanted && outlet_wanted(outlet));
	outlet_attach(outlet, b);
	outlet_detach(outlet, a);
	assert_int_equal(told.wanted, 1);
	assert_true(outlet_wanted(outlet));
	outlet_detach(outlet, b);
	assert_true(told.wanted == 2 && !told.is_wanted && !outlet_wanted(outlet));
	outlet_destroy(outlet);
	mailbox_destroy(a);
	mailbox_destroy(b);
}

static void detaching_a_stranger_changes_nothing(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct mailbox *reader = new_mailbox(1), *stranger = new_mailbox(1);

	(void)state;
	outlet_attach(outlet, reader);
	outlet_detach(outlet, stranger);
	assert_true(told.wanted == 1 && outlet_wanted(outlet));
	publish(outlet, make(0, true));
	assert_next(reader, 0);
	outlet_detach(outlet, reader);
	outlet_destroy(outlet);
	mailbox_destroy(reader);
	mailbox_destroy(stranger);
}

static void a_newcomer_asks_for_a_key_frame(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct mailbox *mailbox = new_mailbox(4);

	(void)state;
	outlet_attach(outlet, mailbox);
	assert_int_equal(told.need_key, 1);
	publish(outlet, make(0, false));
	assert_int_equal(told.need_key, 2);
	publish(outlet, make(1, true));
	publish(outlet, make(2, false));
	assert_int_equal(told.need_key, 2);
	outlet_detach(outlet, mailbox);
	outlet_destroy(outlet);
	mailbox_destroy(mailbox);
}

static void a_reader_that_overflows_asks_for_a_key_frame(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct mailbox *fast = new_mailbox(8), *slow = new_mailbox(2);

	(void)state;
	outlet_attach(outlet, fast);
	outlet_attach(outlet, slow);
	publish(outlet, make(0, true));
	publish(outlet, make(1, false));
	told.need_key = 0;
	publish(outlet, make(2, false));
	assert_int_equal(told.need_key, 1);
	for (uint64_t i = 0; i < 3; i++)
		assert_next(fast, i);
	assert_empty(slow);
	outlet_detach(outlet, fast);
	outlet_detach(outlet, slow);
	outlet_destroy(outlet);
	mailbox_destroy(fast);
	mailbox_destroy(slow);
}

static void a_reader_may_ask_for_a_key_frame_itself(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct outlet *silent = outlet_create(NULL, NULL);
	struct mailbox *mailbox = new_mailbox(4);

	(void)state;
	outlet_ask_key(outlet); /* nobody reads: nobody can miss anything */
	assert_int_equal(told.need_key, 0);
	outlet_attach(outlet, mailbox);
	publish(outlet, make(0, true));
	told.need_key = 0;
	outlet_ask_key(outlet);
	outlet_ask_key(outlet);
	assert_int_equal(told.need_key, 2);
	publish(outlet, make(1, false)); /* the mailbox itself lacks nothing */
	assert_int_equal(told.need_key, 2);
	assert_next(mailbox, 0);
	assert_next(mailbox, 1);
	outlet_detach(outlet, mailbox);
	outlet_ask_key(outlet);
	assert_int_equal(told.need_key, 2);
	outlet_destroy(outlet);

	outlet_attach(silent, mailbox);
	outlet_ask_key(silent); /* its producer does not listen */
	outlet_detach(silent, mailbox);
	outlet_destroy(silent);
	mailbox_destroy(mailbox);
}

static struct frame *make_still(uint64_t sequence)
{
	struct frame *frame = make(sequence, true);

	frame->keepable = true;
	return frame;
}

static void a_still_frame_waits_for_newcomers(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(NULL, &told);
	struct mailbox *first = new_mailbox(1), *second = new_mailbox(1);

	(void)state;
	publish(outlet, make_still(0));
	outlet_attach(outlet, first);
	assert_next(first, 0);
	outlet_attach(outlet, second);
	assert_next(second, 0);
	publish(outlet, make(1, true));
	assert_next(first, 1);
	outlet_detach(outlet, second);
	assert_next(second, 1);
	outlet_attach(outlet, second); /* a moving picture is not kept */
	assert_empty(second);
	outlet_detach(outlet, first);
	outlet_detach(outlet, second);
	outlet_destroy(outlet);
	mailbox_destroy(first);
	mailbox_destroy(second);
}

static void a_still_frame_spares_the_newcomer_the_key_request(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct mailbox *first = new_mailbox(1), *second = new_mailbox(1);

	(void)state;
	outlet_attach(outlet, first);
	publish(outlet, make_still(0));
	told.need_key = 0;
	outlet_attach(outlet, second);
	assert_int_equal(told.need_key, 0);
	assert_next(second, 0);
	outlet_detach(outlet, first);
	outlet_detach(outlet, second);
	outlet_destroy(outlet);
	mailbox_destroy(first);
	mailbox_destroy(second);
}

static void a_producer_that_rested_leaves_no_old_picture(void **state)
{
	struct told told = { 0 };
	struct outlet *outlet = outlet_create(&events, &told);
	struct mailbox *mailbox = new_mailbox(1);

	(void)state;
	outlet_attach(outlet, mailbox);
	publish(outlet, make_still(0));
	assert_next(mailbox, 0);
	outlet_detach(outlet, mailbox);
	assert_int_equal(n_alive, 0);
	outlet_attach(outlet, mailbox);
	assert_empty(mailbox);
	outlet_detach(outlet, mailbox);
	outlet_destroy(outlet);
	mailbox_destroy(mailbox);
}

static void an_outlet_releases_its_still_frame(void **state)
{
	struct outlet *outlet = outlet_create(NULL, NULL);

	(void)state;
	publish(outlet, make_still(0));
	assert_int_equal(n_alive, 1);
	publish(outlet, make_still(1));
	assert_int_equal(n_alive, 1);
	outlet_destroy(outlet);
}

#define FRAMES 20000

struct reader {
	struct outlet *outlet;
	struct mailbox *mailbox;
	uint64_t n_taken;
	bool in_order, attaches;
};

/* Reads until the last frame came; a slow one may be thrown back but never sees time run backwards. */
static void *read_all(void *arg)
{
	struct reader *reader = arg;
	uint64_t last = 0;

	reader->in_order = true;
	while (last < FRAMES) {
		struct pollfd on = { .fd = mailbox_fd(reader->mailbox), .events = POLLIN };
		struct frame *frame;

		if (poll(&on, 1, 60000) != 1)
			return NULL;
		while ((frame = mailbox_take(reader->mailbox))) {
			reader->in_order &= frame->sequence > last || frame->sequence == FRAMES;
			last = frame->sequence;
			reader->n_taken++;
			frame_unref(frame);
		}
		if (reader->attaches && last < FRAMES) {
			outlet_detach(reader->outlet, reader->mailbox);
			outlet_attach(reader->outlet, reader->mailbox);
		}
	}
	return reader;
}

static struct outlet *asked; /* by frames that end */

/* Waits for ever when the outlet's lock is held. */
static void look_and_release(struct frame *frame)
{
	outlet_wanted(asked);
	release(frame);
}

static struct frame *make_curious(bool keepable)
{
	struct frame *frame = make(0, true);

	frame->release = look_and_release;
	frame->keepable = keepable;
	return frame;
}

static struct frame *on_wanted_curious(void *arg, bool wanted)
{
	(void)arg, (void)wanted;
	return make_curious(false);
}

static void no_frame_ends_under_an_outlets_lock(void **state)
{
	static const struct outlet_events curious = { on_wanted_curious, NULL };
	struct mailbox *reader = new_mailbox(2);

	(void)state;
	alarm(60); /* as the runner would, but sooner */
	asked = outlet_create(&curious, NULL);
	mailbox_put(reader, make_curious(false));
	mailbox_put(reader, make_curious(false));
	outlet_attach(asked, reader);
	for (int i = 0; i < 4; i++) /* the reader's overflow, and what was kept for newcomers */
		publish(asked, make_curious(true));
	outlet_detach(asked, reader);
	alarm(0);
	mailbox_destroy(reader); /* its frames ask once more */
	outlet_destroy(asked);
}

static void threads_get_frames_in_order_while_others_come_and_go(void **state)
{
	struct outlet *outlet = outlet_create(NULL, NULL);
	struct reader reader[4];
	pthread_t thread[4];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(reader); i++) {
		reader[i] = (struct reader){ outlet, new_mailbox(i + 1), 0, false, i % 2 };
		outlet_attach(outlet, reader[i].mailbox);
		assert_int_equal(pthread_create(&thread[i], NULL, read_all, &reader[i]), 0);
	}
	for (uint64_t i = 1; i < FRAMES; i++)
		publish(outlet, make(i, i % 4 == 0));
	publish(outlet, make_still(FRAMES)); /* the end waits also for who was away */
	for (unsigned i = 0; i < ARRAY_SIZE(reader); i++) {
		void *result;

		pthread_join(thread[i], &result);
		assert_ptr_equal(result, &reader[i]);
		assert_true(reader[i].in_order);
		outlet_detach(outlet, reader[i].mailbox);
		if (!reader[i].attaches)
			assert_int_equal(reader[i].n_taken + mailbox_dropped(reader[i].mailbox),
				FRAMES);
		mailbox_destroy(reader[i].mailbox);
	}
	outlet_destroy(outlet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_new_mailbox_is_empty, nothing_leaks),
		cmocka_unit_test_teardown(depth_one_keeps_the_newest, nothing_leaks),
		cmocka_unit_test_teardown(depth_n_keeps_the_order, nothing_leaks),
		cmocka_unit_test_teardown(a_new_mailbox_waits_for_a_key_frame, nothing_leaks),
		cmocka_unit_test_teardown(a_full_mailbox_empties_itself_and_waits_for_a_key_frame,
			nothing_leaks),
		cmocka_unit_test_teardown(a_key_frame_into_a_full_mailbox_starts_it_again,
			nothing_leaks),
		cmocka_unit_test_teardown(what_is_left_is_released_with_the_mailbox, nothing_leaks),
		cmocka_unit_test_teardown(every_reader_gets_every_frame, nothing_leaks),
		cmocka_unit_test_teardown(publishing_for_nobody_keeps_nothing, nothing_leaks),
		cmocka_unit_test(the_producer_hears_of_the_first_reader_and_of_the_last),
		cmocka_unit_test_teardown(detaching_a_stranger_changes_nothing, nothing_leaks),
		cmocka_unit_test_teardown(a_newcomer_asks_for_a_key_frame, nothing_leaks),
		cmocka_unit_test_teardown(a_reader_that_overflows_asks_for_a_key_frame,
			nothing_leaks),
		cmocka_unit_test_teardown(a_reader_may_ask_for_a_key_frame_itself, nothing_leaks),
		cmocka_unit_test_teardown(a_still_frame_waits_for_newcomers, nothing_leaks),
		cmocka_unit_test_teardown(a_still_frame_spares_the_newcomer_the_key_request,
			nothing_leaks),
		cmocka_unit_test_teardown(a_producer_that_rested_leaves_no_old_picture,
			nothing_leaks),
		cmocka_unit_test_teardown(an_outlet_releases_its_still_frame, nothing_leaks),
		cmocka_unit_test_teardown(no_frame_ends_under_an_outlets_lock, nothing_leaks),
		cmocka_unit_test_teardown(threads_get_frames_in_order_while_others_come_and_go,
			nothing_leaks),
	};

	return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
