// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The video hub: see video.h. A viewer's queue follows the mailboxes' rule, but it needs neither
 * their lock nor their eventfd: a thousand viewers would be a thousand descriptors more.
 */
#include "http/video.h"

#include "base/util.h"
#include "net/connection.h"
#include "media/h264_bitstream.h"

/*
 * How long the network thread may be busy with other things before everyone skips to a key frame:
 * half a second at 30 fps. What waits here makes nobody's picture older for long: it is handed on
 * as fast as the thread runs, and each viewer's own queue says what is too much.
 */
#define MAILBOX_DEPTH 16

#define NOBODY (-1)

#define LOOK_US 10000 /* between two looks at lines that were busy */

#define MAX_PACKED 2 /* framings that make something of their own */

struct video {
	struct outlet *outlet;
	struct mailbox *mailbox;
	struct event *arrival, *key_due, *look;
	TAILQ_HEAD(, video_viewer) viewers;
	unsigned n_viewers;
	unsigned n_needing[VIDEO_NEEDS]; /* counted, for nobody searches a thousand viewers */
	bool is_handing_on; /* to one viewer after the other: all are minded after the last */
	uint64_t skipped;
	uint64_t n_bytes; /* that came since the last look */
	int64_t looked_ns;
	int64_t asked_ns; /* when a key frame was asked for last */
	int64_t even_ns;  /* when it would have been, had all come 500 ms apart */
	bool is_asked;    /* and none has come since */
	bool is_wanted;   /* by somebody who is no viewer, and not asked for since */
	char codec[AVC_CODEC_SIZE];
	struct frame_pool *pool; /* for what framings make */
	unsigned n_packed;       /* what they made of the access unit that is being handed on */
	struct {
		const struct video_framing *framing;
		struct frame *frame; /* NULL: no memory */
	} packed[MAX_PACKED];
};

/* ---- key frames */

static void set_need(struct video_viewer *viewer, enum video_need need)
{
	viewer->video->n_needing[viewer->need]--;
	viewer->video->n_needing[need]++;
	viewer->need = need;
}

/*
 * How far apart requests have to be for the most urgent of those who need a key frame now. Who fell
 * behind does only when its line is free: a line that takes nothing at all would cost the others
 * one every half a second.
 */
static int64_t key_spacing_ms(const struct video *video)
{
	if (video->n_needing[VIDEO_NEEDS_FIRST] && !video->is_asked)
		return VIDEO_NEWCOMER_MS;
	if (video->n_needing[VIDEO_NEEDS_FIRST] || video->n_needing[VIDEO_NEEDS_KEY] ||
		video->is_wanted)
		return VIDEO_CONGESTED_MS;
	return NOBODY;
}

/* Lines say when they take more, but not when they have delivered it: somebody has to look. */
static void mind_lines(struct video *video)
{
	static const struct timeval after = { .tv_usec = LOOK_US };

	if (video->n_needing[VIDEO_NEEDS_LINE] && !event_pending(video->look, EV_TIMEOUT, NULL))
		event_add(video->look, &after);
}

static void note_asked(struct video *video, int64_t now)
{
	video->asked_ns = now;
	video->even_ns = MAX(video->even_ns + VIDEO_CONGESTED_MS * NS_PER_MS, video->asked_ns);
	video->is_asked = true;
}

static void ask_key(struct video *video, int64_t now)
{
	outlet_ask_key(video->outlet);
	note_asked(video, now);
	video->is_wanted = false;
}

/* Newcomers may be ahead of the others' pace, but who comes again and again may not set one. */
static int64_t key_due_ns(const struct video *video, int64_t spacing_ms)
{
	int64_t due_ns = video->asked_ns + spacing_ms * NS_PER_MS;

	if (spacing_ms == VIDEO_NEWCOMER_MS)
		due_ns = MAX(due_ns,
			video->even_ns - (VIDEO_AHEAD - 1) * VIDEO_CONGESTED_MS * NS_PER_MS);
	return due_ns;
}

