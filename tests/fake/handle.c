/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Open handles by descriptor. The client's descriptor is an eventfd that the kernel can poll; a
 * second one stands for POLLPRI. Both are levels: non-zero while the condition holds.
 */
#include "device.h"
#include "real.h"
#include "report.h"
#include "vb2.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FDS_MAX = 4096, ENODEV_MAX = 20, POLL_ERRORS_MAX = 100 };

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct handle *) table[FDS_MAX];

bool handle_gone(const struct handle *h)
{
	return h->fd < 0 || !h->dev->plugged || h->generation != h->dev->generation;
}

const char *handle_path(const struct handle *h)
{
	return h->meta ? h->dev->meta : h->dev->path;
}

/* A replugged device has another number as long as the dead handle keeps the old one. */
static void complain_of_dead_siblings(const struct device *dev)
{
	for (const struct handle *h = dev->handles; h; h = h->next)
		if (handle_gone(h))
			report_violation("U10",
				"%s: opened again before descriptor %d of the "
				"unplugged device was closed",
				dev->path, h->fd);
}

static struct handle *handle_create(struct device *dev, bool meta, int flags)
{
	struct handle *h = calloc(1, sizeof(*h));
	int on = EFD_CLOEXEC;

	if (!h)
		abort();
	if (flags & O_NONBLOCK)
		on |= EFD_NONBLOCK;
	h->fd = (int)syscall(SYS_eventfd2, 0, on);
	h->pri_fd = (int)syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	h->out_fd = -1;
	if (dev->ops->instance)
		h->out_fd = (int)syscall(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->fd < 0 || h->pri_fd < 0 || h->fd >= FDS_MAX) {
		int error = h->fd < 0 || h->pri_fd < 0 ? errno : EMFILE;

		real()->close(h->fd);
		real()->close(h->pri_fd);
		free(h);
		errno = error;
		return NULL;
	}
	if (!(flags & O_CLOEXEC))
		fcntl(h->fd, F_SETFD, 0);
	h->refs = 1;
	h->dev = dev;
	h->meta = meta;
	return h;
}

int handle_open(struct device *dev, bool meta, int flags)
{
	struct handle *h = handle_create(dev, meta, flags);
	unsigned mutexes;

	if (!h)
		return -errno;
	pthread_mutex_lock(&dev->lock);
	mutexes = locks_take(h, CALL_OPEN);
	complain_of_dead_siblings(dev);
	h->generation = dev->generation;
	h->queue = queue_ref(dev->queue);
	h->next = dev->handles;
	dev->handles = h;
	if (dev->ops->instance)
		dev->ops->instance->opened(h);
	locks_drop(h, mutexes);
	table[h->fd] = h;
	device_update(dev);
	pthread_mutex_unlock(&dev->lock);
	counters.opens++;
	return h->fd;
}

struct handle *handle_get(int fd)
{
	struct handle *h;

	if (fd < 0 || fd >= FDS_MAX || !table[fd])
		return NULL;
	pthread_mutex_lock(&table_lock);
	h = table[fd];
	if (h)
		h->refs++;
	pthread_mutex_unlock(&table_lock);
	return h;
}

static void handle_destroy(struct handle *h)
{
	struct device *dev = h->dev;
	unsigned mutexes;

	pthread_mutex_lock(&dev->lock);
	mutexes = locks_take(h, CALL_CLOSE);
	if (dev->ops->instance)
		dev->ops->instance->closed(h);
	for (struct handle **at = &dev->handles; *at; at = &(*at)->next) {
		if (*at != h)
			continue;
		*at = h->next;
		break;
	}
	queue_release(h->queue, h);
	queue_unref(h->queue);
	if (dev->privileged == h)
		dev->privileged = NULL;
	locks_drop(h, mutexes);
	device_update(dev);
	pthread_mutex_unlock(&dev->lock);
	real()->close(h->pri_fd);
	if (h->out_fd >= 0)
		real()->close(h->out_fd);
	free(h->instance);
	free(h);
}

void handle_put(struct handle *h)
{
	unsigned left;

	pthread_mutex_lock(&table_lock);
	left = --h->refs;
	pthread_mutex_unlock(&table_lock);
	if (!left)
		handle_destroy(h);
}

