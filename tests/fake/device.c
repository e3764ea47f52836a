/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The list of devices, their plugs and their clocks. */
#include "device.h"
#include "control.h"
#include "controls.h"
#include "picture.h"
#include "real.h"
#include "report.h"
#include "script.h"
#include "vb2.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef STARVE_MS
#define STARVE_MS 1000
#endif

struct device *devices;

static const struct device_ops *const kinds[] = { &uvc_ops, &csi_ops, &m2m_ops };

/* Nodes outside /dev are real empty files as well, so that inotify and opendir see them. */
static void place_node(const char *path, bool there)
{
	int fd;

	if (!*path || !strncmp(path, "/dev/", 5))
		return;
	if (!there) {
		unlink(path);
		return;
	}
	fd = real()->open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0660);
	if (fd >= 0)
		real()->close(fd);
}

static void init_locks(struct device *dev)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->done, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&dev->tick, &attr);
	pthread_cond_init(&dev->freed, &attr);
	pthread_condattr_destroy(&attr);
}

static void append_device(struct device *dev)
{
	struct device **at = &devices;

	for (; *at; at = &(*at)->next)
		dev->minor += 2;
	*at = dev;
}

static const struct device_ops *kind_named(const char *kind)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->kind, kind))
			return kinds[i];
	return NULL;
}

struct device *device_create(const char *kind)
{
	const struct device_ops *ops = kind_named(kind);
	const char *path = getenv("HDMICAST_FAKE_PATH");
	struct device *dev = ops ? calloc(1, sizeof(*dev)) : NULL;

	if (!dev)
		return NULL;
	dev->ops = ops;
	init_locks(dev);
	snprintf(dev->path, sizeof(dev->path), "%s", path && !devices ? path : ops->path);
	dev->plugged = true;
	dev->generation = 1;
	dev->frames = 30;
	dev->quality = 80;
	dev->look = 'm';
	dev->starve_ms = STARVE_MS;
	dev->queue = queue_create(dev, ops->buf_type);
	ops->init(dev);
	append_device(dev);
	return dev;
}

static void load(void)
{
	const char *config = getenv("HDMICAST_FAKE");

	script_load(config ? config : "uvc;csi");
	for (struct device *dev = devices; dev; dev = dev->next) {
		place_node(dev->path, dev->plugged);
		place_node(dev->meta, dev->plugged);
		place_node(dev->link, dev->plugged);
	}
}