/* Asks for a key frame if somebody needs one: now, or when it is due. */
static void mind_keys(struct video *video)
{
	const int64_t spacing_ms = key_spacing_ms(video), now = now_ns();
	struct timeval after;
	int64_t wait_ns;

	event_del(video->key_due);
	if (spacing_ms == NOBODY)
		return;
	wait_ns = key_due_ns(video, spacing_ms) - now;
	if (wait_ns <= 0) {
		ask_key(video, now);
		wait_ns = VIDEO_CONGESTED_MS * NS_PER_MS; /* should it not be heard */
	}
	after.tv_sec = wait_ns / NS_PER_S;
	after.tv_usec = wait_ns % NS_PER_S / NS_PER_US + 1;
	event_add(video->key_due, &after);
}

static void on_key_due(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	mind_keys(arg);
}

/* ---- one viewer */

static void count_skipped(struct video_viewer *viewer, unsigned n)
{
	viewer->skipped += n;
	viewer->video->skipped += n;
}

static struct frame *pop(struct video_viewer *viewer)
{
	struct frame *unit = viewer->queue[viewer->head].unit;

	viewer->head = (viewer->head + 1) % VIDEO_MAX_UNITS;
	viewer->used--;
	return unit;
}

static void empty_queue(struct video_viewer *viewer)
{
	while (viewer->used)
		frame_unref(pop(viewer));
}

/* Borrows what was packed. May be the end of the viewer. */
static void send_unit(struct video_viewer *viewer, struct frame *packed)
{
	struct chunk_writer chunk;
	int res;

	if (viewer->is_new && !viewer->framing->begin(viewer, packed))
		return;
	viewer->is_new = false;
	chunk_writer_init(&chunk);
	res = viewer->framing->make(viewer, &chunk, packed);
	if (res < 0)
		return connection_close(viewer->conn, "cannot be sent: %s", strerror(-res));
	viewer->sent++;
	latency_begin_sending(&viewer->sending, packed);
	connection_send(viewer->conn, &chunk); /* and the next one after it, by video_go_on() */
}

static bool is_too_far_behind(const struct video_viewer *viewer, int64_t now)
{
	int64_t waited_ns = viewer->used ? now - viewer->queue[viewer->head].since_ns : 0;

	return viewer->used == VIDEO_MAX_UNITS ||
	       (viewer->used >= VIDEO_PATIENT_UNITS && waited_ns >= VIDEO_PATIENT_MS * NS_PER_MS);
}

/* The one overflow rule: what is full empties itself and starts again at a key frame. */
static void enqueue(struct video_viewer *viewer, struct frame *packed)
{
	int64_t now = now_ns();
	unsigned at;

	if (is_too_far_behind(viewer, now)) {
		count_skipped(viewer, viewer->used);
		empty_queue(viewer);
		viewer->waits_for_key = !packed->key;
	}
	set_need(viewer, VIDEO_NEEDS_LINE);
	if (viewer->waits_for_key)
		return count_skipped(viewer, 1);
	at = (viewer->head + viewer->used++) % VIDEO_MAX_UNITS;
	viewer->queue[at].unit = frame_ref(packed);
	viewer->queue[at].since_ns = now;
}

/* What this framing sends of the unit, made for the first viewer who needs it. Lends it. */
static struct frame *pack(struct video *video, const struct video_framing *framing,
	struct frame *unit)
{
	unsigned at = 0;

	if (!framing->pack)
		return unit;
	while (at < video->n_packed && video->packed[at].framing != framing)
		at++;
	if (at == MAX_PACKED)
		abort();
	if (at == video->n_packed) {
		video->packed[at].framing = framing;
		video->packed[at].frame = framing->pack(video->pool, unit);
		video->n_packed++;
	}
	return video->packed[at].frame;
}

static void forget_packed(struct video *video)
{
	while (video->n_packed)
		frame_unref(video->packed[--video->n_packed].frame);
}

