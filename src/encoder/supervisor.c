// SPDX-License-Identifier: GPL-3.0-or-later
/* Keeps an encoder running: see supervisor.h. */
#include "encoder/supervisor.h"

#include <sys/eventfd.h>

#include "base/util.h"
#include "base/wait.h"

#define LOG_TOPIC "h264"
#include "base/log.h"

/* A frame takes 36 ms where encoders are slowest; opening one takes a tenth of a second. */
#define ENCODE_NS NS_PER_S
#define OPEN_NS   (1500 * NS_PER_MS)
/* Software does not hang: it has little CPU, and to start it anew takes more of that. */
#define SOFTWARE_NS (10 * NS_PER_S)
/* The Pi's driver waits up to 2 s for buffers at STREAMOFF, 3 s for each message to a dead VPU. */
#define CLOSE_NS NS_PER_S

/* We are never so late while we have the CPU. */
#define OVERSLEPT_NS (200 * NS_PER_MS)

/* Access units that an encoder has to make until its failures are forgotten. */
#define TRUSTED_UNITS 100

void supervisor_init(struct supervisor *supervisor, enum h264_choice choice, struct outlet *to,
	int wake_fd)
{
	*supervisor = (struct supervisor){ .to = to, .wake_fd = wake_fd };
	fallback_init(&supervisor->policy, choice);
}

/* Closes a session in its own time. */
static void retire(struct supervisor *supervisor, struct session *session, bool is_hardware,
	int64_t now)
{
	struct session_view view;

	session_get_view(session, &view);
	supervisor->units += view.units;
	supervisor->keys += view.keys;
	supervisor->lost += view.lost;
	session_close(session);
	for (unsigned i = 0; i < SUPERVISOR_OLD; i++) {
		if (supervisor->old[i].session)
			continue;
		supervisor->old[i] = (struct supervisor_old){ session, is_hardware, now };
		return;
	}
	session_release(session); /* it closes alone, if ever */
}

static bool is_hardware(const struct supervisor *supervisor)
{
	return supervisor->ops && supervisor->ops == supervisor->policy.hardware;
}

static void retire_current(struct supervisor *supervisor, int64_t now)
{
	if (!supervisor->session)
		return;
	retire(supervisor, supervisor->session, is_hardware(supervisor), now);
	supervisor->session = NULL;
	supervisor->ops = NULL;
	supervisor->view = (struct session_view){ 0 };
}

static void retire_probe(struct supervisor *supervisor, int64_t now)
{
	if (!supervisor->probe)
		return;
	retire(supervisor, supervisor->probe, true, now);
	supervisor->probe = NULL;
}

void supervisor_rest(struct supervisor *supervisor, int64_t now)
{
	supervisor->config.width = 0;
	retire_probe(supervisor, now);
	retire_current(supervisor, now);
}

void supervisor_want(struct supervisor *supervisor, const struct encoder_config *config,
	int64_t now)
{
	if (config->width == supervisor->config.width &&
		config->height == supervisor->config.height &&
		config->profile == supervisor->config.profile)
		return;
	retire_probe(supervisor, now);
	retire_current(supervisor, now);
	fallback_note_size(&supervisor->policy);
	supervisor->config = *config;
}

void supervisor_tune(struct supervisor *supervisor, const struct encoder_tuning *tuning)
{
	supervisor->config.tuning = *tuning;
	if (supervisor->session)
		session_tune(supervisor->session, tuning);
	if (supervisor->probe)
		session_tune(supervisor->probe, tuning);
}

/* Frees what has closed, and says so when hardware does not. */
static void reap(struct supervisor *supervisor, int64_t now)
{
	bool stuck = false, was_stuck = supervisor->policy.stuck;

	for (unsigned i = 0; i < SUPERVISOR_OLD; i++) {
		struct supervisor_old *old = &supervisor->old[i];
		struct session_view view;

		if (!old->session)
			continue;
		session_get_view(old->session, &view);
		if (view.state == SESSION_CLOSED) {
			session_release(old->session);
			old->session = NULL;
		} else if (old->is_hardware && now - old->since_ns >= CLOSE_NS) {
			stuck = true;
		}
	}
	supervisor->policy.stuck = stuck;
	supervisor->policy.was_stuck |= stuck;
	if (stuck && !was_stuck)
		log_warn("hardware encoder stuck: it does not even close; if it stays so, only a "
			 "reboot helps");
	else if (was_stuck && !stuck)
		log_info("the hardware encoder has closed at last; whether it works will be seen");
}

