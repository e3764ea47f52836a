/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The client's mappings. A frame may outlive its device for a moment, not for ever. */
#include "real.h"
#include "report.h"
#include "vb2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPPINGS_MAX = 256, GRACE_MS = 2000 };

struct mapping {
	uintptr_t addr; /* 0: free */
	size_t len;
	const void *queue; /* compared only, may be gone */
	const struct buffer *buf;
	const char *why; /* it is an orphan */
	bool split;      /* into an area for each page */
	int64_t orphaned_ns;
	char node[108];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* taken last */
static struct mapping mappings[MAPPINGS_MAX];
static atomic_uint n_mappings;

static void add(uintptr_t addr, size_t len, const struct handle *h, const void *queue,
	const struct buffer *buf)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *map = &mappings[i];

		if (map->addr)
			continue;
		*map = (struct mapping){ .addr = addr, .len = len, .queue = queue, .buf = buf };
		strcpy(map->node, handle_path(h));
		n_mappings++;
		break;
	}
	pthread_mutex_unlock(&lock);
}

static void *map_locked(struct handle *h, void *addr, size_t len, int prot, int flags, off_t off)
{
	const void *queue = h->queue;
	struct buffer *buf = NULL;
	void *mem;

	errno = ENODEV;
	if (handle_gone(h))
		return MAP_FAILED;
	errno = EINVAL;
	if (h->dev->ops->instance)
		buf = h->dev->ops->instance->buffer_at(h, off, &queue);
	else if (!h->meta)
		buf = queue_at(h->queue, off);
	if (!buf || len > buf->mapped || !(prot & PROT_READ) || !(flags & MAP_SHARED)) {
		report_violation("VB2", "%s: mmap of %zu bytes at %lld, prot %d flags %#x (EINVAL)",
			handle_path(h), len, (long long)off, prot, (unsigned)flags);
		errno = EINVAL;
		return MAP_FAILED;
	}
	mem = real()->mmap(addr, len, prot, flags, buf->memfd, 0);
	if (mem != MAP_FAILED)
		add((uintptr_t)mem, len, h, queue, buf);
	return mem;
}

void *mapping_create(struct handle *h, void *addr, size_t len, int prot, int flags, off_t off)
{
	void *mem;

	pthread_mutex_lock(&h->dev->lock);
	mem = map_locked(h, addr, len, prot, flags, off);
	pthread_mutex_unlock(&h->dev->lock);
	return mem;
}

static void complain_if_late(const struct mapping *map)
{
	int64_t ms = map->why ? (now_ns() - map->orphaned_ns) / NS_PER_MS : 0;

	if (ms > GRACE_MS)
		report_violation("MUNMAP", "%s: a buffer stayed mapped for %lld ms after %s",
			map->node, (long long)ms, map->why);
}

void mapping_remove(void *addr, size_t len)
{
	uintptr_t from = (uintptr_t)addr;

	if (!n_mappings)
		return;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *map = &mappings[i];

		if (!map->addr || map->addr < from || map->addr >= from + len)
			continue;
		complain_if_late(map);
		map->addr = 0;
		n_mappings--;
	}
	pthread_mutex_unlock(&lock);
}

bool mapping_exists(const void *q, const struct buffer *buf)
{
	bool found = false;

	if (!n_mappings)
		return false;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX && !found; i++)
		found = mappings[i].addr && !mappings[i].why && mappings[i].queue == q &&
			mappings[i].buf == buf;
	pthread_mutex_unlock(&lock);
	return found;
}

void mapping_orphan(const void *q, const char *why)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *map = &mappings[i];

		if (!map->addr || map->queue != q || map->why)
			continue;
		map->why = why;
		map->orphaned_ns = now_ns();
		counters.orphans++;
	}
	pthread_mutex_unlock(&lock);
}

/* Around a fault the kernel maps more pages, as far as the area goes: each page is one, then. */
static void split(struct mapping *map, size_t page)
{
	for (size_t at = 0; at < map->len && !map->split; at += 2 * page)
		if (madvise((void *)(map->addr + at), page, MADV_RANDOM) < 0)
			report_debug("pages of %s cannot be counted: %s", map->node,
				strerror(errno));
	map->split = true;
}

void mapping_forget(const void *q, const struct buffer *buf)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX; i++) {
		struct mapping *map = &mappings[i];

		if (!map->addr || map->why || map->queue != q || map->buf != buf)
			continue;
		split(map, page);
		madvise((void *)map->addr, map->len, MADV_DONTNEED);
	}
	pthread_mutex_unlock(&lock);
}

/* Present or swapped out: bits 63 and 62 of what the kernel says of a page. */
static unsigned touched(int pagemap, const struct mapping *map, size_t page)
{
	uint64_t entries[512];
	size_t n = (map->len + page - 1) / page;
	unsigned count = 0;

	for (size_t at = 0, got; at < n; at += got) {
		size_t want = n - at < ARRAY_SIZE(entries) ? n - at : ARRAY_SIZE(entries);
		ssize_t bytes = pread(pagemap, entries, want * sizeof(entries[0]),
			(off_t)((map->addr / page + at) * sizeof(entries[0])));

		if (bytes <= 0)
			break;
		got = (size_t)bytes / sizeof(entries[0]);
		for (size_t i = 0; i < got; i++)
			count += entries[i] >> 62 != 0;
	}
	return count;
}

unsigned mapping_touched(const void *q, const struct buffer *buf)
{
	int pagemap = real()->open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned count = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX && pagemap >= 0; i++) {
		const struct mapping *map = &mappings[i];

		if (map->addr && map->split && map->queue == q && map->buf == buf)
			count += touched(pagemap, map, page);
	}
	pthread_mutex_unlock(&lock);
	real()->close(pagemap);
	return count;
}

size_t mapping_orphan_bytes(const char *node)
{
	size_t bytes = 0;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX; i++)
		if (mappings[i].addr && mappings[i].why && !strcmp(mappings[i].node, node))
			bytes += mappings[i].len;
	pthread_mutex_unlock(&lock);
	return bytes;
}

void mapping_finish(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MAPPINGS_MAX; i++)
		if (mappings[i].addr && !anything_hangs())
			report_violation("MUNMAP", "%s: a buffer of %zu bytes was never unmapped",
				mappings[i].node, mappings[i].len);
	pthread_mutex_unlock(&lock);
}
