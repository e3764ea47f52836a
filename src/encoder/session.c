// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Sessions: see session.h. The thread owns the encoder; the two sides share what is under the
 * lock, and the memory of inputs, which the owner writes to while the thread leaves it alone. So
 * an encoder is closed only when the owner has asked for it: after a failure it waits for that.
 *
 * A session's lock is held over no other.
 */
#include "encoder/session.h"

#include <sys/eventfd.h>

#include "base/thread.h"
#include "base/wait.h"

#define LOG_TOPIC "h264"
#include "base/log.h"

/* How long an encoder may keep silent before it is asked again. */
#define COLLECT_MS 50

/* A frame that was handed over and has not gone in. */
struct job {
	int input;
	struct frame *frame; /* holds a reference; NULL with an input */
	struct frame about;  /* what encoder_submission.origin said; holds nothing */
	bool want_key;
	int64_t at_ns;
};

struct session {
	const struct encoder_ops *ops; /* set at creation, as all of this block */
	struct encoder_config config;
	int fd;                  /* eventfd: there is something to do */
	int64_t ended_ns;        /* thread only: when the last access unit came out */
	struct encoder *encoder; /* set by the thread before it says SESSION_RUNNING */

	pthread_mutex_t lock;
	unsigned refs;     /* under lock, as all of this block: the owner and the thread */
	struct outlet *to; /* NULL once it is to close */
	bool publishes;    /* the thread uses it: session_close() waits */
	pthread_cond_t published;
	int wake_fd; /* -1 once the owner let go */
	struct job job[ENCODER_INPUTS];
	unsigned n_jobs;
	bool stop, has_tuning;
	struct encoder_tuning tuning; /* to be set, if has_tuning; else in force */
	struct session_view view;
};

static void unref(struct session *session)
{
	bool last;

	pthread_mutex_lock(&session->lock);
	last = --session->refs == 0;
	pthread_mutex_unlock(&session->lock);
	if (!last)
		return;
	pthread_cond_destroy(&session->published);
	pthread_mutex_destroy(&session->lock);
	close(session->fd);
	free(session);
}

static void set_state(struct session *session, enum session_state state, int error)
{
	pthread_mutex_lock(&session->lock);
	session->view.state = state;
	session->view.error = error;
	session->view.waiting_ns = 0;
	wake(session->wake_fd);
	pthread_mutex_unlock(&session->lock);
}

/* Whether the owner may do something that it could not before: each wake-up costs. */
static bool is_news(const struct session_view *view, const struct session_view *before)
{
	return view->state != before->state || view->units != before->units ||
	       view->lost != before->lost || view->keys_lost != before->keys_lost ||
	       (view->free_inputs && !before->free_inputs) || view->fps != before->fps;
}

/* What the encoder knows, for the owner to see. Under the lock. */
static void update_view_locked(struct session *session)
{
	const struct encoder *encoder = session->encoder;
	struct session_view *view = &session->view;
	uint32_t busy = encoder->busy_inputs;
	int64_t oldest = 0;

	for (unsigned i = 0; i < ENCODER_IN_FLIGHT; i++) {
		const struct encoder_pending *pending = &encoder->pending[i];

		if (pending->timestamp_us && (!oldest || pending->begin_ns < oldest))
			oldest = pending->begin_ns;
	}
	view->begin_ns = oldest ? MAX(oldest, session->ended_ns) : 0;
	for (unsigned i = 0; i < session->n_jobs; i++) {
		if (session->job[i].input >= 0)
			busy |= 1U << session->job[i].input;
		if (!oldest || session->job[i].at_ns < oldest)
			oldest = session->job[i].at_ns;
	}
	view->waiting_ns = oldest;
	view->in_flight = encoder_count_pending(encoder) + session->n_jobs;
	view->free_inputs = ~busy & ((1U << encoder->n_inputs) - 1);
	view->lost = encoder->lost;
	view->keys_lost = encoder->keys_lost;
	view->fps = encoder->tuning.fps;
}

/* Frames that were handed over are not wanted any more. Called without the lock. */
static void drop_jobs(struct session *session)
{
	struct frame *frame[ENCODER_INPUTS];
	unsigned count = 0;

	pthread_mutex_lock(&session->lock);
	while (session->n_jobs)
		frame[count++] = session->job[--session->n_jobs].frame;
	pthread_mutex_unlock(&session->lock);
	while (count)
		frame_unref(frame[--count]);
}

