// SPDX-License-Identifier: GPL-3.0-or-later
/* The fan-out: see fanout.h. What one viewer gets, and when, is in viewer.c. */
#include "fanout/fanout.h"

#include "base/rate.h"
#include "base/util.h"
#include "fanout/key_pace.h"
#include "fanout/viewer.h"
#include "media/h264_sps.h"

#define NEVER INT64_MAX

#define LOOK_US 10000 /* between two looks at lines that were busy */

#define MAX_PACKED 2 /* ways to pack a unit */

struct fanout {
	struct viewer_common common;
	struct outlet *outlet;
	struct mailbox *mailbox;
	struct event *arrival, *key_due, *look;
	TAILQ_HEAD(, viewer) viewers;
	unsigned n_viewers;
	bool is_handing_on; /* to one viewer after the other: all are minded after the last */
	uint64_t n_bytes;   /* that came since the last look */
	int64_t looked_ns;
	struct rate rate;
	struct delivery latest; /* keeps_latest, drop_same; holds a reference; unit NULL: none */
	unsigned left_out;      /* since then, that were like it */
	struct key_pace pace;
	bool is_wanted; /* a key frame, by somebody who is no viewer, and not asked for since */
	char codec[H264_CODEC_SIZE];
	struct frame_pool *pool; /* for what is packed */
	unsigned n_packed;       /* ways in which the unit that is being handed on was */
	struct {
		struct frame *(*pack)(struct frame_pool *pool, const struct frame *unit);
		struct frame *frame; /* NULL: no memory */
	} packed[MAX_PACKED];
};

/*
 * H.264: half a second at 30 fps may wait for the network thread until everyone skips to a key
 * frame. It makes nobody's picture older for long: it is handed on as fast as the thread runs, and
 * each viewer's own queue says what is too much.
 */
const struct fanout_rule fanout_rule_h264 = {
	.patient = 3,
	.most = FANOUT_QUEUE,
	.patient_ms = 100,
	.has_keys = true,
	.looks = true,
	.mailbox = 16,
};

const struct fanout_rule fanout_rule_jpeg = { .most = 1, .mailbox = 1, .keeps_latest = true };

/* ---- key frames */

/*
 * When one is to be asked for, for the most urgent of those who need one. Who fell behind does only
 * when its line is clear: a line that takes nothing at all would cost the others one every half a
 * second.
 */
static int64_t key_due_ns(const struct fanout *fanout)
{
	const unsigned *n = fanout->common.n_needing;

	if (!fanout->common.rule.has_keys ||
		!(n[VIEWER_NEEDS_FIRST] || n[VIEWER_NEEDS_KEY] || fanout->is_wanted))
		return NEVER;
	return key_pace_due_ns(&fanout->pace, n[VIEWER_NEEDS_FIRST]);
}

/* Asks for a key frame if somebody needs one: now, or when it is due. */
static void mind_keys(struct fanout *fanout)
{
	const int64_t now = now_ns();
	int64_t due_ns = key_due_ns(fanout), wait_ns;
	struct timeval after;

	event_del(fanout->key_due);
	if (due_ns == NEVER)
		return;
	wait_ns = due_ns - now;
	if (wait_ns <= 0) {
		outlet_ask_key(fanout->outlet);
		key_pace_note_asked(&fanout->pace, now);
		fanout->is_wanted = false;
		wait_ns = KEY_PACE_CONGESTED_MS * NS_PER_MS; /* should it not be heard */
	}
	after.tv_sec = wait_ns / NS_PER_S;
	after.tv_usec = wait_ns % NS_PER_S / NS_PER_US + 1;
	event_add(fanout->key_due, &after);
}

static void on_key_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	mind_keys(arg);
}

/* Lines say when they take more, but not when they have delivered it: somebody has to look. */
static void mind_lines(struct fanout *fanout)
{
	static const struct timeval after = { .tv_usec = LOOK_US };

	if (fanout->common.rule.looks && fanout->common.n_needing[VIEWER_NEEDS_LINE] &&
		!event_pending(fanout->look, EV_TIMEOUT, NULL))
		event_add(fanout->look, &after);
}

/* ---- what is packed */

/* What this viewer is sent of the unit, made for the first who needs it. Lends it. */
static struct frame *pack(struct fanout *fanout, const struct viewer_ops *ops, struct frame *unit)
{
	unsigned at = 0;

