// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A memsink: see memsink.h.
 *
 * We do not map the object: a reader may truncate it and /dev/shm may be full, which pwrite(2)
 * answers with an errno, and a mapping with SIGBUS.
 */
#include "shm/memsink.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "shm/hdmicast-ring.h"
#include "shm/layout.h"
#include "shm/shm_object.h"

#define LOG_TOPIC "sink"
#include "base/log.h"

#define LOCK_LOOK_NS (200 * NS_PER_US) /* flock(2) cannot be polled */

/* ---- the object */

struct memsink {
	const char *name;
	const struct layout *layout;
	size_t capacity;
	int fd;
	int64_t client_ttl_ns;
	uint8_t client[LAYOUT_CLIENT_SIZE]; /* last_client_ts, when we looked last */
	int64_t client_ns;                  /* when it was another one; 0: it never was */
};

static off_t size_of(const struct memsink *sink)
{
	return (off_t)(sink->layout->size + sink->capacity);
}

/*
 * Never smaller: what is left behind may be mapped, and readers would die of SIGBUS. So they would
 * of a page that a full /dev/shm has no memory for: it is taken here, all or none.
 */
static int grow(const struct memsink *sink)
{
	return -posix_fallocate(sink->fd, 0, size_of(sink));
}

/*
 * O_CREAT would be refused for what another user left behind (fs.protected_regular), although
 * its mode lets us write.
 */
static int open_object(const char *name, bool *is_new)
{
	int fd = shm_open(name, O_RDWR | O_NONBLOCK, 0);

	/* Nobody else can open it before it has its size and its mode. */
	*is_new = fd < 0 && errno == ENOENT;
	if (*is_new)
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	/* That is what shm_open(3) says of a directory, too. */
	if (fd < 0 && errno == EINVAL && !strchr(name, '/'))
		return -EMEDIUMTYPE;
	return fd < 0 ? -errno : fd;
}

/* Whose readers we would mislead. Of anything else, readers of sinks may have written it there. */
static bool is_ring(int fd)
{
	uint64_t magic = 0;

	return pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) && magic == HDMICAST_RING_MAGIC;
}

static int prepare(struct memsink *sink, unsigned mode)
{
	struct stat stat;
	int res;

	if (fstat(sink->fd, &stat) < 0)
		return -errno;
	if (!S_ISREG(stat.st_mode) || is_ring(sink->fd))
		return -EMEDIUMTYPE;
	if ((res = grow(sink)) < 0)
		return res;
	if ((stat.st_mode & 0777) != mode && fchmod(sink->fd, mode) < 0)
		log_warn("%s keeps its mode, %o: it belongs to another user", sink->name,
			stat.st_mode & 0777);
	return 0;
}

/* Who was there before us counts, if what the memory says can be true. */
static void recall_client(struct memsink *sink)
{
	if (pread(sink->fd, sink->client, LAYOUT_CLIENT_SIZE, LAYOUT_CLIENT_AT) > 0)
		sink->client_ns = layout_client_ns(sink->client, now_ns(), sink->client_ttl_ns);
}

int memsink_open(struct memsink **out, const char *name, unsigned mode, unsigned abi,
	int64_t client_ttl_ns)
{
	const struct layout *layout = layout_find(abi);
	struct memsink *sink;
	size_t capacity = layout_capacity(layout, name);
	bool is_new;
	int fd, res;

	if (!capacity)
		return -EPROTO;
	if (strlen(name) >= NAME_MAX)
		return -ENAMETOOLONG; /* shm_open(3) says -EINVAL, as of a slash */
	fd = open_object(name, &is_new);
	if (fd < 0)
		return fd;
	sink = xcalloc(1, sizeof(*sink));
	*sink = (struct memsink){ .name = name,
		.layout = layout,
		.capacity = capacity,
		.fd = fd,
		.client_ttl_ns = client_ttl_ns };
	if ((res = prepare(sink, mode)) < 0) {
		memsink_close(sink, is_new); /* what holds no frame only takes room */
		return res;
	}
	recall_client(sink);
	*out = sink;
	return 0;
}

size_t memsink_capacity(const struct memsink *sink)
{
	return sink->capacity;
}

/* ---- the lock */

static bool try_lock(const struct memsink *sink)
{
	return flock(sink->fd, LOCK_EX | LOCK_NB) == 0;
}

bool memsink_lock(struct memsink *sink, int64_t wait_ns)
{
	const struct timespec look = { .tv_nsec = LOCK_LOOK_NS };
	int64_t until_ns = now_ns() + wait_ns;
	bool locked;

	while (!(locked = try_lock(sink)) && now_ns() < until_ns)
		nanosleep(&look, NULL);
	return locked;
}

void memsink_unlock(struct memsink *sink)
{
	flock(sink->fd, LOCK_UN);
}

/* ---- reading */

