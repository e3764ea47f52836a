// SPDX-License-Identifier: GPL-3.0-or-later
/* A memsink as something to write frames to: see sink_backend.h. */
#include "base/util.h"
#include "shm/layout.h"
#include "shm/memsink.h"
#include "shm/sink_backend.h"

struct memsink_backend {
	struct sink_backend backend;
	struct memsink *memsink;
	const struct backend_config *config;
};

static struct memsink_backend *of(struct sink_backend *backend)
{
	return (struct memsink_backend *)backend;
}

/*
 * The end of the name is all that readers know of a frame's size, and some take it for the medium:
 * Janus aborts when a sink for H.264 has JPEG in it. So two media never share a sink, either.
 */
static int open_memsink(struct sink_backend **out, const struct backend_config *config)
{
	const struct option_sink *opt = config->opt;
	struct memsink_backend *self;
	struct memsink *memsink;
	int res;

	if (!layout_is_for(opt->name, medium_name(config->medium)))
		return -EPROTO;
	res = memsink_open(&memsink, opt->name, opt->mode, config->abi,
		opt->client_ttl_s * NS_PER_S);
	if (res < 0)
		return res;
	self = xcalloc(1, sizeof(*self));
	self->backend.ops = &backend_memsink;
	self->backend.capacity = memsink_capacity(memsink);
	snprintf(self->backend.about, sizeof(self->backend.about), "layout %u", config->abi);
	self->memsink = memsink;
	self->config = config;
	*out = &self->backend;
	return 0;
}

static void close_memsink(struct sink_backend *backend)
{
	struct memsink_backend *self = of(backend);

	memsink_close(self->memsink, self->config->opt->remove);
	free(self);
}

static int look(struct sink_backend *backend, int64_t now, struct backend_view *view)
{
	struct memsink_view seen;
	int res = memsink_look(of(backend)->memsink, now, &seen);

	if (res < 0)
		return res;
	*view = (struct backend_view){ .readers = seen.has_clients, .wants_key = seen.wants_key };
	return 0;
}

static int write_frame(struct sink_backend *backend, const struct frame *frame, uint64_t dropped)
{
	const struct memsink_backend *self = of(backend);

	(void)dropped; /* there is no field for it */
	return memsink_write(self->memsink, frame, self->config->gop);
}

static bool lock(struct sink_backend *backend, bool may_wait)
{
	return memsink_lock(of(backend)->memsink, may_wait ? MEMSINK_LOCK_NS : 0);
}

static void unlock(struct sink_backend *backend)
{
	memsink_unlock(of(backend)->memsink);
}

/*
 * Readers look once a millisecond, and need each frame of a video: two must not come at once.
 * Some say that they are there only when they take a frame: so one comes now and then.
 */
const struct backend_ops backend_memsink = {
	.name = "sink",
	.names = "its name must have no '/' in it",
	.larger = "its layout has no room for more",
	.spacing_ns = 3 * NS_PER_MS,
	.pulse_ns = NS_PER_S,
	.is_watched = true,
	.open = open_memsink,
	.close = close_memsink,
	.look = look,
	.write = write_frame,
	.lock = lock,
	.unlock = unlock,
};
