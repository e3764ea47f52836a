// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The thread of a sink: see sink.h. Each has one of its own, so that a reader that dawdles costs
 * the readers of other sinks nothing.
 */
#include "shm/sink.h"

#include <sys/eventfd.h>

#include "base/thread.h"
#include "base/util.h"
#include "base/wait.h"

#define LOG_TOPIC "sink"
#include "base/log.h"

#define OPEN_NS     (10 * NS_PER_S)   /* from try to try */
#define ROOM_NS     (200 * NS_PER_MS) /* … after the first, when there was no room */
#define LOOK_NS     (50 * NS_PER_MS)  /* how soon a reader is noticed */
#define VIDEO_DEPTH 8                 /* frames that may wait for us */

/* Key frames cost other viewers quality: how far apart requests are kept. */
#define KEY_NS       (100 * NS_PER_MS)
#define KEY_AGAIN_NS (500 * NS_PER_MS) /* while readers fail to take them */

struct sink {
	struct sink_config config; /* set at creation, as all of this block */
	bool is_video;             /* frames lean on those before them */
	struct mailbox *mailbox;
	int stop_fd; /* eventfd */
	pthread_t thread;
	bool started;

	struct sink_backend *backend; /* our thread only, as all of this block; NULL: not open */
	int open_error;      /* of the last try */
	int64_t open_due_ns;
	int64_t look_due_ns;
	int64_t pulse_due_ns; /* when a frame is written though nobody is there */
	int64_t write_due_ns; /* not before */
	int64_t asked_ns;     /* for a key frame */
	int64_t drop_said_ns; /* when a dropped frame was told of last */
	uint64_t lost_before; /* frames, when the backend was opened */
	bool is_attached;
	bool needs_key;   /* nothing else may be written next */
	bool key_pending; /* a reader asked for a key frame: neither asked for nor written since */

	pthread_mutex_t lock;
	struct sink_status status; /* under lock for others; our thread alone writes it */
	struct window latency;     /* under lock */
};

static void note_view(struct sink *sink, const struct backend_view *view)
{
	pthread_mutex_lock(&sink->lock);
	sink->status.view = *view;
	sink->status.capacity = sink->backend ? sink->backend->capacity : 0;
	pthread_mutex_unlock(&sink->lock);
}

static void count(struct sink *sink, uint64_t *counter)
{
	pthread_mutex_lock(&sink->lock);
	++*counter;
	pthread_mutex_unlock(&sink->lock);
}

static void count_written(struct sink *sink, const struct frame *frame, int64_t now)
{
	pthread_mutex_lock(&sink->lock);
	sink->status.written++;
	window_add(&sink->latency, now, now - frame->captured_ns);
	pthread_mutex_unlock(&sink->lock);
}

/* ---- the object */

static const char *const ends[MEDIA] = {
	[MEDIUM_JPEG] = "its name must end in :jpeg or .jpeg",
	[MEDIUM_RAW] = "its name must end in :raw or .raw",
	[MEDIUM_H264] = "its name must end in :h264 or .h264",
};

/* What is wrong, as what to do about it: the kernel's own words say less, and the wrong thing first. */
static const char *remedy(const struct sink *sink, int error)
{
	switch (error) {
	case -EPROTO: return ends[sink->config.backend.medium];
	case -EINVAL: return sink->config.ops->names;
	case -ENAMETOOLONG: return "choose a shorter name";
	case -EACCES: return "it belongs to another user: remove it from /dev/shm";
	case -EPERM: return "it belongs to another user, or we are not in that group";
	case -EBUSY:
		return "it is written already, by another program or from here: choose another "
		       "name, or end that program";
	case -EEXIST:
	case -EMEDIUMTYPE:
	case -ELOOP:
	case -EISDIR:
	case -ENXIO: return "something else has its name: remove that from /dev/shm";
	case -ENOSPC: return "/dev/shm is full: make room there";
	case -ENOMEM: return "there is too little memory for it";
	case -EMFILE:
	case -ENFILE: return "raise the limit of open files";
	case -ENOENT: return "there is no /dev/shm: mount it";
	default: return strerror(-error);
	}
}

/* Frames that nobody will find in the backend. */
static uint64_t lost(const struct sink *sink)
{
	return mailbox_dropped(sink->mailbox) + sink->status.skipped;
}

