// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Mailboxes and outlets: see mailbox.h for the rule. The eventfd of a mailbox is written when the
 * first frame comes and read when the last one goes, so a put into a full mailbox costs no system
 * call. It is written after the lock is let go, lest the reader wake up only to wait for it; a
 * frame may have been taken by then, and the reader finds nothing once in a while.
 */
#include "media/mailbox.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "base/wait.h"

struct mailbox {
	unsigned depth; /* set at creation */
	int fd;         /* set at creation; written under lock */

	pthread_mutex_t lock;
	unsigned head, used;   /* under lock */
	bool waits_for_key;    /* under lock */
	uint64_t dropped;      /* under lock */
	struct frame *frame[]; /* under lock: a ring of depth entries */
};

struct outlet {
	const struct outlet_events *events; /* set at creation, as all of this block */
	void *arg;
	struct latency *latency; /* by outlet_measure(); or NULL */

	pthread_mutex_t lock;
	struct mailbox **reader; /* under lock */
	unsigned n_readers;      /* under lock */
	struct frame *kept;      /* under lock: the newest frame, if it may be kept */
};

int mailbox_create(struct mailbox **out, unsigned depth)
{
	struct mailbox *mailbox = xcalloc(1, sizeof(*mailbox) + depth * sizeof(struct frame *));

	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mailbox->fd < 0) {
		int res = -errno;

		free(mailbox);
		return res;
	}
	mailbox->depth = depth;
	mailbox->waits_for_key = true;
	pthread_mutex_init(&mailbox->lock, NULL);
	*out = mailbox;
	return 0;
}

static struct frame *pop_locked(struct mailbox *mailbox)
{
	struct frame *frame = mailbox->frame[mailbox->head];

	mailbox->head = (mailbox->head + 1) % mailbox->depth;
	mailbox->used--;
	return frame;
}

void mailbox_destroy(struct mailbox *mailbox)
{
	if (!mailbox)
		return;
	while (mailbox->used)
		frame_unref(pop_locked(mailbox));
	close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
}

static void clear_locked(struct mailbox *mailbox)
{
	eventfd_t value;

	eventfd_read(mailbox->fd, &value);
}

static void unref_all(struct frame *const old[], unsigned count)
{
	while (count)
		frame_unref(old[--count]);
}

/*
 * mailbox_put(), but that what is dropped goes to old[*n_old] and on, to be unreferenced when no
 * lock is held any more: depth + 1 frames at most.
 */
static bool put(struct mailbox *mailbox, struct frame *frame, struct frame *old[], unsigned *n_old)
{
	bool was_empty, waits, is_news = false;

	pthread_mutex_lock(&mailbox->lock);
	was_empty = mailbox->used == 0;
	if (mailbox->used == mailbox->depth) {
		mailbox->dropped += mailbox->used;
		while (mailbox->used)
			old[(*n_old)++] = pop_locked(mailbox);
		mailbox->waits_for_key = true;
	}
	if (frame->key)
		mailbox->waits_for_key = false;
	if (mailbox->waits_for_key) {
		mailbox->dropped++;
		old[(*n_old)++] = frame;
		if (!was_empty && mailbox->used == 0)
			clear_locked(mailbox);
	} else {
		/* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): depth is 1 or more */
		mailbox->frame[(mailbox->head + mailbox->used++) % mailbox->depth] = frame;
		is_news = was_empty;
	}
	waits = mailbox->waits_for_key;
	pthread_mutex_unlock(&mailbox->lock);

	if (is_news)
		wake(mailbox->fd);
	return waits;
}

bool mailbox_put(struct mailbox *mailbox, struct frame *frame)
{
	struct frame *old[mailbox->depth + 1];
	unsigned n_old = 0;
	bool waits = put(mailbox, frame, old, &n_old);

	unref_all(old, n_old);
	return waits;
}

struct frame *mailbox_take(struct mailbox *mailbox)
{
	struct frame *frame = NULL;

	pthread_mutex_lock(&mailbox->lock);
	if (mailbox->used)
		frame = pop_locked(mailbox);
	if (!mailbox->used)
		clear_locked(mailbox);
	pthread_mutex_unlock(&mailbox->lock);
	return frame;
}

int mailbox_fd(const struct mailbox *mailbox)
{
	return mailbox->fd;
}

uint64_t mailbox_dropped(struct mailbox *mailbox)
{
	uint64_t dropped;

	pthread_mutex_lock(&mailbox->lock);
	dropped = mailbox->dropped;
	pthread_mutex_unlock(&mailbox->lock);
	return dropped;
}

