/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the thread of a sink writes frames to: an object in shared memory, of one of two kinds.
 * All of it belongs to that thread.
 */
#ifndef SHM_SINK_BACKEND_H
#define SHM_SINK_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"
#include "settings/options.h"

struct backend_config {
	const struct option_sink *opt;
	enum medium medium;
	unsigned abi; /* memsinks: 7 or 10 */
	unsigned gop; /* memsinks: told to readers */
};

/* What readers say of themselves. Only a ring knows more than whether there are any. */
struct backend_view {
	unsigned readers;
	bool wants_key;      /* one asked for a key frame */
	uint64_t lost, laps; /* of those that are there: frames missed; how often overtaken */
	uint64_t wakes;      /* readers that the writer woke itself, since the backend was opened */
};

struct backend_ops;

/* The beginning of each kind's own structure. */
struct sink_backend {
	const struct backend_ops *ops;
	size_t capacity; /* bytes that a frame may have */
	char about[32];  /* for the log */
};

struct backend_ops {
	const char *name;   /* for people */
	const char *names;  /* what is wrong with one that is none */
	const char *larger; /* what to do when a frame is larger than the capacity */
	int64_t spacing_ns; /* two frames of a video are no closer than this */
	int64_t pulse_ns;   /* without readers a frame is written so often; 0: none is */
	bool is_watched;    /* look() is due after each frame, not only ten times a second */

	/*
	 * Logs nothing; errors are those of shm_open(3), and: -EPROTO: the name is not for this
	 * medium; -EINVAL, -ENAMETOOLONG: it is none; -EMEDIUMTYPE, -EEXIST: something else has
	 * it; -EBUSY: another writer.
	 */
	int (*open)(struct sink_backend **out, const struct backend_config *config);
	void (*close)(struct sink_backend *backend);
	/* -ESTALE: somebody removed it, so that no new reader can find it; -errno. */
	int (*look)(struct sink_backend *backend, int64_t now_ns, struct backend_view *view);
	/*
	 * Copies the frame. dropped: frames that were lost on their way here, ever. -EAGAIN: readers
	 * kept it locked; -EMSGSIZE: the frame is too large; else -errno. It is not written then.
	 */
	int (*write)(struct sink_backend *backend, const struct frame *frame, uint64_t dropped);
	/*
	 * Whether write() can be called now, or in a moment if it may wait. Waiting is done here, while
	 * no frame is held. After true comes write() or unlock().
	 */
	bool (*lock)(struct sink_backend *backend, bool may_wait);
	void (*unlock)(struct sink_backend *backend);
};

/* uStreamer's: see shm/memsink.h. */
extern const struct backend_ops backend_memsink;
/* Ours: see docs/ring.md. */
extern const struct backend_ops backend_ring;

#endif
