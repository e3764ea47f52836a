// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Image controls: what is set at the start, what is changed while a device runs, all or nothing,
 * and what is listed.
 * controls.c is compiled in here, over a driver of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "driver.h"

#define controls_apply  tested_apply
#define controls_change tested_change
#define controls_list   tested_list
#include "../../src/capture/controls.c"

static struct fake {
	uint32_t id;
	int min, max, step, value;
	int error; /* of S_CTRL */
	bool watched;
} driver[4];

static int query(struct v4l2_queryctrl *out)
{
	bool next = out->id & V4L2_CTRL_FLAG_NEXT_CTRL;
	uint32_t id = out->id & ~V4L2_CTRL_FLAG_NEXT_CTRL;
	const struct fake *best = NULL;

	for (struct fake *at = driver; at < driver + ARRAY_SIZE(driver); at++) {
		if (next ? at->id > id && (!best || at->id < best->id) : at->id == id)
			best = at;
	}
	if (!best)
		return -EINVAL;
	*out = (struct v4l2_queryctrl){ .id = best->id,
		.type = V4L2_CTRL_TYPE_INTEGER,
		.minimum = best->min,
		.maximum = best->max,
		.step = best->step,
		.default_value = best->max };
	return 0;
}

static int subscribe(const struct v4l2_event_subscription *to)
{
	for (struct fake *at = driver; at < driver + ARRAY_SIZE(driver); at++)
		at->watched |= to->type == V4L2_EVENT_CTRL && to->id == at->id;
	return 0;
}

static int driver_ioctl(int fd, unsigned long request, void *arg)
{
	struct v4l2_control *control = arg;

	(void)fd;
	if (request == VIDIOC_QUERYCTRL)
		return query(arg);
	if (request == VIDIOC_SUBSCRIBE_EVENT)
		return subscribe(arg);
	if (request != VIDIOC_G_CTRL && request != VIDIOC_S_CTRL)
		return -ENOTTY;
	for (struct fake *at = driver; at < driver + ARRAY_SIZE(driver); at++) {
		if (at->id != control->id)
			continue;
		if (request == VIDIOC_G_CTRL)
			control->value = at->value;
		else if (at->error)
			return at->error;
		else
			at->value = control->value;
		return 0;
	}
	return -EINVAL;
}

static struct option_control set_to(int value)
{
	return (struct option_control){ CONTROL_SET, value };
}

static struct option_control wish[CONTROLS];
static enum option_control_id which;

static int setup(void **state)
{
	static const struct fake fresh[] = {
		{ V4L2_CID_BRIGHTNESS, -10, 10, 1, 1, 0, false },
		{ V4L2_CID_CONTRAST, 0, 100, 5, 50, 0, false },
		{ V4L2_CID_HUE, 0, 10, 1, 4, 0, false },
		{ V4L2_CID_HUE_AUTO, 0, 1, 1, 1, 0, false },
	};

	(void)state;
	memcpy(driver, fresh, sizeof(driver));
	memset(wish, 0, sizeof(wish));
	return 0;
}

static void assert_values(int brightness, int contrast, int hue, int automatic)
{
	assert_int_equal(driver[0].value, brightness);
	assert_int_equal(driver[1].value, contrast);
	assert_int_equal(driver[2].value, hue);
	assert_int_equal(driver[3].value, automatic);
}

static void what_is_asked_for_is_set_and_nothing_else(void **state)
{
	(void)state;
	wish[CONTROL_BRIGHTNESS] = set_to(-3);
	wish[CONTROL_CONTRAST].mode = CONTROL_DEFAULT;
	assert_int_equal(tested_change(3, wish, &which), 0);
	assert_values(-3, 100, 4, 1);
}

static void a_value_ends_what_the_device_chooses(void **state)
{
	(void)state;
	wish[CONTROL_HUE] = set_to(7);
	assert_int_equal(tested_change(3, wish, &which), 0);
	assert_values(1, 50, 7, 0);
	wish[CONTROL_HUE].mode = CONTROL_AUTO;
	assert_int_equal(tested_change(3, wish, &which), 0);
	assert_values(1, 50, 7, 1);
}

static void apply(const struct options *opt)
{
	tested_apply(3, opt);
}

