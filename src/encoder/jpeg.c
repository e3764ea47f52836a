// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The JPEG encoder: see jpeg.h.
 *
 * The workers share one mailbox of depth 1. One of them leads: it waits for a frame, takes it with
 * a ticket, makes the worker that rested last the new leader, and goes to work. Nothing stands
 * between mailbox and worker where a frame could grow old. Finished frames leave in the order of
 * their tickets; a worker waits for its predecessors, which are all busy and never wait for it.
 *
 * The last to rest is the first to lead, so that a light load keeps to few workers, whose picture
 * memory is in the cache; the others never get any.
 *
 * Lock order: our outlet, gate, the raw outlet, a mailbox. `lock` is held over no other.
 */
#include "encoder/jpeg.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/thread.h"
#include "base/util.h"
#include "base/wait.h"
#include "convert/jpegfix.h"
#include "convert/jpegpack.h"
#include "media/pixel_format.h"

#define LOG_TOPIC "jpeg"
#include "base/log.h"

/* Compressed frames kept for reuse: one with the viewers, one on its way, one for the change. */
#define SPARE_FRAMES 3

struct worker {
	struct jpeg_encoder *encoder; /* set before start */
	unsigned number;              /* set before start */
	pthread_t thread;             /* the creator only */

	struct jpegpack *pack; /* this worker only */

	pthread_cond_t called; /* with encoder->lock */
	bool leads;            /* under encoder->lock */
	struct worker *below;  /* under encoder->lock: the next in the stack of the resting */
};

struct jpeg_encoder {
	const struct options *opt; /* set before start, as are the next six */
	struct outlet *raw;
	struct drops *drops;
	struct outlet *outlet;
	struct mailbox *mailbox; /* attached to raw while the outlet is wanted */
	struct frame_pool *pool;
	int stop_fd; /* eventfd; readable once the workers are to end */

	atomic_int quality; /* any thread */

	pthread_mutex_t gate; /* makes taking a frame and attaching the mailbox exclusive */
	atomic_uint epoch;    /* changed under gate: counts how often wanted has changed */

	pthread_mutex_t lock;
	bool has_leader;        /* under lock */
	struct worker *resting; /* under lock */
	pthread_cond_t turn;    /* with lock: now_serving has changed */
	uint64_t now_serving;   /* under lock: the ticket that may publish */

	uint64_t next_ticket; /* the leader only */

	unsigned n_workers; /* set at creation */
	struct worker worker[];
};

/* A frame on its way through a worker. */
struct job {
	struct frame *frame;
	uint64_t ticket;
	unsigned epoch;
};

/*
 * Our outlet's first reader came, or its last went. What waits then is thrown away: it would be
 * old when the next reader comes.
 */
static struct frame *on_wanted(void *arg, bool wanted)
{
	struct jpeg_encoder *encoder = arg;
	struct frame *waiting = NULL;

	pthread_mutex_lock(&encoder->gate);
	atomic_fetch_add(&encoder->epoch, 1);
	if (wanted) {
		outlet_attach(encoder->raw, encoder->mailbox);
	} else {
		outlet_detach(encoder->raw, encoder->mailbox);
		waiting = mailbox_take(encoder->mailbox);
	}
	pthread_mutex_unlock(&encoder->gate);
	return waiting;
}

static const struct outlet_events outlet_events = { .wanted = on_wanted };

/* Whether those for whom the frame was taken are gone. */
static bool is_outdated(struct jpeg_encoder *encoder, const struct job *job)
{
	return atomic_load(&encoder->epoch) != job->epoch;
}

/* Returns as the leader. */
static void become_leader(struct worker *worker)
{
	struct jpeg_encoder *encoder = worker->encoder;

	pthread_mutex_lock(&encoder->lock);
	if (encoder->has_leader) {
		worker->below = encoder->resting;
		encoder->resting = worker;
		while (!worker->leads)
			pthread_cond_wait(&worker->called, &encoder->lock);
	}
	encoder->has_leader = worker->leads = true;
	pthread_mutex_unlock(&encoder->lock);
}

static void hand_on(struct worker *worker)
{
	struct jpeg_encoder *encoder = worker->encoder;
	struct worker *next;

	pthread_mutex_lock(&encoder->lock);
	worker->leads = false;
	next = encoder->resting;
	encoder->has_leader = next;
	if (next) {
		encoder->resting = next->below;
		next->leads = true;
		pthread_cond_signal(&next->called);
	}
	pthread_mutex_unlock(&encoder->lock);
}

