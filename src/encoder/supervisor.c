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

#define OVERSLEPT_NS  (200 * NS_PER_MS) /* we are never so late while we have the CPU */
#define TRUSTED_UNITS 100 /* that an encoder has to make until its failures are forgotten */

void supervisor_init(struct supervisor *supervisor, enum h264_choice choice, const char *device,
	struct outlet *to, int wake_fd)
{
	*supervisor = (struct supervisor){ .to = to, .wake_fd = wake_fd };
	fallback_init(&supervisor->policy, choice);
	supervisor->policy.device = device;
}

static bool is_hardware(const struct supervisor *supervisor)
{
	return supervisor->ops && supervisor->ops == supervisor->policy.hardware;
}

static void retire_current(struct supervisor *supervisor, int64_t now)
{
	if (!supervisor->session)
		return;
	retired_add(&supervisor->retired, supervisor->session, is_hardware(supervisor), now);
	supervisor->session = NULL;
	supervisor->announced = supervisor->in_place = false;
	supervisor->ops = NULL;
	supervisor->view = (struct session_view){ 0 };
}

static void retire_probe(struct supervisor *supervisor, int64_t now)
{
	if (!supervisor->probe)
		return;
	retired_add(&supervisor->retired, supervisor->probe, true, now);
	supervisor->probe = NULL;
}

void supervisor_rest(struct supervisor *supervisor, int64_t now)
{
	supervisor->config.width = 0;
	supervisor->refused = (struct frame){ 0 };
	retire_probe(supervisor, now);
	retire_current(supervisor, now);
}

/* ---- what is wanted */

void supervisor_tune(struct supervisor *supervisor, const struct encoder_tuning *tuning)
{
	supervisor->config.tuning = *tuning;
	if (supervisor->session)
		session_tune(supervisor->session, tuning);
	if (supervisor->probe)
		session_tune(supervisor->probe, tuning);
}

static bool is_running(const struct supervisor *supervisor)
{
	return supervisor->announced && supervisor->view.state == SESSION_RUNNING;
}

static bool is_alike(const struct frame *a, const struct frame *b)
{
	return a->format == b->format && a->width == b->width && a->height == b->height &&
	       a->plane[0].stride == b->plane[0].stride && !a->dmabuf.id == !b->dmabuf.id;
}

static bool is_refused(const struct supervisor *supervisor, const struct frame *like)
{
	return like->dmabuf.id && is_alike(like, &supervisor->refused);
}

/* It was not asked to: the no-signal picture came first, or the source is another one now. */
static bool could_import(const struct supervisor *supervisor, const struct encoder *encoder,
	const struct frame *like)
{
	return supervisor->ops->could_take && !is_refused(supervisor, like) &&
	       !is_alike(like, &session_config(supervisor->session)->like) &&
	       supervisor->ops->could_take(encoder, like);
}

static const char other_size[] = "another size", other_profile[] = "another profile";
/* Why another encoder is needed; NULL: the one in use will do. */
static const char *find_reason(const struct supervisor *supervisor,
	const struct encoder_config *config)
{
	const struct encoder_config *is = &supervisor->config;
	const struct encoder *encoder;

	if (config->width != is->width || config->height != is->height)
		return other_size;
	if (config->profile != is->profile)
		return other_profile;
	if (!is_running(supervisor))
		return NULL;
	encoder = session_encoder(supervisor->session);
	if (encoder_is_outgrown(encoder, config->most_fps))
		return "its level has no room for the rate";
	if (could_import(supervisor, encoder, &config->like))
		return "the source's memory can be read in place";
	return NULL;
}

void supervisor_want(struct supervisor *supervisor, const struct encoder_config *config,
	int64_t now)
{
	const char *reason = find_reason(supervisor, config);
	bool retune = memcmp(&config->tuning, &supervisor->config.tuning, sizeof(config->tuning));

	if (reason && supervisor->session)
		log_verbose("the %s encoder is opened anew: %s", supervisor->ops->name, reason);
	if (reason) {
		retire_probe(supervisor, now);
		retire_current(supervisor, now);
		if (reason == other_size || reason == other_profile)
			fallback_note_size(&supervisor->policy);
	}
	supervisor->config = *config;
	if (retune)
		supervisor_tune(supervisor, &config->tuning);
	if (!supervisor->session)
		supervisor_tend(supervisor, now);
}

/* ---- what is running */

/* Frees what has closed, and says so when hardware does not. */
static void reap(struct supervisor *supervisor, int64_t now)
{
	bool was_stuck = supervisor->policy.stuck;
	bool stuck = retired_reap(&supervisor->retired, now);

	supervisor->policy.stuck = stuck;
	supervisor->policy.was_stuck |= stuck;
	if (stuck && !was_stuck)
		log_warn("hardware encoder stuck: it does not even close; if it stays so, only a "
			 "reboot helps");
	else if (was_stuck && !stuck)
		log_info("the hardware encoder has closed at last; whether it works will be seen");
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
		supervisor->ops->name, encoder->device, h264_profile_name(encoder->profile),
		encoder->level / 10, encoder->level % 10, tuning.bitrate_kbps);
}

/*
 * A driver may lose a picture that it cannot import, and say nothing. True: that may be what is wrong,
 * and it is tried once more without.
 */
