// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * One viewer of a fan-out: see viewer.h. Its queue follows the mailboxes' rule, but it needs neither
 * their lock nor their eventfd: a thousand viewers would be a thousand descriptors more.
 */
#include "fanout/viewer.h"

#include "base/util.h"

static void set_need(struct viewer *viewer, enum viewer_need need)
{
	viewer->common->n_needing[viewer->need]--;
	viewer->common->n_needing[need]++;
	viewer->need = need;
}

void viewer_begin(struct viewer *viewer, struct viewer_common *common, const struct viewer_ops *ops)
{
	viewer->common = common;
	viewer->ops = ops;
	viewer->is_new = viewer->waits_for_key = true;
	viewer->need = VIEWER_NEEDS_FIRST;
	common->n_needing[VIEWER_NEEDS_FIRST]++;
}

void viewer_count_skipped(struct viewer *viewer, unsigned n)
{
	viewer->skipped += n;
	viewer->common->skipped += n;
}

void delivery_hold(struct delivery *delivery)
{
	frame_ref(delivery->unit);
	frame_ref(delivery->packed);
}

void delivery_let_go(struct delivery *delivery)
{
	frame_unref(delivery->unit);
	frame_unref(delivery->packed);
	delivery->unit = delivery->packed = NULL;
}

static struct delivery pop(struct viewer *viewer)
{
	struct delivery first = viewer->queue[viewer->head].delivery;

	viewer->head = (viewer->head + 1) % FANOUT_QUEUE;
	viewer->used--;
	return first;
}

static void empty_queue(struct viewer *viewer)
{
	while (viewer->used) {
		struct delivery first = pop(viewer);

		delivery_let_go(&first);
	}
}

void viewer_end(struct viewer *viewer)
{
	viewer->common->n_needing[viewer->need]--;
	empty_queue(viewer);
}

/* What waits is thrown away. */
static void fall_behind(struct viewer *viewer)
{
	viewer_count_skipped(viewer, viewer->used);
	empty_queue(viewer);
	viewer->waits_for_key = true;
}

/* May be the end of the viewer. */
static void deliver(struct viewer *viewer, struct delivery *delivery)
{
	delivery->is_first = viewer->is_new;
	viewer->is_new = false;
	viewer->sent++;
	viewer->ops->send(viewer, delivery);
}

static int64_t waited_ns(const struct viewer *viewer, int64_t now)
{
	return viewer->used ? now - viewer->queue[viewer->head].since_ns : 0;
}

static bool is_patience_over(const struct viewer *viewer, int64_t now)
{
	int patient_ms = viewer->common->rule.patient_ms;

	return patient_ms && waited_ns(viewer, now) >= patient_ms * NS_PER_MS;
}

/* The one overflow rule: what is full empties itself and starts again where that decodes. */
void viewer_enqueue(struct viewer *viewer, struct delivery *delivery)
{
	const struct fanout_rule *rule = &viewer->common->rule;
	int64_t now = now_ns();
	unsigned at;

	if (viewer->used == rule->most ||
		(viewer->used >= rule->patient && is_patience_over(viewer, now)))
		fall_behind(viewer);
	set_need(viewer, VIEWER_NEEDS_LINE);
	if (viewer->waits_for_key && !delivery->packed->key)
		return viewer_count_skipped(viewer, 1);
	viewer->waits_for_key = false;
	at = (viewer->head + viewer->used++) % FANOUT_QUEUE;
	viewer->queue[at].delivery = *delivery;
	viewer->queue[at].since_ns = now;
	delivery_hold(&viewer->queue[at].delivery);
}

static bool is_line_clear(struct viewer *viewer)
{
	return !viewer->used && viewer->ops->is_clear(viewer);
}

/* It cannot be sent, and what waits before it is no use without: the viewer waits for a key frame. */
static void leave_out(struct viewer *viewer)
{
	fall_behind(viewer);
	if (viewer->is_new)
		return;
	viewer_count_skipped(viewer, 1);
	if (viewer->need != VIEWER_NEEDS_KEY)
		set_need(viewer, VIEWER_NEEDS_LINE);
}

void viewer_offer(struct viewer *viewer, struct delivery *delivery)
{
	viewer->n_offered++;
	viewer->n_held++;
	if (!delivery->packed)
		return leave_out(viewer);
	viewer->waits_for_key = false;
	if (!is_line_clear(viewer))
		return viewer_enqueue(viewer, delivery);
	viewer->n_held--;
	set_need(viewer, VIEWER_NEEDS_NOTHING);
	deliver(viewer, delivery);
}

void viewer_go_on(struct viewer *viewer)
{
	struct delivery first;

	if (viewer->need != VIEWER_NEEDS_LINE || !viewer->ops->is_clear(viewer))
		return;
	if (is_patience_over(viewer, now_ns()))
		fall_behind(viewer);
	if (viewer->waits_for_key)
		return set_need(viewer, VIEWER_NEEDS_KEY);
	first = pop(viewer);
	if (!viewer->used)
		set_need(viewer, VIEWER_NEEDS_NOTHING);
	deliver(viewer, &first);
	delivery_let_go(&first);
}

void viewer_measure(struct viewer *viewer, int64_t period_ns, struct fanout_load *load)
{
	bool is_congested = viewer->n_offered && viewer->n_held * 2 >= viewer->n_offered;
	uint64_t acked, got;

	viewer->n_offered = viewer->n_held = 0;
	if (viewer->is_new)
		return;
	acked = viewer->ops->acked ? viewer->ops->acked(viewer) : 0;
	got = acked - viewer->acked;
	viewer->acked = acked;
	load->viewers++;
	load->congested += is_congested;
	if (is_congested)
		load->line_kbps = (unsigned)MAX(load->line_kbps, got * 8 * NS_PER_MS / period_ns);
}
