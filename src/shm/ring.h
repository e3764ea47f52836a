/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The writer of a ring of frames in shared memory; shm/hdmicast-ring.h is the format.
 *
 * It never waits for a reader and believes nothing a reader says. A ring belongs to one thread.
 */
#ifndef SHM_RING_H
#define SHM_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "media/frame.h"
#include "shm/hdmicast-ring.h"

#define RING_GROUP_KEEP ((gid_t)-1)

struct ring;

struct ring_options {
	const char *name; /* without a slash; may begin with one */
	size_t bytes;     /* for frames; four of the largest, or more */
	unsigned slots;   /* frames at most; rounded up to a power of two */
	mode_t mode;      /* who may read; they may write to the control object, too */
	gid_t group;      /* RING_GROUP_KEEP: the process's own */
};

struct ring_readers {
	unsigned count;   /* readers that are alive and read */
	bool key_request; /* one asked for a key frame since the last look */
	uint64_t lost;    /* the sum of what they say they missed; may be a lie */
	uint64_t laps;    /* the same of how often they were overtaken */
};

/*
 * Takes the place of a ring that an earlier writer left behind, and sends its readers here.
 * -EBUSY: another writer uses the name; -EEXIST: what has the name is no ring; -EACCES: it is
 * another user's; -ENOSPC: no room in /dev/shm; -EINVAL, -ENAMETOOLONG: no name; -EINVAL: sizes out
 * of range; -EPERM: not in that group; else as shm_open(). Logs nothing.
 */
int ring_create(struct ring **out, const struct ring_options *opt);
/* Makes another one under the same name, then ends the old one in any case; *ring: NULL on failure. */
int ring_replace(struct ring **ring, const struct ring_options *opt);
/* Tells the readers, and removes the objects. NULL is fine. */
void ring_destroy(struct ring *ring);

/*
 * Copies the pieces of one frame into the ring and wakes the readers. Of `what`, the stamp,
 * sequence, offset, size, published_ns and oversized are set here. -EMSGSIZE: larger than the
 * ring; it was counted and left out.
 */
int ring_publish(struct ring *ring, const struct iovec *pieces, unsigned count,
	const struct hdmicast_ring_slot *what);
/* The same for a frame. dropped: frames that were lost on their way here, since the ring is. */
int ring_publish_frame(struct ring *ring, const struct frame *frame, uint64_t dropped);

/*
 * Looks into the control object, with one system call and one for each reader: ten times a second
 * is enough. Puts its header right if a reader wrote over it.
 */
void ring_get_readers(struct ring *ring, struct ring_readers *out);

/* Whoever comes from now on waits for the next key frame: those that are there are too old. */
void ring_forget(struct ring *ring);

/* False: somebody removed one of the objects, so that no reader can find it. */
bool ring_is_named(const struct ring *ring);

/* Readers that were woken from here, and not by other readers, since it was created. */
uint64_t ring_wakes(const struct ring *ring);
/* Frames since it was created. */
uint64_t ring_published(const struct ring *ring);

#endif
