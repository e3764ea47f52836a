// SPDX-License-Identifier: GPL-3.0-or-later
/* Between the network thread and the device's controls: who is answered, and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "pipeline/device_controls.h"

static struct option_control wish[CONTROLS];
static struct device_controls *device;
static int wake_fd, n_changes, refusal;

static void our_list(struct source *source, struct source_controls *out)
{
	(void)source;
	out->count = 1;
	out->control[0].value = n_changes;
}

static int our_control(struct source *source, const struct option_control to[CONTROLS],
	enum option_control_id *which)
{
	(void)source;
	assert_int_equal(to[CONTROL_CONTRAST].value, 7);
	if (refusal)
		*which = CONTROL_HUE;
	n_changes += !refusal;
	return refusal;
}

static const struct source_ops ops = { .list = our_list, .control = our_control };
static struct source source = { .ops = &ops };

static int setup(void **state)
{
	(void)state;
	memset(wish, 0, sizeof(wish));
	wish[CONTROL_CONTRAST] = (struct option_control){ CONTROL_SET, 7 };
	n_changes = refusal = 0;
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return device_controls_create(&device, wake_fd);
}

static int teardown(void **state)
{
	(void)state;
	device_controls_destroy(device);
	close(wake_fd);
	return 0;
}

static bool is_readable(int fd)
{
	struct pollfd on = { .fd = fd, .events = POLLIN };

	return poll(&on, 1, 0) == 1;
}

static void a_change_is_made_and_answered_once(void **state)
{
	struct source_controls controls;
	struct device_controls_answer answer;

	(void)state;
	assert_false(device_controls_hear(device, &answer));
	assert_int_equal(device_controls_ask(device, wish), 0);
	assert_true(is_readable(wake_fd));
	assert_false(device_controls_hear(device, &answer));
	device_controls_serve(device, &source);
	assert_true(is_readable(device_controls_fd(device)));
	assert_true(device_controls_hear(device, &answer));
	assert_int_equal(answer.error, 0);
	assert_false(is_readable(device_controls_fd(device)));
	assert_false(device_controls_hear(device, &answer));
	device_controls_look(device, &controls); /* what is listed is new, too */
	assert_int_equal(controls.count, 1);
	assert_int_equal(controls.control[0].value, 1);
	device_controls_serve(device, &source);
	assert_int_equal(n_changes, 1);
}

static void a_refusal_says_which_control_is_at_fault(void **state)
{
	struct device_controls_answer answer;

	(void)state;
	refusal = -ERANGE;
	assert_int_equal(device_controls_ask(device, wish), 0);
	device_controls_serve(device, &source);
	assert_true(device_controls_hear(device, &answer));
	assert_int_equal(answer.error, -ERANGE);
	assert_int_equal(answer.which, CONTROL_HUE);
}

static void without_a_device_it_is_said_so(void **state)
{
	struct source_controls controls;
	struct device_controls_answer answer;

	(void)state;
	device_controls_show(device, &source);
	assert_int_equal(device_controls_ask(device, wish), 0);
	device_controls_show(device, NULL);
	device_controls_serve(device, NULL);
	assert_true(device_controls_hear(device, &answer));
	assert_int_equal(answer.error, -ENODEV);
	assert_int_equal(answer.which, CONTROL_CONTRAST);
	device_controls_look(device, &controls);
	assert_int_equal(controls.count, 0);
}

static void one_change_at_a_time(void **state)
{
	struct device_controls_answer answer;

	(void)state;
	assert_int_equal(device_controls_ask(device, wish), 0);
	assert_int_equal(device_controls_ask(device, wish), -EBUSY);
	device_controls_serve(device, &source);
	assert_int_equal(device_controls_ask(device, wish),
		-EBUSY); /* its answer has not been heard */
	assert_true(device_controls_hear(device, &answer));
	assert_int_equal(device_controls_ask(device, wish), 0);
}

static void what_was_withdrawn_in_time_is_not_done(void **state)
{
	struct device_controls_answer answer;

	(void)state;
	assert_int_equal(device_controls_ask(device, wish), 0);
	assert_true(device_controls_withdraw(device));
	device_controls_serve(device, &source);
	assert_int_equal(n_changes, 0);
	assert_false(device_controls_hear(device, &answer));
	assert_int_equal(device_controls_ask(device, wish), 0);
}

static void an_answer_after_the_withdrawal_is_nobodys(void **state)
{
	struct device_controls_answer answer;

	(void)state;
	assert_int_equal(device_controls_ask(device, wish), 0);
	device_controls_serve(device, &source);
	assert_false(device_controls_withdraw(device));
	assert_false(device_controls_hear(device, &answer));
	/* And it does not stand for the next one. */
	assert_int_equal(device_controls_ask(device, wish), 0);
	assert_false(device_controls_hear(device, &answer));
	device_controls_serve(device, &source);
	assert_true(device_controls_hear(device, &answer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_change_is_made_and_answered_once),
		TEST(a_refusal_says_which_control_is_at_fault),
		TEST(without_a_device_it_is_said_so),
		TEST(one_change_at_a_time),
		TEST(what_was_withdrawn_in_time_is_not_done),
		TEST(an_answer_after_the_withdrawal_is_nobodys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