/* A symlink to a node outside /dev. */
static bool same_file(const char *path, const char *node)
{
	struct stat a, b;

	return strncmp(node, "/dev/", 5) && real()->stat(path, &a) == 0 &&
	       real()->stat(node, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static bool has_node(struct device *dev, const char *path, bool *meta)
{
	bool found;

	pthread_mutex_lock(&dev->lock);
	*meta = *dev->meta && !strcmp(path, dev->meta);
	found = *meta || !strcmp(path, dev->path) || !strcmp(path, dev->link) ||
		same_file(path, dev->path);
	pthread_mutex_unlock(&dev->lock);
	return found;
}

static struct device *owner_of(const char *path, bool *meta)
{
	static pthread_once_t loaded = PTHREAD_ONCE_INIT;

	pthread_once(&loaded, load);
	for (struct device *dev = devices; dev; dev = dev->next)
		if (has_node(dev, path, meta))
			return dev;
	return NULL;
}

bool path_is_ours(const char *path)
{
	static pthread_once_t touched = PTHREAD_ONCE_INIT;
	bool meta;

	if (!owner_of(path, &meta) && strncmp(path, "/dev/fake-", 10))
		return false;
	pthread_once(&touched, control_start);
	return true;
}

static struct device *if_plugged(struct device *dev)
{
	bool plugged = false;

	if (dev) {
		pthread_mutex_lock(&dev->lock);
		plugged = dev->plugged;
		pthread_mutex_unlock(&dev->lock);
	}
	return plugged ? dev : NULL;
}

struct device *device_of_minor(unsigned minor)
{
	struct device *dev = devices;

	while (dev && dev->minor != (minor & ~1U))
		dev = dev->next;
	return if_plugged(dev);
}

struct device *device_find(const char *path, bool *meta)
{
	return if_plugged(owner_of(path, meta));
}

static void set_level(int fd, bool *level, bool want)
{
	uint64_t one = 1;

	if (fd < 0 || *level == want)
		return;
	*level = want;
	/* Not write(): a sanitizer would see it race with the close() of the client. */
	if (syscall(want ? SYS_write : SYS_read, fd, &one, sizeof(one)) < 0)
		report_debug("eventfd %d: %s", fd, strerror(errno));
}

/* What poll() would say to a request for everything. */
static short levels(const struct handle *h)
{
	if (handle_gone(h) || h->meta)
		return POLLIN | POLLOUT;
	return h->dev->ops->instance ? h->dev->ops->instance->poll(h) : queue_poll(h->queue);
}

void device_update(struct device *dev)
{
	bool flows = !dev->ops->instance && dev->ops->flowing(dev, now_ns());

	for (struct handle *h = dev->handles; h; h = h->next) {
		short on = levels(h);

		set_level(h->fd, &h->in_level, on & (POLLIN | POLLERR));
		set_level(h->out_fd, &h->out_level, on & (POLLOUT | POLLERR));
		set_level(h->pri_fd, &h->pri_level, handle_gone(h) || h->n_events);
		if (h->queue->in_dqbuf)
			pthread_cond_broadcast(&dev->done);
	}
	if (flows != (dev->next_ns != 0))
		pthread_cond_signal(&dev->tick);
}

void device_event(struct device *dev, uint32_t type, uint32_t changes)
{
	for (struct handle *h = dev->handles; h; h = h->next) {
		struct v4l2_event *event = &h->events[h->n_events];

		if (!h->subscribed || h->n_events == EVENTS_MAX)
			continue;
		*event = (struct v4l2_event){ .type = type, .sequence = h->event_sequence++ };
		event->u.src_change.changes = changes;
		clock_gettime(CLOCK_MONOTONIC, &event->timestamp);
		h->n_events++;
	}
}

void device_unplug(struct device *dev)
{
	if (!dev->plugged)
		return;
	queue_fail_all(dev->queue);
	dev->plugged = false;
	place_node(dev->path, false);
	place_node(dev->meta, false);
	place_node(dev->link, false);
}

/* The old queue stays with the dead handles, if any. */
int device_replug(struct device *dev, const char *path)
{
	if (dev->plugged)
		return -EBUSY;
	if (path)
		snprintf(dev->path, sizeof(dev->path), "%s", path);
	queue_unref(dev->queue);
	dev->queue = queue_create(dev, dev->ops->buf_type);
	dev->generation++;
	dev->privileged = NULL;
	dev->plugged = true;
	dev->silent = false;
	dev->ops->plugged(dev);
	place_node(dev->path, true);
	place_node(dev->meta, true);
	place_node(dev->link, true);
	return 0;
}

static const struct ioctl_entry *find_entry(const struct ioctl_entry *list, uint32_t request,
	const char *name)
{
	for (; list->request; list++)
		if (name ? !strcmp(list->name, name) : list->request == request)
			return list;
	return NULL;
}

static const struct ioctl_entry *find_ioctl(const struct device *dev, uint32_t request,
	const char *name)
{
	const struct ioctl_entry *const shared[] = { vb2_ioctls, dev->ops->ioctls, control_ioctls,
		common_ioctls, foreign_ioctls };
	const struct ioctl_entry *const own[] = { dev->ops->ioctls, control_ioctls,
		foreign_ioctls };
	bool instance = dev->ops->instance;
	const struct ioctl_entry *entry = NULL;

	for (unsigned i = 0; !entry && i < (instance ? ARRAY_SIZE(own) : ARRAY_SIZE(shared)); i++)
		entry = find_entry(instance ? own[i] : shared[i], request, name);
	return entry;
}

const struct ioctl_entry *device_ioctl(const struct device *dev, uint32_t request)
{
	return find_ioctl(dev, request, NULL);
}

const struct ioctl_entry *device_ioctl_named(const struct device *dev, const char *name)
{
	return find_ioctl(dev, 0, name);
}
