// SPDX-License-Identifier: GPL-3.0-or-later
/* Which encoder to open: see fallback_policy.h. */
#include "encoder/fallback_policy.h"

#include "base/util.h"

/* A second failure in a row means that reopening does not help. */
#define TOLERATED 1

#define FIRST_PAUSE_NS (5 * NS_PER_S)
#define LONGEST_NS     (300 * NS_PER_S)
#define ABSENT_NS      (60 * NS_PER_S) /* its driver may be loaded late */
#define SOFTWARE_NS    (2 * NS_PER_S)
#define NEVER          INT64_MAX

void fallback_init(struct fallback_policy *policy, enum h264_choice choice)
{
	*policy = (struct fallback_policy){ 0 };
	if (choice == H264_ENCODER_AUTO || choice == H264_ENCODER_M2M)
		policy->hardware = &encoder_m2m;
#ifdef WITH_X264
	if (choice == H264_ENCODER_AUTO || choice == H264_ENCODER_X264)
		policy->software = &encoder_x264;
#endif
}

int64_t fallback_probe_ns(const struct fallback_policy *policy)
{
	if (!policy->hardware || policy->stuck)
		return NEVER;
	return policy->retry_ns;
}

static int64_t software_ns(const struct fallback_policy *policy)
{
	return policy->software ? policy->software_retry_ns : NEVER;
}

const struct encoder_ops *fallback_pick(const struct fallback_policy *policy, int64_t now)
{
	if (fallback_probe_ns(policy) <= now)
		return policy->hardware;
	return software_ns(policy) <= now ? policy->software : NULL;
}

int64_t fallback_next_ns(const struct fallback_policy *policy)
{
	return MIN(fallback_probe_ns(policy), software_ns(policy));
}

static void pause_hardware(struct fallback_policy *policy, int64_t now)
{
	policy->delay_ns = policy->delay_ns ? MIN(2 * policy->delay_ns, LONGEST_NS)
					    : FIRST_PAUSE_NS;
	policy->retry_ns = now + policy->delay_ns;
}

void fallback_note_failure(struct fallback_policy *policy, const struct encoder_ops *ops, int error,
	int64_t now)
{
	if (ops != policy->hardware) {
		policy->software_error = error;
		policy->software_retry_ns = error == -ERANGE ? NEVER : now + SOFTWARE_NS;
		return;
	}
	policy->error = error;
	if (error == -ERANGE)
		policy->retry_ns = NEVER; /* until the size is another one */
	else if (error == -ENODEV)
		policy->retry_ns = now + ABSENT_NS;
	else if (++policy->failures > TOLERATED)
		pause_hardware(policy, now);
}

void fallback_note_success(struct fallback_policy *policy, const struct encoder_ops *ops)
{
	if (ops != policy->hardware) {
		policy->software_error = 0;
		return;
	}
	policy->failures = 0;
	policy->was_stuck = false;
	policy->error = 0;
	policy->delay_ns = policy->retry_ns = 0;
}

void fallback_note_size(struct fallback_policy *policy)
{
	if (policy->error == -ERANGE)
		policy->error = policy->retry_ns = 0;
	if (policy->software_error == -ERANGE)
		policy->software_error = policy->software_retry_ns = 0;
}

/* What went wrong, for people. */
static const char *describe(int error)
{
	return error == -ETIMEDOUT ? "no answer" : strerror(-error);
}

static void explain_hardware(const struct fallback_policy *policy, int64_t now, char *text,
	size_t size)
{
	long long seconds = MAX((policy->retry_ns - now) / NS_PER_S + 1, 0);
	bool named = policy->device && *policy->device;

	if (policy->stuck)
		snprintf(text, size, "hardware encoder stuck, reboot needed to use it again");
	else if (policy->error == -ENODEV)
		snprintf(text, size, "no hardware encoder found%s%s", named ? " at " : "",
			named ? policy->device : "");
	else if (policy->error == -ERANGE)
		snprintf(text, size, "this size or rate is beyond the hardware encoder");
	else if (policy->was_stuck)
		snprintf(text, size,
			"hardware encoder stuck, reboot needed to use it again (tried in %lld s)",
			seconds);
	else if (policy->failures <= TOLERATED)
		snprintf(text, size, "hardware encoder failed (%s), opened again",
			describe(policy->error));
	else
		snprintf(text, size, "hardware encoder failed (%s), tried again in %lld s",
			describe(policy->error), seconds);
}

static void explain_software(const struct fallback_policy *policy, char *text, size_t size)
{
	const char *and = text[0] ? "; " : "";
	size_t used = strlen(text);

	if (policy->software_error == -ERANGE)
		snprintf(text + used, size - used,
			"%sx264 cannot encode this size (odd, or beyond 4096x2304)", and);
	else if (policy->software_error)
		snprintf(text + used, size - used, "%sx264 failed: %s", and,
			strerror(-policy->software_error));
	else if (!policy->software && (text[0] || !policy->hardware))
		snprintf(text + used, size - used,
#ifdef WITH_X264
			"%s--h264-encoder auto would use x264",
#else
			"%sthis build has no x264",
#endif
			and);
}

void fallback_explain(const struct fallback_policy *policy, const struct encoder_ops *ops,
	int64_t now, char *text, size_t size)
{
	bool is_software = ops && ops == policy->software;

	text[0] = '\0';
	if (policy->hardware && (policy->error || policy->stuck))
		explain_hardware(policy, now, text, size);
	if (is_software && policy->error == -ENODEV && !policy->stuck)
		text[0] = '\0'; /* nothing is wrong with a machine that has none */
	else if (is_software && text[0])
		snprintf(text + strlen(text), size - strlen(text), "; x264 encodes meanwhile");
	if (!ops)
		explain_software(policy, text, size);
}