int handle_close(int fd)
{
	struct handle *h = handle_get(fd);

	if (!h)
		return -EBADF;
	counters.closes++;
	pthread_mutex_lock(&h->dev->lock);
	table[fd] = NULL;
	h->fd = -1; /* a thread that blocks in DQBUF sees it gone */
	pthread_cond_broadcast(&h->dev->done);
	pthread_mutex_unlock(&h->dev->lock);
	real()->close(fd);
	handle_put(h);
	handle_put(h);
	return 0;
}

static int refuse_gone(struct handle *h)
{
	if (++h->enodev == ENODEV_MAX)
		report_violation("U10", "%s: %d calls on a descriptor that answers ENODEV",
			handle_path(h), ENODEV_MAX);
	return -ENODEV;
}

static int dispatch(struct handle *h, unsigned long request, void *arg)
{
	const struct ioctl_entry *entry = device_ioctl(h->dev, (uint32_t)request);
	const struct instance_ops *instance = h->dev->ops->instance;
	int res;

	if (!entry)
		return -ENOTTY;
	if (!arg && _IOC_SIZE(request))
		return -EFAULT;
	injected_hang(h->dev, entry);
	if (handle_gone(h))
		return -ENODEV;
	if ((res = injected_error(h->dev, entry)) < 0) {
		if (instance)
			instance->injected(h, entry);
		return res;
	}
	return entry->fn(h, arg);
}

int handle_ioctl(struct handle *h, unsigned long request, void *arg)
{
	unsigned mutexes;
	int res;

	pthread_mutex_lock(&h->dev->lock);
	if (handle_gone(h)) {
		res = refuse_gone(h);
	} else {
		mutexes = locks_take(h, (uint32_t)request);
		res = dispatch(h, request, arg);
		locks_drop(h, mutexes);
	}
	if (res != -EAGAIN)
		h->poll_errors = 0;
	device_update(h->dev);
	pthread_mutex_unlock(&h->dev->lock);
	return res;
}

static short revents(struct handle *h, short events)
{
	const struct instance_ops *instance = h->dev->ops->instance;
	short on = 0;

	if (handle_gone(h))
		return POLLERR | POLLHUP | POLLPRI;
	if (instance && (events & (POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM)))
		on |= instance->poll(h);
	else if (events & (POLLIN | POLLRDNORM))
		on |= h->meta ? POLLERR : queue_poll(h->queue);
	if (h->n_events)
		on |= POLLPRI;
	return on;
}

static void pass_mutexes(struct handle *h, uint32_t call)
{
	if (!handle_gone(h))
		locks_drop(h, locks_take(h, call));
}

void handle_poll_begin(struct handle *h)
{
	pthread_mutex_lock(&h->dev->lock);
	pass_mutexes(h, CALL_POLL);
	pthread_mutex_unlock(&h->dev->lock);
}

short handle_revents(struct handle *h, short events)
{
	short on;

	pthread_mutex_lock(&h->dev->lock);
	pass_mutexes(h, CALL_POLL);
	on = revents(h, events);
	if (!(on & (POLLERR | POLLHUP)))
		h->poll_errors = 0;
	else if (++h->poll_errors == POLL_ERRORS_MAX)
		report_violation(h->dev->ops->instance ? "G25" : "U14",
			"%s: %d polls in a row answered POLLERR%s", handle_path(h), POLL_ERRORS_MAX,
			on & POLLHUP ? "|POLLHUP" : "");
	pthread_mutex_unlock(&h->dev->lock);
	return on & (events | POLLERR | POLLHUP);
}

static bool is_dmabuf(int fd)
{
	char path[32], name[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = real()->readlink(path, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	return strstr(name, "memfd:" FAKE_CONTIGUOUS) || strstr(name, "memfd:" FAKE_SCATTERED);
}

/* Those of the buffers are ours; more of them were exported and never closed. */
static void complain_of_exports(void)
{
	unsigned n = 0, ours = buffers_alive();

	for (int fd = 0; fd < FDS_MAX; fd++)
		n += is_dmabuf(fd);
	if (n > ours)
		report_violation("LEAK", "%u exported buffers are open at exit", n - ours);
}

/* A client that a driver holds up cannot give anything back. */
void handles_finish(void)
{
	if (anything_hangs())
		return;
	complain_of_exports();
	for (int fd = 0; fd < FDS_MAX; fd++) {
		struct handle *h = table[fd];

		if (h && !(h->dev->ops->instance && h->dev->ops->instance->hangs(h)))
			report_violation("LEAK", "descriptor %d of %s is open at exit", fd,
				handle_path(h));
	}
}