/* The kernel is not asked about who has got nothing. */
static bool is_line_free(const struct video_viewer *viewer)
{
	return viewer->is_new || (!viewer->used && connection_is_clear(viewer->conn));
}

/* It cannot be sent: the viewer waits for a key frame. */
static void leave_out(struct video_viewer *viewer)
{
	viewer->waits_for_key = true;
	if (viewer->is_new)
		return;
	count_skipped(viewer, 1);
	if (viewer->need != VIDEO_NEEDS_KEY)
		set_need(viewer, VIDEO_NEEDS_LINE);
}

/* May be the end of the viewer. */
static void offer(struct video_viewer *viewer, struct frame *unit)
{
	struct frame *packed = NULL;

	if (!viewer->waits_for_key || unit->key)
		packed = pack(viewer->video, viewer->framing, unit);
	viewer->n_offered++;
	viewer->n_held++;
	if (!packed)
		return leave_out(viewer);
	viewer->waits_for_key = false;
	if (!is_line_free(viewer))
		return enqueue(viewer, packed);
	viewer->n_held--;
	set_need(viewer, VIDEO_NEEDS_NOTHING);
	send_unit(viewer, packed);
}

/* May be the end of the viewer. */
static void go_on(struct video_viewer *viewer)
{
	AUTO(frame_unref_auto) struct frame *unit = NULL;
	int64_t since_ns = viewer->queue[viewer->head].since_ns;

	if (viewer->need != VIDEO_NEEDS_LINE || !connection_is_clear(viewer->conn))
		return;
	if (viewer->used && now_ns() - since_ns >= VIDEO_PATIENT_MS * NS_PER_MS) {
		count_skipped(viewer, viewer->used);
		empty_queue(viewer);
		viewer->waits_for_key = true;
	}
	if (viewer->waits_for_key)
		return set_need(viewer, VIDEO_NEEDS_KEY);
	unit = pop(viewer);
	if (!viewer->used)
		set_need(viewer, VIDEO_NEEDS_NOTHING);
	send_unit(viewer, unit);
}

/* After something has happened to viewers. */
static void mind(struct video *video)
{
	mind_keys(video);
	mind_lines(video);
}

void video_go_on(struct video_viewer *viewer)
{
	struct video *video = viewer->video;

	go_on(viewer);
	if (!video->is_handing_on)
		mind(video);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct video *video = arg;
	struct video_viewer *at, *next;

	(void)fd, (void)what;
	video->is_handing_on = true;
	for (at = TAILQ_FIRST(&video->viewers); at; at = next) {
		next = TAILQ_NEXT(at, link);
		go_on(at);
	}
	video->is_handing_on = false;
	mind(video);
}

/* ---- all of them */

static void note_key(struct video *video, const struct frame *unit)
{
	struct avc_walk walk = { unit->plane[0].data, unit->plane[0].data + unit->plane[0].size };
	struct avc_nal sps;

	video->is_asked = video->is_wanted = false;
	if (avc_next_nal(&walk, &sps))
		avc_name_codec(video->codec, &sps);
}

static void on_arrival(evutil_socket_t fd, short what, void *arg)
{
	struct video *video = arg;
	AUTO(frame_unref_auto) struct frame *unit = mailbox_take(video->mailbox);
	struct video_viewer *at, *next;

	(void)fd, (void)what;
	if (!unit)
		return;
	if (unit->key)
		note_key(video, unit);
	video->n_bytes += unit->plane[0].size;
	video->is_handing_on = true;
	for (at = TAILQ_FIRST(&video->viewers); at; at = next) {
		next = TAILQ_NEXT(at, link);
		offer(at, unit);
	}
	video->is_handing_on = false;
	forget_packed(video);
	mind(video);
}

