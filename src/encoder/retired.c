// SPDX-License-Identifier: GPL-3.0-or-later
/* Sessions on their way out: see retired.h. */
#include "encoder/retired.h"

#include "base/util.h"

/* The Pi's driver waits up to 2 s for buffers at STREAMOFF, 3 s for each message to a dead VPU. */
#define CLOSE_NS NS_PER_S

void retired_add(struct retired *retired, struct session *session, bool is_hardware, int64_t now)
{
	struct session_view view;

	session_get_view(session, &view);
	retired->units += view.units;
	retired->keys += view.keys;
	retired->lost += view.lost;
	session_close(session);
	for (unsigned i = 0; i < RETIRED; i++) {
		if (retired->old[i].session)
			continue;
		retired->old[i].session = session;
		retired->old[i].is_hardware = is_hardware;
		retired->old[i].since_ns = now;
		return;
	}
	session_release(session); /* it closes alone, if ever */
}

bool retired_reap(struct retired *retired, int64_t now)
{
	bool stuck = false;

	for (unsigned i = 0; i < RETIRED; i++) {
		struct session_view view;

		if (!retired->old[i].session)
			continue;
		session_get_view(retired->old[i].session, &view);
		if (view.state == SESSION_CLOSED) {
			session_release(retired->old[i].session);
			retired->old[i].session = NULL;
		} else if (retired->old[i].is_hardware &&
			   now - retired->old[i].since_ns >= CLOSE_NS) {
			stuck = true;
		}
	}
	return stuck;
}

int64_t retired_due_ns(const struct retired *retired)
{
	int64_t due = INT64_MAX;

	for (unsigned i = 0; i < RETIRED; i++) {
		if (retired->old[i].session && retired->old[i].is_hardware)
			due = MIN(due, retired->old[i].since_ns + CLOSE_NS);
	}
	return due;
}

bool retired_has_hardware(const struct retired *retired)
{
	return retired_due_ns(retired) != INT64_MAX;
}

bool retired_is_empty(const struct retired *retired)
{
	for (unsigned i = 0; i < RETIRED; i++) {
		if (retired->old[i].session)
			return false;
	}
	return true;
}

void retired_finish(struct retired *retired)
{
	for (unsigned i = 0; i < RETIRED; i++)
		session_release(retired->old[i].session);
}