static bool is_closing(const struct supervisor *supervisor)
{
	for (unsigned i = 0; i < SUPERVISOR_OLD; i++) {
		if (supervisor->old[i].session && supervisor->old[i].is_hardware)
			return true;
	}
	return false;
}

/* That there is none, or none for this size, the encoder has said itself. */
static void log_failure(const struct encoder_ops *ops, int error)
{
	if (error == -ENODEV || error == -ERANGE)
		return;
	if (error == -ETIMEDOUT)
		log_warn("the %s encoder gives no answer: it is given up", ops->name);
	else
		log_warn("the %s encoder failed: %s", ops->name, strerror(-error));
}

/* How long it may take. Only hardware is probed. */
static int64_t limit_ns(const struct supervisor *supervisor, const struct session_view *view)
{
	if (view == &supervisor->view && !is_hardware(supervisor))
		return SOFTWARE_NS;
	return view->state == SESSION_OPENING ? OPEN_NS : ENCODE_NS;
}

/* 0: it works or is about to. Else what is wrong with it. */
static int find_fault(const struct supervisor *supervisor, const struct session_view *view,
	int64_t now)
{
	if (view->state == SESSION_FAILED)
		return view->error;
	if (!view->waiting_ns || now < supervisor->patient_ns)
		return 0;
	return now - view->waiting_ns >= limit_ns(supervisor, view) ? -ETIMEDOUT : 0;
}

/* A process that was stopped, or had no CPU, must not take its own sleep for a driver's. */
static void forgive_oversleeping(struct supervisor *supervisor, int64_t now)
{
	if (supervisor->promised_ns && now - supervisor->promised_ns > OVERSLEPT_NS)
		supervisor->patient_ns = now + ENCODE_NS;
}

static void announce(struct supervisor *supervisor)
{
	const struct encoder *encoder = session_encoder(supervisor->session);
	struct encoder_tuning tuning;

	session_get_tuning(supervisor->session, &tuning);
	supervisor->announced = true;
	supervisor->opened++;
	log_info("%ux%u by %s (%s): %s %u.%u, %u kbit/s", encoder->width, encoder->height,
		supervisor->ops->name, encoder->device, avc_profile_name(encoder->profile),
		encoder->level / 10, encoder->level % 10, tuning.bitrate_kbps);
}

static void tend_current(struct supervisor *supervisor, int64_t now)
{
	const struct encoder_ops *ops = supervisor->ops;
	int error;

	session_get_view(supervisor->session, &supervisor->view);
	error = find_fault(supervisor, &supervisor->view, now);
	if (error) {
		log_failure(ops, error);
		supervisor->failures += error != -ENODEV && error != -ERANGE;
		fallback_note_failure(&supervisor->policy, ops, error, now);
		retire_current(supervisor, now);
		return;
	}
	if (supervisor->view.state == SESSION_RUNNING && !supervisor->announced)
		announce(supervisor);
	if (supervisor->view.units >= TRUSTED_UNITS && !supervisor->trusted) {
		supervisor->trusted = true;
		fallback_note_success(&supervisor->policy, ops);
	}
}

/* Whether the hardware works again, while software does its work. */
static void tend_probe(struct supervisor *supervisor, int64_t now)
{
	int error;

	session_get_view(supervisor->probe, &supervisor->probe_view);
	error = find_fault(supervisor, &supervisor->probe_view, now);
	if (error) {
		log_failure(supervisor->policy.hardware, error);
		fallback_note_failure(&supervisor->policy, supervisor->policy.hardware, error, now);
		retire_probe(supervisor, now);
	} else if (supervisor->probe_view.state == SESSION_RUNNING) {
		log_info("the hardware encoder is back");
		retire_current(supervisor, now);
		supervisor->session = supervisor->probe;
		supervisor->ops = supervisor->policy.hardware;
		supervisor->view = supervisor->probe_view;
		supervisor->announced = supervisor->trusted = false;
		supervisor->probe = NULL;
	}
}