/* Waits for the newest frame, as the leader; false: the end. */
static bool wait_for_frame(struct jpeg_encoder *encoder, struct job *out)
{
	struct pollfd on[] = { { .fd = mailbox_fd(encoder->mailbox), .events = POLLIN },
		{ .fd = encoder->stop_fd, .events = POLLIN } };

	do {
		wait_for_events(on, ARRAY_SIZE(on), WAIT_FOR_EVER);
		if (on[1].revents)
			return false;
		pthread_mutex_lock(&encoder->gate);
		out->frame = mailbox_take(encoder->mailbox);
		out->epoch = atomic_load(&encoder->epoch);
		pthread_mutex_unlock(&encoder->gate);
	} while (!out->frame);
	out->ticket = encoder->next_ticket++;
	return true;
}

/* Takes `frame`, which is NULL when the picture was dropped: its turn has to pass all the same. */
static void publish_in_turn(struct jpeg_encoder *encoder, const struct job *job,
	struct frame *frame)
{
	pthread_mutex_lock(&encoder->lock);
	while (encoder->now_serving != job->ticket)
		pthread_cond_wait(&encoder->turn, &encoder->lock);
	pthread_mutex_unlock(&encoder->lock);

	if (frame && !is_outdated(encoder, job))
		outlet_publish(encoder->outlet, frame);
	frame_unref(frame);

	pthread_mutex_lock(&encoder->lock);
	encoder->now_serving++;
	pthread_cond_broadcast(&encoder->turn);
	pthread_mutex_unlock(&encoder->lock);
}

/* What a JPEG has from the frame it was made of. */
static void describe(struct frame *out, const struct frame *origin, int64_t begin_ns)
{
	frame_copy_origin(out, origin);
	out->format = V4L2_PIX_FMT_JPEG;
	out->key = true;
	out->encode_begin_ns = begin_ns;
	out->encode_end_ns = now_ns();
}

static bool has_good_size(struct jpeg_encoder *encoder, size_t size)
{
	if (size == 0)
		drops_add(encoder->drops, DROP_EMPTY, "JPEG without a byte");
	else if (size < (size_t)encoder->opt->min_frame_size)
		drops_add(encoder->drops, DROP_SMALL, "JPEG of %zu bytes", size);
	return size && size >= (size_t)encoder->opt->min_frame_size;
}

/* The sanitised copy of a JPEG frame: viewers must not hold a buffer of the driver. */
static struct frame *pass_through(struct jpeg_encoder *encoder, const struct frame *in)
{
	const struct frame_plane *plane = &in->plane[0];
	enum drop_reason why;
	struct jpegfix fix;
	struct frame *out;
	int64_t begin = now_ns();

	if (!has_good_size(encoder, plane->size))
		return NULL;
	if (jpegfix_parse(&fix, plane->data, plane->size, encoder->opt->allow_truncated_frames,
		    &why) < 0) {
		drops_add(encoder->drops, why, "JPEG of %zu bytes", plane->size);
		return NULL;
	}
	if (frame_pool_get(encoder->pool, fix.size, &out) < 0) {
		drops_add(encoder->drops, DROP_NO_MEMORY, "no %zu bytes for a JPEG", fix.size);
		return NULL;
	}
	jpegfix_write(&fix, out->plane[0].data);
	describe(out, in, begin);
	out->width = fix.width;
	out->height = fix.height;
	return out;
}

/* NULL, and the picture is dropped, when it cannot be compressed. */
static struct frame *encode(struct worker *worker, const struct frame *in)
{
	struct jpeg_encoder *encoder = worker->encoder;
	int64_t begin = now_ns();
	struct frame *out;
	const char *why;
	int res = jpegpack_frame(worker->pack, in, atomic_load(&encoder->quality), encoder->pool,
		&out, &why);