static void without_image_default_nothing_is_set_at_the_start(void **state)
{
	(void)state;
	apply(&(struct options){ 0 });
	assert_values(1, 50, 4, 1);
}

static void image_default_is_for_all_that_nothing_else_is_asked_of(void **state)
{
	struct options opt = { .image_default = true };

	(void)state;
	driver[3].value = 0;
	opt.control[CONTROL_BRIGHTNESS] = set_to(-3);
	apply(&opt);
	assert_values(-3, 100, 10, 1);
}

static void a_value_at_the_start_ends_what_the_device_chooses(void **state)
{
	struct options opt = { 0 };

	(void)state;
	opt.control[CONTROL_HUE] = set_to(7);
	apply(&opt);
	assert_values(1, 50, 7, 0);
	opt.control[CONTROL_HUE].mode = CONTROL_AUTO;
	apply(&opt);
	assert_values(1, 50, 7, 1);
}

static void what_cannot_be_at_the_start_hinders_nothing_else(void **state)
{
	struct options opt = { 0 };

	(void)state;
	opt.control[CONTROL_BRIGHTNESS] = set_to(11);
	opt.control[CONTROL_CONTRAST] = set_to(51); /* steps of 5 */
	opt.control[CONTROL_GAIN] = set_to(1);
	opt.control[CONTROL_HUE].mode = CONTROL_DEFAULT;
	apply(&opt);
	assert_values(1, 50, 10, 0);
}

static void what_cannot_be_is_known_before_anything_is_set(void **state)
{
	(void)state;
	wish[CONTROL_BRIGHTNESS] = set_to(5);
	wish[CONTROL_CONTRAST] = set_to(51); /* steps of 5 */
	assert_int_equal(tested_change(3, wish, &which), -ERANGE);
	assert_int_equal(which, CONTROL_CONTRAST);
	wish[CONTROL_CONTRAST] = set_to(55);
	wish[CONTROL_GAIN] = set_to(1);
	assert_int_equal(tested_change(3, wish, &which), -ENOENT);
	assert_int_equal(which, CONTROL_GAIN);
	assert_values(1, 50, 4, 1);
}

static void what_was_set_before_a_refusal_is_set_back(void **state)
{
	(void)state;
	wish[CONTROL_BRIGHTNESS] = set_to(5);
	wish[CONTROL_CONTRAST] = set_to(55);
	wish[CONTROL_HUE] = set_to(7);
	driver[2].error = -EBUSY;
	assert_int_equal(tested_change(3, wish, &which), -EBUSY);
	assert_int_equal(which, CONTROL_HUE);
	assert_values(1, 50, 4, 1);
}

static void all_are_listed_with_the_options_that_set_them(void **state)
{
	struct source_controls list = { 0 };

	(void)state;
	tested_list(3, &list);
	assert_int_equal(list.count, 4);
	assert_int_equal(list.control[0].option, CONTROL_BRIGHTNESS);
	assert_int_equal(list.control[0].value, 1);
	assert_int_equal(list.control[1].step, 5);
	assert_int_equal(list.control[3].option, CONTROL_HUE);
	assert_true(list.control[3].chooses);
}

static void each_that_is_listed_is_watched_for_changes_of_others(void **state)
{
	struct source_controls list = { 0 };

	(void)state;
	tested_list(3, &list);
	for (unsigned i = 0; i < ARRAY_SIZE(driver); i++)
		assert_true(driver[i].watched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_asked_for_is_set_and_nothing_else, setup),
		cmocka_unit_test_setup(a_value_ends_what_the_device_chooses, setup),
		cmocka_unit_test_setup(without_image_default_nothing_is_set_at_the_start, setup),
		cmocka_unit_test_setup(image_default_is_for_all_that_nothing_else_is_asked_of,
			setup),
		cmocka_unit_test_setup(a_value_at_the_start_ends_what_the_device_chooses, setup),
		cmocka_unit_test_setup(what_cannot_be_at_the_start_hinders_nothing_else, setup),
		cmocka_unit_test_setup(what_cannot_be_is_known_before_anything_is_set, setup),
		cmocka_unit_test_setup(what_was_set_before_a_refusal_is_set_back, setup),
		cmocka_unit_test_setup(all_are_listed_with_the_options_that_set_them, setup),
		cmocka_unit_test_setup(each_that_is_listed_is_watched_for_changes_of_others, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