static struct session *start(struct supervisor *supervisor, const struct encoder_ops *ops,
	int64_t now)
{
	struct session *session;
	int res = session_start(&session, ops, &supervisor->config, supervisor->to,
		supervisor->wake_fd);

	if (res == 0)
		return session;
	log_error("no thread for the %s encoder: %s", ops->name, strerror(-res));
	fallback_note_failure(&supervisor->policy, ops, res, now);
	return NULL;
}

static void start_current(struct supervisor *supervisor, int64_t now)
{
	const struct encoder_ops *ops = fallback_pick(&supervisor->policy, now);

	/* Two at a time may be more than the contiguous memory has room for: one after the other. */
	if (!ops || (ops == supervisor->policy.hardware && is_closing(supervisor)))
		return;
	supervisor->session = start(supervisor, ops, now);
	if (!supervisor->session)
		return;
	supervisor->ops = ops;
	supervisor->announced = supervisor->trusted = false;
	session_get_view(supervisor->session, &supervisor->view);
}

static bool wants_probe(const struct supervisor *supervisor)
{
	return supervisor->session && !is_hardware(supervisor) && !supervisor->probe &&
	       supervisor->announced && !is_closing(supervisor);
}

static int64_t fault_due_ns(const struct supervisor *supervisor, const struct session_view *view)
{
	if (!view->waiting_ns)
		return INT64_MAX;
	return MAX(view->waiting_ns + limit_ns(supervisor, view), supervisor->patient_ns);
}

int64_t supervisor_due_ns(const struct supervisor *supervisor)
{
	int64_t due = INT64_MAX;

	if (supervisor->session)
		due = MIN(due, fault_due_ns(supervisor, &supervisor->view));
	if (supervisor->probe)
		due = MIN(due, fault_due_ns(supervisor, &supervisor->probe_view));
	if (wants_probe(supervisor))
		due = MIN(due, fallback_probe_ns(&supervisor->policy));
	else if (!supervisor->session && supervisor->config.width && !is_closing(supervisor))
		due = MIN(due, fallback_next_ns(&supervisor->policy));
	for (unsigned i = 0; i < SUPERVISOR_OLD && !supervisor->policy.stuck; i++) {
		if (supervisor->old[i].session && supervisor->old[i].is_hardware)
			due = MIN(due, supervisor->old[i].since_ns + CLOSE_NS);
	}
	return due;
}

void supervisor_tend(struct supervisor *supervisor, int64_t now)
{
	int64_t due;

	forgive_oversleeping(supervisor, now);
	reap(supervisor, now);
	if (supervisor->probe)
		tend_probe(supervisor, now);
	if (supervisor->session)
		tend_current(supervisor, now);
	if (!supervisor->session && supervisor->config.width)
		start_current(supervisor, now);
	else if (wants_probe(supervisor) && fallback_probe_ns(&supervisor->policy) <= now)
		supervisor->probe = start(supervisor, supervisor->policy.hardware, now);
	due = supervisor_due_ns(supervisor);
	supervisor->promised_ns = due == INT64_MAX ? 0 : due;
}

bool supervisor_is_running(const struct supervisor *supervisor)
{
	return supervisor->session && supervisor->view.state == SESSION_RUNNING;
}

/* One eventfd tells of all sessions. */
static void await_closed(struct supervisor *supervisor, int64_t until_ns)
{
	struct pollfd on = { .fd = supervisor->wake_fd, .events = POLLIN };
	int64_t now = now_ns();
	eventfd_t count;

	for (; now < until_ns; now = now_ns()) {
		bool any = false;

		reap(supervisor, now);
		for (unsigned i = 0; i < SUPERVISOR_OLD; i++)
			any |= supervisor->old[i].session != NULL;
		if (!any)
			return;
		wait_for_events(&on, 1, until_ns);
		eventfd_read(supervisor->wake_fd, &count);
	}
}

void supervisor_finish(struct supervisor *supervisor, int timeout_ms)
{
	const int64_t now = now_ns();

	supervisor_rest(supervisor, now);
	await_closed(supervisor, now + timeout_ms * NS_PER_MS);
	for (unsigned i = 0; i < SUPERVISOR_OLD; i++)
		session_release(supervisor->old[i].session);
}
