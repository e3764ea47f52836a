// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The H.264 encoder: see h264.h. Its thread looks after the supervisor, which has an encoder running,
 * and the scheduler, which hands it the newest frames; it never waits for a driver.
 *
 * Lock order: our outlet, the raw outlet, a mailbox; `lock` is held over no other.
 */
#include "encoder/h264.h"

#include <sys/eventfd.h>

#include "base/rate.h"
#include "base/thread.h"
#include "base/util.h"
#include "base/wait.h"
#include "encoder/scheduler.h"
#include "encoder/supervisor.h"

#define LOG_TOPIC "h264"
#include "base/log.h"

/* Encoders that nobody watches are kept that long, then their memory is of more use to others. */
#define IDLE_NS (60 * NS_PER_S)

/* How long a closing driver is waited for at the end. */
#define FINISH_MS 300

struct h264_encoder {
	struct outlet *raw; /* set before start, as all of this block */
	struct outlet *outlet;
	struct mailbox *mailbox; /* attached to raw while the outlet is wanted */
	int wake_fd;             /* eventfd: anything below has changed, or a session's view */
	pthread_t thread;
	bool started;

	atomic_bool wanted, stop;

	struct options opt; /* our thread only, as all of this block: as they are now */
	struct supervisor supervisor;
	struct scheduler scheduler; /* but what it says of itself */
	int64_t idle_ns;      /* since when nobody watches; 0: somebody does */
	uint64_t ticked;      /* access units that `rate` knows of */

	struct rate rate; /* ticked by our thread */

	pthread_mutex_t lock;
	struct options wish;        /* under lock: as they are to be */
	bool wished;                /* under lock: that is new */
	struct encoder_limit limit; /* under lock */
	bool limited;               /* under lock: `limit` is new */
	struct h264_status status;  /* under lock */
};

/*
 * The first reader came, or the last one went. What waits then would be old for the next one.
 * Our outlet's lock makes these calls exclusive.
 */
static struct frame *on_wanted(void *arg, bool wanted)
{
	struct h264_encoder *encoder = arg;
	struct frame *waiting = NULL;

	if (wanted) {
		outlet_attach(encoder->raw, encoder->mailbox);
	} else {
		outlet_detach(encoder->raw, encoder->mailbox);
		waiting = mailbox_take(encoder->mailbox);
	}
	atomic_store(&encoder->wanted, wanted);
	wake(encoder->wake_fd);
	return waiting;
}

static void on_need_key(void *arg)
{
	struct h264_encoder *encoder = arg;

	scheduler_ask_key(&encoder->scheduler, now_ns());
	wake(encoder->wake_fd);
}

static const struct outlet_events outlet_events = { on_wanted, on_need_key };

static void obey(struct h264_encoder *encoder)
{
	bool wished;

	pthread_mutex_lock(&encoder->lock);
	wished = encoder->wished;
	if (wished)
		encoder->opt = encoder->wish;
	encoder->wished = false;
	pthread_mutex_unlock(&encoder->lock);
	if (wished)
		scheduler_obey(&encoder->scheduler);
}

static void obey_limit(struct h264_encoder *encoder)
{
	struct encoder_limit limit;
	bool limited;

	pthread_mutex_lock(&encoder->lock);
	limited = encoder->limited;
	limit = encoder->limit;
	encoder->limited = false;
	pthread_mutex_unlock(&encoder->lock);
	if (limited)
		scheduler_limit(&encoder->scheduler, &limit);
}

static void tend_idleness(struct h264_encoder *encoder, int64_t now)
{
	if (atomic_load(&encoder->wanted)) {
		encoder->idle_ns = 0;
		return;
	}
	if (!encoder->idle_ns) {
		encoder->idle_ns = now;
		scheduler_rest(&encoder->scheduler);
	}
	if (now - encoder->idle_ns >= IDLE_NS)
		supervisor_rest(&encoder->supervisor, now);
}

