/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the thread of a sink writes frames to: an object in shared memory, of one of two kinds.
 * All of it belongs to that thread.
 */
#ifndef SHM_STORE_H
#define SHM_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"
#include "settings/options.h"

struct store_config {
	const struct option_store *opt;
	enum medium medium;
	unsigned abi; /* memsinks: 7 or 10 */
	unsigned gop; /* memsinks: told to readers */
};

/* What readers say of themselves. Only a ring knows more than whether there are any. */
struct store_view {
	unsigned readers;
	bool wants_key;      /* one asked for a key frame */
	uint64_t lost, laps; /* of those that are there: frames missed; how often overtaken */
	uint64_t wakes;      /* readers that the writer woke itself, since the store was opened */
};

struct store_kind;

/* The beginning of each kind's own structure. */
struct store {
	const struct store_kind *kind;
	size_t capacity; /* bytes that a frame may have */
	char about[32];  /* for the log */
};

struct store_kind {
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
	int (*open)(struct store **out, const struct store_config *config);
	void (*close)(struct store *store);
	/* -ESTALE: somebody removed it, so that no new reader can find it; -errno. */
	int (*look)(struct store *store, int64_t now_ns, struct store_view *view);
	/*
	 * Copies the frame. dropped: frames that were lost on their way here, ever. -EAGAIN: readers
	 * kept it locked; -EMSGSIZE: the frame is too large; else -errno. It is not written then.
	 */
	int (*write)(struct store *store, const struct frame *frame, uint64_t dropped);
	/*
	 * Whether write() can be called now, or in a moment if it may wait. Waiting is done here, while
	 * no frame is held. After true comes write() or unlock().
	 */
	bool (*lock)(struct store *store, bool may_wait);
	void (*unlock)(struct store *store);
};

/* uStreamer's: see shm/memsink.h. */
extern const struct store_kind store_memsink;
/* Ours: see docs/ring.md. */
extern const struct store_kind store_ring;

#endif
