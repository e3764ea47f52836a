/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A memsink: uStreamer's shared memory, which its Janus plugin, its Python module and
 * ustreamer-dump read. One slot for one frame; readers and writer take turns by flock(2). Readers
 * map it and may write anywhere in it, so nothing in it is believed.
 *
 * One thread at a time may call these functions.
 */
#ifndef SHM_MEMSINK_H
#define SHM_MEMSINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "media/frame.h"

struct memsink;

/* What readers say of themselves. */
struct memsink_view {
	bool has_clients; /* one was there within the time to live */
	bool wants_key;   /* one asked for a key frame, and none was written since */
};

/*
 * Opens the object, or makes it, with exactly this mode whatever the umask. What was left behind
 * is used on, so that its readers go on; its mode becomes this one where we may change it.
 * abi: 7 or 10. name: borrowed until memsink_close(); its end, "jpeg", "h264" or "raw" after the
 * last ':' (or '.'), says how large a frame may be, to readers, too.
 * -EPROTO: the name does not end so; -EINVAL, -ENAMETOOLONG: it is none; -EMEDIUMTYPE: what has
 * that name is no shared memory, or a ring; -ENOSPC: /dev/shm has no room for all of it; else
 * -errno of shm_open(3) and posix_fallocate(3). Logs nothing.
 */
int memsink_open(struct memsink **out, const char *name, unsigned mode, unsigned abi,
	int64_t client_ttl_ns);
/* remove: the name goes, too, if it is still this object's. NULL is fine. */
void memsink_close(struct memsink *sink, bool remove);

/* Without the lock. -ESTALE: somebody removed the object, and no new reader can find it; -errno. */
int memsink_look(struct memsink *sink, int64_t now_ns, struct memsink_view *view);

/*
 * Writes the frame over the one before, and answers a request for a key frame if it is one.
 * -EAGAIN: readers kept the lock for MEMSINK_LOCK_NS; -EMSGSIZE: the frame is too large; else
 * -errno of pwrite(2). After any of these, the frame before is there still or none is.
 */
int memsink_write(struct memsink *sink, const struct frame *frame, unsigned gop);

/*
 * Keeps readers out until the next memsink_write(), or memsink_unlock(); to be called when there is
 * no frame yet that would be kept meanwhile. False: they did not let go of it in that time.
 */
#define MEMSINK_LOCK_NS (2 * NS_PER_MS)
bool memsink_lock(struct memsink *sink, int64_t wait_ns);
void memsink_unlock(struct memsink *sink);

/* Bytes that a frame may have. */
size_t memsink_capacity(const struct memsink *sink);

#endif
