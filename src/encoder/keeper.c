// SPDX-License-Identifier: GPL-3.0-or-later
/* Keeps an encoder running: see keeper.h. */
#include "encoder/keeper.h"

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

void keeper_init(struct keeper *keeper, enum h264_choice choice, struct outlet *to, int wake_fd)
{
	*keeper = (struct keeper){ .to = to, .wake_fd = wake_fd };
	failover_init(&keeper->failover, choice);
}

/* Closes a session in its own time. */
static void retire(struct keeper *keeper, struct session *session, bool is_hardware, int64_t now)
{
	struct session_view view;

	session_get_view(session, &view);
	keeper->units += view.units;
	keeper->keys += view.keys;
	keeper->lost += view.lost;
	session_close(session);
	for (unsigned i = 0; i < KEEPER_OLD; i++) {
		if (keeper->old[i].session)
			continue;
		keeper->old[i] = (struct keeper_old){ session, is_hardware, now };
		return;
	}
	session_release(session); /* it closes alone, if ever */
}

static bool is_hardware(const struct keeper *keeper)
{
	return keeper->ops && keeper->ops == keeper->failover.hardware;
}

static void retire_current(struct keeper *keeper, int64_t now)
{
	if (!keeper->session)
		return;
	retire(keeper, keeper->session, is_hardware(keeper), now);
	keeper->session = NULL;
	keeper->ops = NULL;
	keeper->view = (struct session_view){ 0 };
}

static void retire_probe(struct keeper *keeper, int64_t now)
{
	if (!keeper->probe)
		return;
	retire(keeper, keeper->probe, true, now);
	keeper->probe = NULL;
}

void keeper_rest(struct keeper *keeper, int64_t now)
{
	keeper->config.width = 0;
	retire_probe(keeper, now);
	retire_current(keeper, now);
}

void keeper_want(struct keeper *keeper, const struct encoder_config *config, int64_t now)
{
	if (config->width == keeper->config.width && config->height == keeper->config.height &&
		config->profile == keeper->config.profile)
		return;
	retire_probe(keeper, now);
	retire_current(keeper, now);
	failover_note_size(&keeper->failover);
	keeper->config = *config;
}

void keeper_tune(struct keeper *keeper, const struct encoder_tuning *tuning)
{
	keeper->config.tuning = *tuning;
	if (keeper->session)
		session_tune(keeper->session, tuning);
	if (keeper->probe)
		session_tune(keeper->probe, tuning);
}