static void open_store(struct sink *sink, int64_t now)
{
	const struct backend_ops *ops = sink->config.ops;
	const struct option_sink *opt = sink->config.backend.opt;
	int res = ops->open(&sink->backend, &sink->config.backend);

	/* What was left behind is given back when its readers know of its end. */
	sink->open_due_ns = now + (res == -ENOSPC && sink->open_error != res ? ROOM_NS : OPEN_NS);
	if (res == 0)
		log_info("%s %s is ready: mode %o, %s", ops->name, opt->name, opt->mode,
			sink->backend->about);
	else if (res != sink->open_error)
		log_error("no %s %s: %s (tried every 10 s)", ops->name, opt->name,
			remedy(sink, res));
	sink->open_error = res;
	sink->lost_before = lost(sink);
	sink->look_due_ns = sink->pulse_due_ns = now;
}

static void ask_key(struct sink *sink, int64_t now, int64_t apart_ns)
{
	if (!sink->is_video || now - sink->asked_ns < apart_ns)
		return;
	sink->asked_ns = now;
	sink->key_pending = false;
	outlet_ask_key(sink->config.outlet);
}

/* Somebody removed it, or worse: a new one is made under the name. */
static void lose_store(struct sink *sink, int res)
{
	static const struct backend_view nobody;

	log_warn("%s: %s; opening it again", sink->config.backend.opt->name,
		res == -ESTALE ? "somebody removed it" : remedy(sink, res));
	sink->config.ops->close(sink->backend);
	sink->backend = NULL;
	sink->key_pending = false;
	note_view(sink, &nobody);
	sink->open_due_ns = res == -ESTALE ? 0 : now_ns() + OPEN_NS;
}

static void look(struct sink *sink, int64_t now)
{
	struct backend_view view;
	int res = sink->config.ops->look(sink->backend, now, &view);

	if (res < 0)
		return lose_store(sink, res);
	sink->look_due_ns = now + LOOK_NS;
	if (!view.readers != !sink->status.view.readers)
		log_verbose("%s: %s", sink->config.backend.opt->name,
			view.readers ? "a reader came" : "no reader any more");
	note_view(sink, &view);
	/* A ring tells of each request once: it stays open until its time has come. */
	sink->key_pending = sink->is_video && view.readers && (sink->key_pending || view.wants_key);
}

/* ---- the outlet */

static void attach(struct sink *sink, int64_t now)
{
	sink->needs_key = true;
	sink->is_attached = true;
	sink->asked_ns = now; /* attaching asks, too */
	outlet_attach(sink->config.outlet, sink->mailbox);
}

static void detach(struct sink *sink)
{
	struct frame *frame;

	if (!sink->is_attached)
		return;
	outlet_detach(sink->config.outlet, sink->mailbox);
	sink->is_attached = false;
	while ((frame = mailbox_take(sink->mailbox)))
		frame_unref(frame);
}

static bool is_pulse_due(const struct sink *sink, int64_t now)
{
	return sink->config.ops->pulse_ns && now >= sink->pulse_due_ns;
}

static void tend(struct sink *sink, int64_t now)
{
	bool wanted;

	if (!sink->backend && now >= sink->open_due_ns)
		open_store(sink, now);
	if (sink->backend && now >= sink->look_due_ns)
		look(sink, now);
	wanted = sink->backend && (sink->status.view.readers || is_pulse_due(sink, now));
	if (wanted && !sink->is_attached)
		attach(sink, now);
	else if (!wanted)
		detach(sink);
	if (sink->key_pending)
		ask_key(sink, now, KEY_NS);
}

/* ---- frames */

/*
 * A reader that holds the lock for long would cost the viewers of the same stream key frame after
 * key frame, for nothing: none is asked for until the lock can be had.
 */
static void pass_over(struct sink *sink, int64_t now)
{
	count(sink, &sink->status.skipped);
	if (now - sink->asked_ns < KEY_AGAIN_NS || !sink->config.ops->lock(sink->backend, false))
		return;
	sink->config.ops->unlock(sink->backend);
	ask_key(sink, now, KEY_AGAIN_NS);
}

/* Once a second for each sink: the line of one must not be left out for that of another. */
static void drop(struct sink *sink, const struct frame *frame, int error, int64_t now)
{
	const struct backend_ops *ops = sink->config.ops;
	const char *name = sink->config.backend.opt->name;

	count(sink, &sink->status.dropped);
	drops_count(sink->config.drops, DROP_SINK);
	if (now - sink->drop_said_ns < NS_PER_S)
		return;
	sink->drop_said_ns = now;
	if (error == -EMSGSIZE)
		log_warn("frame dropped: %ux%u, %zu bytes; the %s %s takes %zu at most: %s "
			 "(sink, %llu so far)",
			frame->width, frame->height, frame_size(frame), ops->name, name,
			sink->backend->capacity, ops->larger,
			(unsigned long long)sink->status.dropped);
	else
		log_warn("frame dropped: %s %s: %s (sink, %llu so far)", ops->name, name,
			remedy(sink, error), (unsigned long long)sink->status.dropped);
}

