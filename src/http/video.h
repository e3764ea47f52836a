/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The video hub takes H.264 access units out of one mailbox and hands each to everyone who
 * watches, in whatever way that viewer's endpoint frames them. The mailbox is attached only while
 * somebody watches. Network thread only.
 *
 * A viewer begins at a key frame. An access unit is handed to the kernel only when the line has
 * delivered those before it, but for some milliseconds' worth: what is there cannot be taken back.
 * A few may wait for that; when the line falls further behind, and when their turn comes too late,
 * they are thrown away and the viewer skips to the next key frame. What was begun is always
 * completed, so that every viewer sees whole access units, in order, and after each gap one that
 * decodes by itself.
 *
 * Key frames are asked for as few times as possible, for they are big: they would fill the very
 * line that needs relief, and everyone else's.
 */
#ifndef HTTP_VIDEO_H
#define HTTP_VIDEO_H

#include <stdbool.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "media/latency.h"
#include "media/mailbox.h"

struct connection;
struct chunk_writer;
struct video;
struct video_viewer;

/* What may wait for a viewer behind the access units that are being sent. */
#define VIDEO_PATIENT_UNITS 3   /* this many always may, as long as these are, … */
#define VIDEO_PATIENT_MS    100 /* … and more while the oldest has waited less than this, */
#define VIDEO_MAX_UNITS     12  /* … which is 100 ms at 120 fps */

/* Between two requests for a key frame. */
#define VIDEO_NEWCOMER_MS  100 /* for who has no picture yet; but no more than … */
#define VIDEO_AHEAD        8 /* … ahead of one in 500 ms, should somebody come again and again */
#define VIDEO_CONGESTED_MS 500 /* for all who fell behind together, and when one was not heard */

/* How an endpoint sends video. All functions run inside those of video.c. */
struct video_framing {
	/*
	 * Makes what is sent of an access unit: once, for all viewers of this framing. It has the
	 * unit's key, times and rate. NULL without memory: they skip to the next key frame. Without
	 * this function the unit is sent as it is.
	 */
	struct frame *(*pack)(struct frame_pool *pool, const struct frame *unit);
	/*
	 * The first key frame is there: turns the connection into a stream and writes what comes
	 * before all video. False: that was all this viewer wanted, and it is gone.
	 */
	bool (*begin)(struct video_viewer *viewer, const struct frame *packed);
	/*
	 * Makes one access unit the next piece of the viewer's stream; `out` comes empty. Any -errno
	 * closes the connection.
	 */
	int (*make)(struct video_viewer *viewer, struct chunk_writer *out, struct frame *packed);
};

/* What has to happen before a viewer is sent something. */
enum video_need {
	VIDEO_NEEDS_NOTHING,
	VIDEO_NEEDS_FIRST, /* a key frame, for it has no picture yet */
	VIDEO_NEEDS_KEY,   /* a key frame: it fell behind, and its line is free again */
	VIDEO_NEEDS_LINE,  /* its line has to become free */
	VIDEO_NEEDS
};

/* Part of what an endpoint keeps for a viewer, zeroed; video.c fills it. */
struct video_viewer {
	TAILQ_ENTRY(video_viewer) link;
	struct video *video;
	struct connection *conn;
	const struct video_framing *framing;
	bool is_new;        /* nothing was sent to it yet */
	bool waits_for_key; /* only a key frame can be sent next */
	enum video_need need;
	struct latency_sending sending;
	uint64_t sent;              /* access units handed to its line */
	uint64_t skipped;           /* access units it did not get, since its first */
	unsigned n_offered, n_held; /* access units since the last look; not sent at once */
	uint64_t acked;             /* bytes that its peer had then */
	unsigned head, used;
	struct {
		struct frame *unit; /* packed */
		int64_t since_ns;
	} queue[VIDEO_MAX_UNITS]; /* a ring */
};

int video_create(struct video **out, struct event_base *base, struct outlet *h264);
/* Nobody may watch any more. NULL is fine. */
void video_destroy(struct video *video);

/* Borrows everything until video_unwatch(). The viewer asks for a key frame. */
void video_watch(struct video *video, struct video_viewer *viewer, struct connection *conn,
	const struct video_framing *framing);
/* When the connection is closed, or before its first picture. */
void video_unwatch(struct video_viewer *viewer);
/* The kernel took all output: connection_owner.drained. May be the end of the viewer. */
void video_go_on(struct video_viewer *viewer);

/* Somebody wants a key frame: it is asked for when VIDEO_CONGESTED_MS have passed since the last. */
void video_ask_key(struct video *video);

unsigned video_viewers(const struct video *video);
/* What was seen of the viewers' lines since the last look. */
struct video_load {
	unsigned viewers;     /* that have pictures */
	unsigned congested;   /* of them: half of what came could not be sent at once */
	unsigned line_kbps;   /* what the fastest of those took; 0: not known */
	unsigned stream_kbps; /* what came */
};

void video_measure(struct video *video, struct video_load *out);
/* As in "avc1.42C01F": of the last key frame that somebody watched; "" before the first. */
const char *video_codec(const struct video *video);
/* Access units that viewers did not get because their lines were too slow, since the start. */
uint64_t video_skipped(const struct video *video);

#endif