static const char *name_state(const struct h264_encoder *encoder, int64_t now)
{
	const struct supervisor *supervisor = &encoder->supervisor;
	int error = supervisor->policy.error;

	if (supervisor_is_running(supervisor))
		return supervisor->ops == supervisor->policy.software && error &&
				       error != -ENODEV && error != -ERANGE
			       ? "fallback"
			       : "running";
	if (!supervisor->session && !fallback_pick(&supervisor->policy, now))
		return "failed";
	return atomic_load(&encoder->wanted) ? "starting" : "idle";
}

static void describe_encoder(struct supervisor *supervisor, struct h264_status *status)
{
	const struct encoder *running = session_encoder(supervisor->session);

	status->encoder = supervisor->ops->name;
	memcpy(status->device, running->device, sizeof(status->device));
	status->profile = avc_profile_name(running->profile);
	status->level = running->level;
	status->width = running->width;
	status->height = running->height;
	session_get_tuning(supervisor->session, &status->tuning);
}

static void count_units(struct h264_encoder *encoder, uint64_t units, int64_t now)
{
	for (; encoder->ticked < units; encoder->ticked++)
		rate_tick(&encoder->rate, now);
}

static void update_status(struct h264_encoder *encoder, int64_t now)
{
	struct supervisor *supervisor = &encoder->supervisor;
	const struct session_view *view = &supervisor->view;
	struct h264_status status = { .encoder = "none", .profile = "" };

	status.state = name_state(encoder, now);
	fallback_explain(&supervisor->policy, supervisor->ops, now, status.text,
		sizeof(status.text));
	if (supervisor_is_running(supervisor))
		describe_encoder(supervisor, &status);
	status.online = view->online && supervisor_is_running(supervisor);
	status.encoded = supervisor->units + view->units;
	status.keys = supervisor->keys + view->keys;
	status.lost = supervisor->lost + view->lost;
	status.opened = supervisor->opened;
	status.failures = supervisor->failures;
	status.same = encoder->scheduler.same;
	status.late = mailbox_dropped(encoder->mailbox) + encoder->scheduler.surplus;
	status.encode_ns = view->encode_ns;
	status.convert_ns = encoder->scheduler.convert_ns;
	count_units(encoder, status.encoded, now);
	pthread_mutex_lock(&encoder->lock);
	encoder->status = status;
	pthread_mutex_unlock(&encoder->lock);
}

/* When to look again although nothing happened: what was due at `now` has been seen to. */
static int64_t due_ns(const struct h264_encoder *encoder, int64_t now)
{
	int64_t due = MIN(supervisor_due_ns(&encoder->supervisor),
		scheduler_due_ns(&encoder->scheduler, now));

	if (encoder->idle_ns && encoder->supervisor.config.width)
		due = MIN(due, encoder->idle_ns + IDLE_NS);
	return due;
}

/*
 * Frames are not looked at while there is no use for them: the newest waits in the mailbox. now:
 * of the turn that ends here, so that nothing becomes due between doing and waiting.
 */
static void wait_for_work(struct h264_encoder *encoder, int64_t now)
{
	bool has_room = scheduler_has_room(&encoder->scheduler, now);
	struct pollfd on[] = { { .fd = encoder->wake_fd, .events = POLLIN },
		{ .fd = has_room ? mailbox_fd(encoder->mailbox) : -1, .events = POLLIN } };
	eventfd_t count;

	wait_for_events(on, ARRAY_SIZE(on), due_ns(encoder, now));
	if (on[0].revents)
		eventfd_read(encoder->wake_fd, &count);
}