	if (!ops->pack)
		return unit;
	while (at < fanout->n_packed && fanout->packed[at].pack != ops->pack)
		at++;
	if (at == MAX_PACKED)
		abort();
	if (at == fanout->n_packed) {
		fanout->packed[at].pack = ops->pack;
		fanout->packed[at].frame = ops->pack(fanout->pool, unit);
		fanout->n_packed++;
	}
	return fanout->packed[at].frame;
}

static void forget_packed(struct fanout *fanout)
{
	while (fanout->n_packed)
		frame_unref(fanout->packed[--fanout->n_packed].frame);
}

/* May be the end of the viewer. */
static void offer(struct fanout *fanout, struct viewer *viewer, const struct delivery *given)
{
	struct delivery delivery = *given;

	delivery.packed = NULL;
	if (!viewer->waits_for_key || given->unit->key)
		delivery.packed = pack(fanout, viewer->ops, given->unit);
	viewer_offer(viewer, &delivery);
}

/* After something has happened to viewers. */
static void mind(struct fanout *fanout)
{
	mind_keys(fanout);
	mind_lines(fanout);
}

void fanout_go_on(struct viewer *viewer)
{
	struct fanout *fanout = viewer->fanout;

	viewer_go_on(viewer);
	if (!fanout->is_handing_on)
		mind(fanout);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct fanout *fanout = arg;
	struct viewer *at, *next;

	(void)fd, (void)what;
	fanout->is_handing_on = true;
	for (at = TAILQ_FIRST(&fanout->viewers); at; at = next) {
		next = TAILQ_NEXT(at, link);
		viewer_go_on(at);
	}
	fanout->is_handing_on = false;
	mind(fanout);
}

/* ---- all of them */

static void note_key(struct fanout *fanout, const struct frame *unit)
{
	struct h264_walk walk = { unit->plane[0].data, unit->plane[0].data + unit->plane[0].size };
	struct h264_nal sps;

	key_pace_note_came(&fanout->pace);
	fanout->is_wanted = false;
	if (h264_next_nal(&walk, &sps))
		h264_name_codec(fanout->codec, &sps);
}

/*
 * The same bytes, which a still screen gives when the encoder is ours, and the slate always. A second
 * of silence is enough, however slow the source: viewers take a longer one for a broken line.
 */
static bool is_same(const struct fanout *fanout, const struct frame *unit, int64_t now)
{
	const struct frame *old = fanout->latest.unit;

	return old && fanout->left_out < (unsigned)*fanout->common.rule.drop_same &&
	       now - fanout->latest.begin_ns < NS_PER_S && old->online == unit->online &&
	       old->width == unit->width && old->height == unit->height &&
	       old->plane[0].size == unit->plane[0].size &&
	       memcmp(old->plane[0].data, unit->plane[0].data, unit->plane[0].size) == 0;
}

static void compare(struct fanout *fanout, struct delivery *delivery)
{
	delivery->begin_ns = now_ns();
	delivery->cmp_ns = delivery->begin_ns;
	if (fanout->common.rule.drop_same && *fanout->common.rule.drop_same) {
		delivery->is_same = is_same(fanout, delivery->unit, delivery->begin_ns);
		delivery->cmp_ns = now_ns();
	}
	delivery->dropped = fanout->left_out;
	if (delivery->is_same) {
		fanout->left_out++;
		return;
	}
	rate_tick(&fanout->rate, delivery->cmp_ns);
	delivery_let_go(&fanout->latest);
	fanout->left_out = 0;
	if (!fanout->common.rule.keeps_latest)
		return;
	fanout->latest = *delivery;
	delivery_hold(&fanout->latest);
}

static void on_arrival(evutil_socket_t fd, short what, void *arg)
{
	struct fanout *fanout = arg;
	AUTO(frame_unref_auto) struct frame *unit = mailbox_take(fanout->mailbox);
	struct delivery delivery = { .unit = unit, .packed = unit };
	struct viewer *at, *next;

	(void)fd, (void)what;
	if (!unit)
		return;
	if (fanout->common.rule.has_keys && unit->key)
		note_key(fanout, unit);
	compare(fanout, &delivery);
	fanout->n_bytes += unit->plane[0].size;
	fanout->is_handing_on = true;
	for (at = TAILQ_FIRST(&fanout->viewers); at; at = next) {
		next = TAILQ_NEXT(at, link);
		/* What is like one that waits would only take its place. */
		if (!delivery.is_same || (at->wants_same && !at->used))
			offer(fanout, at, &delivery);
	}
	fanout->is_handing_on = false;
	forget_packed(fanout);
	mind(fanout);
}