int memsink_look(struct memsink *sink, int64_t now, struct memsink_view *view)
{
	union layout_header header = { 0 };
	uint8_t *client = header.byte + LAYOUT_CLIENT_AT;
	struct stat stat;
	int res;

	if (fstat(sink->fd, &stat) < 0)
		return -errno;
	if (!stat.st_nlink)
		return -ESTALE;
	if (stat.st_size < size_of(sink) && (res = grow(sink)) < 0)
		return res;
	if (pread(sink->fd, &header, sink->layout->own_at, 0) < 0)
		return -errno;
	/* A time that is another one was written just now; what it says does not matter. */
	if (memcmp(sink->client, client, LAYOUT_CLIENT_SIZE) != 0)
		sink->client_ns = now;
	memcpy(sink->client, client, LAYOUT_CLIENT_SIZE);
	view->has_clients = sink->client_ns && now - sink->client_ns < sink->client_ttl_ns;
	view->wants_key = header.byte[sink->layout->key_at];
	return 0;
}

/* ---- writing */

static int write_at(const struct memsink *sink, const void *data, size_t size, size_t at)
{
	while (size) {
		ssize_t n = pwrite(sink->fd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		data = (const uint8_t *)data + n;
		size -= (size_t)n;
		at += (size_t)n;
	}
	return 0;
}

/* A plane as it is written. */
struct part {
	size_t at, size; /* in the payload; without what follows the last row */
	uint32_t stride, rows;
};

/* Where V4L2's single-memory formats have a plane: its stride follows from the first one's. */
static struct part part_of(const struct frame *frame, unsigned plane, const struct part *before)
{
	const struct frame_plane *from = &frame->plane[plane];
	uint32_t luma = frame->plane[0].stride, half = (frame->height + 1) / 2;
	struct part part = { .stride = luma, .rows = frame->height };

	if (plane) {
		switch (frame->format) {
		case V4L2_PIX_FMT_NV24: part.stride = 2 * luma; break;
		case V4L2_PIX_FMT_NV12:
		case V4L2_PIX_FMT_NV21: part.rows = half; break;
		case V4L2_PIX_FMT_YUV420:
		case V4L2_PIX_FMT_YVU420:
			part.rows = half;
			part.stride = luma / 2;
			break;
		}
		part.at = before->at + (size_t)before->stride * before->rows;
	}
	part.size = luma ? MIN(from->size, (size_t)part.stride * part.rows) : from->size;
	return part;
}

static int write_plane(const struct memsink *sink, const struct frame_plane *from,
	const struct part *part)
{
	size_t at = sink->layout->size + part->at;
	int res = 0;

	if (from->stride == part->stride)
		return write_at(sink, from->data, part->size, at);
	for (uint32_t row = 0; row < part->rows && res == 0; row++) {
		size_t begin = (size_t)row * from->stride,
		       left = from->size - MIN(from->size, begin);
		size_t size = MIN(MIN(from->stride, part->stride), left);

		res = write_at(sink, from->data + begin, size, at + (size_t)row * part->stride);
	}
	return res;
}

/* Fills part[]; returns the bytes of the payload. */
static size_t measure(const struct frame *frame, struct part part[FRAME_PLANES])
{
	size_t used = 0;

	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data; i++) {
		part[i] = part_of(frame, i, i ? &part[i - 1] : NULL);
		used = part[i].at + part[i].size;
	}
	return used;
}

/* The slot is empty from the first byte we write until the frame is whole, should we die there. */
static int write_locked(const struct memsink *sink, const struct frame *frame,
	const struct part part[FRAME_PLANES], union layout_header *header)
{
	const struct layout *layout = sink->layout;
	static const uint8_t nothing[sizeof(header->head.magic)];
	int res = write_at(sink, nothing, sizeof(nothing), 0);

	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data && res == 0; i++)
		res = write_plane(sink, &frame->plane[i], &part[i]);
	if (res == 0)
		res = write_at(sink, header->byte + layout->own_at, layout->size - layout->own_at,
			layout->own_at);
	if (res == 0 && frame->key)
		res = write_at(sink, nothing, 1, layout->key_at);
	return res < 0 ? res : write_at(sink, &header->head, sizeof(header->head), 0);
}

int memsink_write(struct memsink *sink, const struct frame *frame, unsigned gop)
{
	union layout_header header = { 0 };
	struct part part[FRAME_PLANES] = { 0 };
	size_t used = measure(frame, part);
	int res;

	layout_fill(sink->layout, &header, frame, used, gop);
	if (!memsink_lock(sink, MEMSINK_LOCK_NS))
		return -EAGAIN;
	res = used > sink->capacity ? -EMSGSIZE : write_locked(sink, frame, part, &header);
	memsink_unlock(sink);
	return res;
}

/* ---- the end */

/*
 * Readers keep what they have mapped, and would wait there for ever. Those that find a version
 * which is not theirs close it, and open the name again.
 */
static void send_away(struct memsink *sink)
{
	static const uint32_t none;
	bool locked = memsink_lock(sink, MEMSINK_LOCK_NS);

	if (write_at(sink, &none, sizeof(none), offsetof(struct layout_head, version)) < 0)
		log_debug("%s: %m", sink->name);
	if (locked)
		memsink_unlock(sink);
}

void memsink_close(struct memsink *sink, bool remove)
{
	if (!sink)
		return;
	if (remove && shm_object_is_named(sink->name, sink->fd)) {
		send_away(sink);
		if (shm_unlink(sink->name) < 0)
			log_warn("cannot remove %s: %m", sink->name);
	}
	close(sink->fd);
	free(sink);
}