static bool doubts_imports(struct supervisor *supervisor, int error)
{
	if (!is_hardware(supervisor) || !supervisor->in_place || supervisor->view.units ||
		error == -ENODEV)
		return false;
	supervisor->refused = session_config(supervisor->session)->like;
	log_info("it may not be able to read the source's memory: pictures are copied now");
	return true;
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
		if (!doubts_imports(supervisor, error))
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
	struct encoder_config config = supervisor->config;
	struct session *session;
	int res;

	config.like.dmabuf.id *= !is_refused(supervisor, &config.like);
	res = session_start(&session, ops, &config, supervisor->to, supervisor->wake_fd);
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
	if (!ops ||
		(ops == supervisor->policy.hardware && retired_has_hardware(&supervisor->retired)))
		return;
	supervisor->session = start(supervisor, ops, now);
	if (!supervisor->session)
		return;
	supervisor->ops = ops;
	supervisor->trusted = false;
	session_get_view(supervisor->session, &supervisor->view);
}

static bool wants_probe(const struct supervisor *supervisor)
{
	return supervisor->session && !is_hardware(supervisor) && !supervisor->probe &&
	       supervisor->announced && !retired_has_hardware(&supervisor->retired);
}

static int64_t fault_due_ns(const struct supervisor *supervisor, const struct session_view *view)
{
	return view->waiting_ns
		       ? MAX(view->waiting_ns + limit_ns(supervisor, view), supervisor->patient_ns)
		       : INT64_MAX;
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
	else if (!supervisor->session && supervisor->config.width &&
		 !retired_has_hardware(&supervisor->retired))
		due = MIN(due, fallback_next_ns(&supervisor->policy));
	return supervisor->policy.stuck ? due : MIN(due, retired_due_ns(&supervisor->retired));
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

void supervisor_get_view(const struct supervisor *supervisor, struct supervisor_view *out)
{
	*out = (struct supervisor_view){ .in_use = supervisor->session,
		.running = is_running(supervisor),
		.opened = supervisor->opened,
		.encoder = supervisor->view };
}

static const char *name_state(const struct supervisor *supervisor, bool wanted, int64_t now)
{
	int error = supervisor->policy.error;

	if (is_running(supervisor))
		return supervisor->ops == supervisor->policy.software &&
				       (supervisor->policy.stuck ||
					       (error && error != -ENODEV && error != -ERANGE))
			       ? "fallback"
			       : "running";
	if (!supervisor->session && !fallback_pick(&supervisor->policy, now))
		return "failed";
	return wanted ? "starting" : "idle";
}

static void describe_encoder(const struct supervisor *supervisor, struct h264_status *out)
{
	const struct encoder *encoder = session_encoder(supervisor->session);

	out->encoder = supervisor->ops->name;
	memcpy(out->device, encoder->device, sizeof(out->device));
	out->profile = h264_profile_name(encoder->profile);
	out->level = encoder->level;
	out->width = encoder->width;
	out->height = encoder->height;
	session_get_tuning(supervisor->session, &out->tuning);
}

void supervisor_describe(const struct supervisor *supervisor, bool wanted, int64_t now,
	struct h264_status *out)
{
	const struct session_view *view = &supervisor->view;

	out->state = name_state(supervisor, wanted, now);
	fallback_explain(&supervisor->policy, supervisor->ops, now, out->text, sizeof(out->text));
	out->encoder = "none";
	out->profile = "";
	if (is_running(supervisor))
		describe_encoder(supervisor, out);
	out->online = view->online && is_running(supervisor);
	out->encoded = supervisor->retired.units + view->units;
	out->keys = supervisor->retired.keys + view->keys;
	out->lost = supervisor->retired.lost + view->lost;
	out->opened = supervisor->opened;
	out->failures = supervisor->failures;
	out->encode_ns = view->encode_ns;
}

/* ---- frames */

bool supervisor_takes(struct supervisor *supervisor, const struct frame *frame)
{
	const struct frame *like = &session_config(supervisor->session)->like;
	bool takes = supervisor->ops->takes(session_encoder(supervisor->session), frame);

	/* It was opened for such frames, and cannot: the next could not, either. */
	if (!takes && like->dmabuf.id && is_alike(like, frame))
		supervisor->refused = *like;
	return takes;
}

int supervisor_input(const struct supervisor *supervisor, struct picture *out)
{
	uint32_t free = supervisor->view.free_inputs;

	if (!free)
		return -1;
	*out = session_encoder(supervisor->session)->input[__builtin_ctz(free)];
	return __builtin_ctz(free);
}

void supervisor_submit(struct supervisor *supervisor, const struct encoder_submission *in)
{
	supervisor->in_place |= in->input < 0;
	session_submit(supervisor->session, in);
	session_get_view(supervisor->session, &supervisor->view);
}

/* ---- the end */

void supervisor_finish(struct supervisor *supervisor, int timeout_ms)
{
	struct pollfd on = { .fd = supervisor->wake_fd, .events = POLLIN };
	int64_t now = now_ns();
	const int64_t until_ns = now + timeout_ms * NS_PER_MS;
	eventfd_t count;

	supervisor_rest(supervisor, now);
	for (; now < until_ns; now = now_ns()) {
		reap(supervisor, now);
		if (retired_is_empty(&supervisor->retired))
			break;
		wait_for_events(&on, 1, until_ns); /* one eventfd tells of all sessions */
		eventfd_read(supervisor->wake_fd, &count);
	}
	retired_finish(&supervisor->retired);
}
