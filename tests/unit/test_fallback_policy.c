// SPDX-License-Identifier: GPL-3.0-or-later
/* Which encoder is opened when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/util.h"
#include "encoder/fallback_policy.h"
#include "fake_encoder.h"

#define AT(seconds) ((int64_t)(seconds)*NS_PER_S)

static struct fallback_policy make(enum h264_choice choice)
{
	struct fallback_policy policy;

	fallback_init(&policy, choice);
	if (policy.hardware)
		policy.hardware = &fake_hardware_ops;
	if (policy.software)
		policy.software = &fake_software_ops;
	return policy;
}

static void assert_says(const struct fallback_policy *policy, const struct encoder_ops *ops, int64_t now,
	const char *text)
{
	char said[192];

	fallback_explain(policy, ops, now, said, sizeof(said));
	assert_string_equal(said, text);
}

static void hardware_comes_first(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	assert_ptr_equal(fallback_pick(&policy, AT(0)), &fake_hardware_ops);
	assert_says(&policy, NULL, AT(0), "");
}

static void a_machine_without_hardware_uses_software_and_looks_again(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -ENODEV, AT(10));
	assert_ptr_equal(fallback_pick(&policy, AT(10)), &fake_software_ops);
	assert_int_equal(fallback_probe_ns(&policy), AT(70));
	assert_says(&policy, &fake_software_ops, AT(10), "");
}

static void the_first_failure_is_tried_again_at_once(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -ETIMEDOUT, AT(10));
	assert_ptr_equal(fallback_pick(&policy, AT(10)), &fake_hardware_ops);
}

static void failures_in_a_row_bring_software_and_longer_and_longer_pauses(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);
	int64_t now = AT(10);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -EIO, now);
	for (int pause = 5; pause <= 300; pause = pause == 160 ? 300 : pause * 2) {
		fallback_note_failure(&policy, &fake_hardware_ops, -EIO, now);
		assert_ptr_equal(fallback_pick(&policy, now), &fake_software_ops);
		assert_int_equal(fallback_probe_ns(&policy), now + AT(pause));
		now = fallback_probe_ns(&policy);
		assert_ptr_equal(fallback_pick(&policy, now), &fake_hardware_ops);
		if (pause == 300)
			break;
	}
	fallback_note_failure(&policy, &fake_hardware_ops, -EIO, now);
	assert_int_equal(fallback_probe_ns(&policy), now + AT(300));
	assert_says(&policy, &fake_software_ops, now + AT(100),
		"hardware encoder failed (Input/output error), tried again in 201 s; x264 encodes "
		"meanwhile");
}

static void success_is_a_fresh_start(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	for (int i = 0; i < 4; i++)
		fallback_note_failure(&policy, &fake_hardware_ops, -EIO, AT(10));
	fallback_note_success(&policy, &fake_hardware_ops);
	assert_ptr_equal(fallback_pick(&policy, AT(10)), &fake_hardware_ops);
	assert_says(&policy, &fake_hardware_ops, AT(10), "");
	fallback_note_failure(&policy, &fake_hardware_ops, -EIO, AT(20));
	assert_ptr_equal(fallback_pick(&policy, AT(20)), &fake_hardware_ops);
}

static void a_size_beyond_the_hardware_is_a_matter_of_that_size(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -ERANGE, AT(10));
	assert_ptr_equal(fallback_pick(&policy, AT(1000)), &fake_software_ops);
	assert_int_equal(fallback_probe_ns(&policy), INT64_MAX);
	assert_says(&policy, &fake_software_ops, AT(10),
		"this size or rate is beyond the hardware encoder; x264 encodes meanwhile");
	fallback_note_size(&policy);
	assert_ptr_equal(fallback_pick(&policy, AT(10)), &fake_hardware_ops);
}

static void a_size_beyond_software_is_a_matter_of_that_size(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_X264);

	(void)state;
	fallback_note_failure(&policy, &fake_software_ops, -ERANGE, AT(10));
	assert_null(fallback_pick(&policy, AT(1000)));
	assert_int_equal(fallback_next_ns(&policy), INT64_MAX);
	fallback_note_size(&policy);
	assert_ptr_equal(fallback_pick(&policy, AT(10)), &fake_software_ops);
	assert_says(&policy, NULL, AT(10), "");
}

static void stuck_hardware_is_left_alone(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -ETIMEDOUT, AT(10));
	policy.stuck = true;
	assert_ptr_equal(fallback_pick(&policy, AT(1000)), &fake_software_ops);
	assert_int_equal(fallback_probe_ns(&policy), INT64_MAX);
	assert_says(&policy, &fake_software_ops, AT(10),
		"hardware encoder stuck, reboot needed to use it again; x264 encodes meanwhile");
}

static void what_was_stuck_is_called_so_until_it_works(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	policy.was_stuck = true;
	for (int i = 0; i < 2; i++)
		fallback_note_failure(&policy, &fake_hardware_ops, -EINVAL, AT(10));
	assert_says(&policy, &fake_software_ops, AT(10),
		"hardware encoder stuck, reboot needed to use it again (tried in 6 s); x264 "
		"encodes "
		"meanwhile");
	fallback_note_success(&policy, &fake_hardware_ops);
	assert_says(&policy, &fake_hardware_ops, AT(10), "");
}

static void what_cannot_be_is_said_in_words(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_AUTO);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -ENODEV, AT(10));
	fallback_note_failure(&policy, &fake_software_ops, -ERANGE, AT(10));
	policy.device = "/dev/video11";
	assert_says(&policy, NULL, AT(10),
		"no hardware encoder found at /dev/video11; x264 cannot encode this size (odd, or "
		"beyond 4096x2304)");
	policy.software = NULL;
	policy.software_error = 0;
	fallback_note_failure(&policy, &fake_hardware_ops, -ETIMEDOUT, AT(10));
	fallback_note_failure(&policy, &fake_hardware_ops, -ETIMEDOUT, AT(10));
	assert_says(&policy, NULL, AT(10),
		"hardware encoder failed (no answer), tried again in 6 s; --h264-encoder auto "
		"would "
		"use x264");
}

static void m2m_alone_never_means_software(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_M2M);

	(void)state;
	fallback_note_failure(&policy, &fake_hardware_ops, -ENODEV, AT(10));
	assert_null(fallback_pick(&policy, AT(10)));
	assert_int_equal(fallback_next_ns(&policy), AT(70));
	assert_says(&policy, NULL, AT(10),
		"no hardware encoder found; --h264-encoder auto would use x264");
}

static void x264_alone_never_means_hardware(void **state)
{
	struct fallback_policy policy = make(H264_ENCODER_X264);

	(void)state;
	assert_ptr_equal(fallback_pick(&policy, AT(0)), &fake_software_ops);
	fallback_note_failure(&policy, &fake_software_ops, -ENOMEM, AT(10));
	assert_null(fallback_pick(&policy, AT(10)));
	assert_says(&policy, NULL, AT(10), "x264 failed: Cannot allocate memory");
	assert_ptr_equal(fallback_pick(&policy, fallback_next_ns(&policy)), &fake_software_ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hardware_comes_first),
		cmocka_unit_test(a_machine_without_hardware_uses_software_and_looks_again),
		cmocka_unit_test(the_first_failure_is_tried_again_at_once),
		cmocka_unit_test(failures_in_a_row_bring_software_and_longer_and_longer_pauses),
		cmocka_unit_test(success_is_a_fresh_start),
		cmocka_unit_test(a_size_beyond_the_hardware_is_a_matter_of_that_size),
		cmocka_unit_test(a_size_beyond_software_is_a_matter_of_that_size),
		cmocka_unit_test(stuck_hardware_is_left_alone),
		cmocka_unit_test(what_was_stuck_is_called_so_until_it_works),
		cmocka_unit_test(what_cannot_be_is_said_in_words),
		cmocka_unit_test(m2m_alone_never_means_software),
		cmocka_unit_test(x264_alone_never_means_hardware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