void video_watch(struct video *video, struct video_viewer *viewer, struct connection *conn,
	const struct video_framing *framing)
{
	bool is_first = TAILQ_EMPTY(&video->viewers);

	viewer->video = video;
	viewer->conn = conn;
	viewer->framing = framing;
	viewer->is_new = viewer->waits_for_key = true;
	viewer->need = VIDEO_NEEDS_FIRST;
	video->n_needing[VIDEO_NEEDS_FIRST]++;
	TAILQ_INSERT_TAIL(&video->viewers, viewer, link);
	video->n_viewers++;
	if (is_first) {
		event_add(video->arrival, NULL);
		outlet_attach(video->outlet, video->mailbox); /* asks for a key frame, too */
		note_asked(video, now_ns());
	}
	mind_keys(video);
}

void video_ask_key(struct video *video)
{
	video->is_wanted = true;
	mind_keys(video);
}

void video_unwatch(struct video_viewer *viewer)
{
	struct video *video = viewer->video;
	struct frame *unit;

	TAILQ_REMOVE(&video->viewers, viewer, link);
	video->n_viewers--;
	video->n_needing[viewer->need]--;
	empty_queue(viewer);
	if (!TAILQ_EMPTY(&video->viewers))
		return;
	outlet_detach(video->outlet, video->mailbox);
	event_del(video->arrival);
	event_del(video->key_due);
	event_del(video->look);
	/* Whoever watches next must not be shown how it was back then. */
	while ((unit = mailbox_take(video->mailbox)))
		frame_unref(unit);
}

unsigned video_viewers(const struct video *video)
{
	return video->n_viewers;
}

static void measure_viewer(struct video_viewer *viewer, int64_t period_ns, struct video_load *load)
{
	uint64_t acked = connection_acked(viewer->conn), got = acked - viewer->acked;
	bool is_congested = viewer->n_offered && viewer->n_held * 2 >= viewer->n_offered;

	viewer->n_offered = viewer->n_held = 0;
	viewer->acked = acked;
	if (viewer->is_new)
		return;
	load->viewers++;
	load->congested += is_congested;
	if (is_congested)
		load->line_kbps = (unsigned)MAX(load->line_kbps, got * 8 * NS_PER_MS / period_ns);
}

void video_measure(struct video *video, struct video_load *out)
{
	int64_t now = now_ns(), period_ns = MAX(now - video->looked_ns, 1);
	struct video_viewer *at;

	*out = (struct video_load){ .stream_kbps = (unsigned)(video->n_bytes * 8 * NS_PER_MS /
							      (uint64_t)period_ns) };
	for (at = TAILQ_FIRST(&video->viewers); at; at = TAILQ_NEXT(at, link))
		measure_viewer(at, period_ns, out);
	video->n_bytes = 0;
	video->looked_ns = now;
}

const char *video_codec(const struct video *video)
{
	return video->codec;
}

uint64_t video_skipped(const struct video *video)
{
	return video->skipped;
}

int video_create(struct video **out, struct event_base *base, struct outlet *h264)
{
	struct video *video = xcalloc(1, sizeof(*video));
	int res = mailbox_create(&video->mailbox, MAILBOX_DEPTH);

	if (res < 0) {
		free(video);
		return res;
	}
	video->outlet = h264;
	video->pool = frame_pool_create(MAILBOX_DEPTH);
	TAILQ_INIT(&video->viewers);
	video->arrival = event_new(base, mailbox_fd(video->mailbox), EV_READ | EV_PERSIST,
		on_arrival, video);
	video->key_due = event_new(base, -1, 0, on_key_due, video);
	video->look = event_new(base, -1, 0, on_look, video);
	if (!video->arrival || !video->key_due || !video->look)
		abort(); /* as xcalloc() */
	*out = video;
	return 0;
}

void video_destroy(struct video *video)
{
	if (!video)
		return;
	event_free(video->arrival);
	event_free(video->key_due);
	event_free(video->look);
	mailbox_destroy(video->mailbox);
	frame_pool_destroy(video->pool);
	free(video);
}
