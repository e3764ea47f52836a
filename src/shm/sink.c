// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The thread of a sink: see sink.h. Each has one of its own, so that a reader that dawdles costs
 * the readers of other sinks nothing.
 */
#include "shm/sink.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "shm/memsink.h"
#include "thread.h"
#include "util.h"

#define LOG_TOPIC "sink"
#include "log.h"

#define OPEN_NS  (10 * NS_PER_S)   /* from try to try */
#define LOOK_NS  (100 * NS_PER_MS) /* how soon a reader is noticed */
#define PULSE_NS NS_PER_S          /* from frame to frame while there is none */

/* Readers look once a millisecond, and need each frame of a video: two must not come at once. */
#define SPACING_NS  (3 * NS_PER_MS)
#define VIDEO_DEPTH 8

/* Key frames cost other viewers quality: how far apart requests are kept. */
#define KEY_NS       (100 * NS_PER_MS)
#define KEY_AGAIN_NS (500 * NS_PER_MS) /* while readers fail to take them */

struct sink {
	struct sink_config config; /* set at creation, as all of this block */
	struct mailbox *mailbox;
	int stop_fd; /* eventfd */
	pthread_t thread;
	bool started;

	struct memsink *memory; /* our thread only, as all of this block; NULL: not open */
	int open_error;         /* of the last try */
	int64_t open_due_ns;
	int64_t look_due_ns;
	int64_t pulse_due_ns; /* when a frame is written though nobody is there */
	int64_t write_due_ns; /* not before */
	int64_t asked_ns;     /* for a key frame */
	bool is_attached;
	bool needs_key; /* nothing else may be written next */

	atomic_bool has_clients; /* written by our thread, as the rest */
	atomic_uint_least64_t written, skipped, dropped;
};

/* ---- the object */

static const char *remedy(int error)
{
	switch (error) {
	case -EPROTO: return "its name must end in :jpeg, :h264 or :raw (or .jpeg and so on)";
	case -EINVAL: return "its name must have no '/' in it";
	case -ENAMETOOLONG: return "choose a shorter name";
	case -EACCES:
	case -EPERM: return "it belongs to another user: remove it from /dev/shm";
	case -EMEDIUMTYPE:
	case -ELOOP:
	case -EISDIR:
	case -ENXIO: return "something else has its name: remove that from /dev/shm";
	case -ENOSPC: return "/dev/shm is full: make room there";
	case -EMFILE:
	case -ENFILE: return "raise the limit of open files";
	default: return "see whether /dev/shm is there";
	}
}

static void open_memory(struct sink *sink, int64_t now)
{
	const struct sink_config *config = &sink->config;
	const struct option_sink *opt = config->opt;
	int res = memsink_open(&sink->memory, opt->name, opt->mode, config->abi,
		opt->client_ttl_s * NS_PER_S);

	sink->open_due_ns = now + OPEN_NS;
	if (res == 0)
		log_info("%s is ready: mode %o, layout %u", opt->name, opt->mode, config->abi);
	else if (res != sink->open_error)
		log_error("no sink %s: %s; %s (tried every 10 s)", opt->name, strerror(-res),
			remedy(res));
	sink->open_error = res;
	sink->look_due_ns = sink->pulse_due_ns = now;
}

static void ask_key(struct sink *sink, int64_t now, int64_t apart_ns)
{
	if (!sink->config.is_video || now - sink->asked_ns < apart_ns)
		return;
	sink->asked_ns = now;
	outlet_ask_key(sink->config.outlet);
}

/* Somebody removed it, or worse: a new one is made under the name. */
static void lose_memory(struct sink *sink, int res)
{
	log_warn("%s: %s; opening it again", sink->config.opt->name,
		res == -ESTALE ? "somebody removed it" : strerror(-res));
	memsink_close(sink->memory, false);
	sink->memory = NULL;
	atomic_store(&sink->has_clients, false);
	sink->open_due_ns = res == -ESTALE ? 0 : now_ns() + OPEN_NS;
}

