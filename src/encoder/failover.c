// SPDX-License-Identifier: GPL-3.0-or-later
/* Which encoder to open: see failover.h. */
#include "encoder/failover.h"

#include "base/util.h"

/* A second failure in a row means that reopening does not help. */
#define TOLERATED 1

#define FIRST_PAUSE_NS (5 * NS_PER_S)
#define LONGEST_NS     (300 * NS_PER_S)
#define ABSENT_NS      (60 * NS_PER_S) /* its driver may be loaded late */
#define SOFTWARE_NS    (2 * NS_PER_S)
#define NEVER          INT64_MAX

void failover_init(struct failover *failover, enum h264_choice choice)
{
	*failover = (struct failover){ 0 };
	if (choice == H264_ENCODER_AUTO || choice == H264_ENCODER_M2M)
		failover->hardware = &encoder_m2m;
#ifdef WITH_X264
	if (choice == H264_ENCODER_AUTO || choice == H264_ENCODER_X264)
		failover->software = &encoder_x264;
#endif
}

int64_t failover_probe_ns(const struct failover *failover)
{
	if (!failover->hardware || failover->stuck)
		return NEVER;
	return failover->retry_ns;
}

static int64_t software_ns(const struct failover *failover)
{
	return failover->software ? failover->software_retry_ns : NEVER;
}

const struct encoder_ops *failover_pick(const struct failover *failover, int64_t now)
{
	if (failover_probe_ns(failover) <= now)
		return failover->hardware;
	return software_ns(failover) <= now ? failover->software : NULL;
}

int64_t failover_next_ns(const struct failover *failover)
{
	return MIN(failover_probe_ns(failover), software_ns(failover));
}

static void pause_hardware(struct failover *failover, int64_t now)
{
	failover->delay_ns = failover->delay_ns ? MIN(2 * failover->delay_ns, LONGEST_NS)
						: FIRST_PAUSE_NS;
	failover->retry_ns = now + failover->delay_ns;
}

void failover_note_failure(struct failover *failover, const struct encoder_ops *ops, int error,
	int64_t now)
{
	if (ops != failover->hardware) {
		failover->software_error = error;
		failover->software_retry_ns = error == -ERANGE ? NEVER : now + SOFTWARE_NS;
		return;
	}
	failover->error = error;
	if (error == -ERANGE)
		failover->retry_ns = NEVER; /* until the size is another one */
	else if (error == -ENODEV)
		failover->retry_ns = now + ABSENT_NS;
	else if (++failover->failures > TOLERATED)
		pause_hardware(failover, now);
}

void failover_note_success(struct failover *failover, const struct encoder_ops *ops)
{
	if (ops != failover->hardware) {
		failover->software_error = 0;
		return;
	}
	failover->failures = 0;
	failover->was_stuck = false;
	failover->error = 0;
	failover->delay_ns = failover->retry_ns = 0;
}

void failover_note_size(struct failover *failover)
{
	if (failover->error == -ERANGE)
		failover->error = failover->retry_ns = 0;
	if (failover->software_error == -ERANGE)
		failover->software_error = failover->software_retry_ns = 0;
}

/* What went wrong, for people. */
static const char *describe(int error)
{
	return error == -ETIMEDOUT ? "no answer" : strerror(-error);
}

static void explain_hardware(const struct failover *failover, int64_t now, char *text, size_t size)
{
	long long seconds = MAX((failover->retry_ns - now) / NS_PER_S + 1, 0);
	bool named = failover->device && *failover->device;

	if (failover->stuck)
		snprintf(text, size, "hardware encoder stuck, reboot needed to use it again");
	else if (failover->error == -ENODEV)
		snprintf(text, size, "no hardware encoder found%s%s", named ? " at " : "",
			named ? failover->device : "");
	else if (failover->error == -ERANGE)
		snprintf(text, size, "this size or rate is beyond the hardware encoder");
	else if (failover->was_stuck)
		snprintf(text, size,
			"hardware encoder stuck, reboot needed to use it again (tried in %lld s)",
			seconds);
	else if (failover->failures <= TOLERATED)
		snprintf(text, size, "hardware encoder failed (%s), opened again",
			describe(failover->error));
	else
		snprintf(text, size, "hardware encoder failed (%s), tried again in %lld s",
			describe(failover->error), seconds);
}

static void explain_software(const struct failover *failover, char *text, size_t size)
{
	const char *and = text[0] ? "; " : "";
	size_t used = strlen(text);

	if (failover->software_error == -ERANGE)
		snprintf(text + used, size - used,
			"%sx264 cannot encode this size (odd, or beyond 4096x2304)", and);
	else if (failover->software_error)
		snprintf(text + used, size - used, "%sx264 failed: %s", and,
			strerror(-failover->software_error));
	else if (!failover->software && (text[0] || !failover->hardware))
		snprintf(text + used, size - used,
#ifdef WITH_X264
			"%s--h264-encoder auto would use x264",
#else
			"%sthis build has no x264",
#endif
			and);
}

void failover_explain(const struct failover *failover, const struct encoder_ops *ops, int64_t now,
	char *text, size_t size)
{
	bool is_software = ops && ops == failover->software;

	text[0] = '\0';
	if (failover->hardware && (failover->error || failover->stuck))
		explain_hardware(failover, now, text, size);
	if (is_software && failover->error == -ENODEV && !failover->stuck)
		text[0] = '\0'; /* nothing is wrong with a machine that has none */
	else if (is_software && text[0])
		snprintf(text + strlen(text), size - strlen(text), "; x264 encodes meanwhile");
	if (!ops)
		explain_software(failover, text, size);
}
