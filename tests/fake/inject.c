/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Calls that fail or hang on command. What hangs holds the mutexes that its driver took for it. */
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { ERRNO_MAX = 133, COUNT_MAX = 1000000 };

static bool is_live(const struct injection *in)
{
	return in->count || in->inside;
}

bool inject(struct device *dev, const struct injection *wish)
{
	struct injection *to = NULL;

	for (unsigned i = 0; i < INJECTIONS_MAX; i++) {
		struct injection *in = &dev->injections[i];
		bool same = in->entry == wish->entry && !in->error == !wish->error;

		if (is_live(in) ? same : !to)
			to = in;
		if (is_live(in) && same)
			break;
	}
	if (!to)
		return false;
	to->entry = wish->entry;
	to->error = wish->error;
	to->hang_ns = wish->hang_ns;
	to->count = wish->count;
	return true;
}

static struct injection *next_injection(struct device *dev, const struct ioctl_entry *entry,
	bool hangs)
{
	for (unsigned i = 0; i < INJECTIONS_MAX; i++) {
		struct injection *in = &dev->injections[i];

		if (in->count && in->entry == entry && !in->error == hangs)
			return in;
	}
	return NULL;
}

int injected_error(struct device *dev, const struct ioctl_entry *entry)
{
	struct injection *in = next_injection(dev, entry, false);

	if (!in)
		return 0;
	in->count--;
	return -in->error;
}

static void wait_until(struct device *dev, int64_t when)
{
	struct timespec ts = { .tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S };

	if (when == INT64_MAX)
		pthread_cond_wait(&dev->freed, &dev->lock);
	else
		pthread_cond_timedwait(&dev->freed, &dev->lock, &ts);
}

void injected_hang(struct device *dev, const struct ioctl_entry *entry)
{
	struct injection *in = next_injection(dev, entry, true);
	int64_t end;
	unsigned round;

	if (!in)
		return;
	end = in->hang_ns == INT64_MAX ? INT64_MAX : now_ns() + in->hang_ns;
	round = in->releases;
	in->count--;
	in->inside++;
	while (in->releases == round && now_ns() < end)
		wait_until(dev, end);
	in->inside--;
}

void injections_release(struct device *dev, const struct ioctl_entry *entry)
{
	for (unsigned i = 0; i < INJECTIONS_MAX; i++) {
		struct injection *in = &dev->injections[i];

		if (in->error || (entry && in->entry != entry))
			continue;
		in->count = 0;
		in->releases++;
	}
	pthread_cond_broadcast(&dev->freed);
}

void calls_describe(const struct device *dev, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, " hanging=");

	for (unsigned i = 0; i < INJECTIONS_MAX; i++)
		for (unsigned k = 0; k < dev->injections[i].inside && n < size; k++)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
				buf[n - 1] == '=' ? "" : "+", dev->injections[i].entry->name);
	if (n < size)
		snprintf(buf + n, size - n, "%s waiting=%u", buf[n - 1] == '=' ? "none" : "",
			dev->waiting);
}

bool anything_hangs(void)
{
	for (const struct device *dev = devices; dev; dev = dev->next)
		for (unsigned i = 0; i < INJECTIONS_MAX; i++)
			if (dev->injections[i].inside)
				return true;
	return false;
}

/* "enospc"; 0: none of that name. */
static int errno_named(const char *name)
{
	for (int e = 1; e <= ERRNO_MAX; e++)
		if (strerrorname_np(e) && !strcasecmp(strerrorname_np(e), name))
			return e;
	return 0;
}

static int fail_next(struct device *dev, const char *name, const char *error, unsigned count)
{
	struct injection wish = {
		.entry = device_ioctl_named(dev, name), .error = errno_named(error), .count = count
	};

	if (!wish.entry || !wish.error)
		return -EINVAL;
	return inject(dev, &wish) ? 0 : -ENOMEM;
}

static int run_enospc(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned count = 1;

	(void)reply;
	if (argc > 1 && !parse_count(argv[1], COUNT_MAX, &count))
		return -EINVAL;
	return fail_next(dev, "streamon", "enospc", count);
}

static int run_fail(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned count = 1;

	(void)reply;
	if (argc < 3 || (argc > 3 && !parse_count(argv[3], COUNT_MAX, &count)))
		return -EINVAL;
	return fail_next(dev, argv[1], argv[2], count);
}

static int run_hang(struct device *dev, int argc, char **argv, char *reply)
{
	struct injection wish = { .count = 1, .hang_ns = INT64_MAX };
	unsigned ms;

	(void)reply;
	if (argc < 3 || !(wish.entry = device_ioctl_named(dev, argv[1])) ||
		(argc > 3 && !parse_count(argv[3], COUNT_MAX, &wish.count)))
		return -EINVAL;
	if (strcmp(argv[2], "forever")) {
		if (!parse_count(argv[2], COUNT_MAX, &ms))
			return -EINVAL;
		wish.hang_ns = ms * NS_PER_MS;
	}
	return inject(dev, &wish) ? 0 : -ENOMEM;
}

static int run_release(struct device *dev, int argc, char **argv, char *reply)
{
	const struct ioctl_entry *entry = argc > 1 ? device_ioctl_named(dev, argv[1]) : NULL;

	(void)reply;
	if (argc > 1 && !entry)
		return -EINVAL;
	injections_release(dev, entry);
	return 0;
}

static int run_busy(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (!parse_switch(argc > 1 ? argv[1] : NULL, &dev->busy))
		return -EINVAL;
	pthread_cond_broadcast(&dev->freed);
	return 0;
}

const struct command call_commands[] = {
	{ "enospc", "[n] STREAMON ENOSPC", run_enospc },
	{ "fail", "ioctl errno [n]", run_fail },
	{ "hang", "ioctl ms|forever [n]", run_hang },
	{ "release", "[ioctl] what hangs", run_release },
	{ "busy", "on|off: another program's call holds the mutex of csi or bcm2835", run_busy },
	{ NULL, NULL, NULL },
};