/* Smoothed over about eight frames. */
static int64_t smooth(int64_t old, int64_t value)
{
	return old ? old + (value - old) / 8 : value;
}

static void publish(struct session *session, struct frame *unit)
{
	struct session_view *view = &session->view;
	int64_t end = unit->encode_end_ns;
	struct outlet *to;

	pthread_mutex_lock(&session->lock);
	view->ended_ns = end;
	view->encode_ns = smooth(view->encode_ns,
		end - MAX(unit->encode_begin_ns, session->ended_ns));
	session->ended_ns = end;
	view->units++;
	view->keys += unit->key;
	view->last_size = unit->plane[0].size;
	view->last_key_ns = unit->key ? end : view->last_key_ns;
	view->online = unit->online;
	to = session->to;
	session->publishes = to;
	pthread_mutex_unlock(&session->lock);
	/* Under no lock, for what it drops. session_close() waits for its end. */
	if (to)
		outlet_publish(to, unit);
	frame_unref(unit);
	pthread_mutex_lock(&session->lock);
	session->publishes = false;
	pthread_cond_signal(&session->published);
	pthread_mutex_unlock(&session->lock);
}

static int collect_all(struct session *session)
{
	struct frame *unit;
	int res;

	while ((res = session->ops->collect(session->encoder, &unit)) == 0)
		publish(session, unit);
	return res == -EAGAIN ? 0 : res;
}

/* The job stays in its place until the encoder has it: the owner's watchdog looks at that. */
static int submit_first(struct session *session, const struct job *job)
{
	struct encoder_submission in = { .input = job->input,
		.frame = job->frame,
		.origin = &job->about,
		.want_key = job->want_key };
	int res = session->ops->submit(session->encoder, &in);

	pthread_mutex_lock(&session->lock);
	session->n_jobs--;
	memmove(&session->job[0], &session->job[1], session->n_jobs * sizeof(session->job[0]));
	pthread_mutex_unlock(&session->lock);
	frame_unref(job->frame);
	return res == -ENOTSUP ? 0 : res;
}

static int tune(struct session *session, const struct encoder_tuning *tuning)
{
	int res = session->ops->tune(session->encoder, tuning);

	pthread_mutex_lock(&session->lock);
	if (!session->has_tuning)
		session->tuning = session->encoder->tuning;
	pthread_mutex_unlock(&session->lock);
	return res;
}

/* One thing the owner asked for. 0: done, or there was none (*idle). */
static int do_next(struct session *session, bool *idle)
{
	struct encoder_tuning tuning;
	struct job job = { 0 };
	bool retune;

	pthread_mutex_lock(&session->lock);
	retune = session->has_tuning;
	tuning = session->tuning;
	session->has_tuning = false;
	*idle = !retune && session->n_jobs == 0;
	if (session->n_jobs)
		job = session->job[0];
	pthread_mutex_unlock(&session->lock);
	if (retune)
		return tune(session, &tuning);
	return *idle ? 0 : submit_first(session, &job);
}

static int do_all(struct session *session)
{
	bool idle = false;
	int res = 0;

	while (res == 0 && !idle) {
		res = do_next(session, &idle);
		if (res == 0)
			res = collect_all(session);
	}
	return res;
}

static bool is_stopped(struct session *session)
{
	bool stop;

	pthread_mutex_lock(&session->lock);
	stop = session->stop;
	pthread_mutex_unlock(&session->lock);
	return stop;
}

static void wait_for_work(struct session *session)
{
	const struct encoder *encoder = session->encoder;
	bool pending = encoder && (encoder_count_pending(encoder) || encoder->busy_inputs);
	struct pollfd on[] = { { .fd = session->fd, .events = POLLIN },
		{ .fd = pending ? encoder->fd : -1, .events = pending ? encoder->events : 0 } };
	eventfd_t count;

	wait_for_events(on, ARRAY_SIZE(on),
		pending ? now_ns() + COLLECT_MS * NS_PER_MS : WAIT_FOR_EVER);
	if (on[0].revents)
		eventfd_read(session->fd, &count);
}

/* Until the owner wants it closed, or it fails. */
static int serve(struct session *session)
{
	struct session_view told = { 0 };
	int res = 0;

	while (!is_stopped(session)) {
		res = do_all(session);
		if (res < 0)
			return res;
		pthread_mutex_lock(&session->lock);
		update_view_locked(session);
		if (is_news(&session->view, &told))
			wake(session->wake_fd);
		told = session->view;
		pthread_mutex_unlock(&session->lock);
		wait_for_work(session);
	}
	return res;
}