/* Frees what has closed, and says so when hardware does not. */
static void reap(struct keeper *keeper, int64_t now)
{
	bool stuck = false, was_stuck = keeper->failover.stuck;

	for (unsigned i = 0; i < KEEPER_OLD; i++) {
		struct keeper_old *old = &keeper->old[i];
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
	keeper->failover.stuck = stuck;
	keeper->failover.was_stuck |= stuck;
	if (stuck && !was_stuck)
		log_warn("hardware encoder stuck: it does not even close; if it stays so, only a "
			 "reboot helps");
	else if (was_stuck && !stuck)
		log_info("the hardware encoder has closed at last; whether it works will be seen");
}

static bool is_closing(const struct keeper *keeper)
{
	for (unsigned i = 0; i < KEEPER_OLD; i++) {
		if (keeper->old[i].session && keeper->old[i].is_hardware)
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
static int64_t limit_ns(const struct keeper *keeper, const struct session_view *view)
{
	if (view == &keeper->view && !is_hardware(keeper))
		return SOFTWARE_NS;
	return view->state == SESSION_OPENING ? OPEN_NS : ENCODE_NS;
}

/* 0: it works or is about to. Else what is wrong with it. */
static int find_fault(const struct keeper *keeper, const struct session_view *view, int64_t now)
{
	if (view->state == SESSION_FAILED)
		return view->error;
	if (!view->waiting_ns || now < keeper->patient_ns)
		return 0;
	return now - view->waiting_ns >= limit_ns(keeper, view) ? -ETIMEDOUT : 0;
}

/* A process that was stopped, or had no CPU, must not take its own sleep for a driver's. */
static void forgive_oversleeping(struct keeper *keeper, int64_t now)
{
	if (keeper->promised_ns && now - keeper->promised_ns > OVERSLEPT_NS)
		keeper->patient_ns = now + ENCODE_NS;
}

static void announce(struct keeper *keeper)
{
	const struct encoder *encoder = session_encoder(keeper->session);
	struct encoder_tuning tuning;

	session_get_tuning(keeper->session, &tuning);
	keeper->announced = true;
	keeper->opened++;
	log_info("%ux%u by %s (%s): %s %u.%u, %u kbit/s", encoder->width, encoder->height,
		keeper->ops->name, encoder->device, avc_profile_name(encoder->profile),
		encoder->level / 10, encoder->level % 10, tuning.bitrate_kbps);
}

static void tend_current(struct keeper *keeper, int64_t now)
{
	const struct encoder_ops *ops = keeper->ops;
	int error;

	session_get_view(keeper->session, &keeper->view);
	error = find_fault(keeper, &keeper->view, now);
	if (error) {
		log_failure(ops, error);
		keeper->failures += error != -ENODEV && error != -ERANGE;
		failover_note_failure(&keeper->failover, ops, error, now);
		retire_current(keeper, now);
		return;
	}
	if (keeper->view.state == SESSION_RUNNING && !keeper->announced)
		announce(keeper);
	if (keeper->view.units >= TRUSTED_UNITS && !keeper->trusted) {
		keeper->trusted = true;
		failover_note_success(&keeper->failover, ops);
	}
}

/* Whether the hardware works again, while software does its work. */
static void tend_probe(struct keeper *keeper, int64_t now)
{
	int error;

	session_get_view(keeper->probe, &keeper->probe_view);
	error = find_fault(keeper, &keeper->probe_view, now);
	if (error) {
		log_failure(keeper->failover.hardware, error);
		failover_note_failure(&keeper->failover, keeper->failover.hardware, error, now);
		retire_probe(keeper, now);
	} else if (keeper->probe_view.state == SESSION_RUNNING) {
		log_info("the hardware encoder is back");
		retire_current(keeper, now);
		keeper->session = keeper->probe;
		keeper->ops = keeper->failover.hardware;
		keeper->view = keeper->probe_view;
		keeper->announced = keeper->trusted = false;
		keeper->probe = NULL;
	}
}

static struct session *start(struct keeper *keeper, const struct encoder_ops *ops, int64_t now)
{
	struct session *session;
	int res = session_start(&session, ops, &keeper->config, keeper->to, keeper->wake_fd);

	if (res == 0)
		return session;
	log_error("no thread for the %s encoder: %s", ops->name, strerror(-res));
	failover_note_failure(&keeper->failover, ops, res, now);
	return NULL;
}

static void start_current(struct keeper *keeper, int64_t now)
{
	const struct encoder_ops *ops = failover_pick(&keeper->failover, now);

	/* Two at a time may be more than the contiguous memory has room for: one after the other. */
	if (!ops || (ops == keeper->failover.hardware && is_closing(keeper)))
		return;
	keeper->session = start(keeper, ops, now);
	if (!keeper->session)
		return;
	keeper->ops = ops;
	keeper->announced = keeper->trusted = false;
	session_get_view(keeper->session, &keeper->view);
}

static bool wants_probe(const struct keeper *keeper)
{
	return keeper->session && !is_hardware(keeper) && !keeper->probe && keeper->announced &&
	       !is_closing(keeper);
}

static int64_t fault_due_ns(const struct keeper *keeper, const struct session_view *view)
{
	if (!view->waiting_ns)
		return INT64_MAX;
	return MAX(view->waiting_ns + limit_ns(keeper, view), keeper->patient_ns);
}

int64_t keeper_due_ns(const struct keeper *keeper)
{
	int64_t due = INT64_MAX;

	if (keeper->session)
		due = MIN(due, fault_due_ns(keeper, &keeper->view));
	if (keeper->probe)
		due = MIN(due, fault_due_ns(keeper, &keeper->probe_view));
	if (wants_probe(keeper))
		due = MIN(due, failover_probe_ns(&keeper->failover));
	else if (!keeper->session && keeper->config.width && !is_closing(keeper))
		due = MIN(due, failover_next_ns(&keeper->failover));
	for (unsigned i = 0; i < KEEPER_OLD && !keeper->failover.stuck; i++) {
		if (keeper->old[i].session && keeper->old[i].is_hardware)
			due = MIN(due, keeper->old[i].since_ns + CLOSE_NS);
	}
	return due;
}

void keeper_tend(struct keeper *keeper, int64_t now)
{
	int64_t due;

	forgive_oversleeping(keeper, now);
	reap(keeper, now);
	if (keeper->probe)
		tend_probe(keeper, now);
	if (keeper->session)
		tend_current(keeper, now);
	if (!keeper->session && keeper->config.width)
		start_current(keeper, now);
	else if (wants_probe(keeper) && failover_probe_ns(&keeper->failover) <= now)
		keeper->probe = start(keeper, keeper->failover.hardware, now);
	due = keeper_due_ns(keeper);
	keeper->promised_ns = due == INT64_MAX ? 0 : due;
}

bool keeper_is_running(const struct keeper *keeper)
{
	return keeper->session && keeper->view.state == SESSION_RUNNING;
}

/* One eventfd tells of all sessions. */
static void await_closed(struct keeper *keeper, int64_t until_ns)
{
	struct pollfd on = { .fd = keeper->wake_fd, .events = POLLIN };
	int64_t now = now_ns();
	eventfd_t count;

	for (; now < until_ns; now = now_ns()) {
		bool any = false;

		reap(keeper, now);
		for (unsigned i = 0; i < KEEPER_OLD; i++)
			any |= keeper->old[i].session != NULL;
		if (!any)
			return;
		wait_for_events(&on, 1, until_ns);
		eventfd_read(keeper->wake_fd, &count);
	}
}

void keeper_finish(struct keeper *keeper, int timeout_ms)
{
	const int64_t now = now_ns();

	keeper_rest(keeper, now);
	await_closed(keeper, now + timeout_ms * NS_PER_MS);
	for (unsigned i = 0; i < KEEPER_OLD; i++)
		session_release(keeper->old[i].session);
}