static void *run(void *arg)
{
	struct h264_encoder *encoder = arg;

	log_name_thread("h264");
	while (!atomic_load(&encoder->stop)) {
		const int64_t now = now_ns();

		supervisor_tend(&encoder->supervisor, now);
		obey(encoder);
		obey_limit(encoder);
		tend_idleness(encoder, now);
		if (atomic_load(&encoder->wanted))
			scheduler_feed(&encoder->scheduler, now);
		update_status(encoder, now);
		wait_for_work(encoder, now);
	}
	supervisor_finish(&encoder->supervisor, FINISH_MS);
	return NULL;
}

/* ---- for everyone */

static int start(struct h264_encoder *encoder, struct drops *drops)
{
	int res;

	encoder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (encoder->wake_fd < 0)
		return -errno;
	supervisor_init(&encoder->supervisor, encoder->opt.h264_encoder, encoder->outlet,
		encoder->wake_fd);
	encoder->supervisor.policy.device = encoder->opt.h264_m2m_device;
	if ((res = mailbox_create(&encoder->mailbox, 1)) < 0 ||
		(res = scheduler_init(&encoder->scheduler, &encoder->opt, drops,
			 &encoder->supervisor, encoder->mailbox)) < 0)
		return res;
	update_status(encoder, now_ns());
	res = thread_start(&encoder->thread, run, encoder);
	encoder->started = res == 0;
	return res;
}

int h264_encoder_create(struct h264_encoder **out, const struct options *opt, struct outlet *raw,
	struct drops *drops)
{
	struct h264_encoder *encoder = xcalloc(1, sizeof(*encoder));
	bool off = opt->h264_encoder == H264_ENCODER_OFF;
	int res = 0;

	encoder->opt = encoder->wish = *opt;
	encoder->raw = raw;
	encoder->wake_fd = -1;
	encoder->status = (struct h264_status){ .state = "off",
		.encoder = "none",
		.profile = "",
		.text = "switched off by --h264-encoder off" };
	pthread_mutex_init(&encoder->lock, NULL);
	encoder->outlet = outlet_create(off ? NULL : &outlet_events, encoder);
	if (!off)
		res = start(encoder, drops);
	if (res < 0) {
		h264_encoder_destroy(encoder);
		return res;
	}
	*out = encoder;
	return 0;
}

void h264_encoder_destroy(struct h264_encoder *encoder)
{
	if (!encoder)
		return;
	if (encoder->started) {
		atomic_store(&encoder->stop, true);
		wake(encoder->wake_fd);
		pthread_join(encoder->thread, NULL);
	}
	scheduler_finish(&encoder->scheduler);
	mailbox_destroy(encoder->mailbox);
	outlet_destroy(encoder->outlet);
	close_fd(&encoder->wake_fd);
	pthread_mutex_destroy(&encoder->lock);
	free(encoder);
}

struct outlet *h264_encoder_outlet(struct h264_encoder *encoder)
{
	return encoder->outlet;
}

void h264_encoder_obey(struct h264_encoder *encoder, const struct options *now)
{
	pthread_mutex_lock(&encoder->lock);
	encoder->wish = *now;
	encoder->wished = true;
	pthread_mutex_unlock(&encoder->lock);
	if (encoder->started)
		wake(encoder->wake_fd);
}

void h264_encoder_limit(struct h264_encoder *encoder, const struct encoder_limit *limit)
{
	pthread_mutex_lock(&encoder->lock);
	encoder->limit = *limit;
	encoder->limited = true;
	pthread_mutex_unlock(&encoder->lock);
	if (encoder->started)
		wake(encoder->wake_fd);
}

void h264_encoder_get_status(struct h264_encoder *encoder, struct h264_status *out)
{
	pthread_mutex_lock(&encoder->lock);
	*out = encoder->status;
	out->wanted = scheduler_wish(&encoder->wish);
	pthread_mutex_unlock(&encoder->lock);
	out->fps = rate_get(&encoder->rate, now_ns());
}

int64_t h264_encoder_damaged_ns(struct h264_encoder *encoder)
{
	return atomic_load(&encoder->scheduler.damaged_ns);
}