static void write_frame(struct sink *sink, const struct frame *frame, bool is_locked)
{
	const struct backend_ops *ops = sink->config.ops;
	int res = is_locked ? ops->write(sink->backend, frame, lost(sink) - sink->lost_before)
			    : -EAGAIN;
	int64_t now = now_ns();

	/* Nobody there, one try a second is enough, also when it failed. */
	sink->pulse_due_ns = now + ops->pulse_ns;
	if (ops->is_watched)
		sink->look_due_ns = now;
	sink->write_due_ns = sink->is_video ? now + ops->spacing_ns : now;
	if (res == 0) {
		count_written(sink, frame, now);
		sink->needs_key = false;
		sink->key_pending &= !frame->key;
		return;
	}
	if (res == -EAGAIN)
		count(sink, &sink->status.skipped);
	else
		drop(sink, frame, res, now);
	if (!sink->needs_key)
		ask_key(sink, now, KEY_NS);
	sink->needs_key = true;
}

/* The lock comes first: a frame may be a capture buffer, which is not kept waiting for readers. */
static void serve(struct sink *sink)
{
	const struct backend_ops *ops = sink->config.ops;
	bool is_locked = ops->lock(sink->backend, true);
	AUTO(frame_unref_auto) struct frame *frame = mailbox_take(sink->mailbox);

	if (frame && (!sink->needs_key || frame->key))
		return write_frame(sink, frame, is_locked);
	if (is_locked)
		ops->unlock(sink->backend);
	if (frame)
		pass_over(sink, now_ns());
}

/* ---- the thread */

static int64_t due_ns(const struct sink *sink, int64_t now)
{
	int64_t due = sink->backend ? sink->look_due_ns : sink->open_due_ns;

	if (sink->backend && !sink->is_attached && sink->config.ops->pulse_ns)
		due = MIN(due, sink->pulse_due_ns);
	if (sink->is_attached && sink->write_due_ns > now)
		due = MIN(due, sink->write_due_ns);
	if (sink->key_pending)
		due = MIN(due, sink->asked_ns + KEY_NS);
	return due;
}

/* False: it is time to stop. */
static bool wait_for_work(struct sink *sink, int64_t now)
{
	bool may_write = sink->is_attached && now >= sink->write_due_ns;
	struct pollfd on[] = { { .fd = sink->stop_fd, .events = POLLIN },
		{ .fd = may_write ? mailbox_fd(sink->mailbox) : -1, .events = POLLIN } };

	wait_for_events(on, ARRAY_SIZE(on), due_ns(sink, now));
	if (on[1].revents)
		serve(sink);
	return !on[0].revents;
}

static void *run(void *arg)
{
	struct sink *sink = arg;
	int64_t now;

	log_name_thread(sink->config.thread);
	do {
		now = now_ns();
		tend(sink, now);
	} while (wait_for_work(sink, now));
	detach(sink);
	if (sink->backend)
		sink->config.ops->close(sink->backend);
	return NULL;
}

static int start(struct sink *sink)
{
	int res = thread_start(&sink->thread, run, sink);

	sink->started = res == 0;
	return res;
}

int sink_create(struct sink **out, const struct sink_config *config)
{
	struct sink *sink = xcalloc(1, sizeof(*sink));
	int res;

	sink->config = *config;
	sink->is_video = config->backend.medium == MEDIUM_H264;
	sink->status.name = config->backend.opt->name;
	pthread_mutex_init(&sink->lock, NULL);
	sink->asked_ns = INT64_MIN / 2;
	sink->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sink->stop_fd < 0)
		res = -errno;
	else
		res = mailbox_create(&sink->mailbox, sink->is_video ? VIDEO_DEPTH : 1);
	if (res == 0)
		res = start(sink);
	if (res < 0) {
		sink_destroy(sink);
		return res;
	}
	*out = sink;
	return 0;
}

void sink_destroy(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->started) {
		wake(sink->stop_fd);
		pthread_join(sink->thread, NULL);
	}
	mailbox_destroy(sink->mailbox);
	close_fd(&sink->stop_fd);
	pthread_mutex_destroy(&sink->lock);
	free(sink);
}

void sink_get_status(struct sink *sink, struct sink_status *out)
{
	struct window latency;

	pthread_mutex_lock(&sink->lock);
	*out = sink->status;
	latency = sink->latency;
	pthread_mutex_unlock(&sink->lock);
	window_get(&latency, now_ns(), &out->latency); /* sorts: not while frames wait */
	out->late = mailbox_dropped(sink->mailbox);
}
