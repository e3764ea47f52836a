// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * A ring as something to write frames to: see sink_backend.h.
 *
 * Nobody knows how large raw pictures are before the first one comes. A ring for them is small
 * until then, and is made anew for a larger picture, unless its size was given; readers follow.
 */
#include "base/util.h"
#include "shm/ring.h"
#include "shm/sink_backend.h"

#define LOG_TOPIC "ring"
#include "base/log.h"

/* Pictures that a ring is made for, and with how few it has to grow: JPEGs differ in size. */
#define ROOM_FOR 8
#define LEAST    4

#define GROW_NS   (10 * NS_PER_S) /* from try to try */
#define FOLLOW_NS NS_PER_S        /* readers of the ring before count for that long */

struct ring_backend {
	struct sink_backend backend;
	struct ring_options options;
	struct ring *ring; /* NULL: it could not be made anew */
	bool may_grow;
	int grow_error; /* of the last try */
	int64_t grow_due_ns, follow_ns;
	uint64_t wakes; /* of rings before this one */
	uint64_t dropped,
		dropped0; /* frames that were lost before the ring: now, when it was made */
};

static const struct {
	size_t bytes;
	unsigned slots;
} defaults[MEDIA] = {
	[MEDIUM_JPEG] = { 16 << 20, 256 },
	[MEDIUM_RAW] = { 64 << 10, 64 },
	[MEDIUM_H264] = { 8 << 20, 1024 },
};

static struct ring_backend *of(struct sink_backend *backend)
{
	return (struct ring_backend *)backend;
}

static int open_ring(struct sink_backend **out, const struct backend_config *config)
{
	const struct option_sink *opt = config->opt;
	struct ring_backend *self = xcalloc(1, sizeof(*self));
	int res;

	self->backend.ops = &backend_ring;
	self->options = (struct ring_options){ .name = opt->name,
		.bytes = opt->bytes ? opt->bytes : defaults[config->medium].bytes,
		.slots = defaults[config->medium].slots,
		.mode = opt->mode,
		.group = opt->group };
	self->may_grow = config->medium == MEDIUM_RAW && !opt->bytes;
	self->backend.capacity = self->options.bytes;
	snprintf(self->backend.about, sizeof(self->backend.about), "%zu bytes",
		self->options.bytes);
	res = ring_create(&self->ring, &self->options);
	if (res < 0)
		free(self);
	else
		*out = &self->backend;
	return res;
}

static void close_ring(struct sink_backend *backend)
{
	struct ring_backend *self = of(backend);

	ring_destroy(self->ring);
	free(self);
}

/*
 * Who comes after everybody had left must not begin with what was in the picture then: neither a
 * program that takes a picture now and then, nor a player, which would lag behind for ever.
 */
static int look(struct sink_backend *backend, int64_t now, struct backend_view *view)
{
	struct ring_backend *self = of(backend);
	struct ring_readers readers;

	if (!self->ring)
		return self->grow_error;
	if (!ring_is_named(self->ring))
		return -ESTALE;
	ring_get_readers(self->ring, &readers);
	*view = (struct backend_view){ .readers = readers.count,
		.wants_key = readers.key_request,
		.lost = readers.lost,
		.laps = readers.laps,
		.wakes = self->wakes + ring_wakes(self->ring) };
	if (!readers.count && now < self->follow_ns)
		view->readers =
			1; /* one of those that were there is on its way, or will not come */
	else if (!readers.count)
		ring_forget(self->ring);
	return 0;
}

/* Another ring under the name. On failure, there is none any more. */
static int make_anew(struct ring_backend *self, size_t bytes)
{
	int res;

	self->wakes += ring_wakes(self->ring);
	self->options.bytes = bytes;
	res = ring_replace(&self->ring, &self->options);
	if (res < 0)
		return res;
	self->backend.capacity = bytes;
	self->dropped0 = self->dropped;
	self->follow_ns = now_ns() + FOLLOW_NS;
	return 0;
}

/* When there is no room for a large one, a small one tells readers that we live. */
static int grow(struct ring_backend *self, const struct frame *frame)
{
	const size_t before = self->options.bytes, size = frame_size(frame);
	const size_t pixels = (size_t)frame->width * frame->height;
	const int64_t now = now_ns();

	if (now < self->grow_due_ns)
		return self->grow_error;
	self->grow_error = make_anew(self, MAX(size, pixels) * ROOM_FOR);
	if (!self->grow_error) {
		log_info("%s has %zu bytes now", self->options.name, self->options.bytes);
		return 0;
	}
	self->grow_due_ns = now + GROW_NS;
	self->options.bytes = before;
	ring_create(&self->ring, &self->options);
	return self->grow_error;
}

static int write_frame(struct sink_backend *backend, const struct frame *frame, uint64_t dropped)
{
	struct ring_backend *self = of(backend);
	const size_t size = frame_size(frame);
	int res = 0;

	self->dropped = dropped;
	if (self->may_grow && size * LEAST > self->options.bytes)
		res = grow(self, frame);
	if (!self->ring || (res < 0 && size > self->options.bytes))
		return res;
	return ring_publish_frame(self->ring, frame, dropped - self->dropped0);
}

/* There is no lock. */
static bool lock(struct sink_backend *backend, bool may_wait)
{
	(void)backend, (void)may_wait;
	return true;
}

static void unlock(struct sink_backend *backend)
{
	(void)backend;
}

const struct backend_ops backend_ring = {
	.name = "ring",
	.names = "its name must have no '/' in it, no '.' in front, and no '.ctl' at its end",
	.larger = "give it a larger -size",
	.open = open_ring,
	.close = close_ring,
	.look = look,
	.write = write_frame,
	.lock = lock,
	.unlock = unlock,
};