static void begin_with_latest(struct fanout *fanout, struct viewer *viewer)
{
	struct delivery delivery = fanout->latest;

	delivery.packed = pack(fanout, viewer->ops, delivery.unit);
	if (delivery.packed)
		viewer_enqueue(viewer, &delivery);
	forget_packed(fanout);
}

void fanout_watch(struct fanout *fanout, struct viewer *viewer, const struct viewer_ops *ops)
{
	bool is_first = TAILQ_EMPTY(&fanout->viewers);

	viewer->fanout = fanout;
	viewer_begin(viewer, &fanout->common, ops);
	TAILQ_INSERT_TAIL(&fanout->viewers, viewer, link);
	fanout->n_viewers++;
	if (is_first) {
		event_add(fanout->arrival, NULL);
		outlet_attach(fanout->outlet, fanout->mailbox); /* asks for a key frame, too */
		key_pace_note_asked(&fanout->pace, now_ns());
	}
	if (viewer->wants_latest && fanout->latest.unit)
		begin_with_latest(fanout, viewer);
	mind_keys(fanout);
}

void fanout_ask_key(struct fanout *fanout)
{
	fanout->is_wanted = true;
	mind_keys(fanout);
}

void fanout_unwatch(struct viewer *viewer)
{
	struct fanout *fanout = viewer->fanout;
	struct frame *unit;

	TAILQ_REMOVE(&fanout->viewers, viewer, link);
	fanout->n_viewers--;
	viewer_end(viewer);
	if (!TAILQ_EMPTY(&fanout->viewers))
		return;
	outlet_detach(fanout->outlet, fanout->mailbox);
	event_del(fanout->arrival);
	event_del(fanout->key_due);
	event_del(fanout->look);
	/* Whoever watches next must not be shown how it was back then. */
	while ((unit = mailbox_take(fanout->mailbox)))
		frame_unref(unit);
	delivery_let_go(&fanout->latest);
	fanout->left_out = 0;
}

unsigned fanout_viewers(const struct fanout *fanout)
{
	return fanout->n_viewers;
}

unsigned fanout_fps(const struct fanout *fanout)
{
	return rate_get(&fanout->rate, now_ns());
}

const char *fanout_codec(const struct fanout *fanout)
{
	return fanout->codec;
}

uint64_t fanout_skipped(const struct fanout *fanout)
{
	return fanout->common.skipped;
}

void fanout_measure(struct fanout *fanout, struct fanout_load *out)
{
	int64_t now = now_ns(), period_ns = MAX(now - fanout->looked_ns, 1);
	struct viewer *at;

	*out = (struct fanout_load){ .stream_kbps = (unsigned)(fanout->n_bytes * 8 * NS_PER_MS /
							       (uint64_t)period_ns) };
	for (at = TAILQ_FIRST(&fanout->viewers); at; at = TAILQ_NEXT(at, link))
		viewer_measure(at, period_ns, out);
	fanout->n_bytes = 0;
	fanout->looked_ns = now;
}

int fanout_create(struct fanout **out, struct event_base *base, struct outlet *outlet,
	const struct fanout_rule *rule)
{
	struct fanout *fanout = xcalloc(1, sizeof(*fanout));
	int res = mailbox_create(&fanout->mailbox, rule->mailbox);

	if (res < 0) {
		free(fanout);
		return res;
	}
	fanout->common.rule = *rule;
	fanout->outlet = outlet;
	fanout->pool = frame_pool_create(rule->mailbox);
	TAILQ_INIT(&fanout->viewers);
	fanout->arrival = event_new(base, mailbox_fd(fanout->mailbox), EV_READ | EV_PERSIST,
		on_arrival, fanout);
	fanout->key_due = event_new(base, -1, 0, on_key_due, fanout);
	fanout->look = event_new(base, -1, 0, on_look, fanout);
	if (!fanout->arrival || !fanout->key_due || !fanout->look)
		abort(); /* as xcalloc() */
	*out = fanout;
	return 0;
}

void fanout_destroy(struct fanout *fanout)
{
	if (!fanout)
		return;
	event_free(fanout->arrival);
	event_free(fanout->key_due);
	event_free(fanout->look);
	mailbox_destroy(fanout->mailbox);
	frame_pool_destroy(fanout->pool);
	free(fanout);
}
