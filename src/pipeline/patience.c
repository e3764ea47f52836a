// SPDX-License-Identifier: GPL-3.0-or-later
/* Silence of a source: see patience.h. */
#include "pipeline/patience.h"

#include "base/util.h"

/* Grabbers may take three seconds to send their first frame after STREAMON. */
#define FIRST_FRAME_NS (5 * NS_PER_S)

/* Three frames at the rate that was asked for, if that is slower than --device-timeout. */
static int64_t timeout_of(int timeout_s, int desired_fps)
{
	int64_t timeout_ns = timeout_s * NS_PER_S;

	if (!desired_fps)
		return timeout_ns;
	return MAX(timeout_ns, 3 * NS_PER_S / desired_fps);
}

void patience_begin(struct patience *patience, int timeout_s, int desired_fps, int64_t now)
{
	int64_t timeout_ns = timeout_of(timeout_s, desired_fps);

	*patience = (struct patience){
		.timeout_ns = timeout_ns, .opened_ns = now, .frame_ns = now
	};
	patience->deadline_ns = now + MAX(FIRST_FRAME_NS, timeout_ns);
}

void patience_add(struct patience *patience, int64_t took_ns)
{
	patience->opened_ns += took_ns;
	patience->frame_ns += took_ns;
	patience->deadline_ns += took_ns;
}

void patience_note_frame(struct patience *patience, int64_t now)
{
	patience->frame_ns = now;
	patience->deadline_ns = now + patience->timeout_ns;
}

void patience_note_damage(struct patience *patience, int64_t now)
{
	patience->damaged_ns = now;
}

int patience_reason(const struct patience *patience, int64_t now)
{
	return now - patience->damaged_ns < patience->timeout_ns / 2 ? -EBADMSG : -ETIMEDOUT;
}

int patience_judge(const struct patience *patience, int64_t all_damaged_ns, int64_t now)
{
	if (now >= patience->deadline_ns)
		return patience_reason(patience, now);
	if (all_damaged_ns &&
		now - MAX(all_damaged_ns, patience->opened_ns) >= patience->timeout_ns)
		return -EBADMSG;
	return 0;
}

bool patience_is_silent(const struct patience *patience, int64_t now)
{
	return now >= patience->frame_ns + patience->timeout_ns;
}

int64_t patience_wake_ns(const struct patience *patience, int64_t now)
{
	int64_t wake_ns = MIN(patience->deadline_ns, now + NS_PER_S); /* to be seen alive */

	if (patience_is_silent(patience, now))
		return wake_ns;
	return MIN(wake_ns, patience->frame_ns + patience->timeout_ns);
}
