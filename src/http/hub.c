// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The hub: see hub.h. It keeps the newest picture, for newcomers and for those whose line was
 * busy when it came.
 */
#include "http/hub.h"

#include "base/util.h"

struct hub {
	const struct options *opt;
	struct outlet *jpeg;
	struct mailbox *mailbox;
	struct event *arrival;
	TAILQ_HEAD(, watcher) watchers;
	struct exposure latest; /* holds a reference; frame is NULL when there is none */
	unsigned left_out;      /* pictures since then that were like it */
	struct rate rate;
};

static void forget_latest(struct hub *hub)
{
	frame_unref(hub->latest.frame);
	hub->latest.frame = NULL;
	hub->left_out = 0;
}

/*
 * The same bytes, which a still screen gives when the encoder is ours, and the slate always. A second
 * of silence is enough, however slow the source: viewers take a longer one for a broken line.
 */
static bool is_left_out(const struct hub *hub, const struct frame *frame, int64_t now)
{
	const struct frame *old = hub->latest.frame;

	return old && hub->left_out < (unsigned)hub->opt->drop_same_frames &&
	       now - hub->latest.begin_ns < NS_PER_S && old->online == frame->online &&
	       old->width == frame->width && old->height == frame->height &&
	       old->plane[0].size == frame->plane[0].size &&
	       memcmp(old->plane[0].data, frame->plane[0].data, frame->plane[0].size) == 0;
}

/* Fills *exposure and, unless the picture is left out, remembers it as the latest. */
static void expose(struct hub *hub, struct frame *frame, struct exposure *exposure)
{
	exposure->begin_ns = now_ns();
	exposure->frame = frame;
	exposure->same = is_left_out(hub, frame, exposure->begin_ns);
	exposure->cmp_ns = hub->opt->drop_same_frames ? now_ns() : exposure->begin_ns;
	exposure->end_ns = exposure->cmp_ns;
	exposure->dropped = hub->left_out;
	exposure->number = hub->latest.number + !exposure->same;
	if (exposure->same) {
		hub->left_out++;
		return;
	}
	rate_tick(&hub->rate, exposure->end_ns);
	forget_latest(hub);
	hub->latest = *exposure;
	frame_ref(frame);
}

static void on_arrival(evutil_socket_t fd, short what, void *arg)
{
	struct hub *hub = arg;
	AUTO(frame_unref_auto) struct frame *frame = mailbox_take(hub->mailbox);
	struct watcher *at, *next;
	struct exposure exposure;

	(void)fd;
	(void)what;
	if (!frame)
		return;
	expose(hub, frame, &exposure);
	for (at = TAILQ_FIRST(&hub->watchers); at; at = next) {
		next = TAILQ_NEXT(at, link);
		at->show(at, &exposure);
	}
}

void hub_watch(struct hub *hub, struct watcher *watcher)
{
	bool first = TAILQ_EMPTY(&hub->watchers);

	TAILQ_INSERT_TAIL(&hub->watchers, watcher, link);
	if (first) {
		event_add(hub->arrival, NULL);
		outlet_attach(hub->jpeg, hub->mailbox);
	}
}

void hub_unwatch(struct hub *hub, struct watcher *watcher)
{
	struct frame *frame;

	TAILQ_REMOVE(&hub->watchers, watcher, link);
	if (!TAILQ_EMPTY(&hub->watchers))
		return;
	outlet_detach(hub->jpeg, hub->mailbox);
	event_del(hub->arrival);
	/* Whoever watches next must not be shown how it was back then. */
	while ((frame = mailbox_take(hub->mailbox)))
		frame_unref(frame);
	forget_latest(hub);
}

const struct exposure *hub_latest(const struct hub *hub)
{
	return hub->latest.frame ? &hub->latest : NULL;
}

unsigned hub_fps(const struct hub *hub)
{
	return rate_get(&hub->rate, now_ns());
}

int hub_create(struct hub **out, struct event_base *base, struct outlet *jpeg,
	const struct options *opt)
{
	struct hub *hub = xcalloc(1, sizeof(*hub));
	int res = mailbox_create(&hub->mailbox, 1);

	if (res < 0) {
		free(hub);
		return res;
	}
	hub->opt = opt;
	hub->jpeg = jpeg;
	TAILQ_INIT(&hub->watchers);
	hub->arrival = event_new(base, mailbox_fd(hub->mailbox), EV_READ | EV_PERSIST, on_arrival,
		hub);
	if (!hub->arrival)
		abort(); /* as xcalloc() */
	*out = hub;
	return 0;
}

void hub_destroy(struct hub *hub)
{
	if (!hub)
		return;
	event_free(hub->arrival);
	mailbox_destroy(hub->mailbox);
	forget_latest(hub);
	free(hub);
}