	if (res == 0) {
		describe(out, in, begin);
		out->width = in->width;
		out->height = in->height;
		return out;
	}
	if (res == -EINVAL)
		drops_add(encoder->drops, DROP_SHORT, "raw picture smaller than %ux%u needs",
			in->width, in->height);
	else if (res == -ENOMEM)
		drops_add(encoder->drops, DROP_NO_MEMORY, "no memory to compress %ux%u", in->width,
			in->height);
	else
		drops_add(encoder->drops, DROP_ENCODER, "%.4s: %s", (const char *)&in->format,
			res == -ENOTSUP ? "no conversion from this format" : why);
	return NULL;
}

static void name_worker(const struct worker *worker)
{
	char name[16];

	snprintf(name, sizeof(name), "jpeg-%u", worker->number);
	log_name_thread(name);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct jpeg_encoder *encoder = worker->encoder;
	struct frame *out;
	struct job job;

	name_worker(worker);
	become_leader(worker);
	while (wait_for_frame(encoder, &job)) {
		if (pixel_format_is_jpeg(job.frame->format)) {
			/* Done sooner than another thread is awake: lead on. */
			out = pass_through(encoder, job.frame);
			frame_unref(job.frame);
			publish_in_turn(encoder, &job, out);
			continue;
		}
		hand_on(worker);
		out = encode(worker, job.frame);
		frame_unref(job.frame);
		publish_in_turn(encoder, &job, out);
		become_leader(worker);
	}
	hand_on(worker);
	return NULL;
}

static int start_worker(struct jpeg_encoder *encoder)
{
	struct worker *worker = &encoder->worker[encoder->n_workers];
	int res;

	worker->encoder = encoder;
	worker->number = encoder->n_workers;
	if (jpegpack_create(&worker->pack) < 0)
		return -ENOMEM;
	pthread_cond_init(&worker->called, NULL);
	res = thread_start(&worker->thread, work, worker);
	if (res < 0) {
		pthread_cond_destroy(&worker->called);
		jpegpack_destroy(worker->pack);
		return res;
	}
	encoder->n_workers++;
	return 0;
}

static int start_workers(struct jpeg_encoder *encoder)
{
	int res = 0;

	for (int i = 0; i < encoder->opt->workers && res == 0; i++)
		res = start_worker(encoder);
	if (res == 0 || encoder->n_workers == 0)
		return res;
	log_warn("%u of %d workers started: %s", encoder->n_workers, encoder->opt->workers,
		strerror(-res));
	return 0;
}

int jpeg_encoder_create(struct jpeg_encoder **out, const struct options *opt, struct outlet *raw,
	struct drops *drops)
{
	struct jpeg_encoder *encoder = xcalloc(1,
		sizeof(*encoder) + opt->workers * sizeof(struct worker));
	int res;

	encoder->opt = opt;
	encoder->raw = raw;
	encoder->drops = drops;
	atomic_init(&encoder->quality, opt->quality);
	pthread_mutex_init(&encoder->gate, NULL);
	pthread_mutex_init(&encoder->lock, NULL);
	pthread_cond_init(&encoder->turn, NULL);
	encoder->outlet = outlet_create(&outlet_events, encoder);
	encoder->pool = frame_pool_create(SPARE_FRAMES);
	encoder->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	res = encoder->stop_fd < 0 ? -errno : mailbox_create(&encoder->mailbox, 1);
	if (res < 0 || (res = start_workers(encoder)) < 0) {
		jpeg_encoder_destroy(encoder);
		return res;
	}
	*out = encoder;
	return 0;
}

static void end_worker(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->called);
	jpegpack_destroy(worker->pack);
}

void jpeg_encoder_destroy(struct jpeg_encoder *encoder)
{
	if (!encoder)
		return;
	wake(encoder->stop_fd);
	for (unsigned i = 0; i < encoder->n_workers; i++)
		end_worker(&encoder->worker[i]);
	mailbox_destroy(encoder->mailbox);
	outlet_destroy(encoder->outlet);
	frame_pool_destroy(encoder->pool);
	close_fd(&encoder->stop_fd);
	pthread_cond_destroy(&encoder->turn);
	pthread_mutex_destroy(&encoder->lock);
	pthread_mutex_destroy(&encoder->gate);
	free(encoder);
}

struct outlet *jpeg_encoder_outlet(struct jpeg_encoder *encoder)
{
	return encoder->outlet;
}

void jpeg_encoder_set_quality(struct jpeg_encoder *encoder, int quality)
{
	atomic_store(&encoder->quality, quality);
}