static void look(struct sink *sink, int64_t now)
{
	struct memsink_view view;
	int res = memsink_look(sink->memory, now, &view);

	if (res < 0)
		return lose_memory(sink, res);
	sink->look_due_ns = now + LOOK_NS;
	if (view.has_clients != atomic_load(&sink->has_clients))
		log_verbose("%s: %s", sink->config.opt->name,
			view.has_clients ? "a reader came" : "no reader any more");
	atomic_store(&sink->has_clients, view.has_clients);
	if (view.has_clients && view.wants_key)
		ask_key(sink, now, KEY_NS);
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

static void tend(struct sink *sink, int64_t now)
{
	bool wanted;

	if (!sink->memory && now >= sink->open_due_ns)
		open_memory(sink, now);
	if (sink->memory && now >= sink->look_due_ns)
		look(sink, now);
	wanted = sink->memory && (atomic_load(&sink->has_clients) || now >= sink->pulse_due_ns);
	if (wanted && !sink->is_attached)
		attach(sink, now);
	else if (!wanted)
		detach(sink);
}

/* ---- frames */

/*
 * A reader that holds the lock for long would cost the viewers of the same stream key frame after
 * key frame, for nothing: none is asked for until the lock can be had.
 */
static void pass_over(struct sink *sink, int64_t now)
{
	atomic_fetch_add(&sink->skipped, 1);
	if (now - sink->asked_ns >= KEY_AGAIN_NS && memsink_is_free(sink->memory))
		ask_key(sink, now, KEY_AGAIN_NS);
}

static void drop(struct sink *sink, const struct frame *frame, int error)
{
	const char *name = sink->config.opt->name;

	atomic_fetch_add(&sink->dropped, 1);
	if (error == -EMSGSIZE)
		drops_add(sink->config.drops, DROP_SINK,
			"%ux%u, %zu bytes; the sink %s takes %zu at most", frame->width,
			frame->height, frame->plane[0].size, name, memsink_capacity(sink->memory));
	else
		drops_add(sink->config.drops, DROP_SINK, "sink %s: %s; %s", name, strerror(-error),
			remedy(error));
}

static void write_frame(struct sink *sink, const struct frame *frame)
{
	int res = memsink_write(sink->memory, frame, sink->config.gop);
	int64_t now = now_ns();

	/* Nobody there, one try a second is enough, also when it failed. */
	sink->pulse_due_ns = now + PULSE_NS;
	sink->look_due_ns = now;
	sink->write_due_ns = sink->config.is_video ? now + SPACING_NS : now;
	if (res == 0) {
		atomic_fetch_add(&sink->written, 1);
		sink->needs_key = false;
		return;
	}
	if (res == -EAGAIN)
		atomic_fetch_add(&sink->skipped, 1);
	else
		drop(sink, frame, res);
	if (!sink->needs_key)
		ask_key(sink, now, KEY_NS);
	sink->needs_key = true;
}

static void serve(struct sink *sink)
{
	AUTO(frame_unref_auto) struct frame *frame = mailbox_take(sink->mailbox);

	if (!frame)
		return;
	if (sink->needs_key && !frame->key)
		pass_over(sink, now_ns());
	else
		write_frame(sink, frame);
}

/* ---- the thread */

static int64_t due_ns(const struct sink *sink, int64_t now)
{
	int64_t due = sink->memory ? sink->look_due_ns : sink->open_due_ns;

	if (sink->memory && !sink->is_attached)
		due = MIN(due, sink->pulse_due_ns);
	if (sink->is_attached && sink->write_due_ns > now)
		due = MIN(due, sink->write_due_ns);
	return due;
}

/* False: it is time to stop. */
static bool wait_for_work(struct sink *sink)
{
	int64_t now = now_ns(), rest = MAX(due_ns(sink, now) - now, 0);
	bool may_write = sink->is_attached && now >= sink->write_due_ns;
	struct pollfd on[] = { { .fd = sink->stop_fd, .events = POLLIN },
		{ .fd = may_write ? mailbox_fd(sink->mailbox) : -1, .events = POLLIN } };
	struct timespec limit = { rest / NS_PER_S, rest % NS_PER_S };

	if (ppoll(on, ARRAY_SIZE(on), &limit, NULL) < 0 && errno != EINTR)
		abort();
	if (on[1].revents)
		serve(sink);
	return !on[0].revents;
}

static void *run(void *arg)
{
	struct sink *sink = arg;

	log_name_thread(sink->config.thread);
	do {
		tend(sink, now_ns());
	} while (wait_for_work(sink));
	detach(sink);
	memsink_close(sink->memory, sink->config.opt->remove);
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
	sink->asked_ns = INT64_MIN / 2;
	sink->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (sink->stop_fd < 0)
		res = -errno;
	else
		res = mailbox_create(&sink->mailbox, config->is_video ? VIDEO_DEPTH : 1);
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
		if (eventfd_write(sink->stop_fd, 1) < 0)
			abort(); /* an eventfd of our own takes 1 */
		pthread_join(sink->thread, NULL);
	}
	mailbox_destroy(sink->mailbox);
	close_fd(&sink->stop_fd);
	free(sink);
}

void sink_get_status(struct sink *sink, struct sink_status *out)
{
	out->has_clients = atomic_load(&sink->has_clients);
	out->written = atomic_load(&sink->written);
	out->skipped = atomic_load(&sink->skipped);
	out->dropped = atomic_load(&sink->dropped);
}