struct outlet *outlet_create(const struct outlet_events *events, void *arg)
{
	struct outlet *outlet = xcalloc(1, sizeof(*outlet));

	outlet->events = events;
	outlet->arg = arg;
	pthread_mutex_init(&outlet->lock, NULL);
	return outlet;
}

void outlet_measure(struct outlet *outlet, struct latency *latency)
{
	outlet->latency = latency;
}

void outlet_destroy(struct outlet *outlet)
{
	if (!outlet)
		return;
	frame_unref(outlet->kept);
	free(outlet->reader);
	pthread_mutex_destroy(&outlet->lock);
	free(outlet);
}

/* A frame that the producer lets go of, or NULL. */
static struct frame *tell_wanted(struct outlet *outlet, bool wanted)
{
	if (!outlet->events || !outlet->events->wanted)
		return NULL;
	return outlet->events->wanted(outlet->arg, wanted);
}

static void tell_need_key(struct outlet *outlet, bool need_key)
{
	if (need_key && outlet->events && outlet->events->need_key)
		outlet->events->need_key(outlet->arg);
}

void outlet_attach(struct outlet *outlet, struct mailbox *mailbox)
{
	struct frame *old[mailbox->depth + 2];
	unsigned n_old = 0;
	bool need_key = true;

	pthread_mutex_lock(&outlet->lock);
	outlet->reader = realloc(outlet->reader,
		(outlet->n_readers + 1) * sizeof(struct mailbox *));
	if (!outlet->reader)
		abort();
	outlet->reader[outlet->n_readers++] = mailbox;
	if (outlet->n_readers == 1)
		old[n_old++] = tell_wanted(outlet, true);
	if (outlet->kept)
		need_key = put(mailbox, frame_ref(outlet->kept), old, &n_old);
	tell_need_key(outlet, need_key);
	pthread_mutex_unlock(&outlet->lock);
	unref_all(old, n_old);
}

void outlet_detach(struct outlet *outlet, struct mailbox *mailbox)
{
	struct frame *kept = NULL, *waiting = NULL;

	pthread_mutex_lock(&outlet->lock);
	for (unsigned i = 0; i < outlet->n_readers; i++) {
		if (outlet->reader[i] != mailbox)
			continue;
		outlet->reader[i] = outlet->reader[--outlet->n_readers];
		if (outlet->n_readers == 0 && outlet->events) {
			/* Its producer rests from here on, so what it made last grows stale. */
			kept = outlet->kept;
			outlet->kept = NULL;
			waiting = tell_wanted(outlet, false);
		}
		break;
	}
	pthread_mutex_unlock(&outlet->lock);
	frame_unref(kept);
	frame_unref(waiting);
}

/* How many frames all readers together may have to drop. Under the lock. */
static unsigned most_dropped(const struct outlet *outlet)
{
	unsigned most = 0;

	for (unsigned i = 0; i < outlet->n_readers; i++)
		most += outlet->reader[i]->depth + 1;
	return most;
}

void outlet_publish(struct outlet *outlet, struct frame *frame)
{
	bool need_key = false;
	unsigned n_old = 0;

	frame->published_ns = now_ns();
	if (outlet->latency)
		latency_note_published(outlet->latency, frame);
	pthread_mutex_lock(&outlet->lock);
	struct frame *old[most_dropped(outlet) + 1];

	for (unsigned i = 0; i < outlet->n_readers; i++)
		need_key |= put(outlet->reader[i], frame_ref(frame), old, &n_old);
	old[n_old++] = outlet->kept;
	/* Published while nobody reads, by a producer that then rests, it would grow stale. */
	outlet->kept = frame->keepable && (outlet->n_readers || !outlet->events) ? frame_ref(frame)
										 : NULL;
	tell_need_key(outlet, need_key);
	pthread_mutex_unlock(&outlet->lock);
	unref_all(old, n_old);
}

void outlet_ask_key(struct outlet *outlet)
{
	pthread_mutex_lock(&outlet->lock);
	tell_need_key(outlet, outlet->n_readers > 0);
	pthread_mutex_unlock(&outlet->lock);
}

bool outlet_wanted(struct outlet *outlet)
{
	bool wanted;

	pthread_mutex_lock(&outlet->lock);
	wanted = outlet->n_readers > 0;
	pthread_mutex_unlock(&outlet->lock);
	return wanted;
}