static int open_encoder(struct session *session)
{
	int res = session->ops->open(&session->encoder, &session->config);

	if (res < 0)
		return res;
	pthread_mutex_lock(&session->lock);
	if (!session->has_tuning)
		session->tuning = session->encoder->tuning;
	session->view.state = SESSION_RUNNING;
	pthread_mutex_unlock(&session->lock);
	return 0;
}

static void *run(void *arg)
{
	struct session *session = arg;
	char name[16];
	int res;

	snprintf(name, sizeof(name), "h264-%s", session->ops->name);
	log_name_thread(name);
	res = open_encoder(session);
	if (res == 0)
		res = serve(session);
	if (res < 0) {
		set_state(session, SESSION_FAILED, res);
		while (!is_stopped(session)) {
			struct pollfd on = { .fd = session->fd, .events = POLLIN };
			eventfd_t count;

			wait_for_events(&on, 1, WAIT_FOR_EVER);
			eventfd_read(session->fd, &count);
		}
	}
	drop_jobs(session);
	if (session->encoder)
		session->ops->close(session->encoder);
	set_state(session, SESSION_CLOSED, res);
	unref(session);
	return NULL;
}

int session_start(struct session **out, const struct encoder_ops *ops,
	const struct encoder_config *config, struct outlet *to, int wake_fd)
{
	struct session *session = xcalloc(1, sizeof(*session));
	int res = 0;

	session->ops = ops;
	session->config = *config;
	session->to = to;
	session->wake_fd = wake_fd;
	session->refs = 2;
	session->view.waiting_ns = now_ns();
	session->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->published, NULL);
	if (session->fd < 0)
		res = -errno;
	else
		/* A signal in an ioctl of the Pi's encoder loses a buffer for good (linux#6701). */
		res = thread_start(NULL, run, session);
	if (res < 0) {
		pthread_cond_destroy(&session->published);
		pthread_mutex_destroy(&session->lock);
		close_fd(&session->fd);
		free(session);
		return res;
	}
	*out = session;
	return 0;
}

void session_get_view(struct session *session, struct session_view *out)
{
	pthread_mutex_lock(&session->lock);
	*out = session->view;
	pthread_mutex_unlock(&session->lock);
}

const struct encoder_config *session_config(const struct session *session)
{
	return &session->config;
}

const struct encoder *session_encoder(const struct session *session)
{
	return session->encoder;
}

void session_get_tuning(struct session *session, struct encoder_tuning *out)
{
	pthread_mutex_lock(&session->lock);
	*out = session->tuning;
	pthread_mutex_unlock(&session->lock);
}

void session_submit(struct session *session, const struct encoder_submission *in)
{
	struct job job = { .input = in->input,
		.frame = in->frame ? frame_ref(in->frame) : NULL,
		.want_key = in->want_key,
		.at_ns = now_ns() };
	bool taken;

	frame_copy_origin(&job.about, in->origin);
	job.about.range = in->origin->range;
	job.about.matrix = in->origin->matrix;
	pthread_mutex_lock(&session->lock);
	taken = session->n_jobs < ENCODER_INPUTS && !session->stop;
	if (taken) {
		session->job[session->n_jobs++] = job;
		session->view.in_flight++;
		if (!session->view.waiting_ns)
			session->view.waiting_ns = job.at_ns;
		if (job.input >= 0)
			session->view.free_inputs &= ~(1U << job.input);
	}
	pthread_mutex_unlock(&session->lock);
	if (taken)
		wake(session->fd);
	else
		frame_unref(job.frame);
}

void session_tune(struct session *session, const struct encoder_tuning *tuning)
{
	pthread_mutex_lock(&session->lock);
	session->tuning = *tuning;
	session->has_tuning = true;
	pthread_mutex_unlock(&session->lock);
	wake(session->fd);
}

void session_close(struct session *session)
{
	pthread_mutex_lock(&session->lock);
	session->stop = true;
	session->to = NULL;
	while (session->publishes)
		pthread_cond_wait(&session->published, &session->lock);
	session->view.waiting_ns = now_ns();
	pthread_mutex_unlock(&session->lock);
	wake(session->fd);
}

void session_release(struct session *session)
{
	if (!session)
		return;
	session_close(session);
	pthread_mutex_lock(&session->lock);
	session->wake_fd = -1;
	pthread_mutex_unlock(&session->lock);
	unref(session);
}
