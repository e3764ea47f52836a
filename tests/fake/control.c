/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Dispatch of command lines, and the control socket. Plain system calls on the connection: our
 * close() is not seen by sanitizers, so its other calls must not be either.
 */
#include "control.h"
#include "real.h"
#include "report.h"
#include "script.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 512, RECEIVE_MS = 1000 };

static const struct command *find(const struct command *list, const char *name)
{
	for (; list && list->name; list++)
		if (!strcmp(list->name, name))
			return list;
	return NULL;
}

static const struct command *find_for(const struct device *dev, const char *name)
{
	const struct command *c = find(dev->ops->commands, name);

	if (!c)
		c = find(common_commands, name);
	return c ? c : find(call_commands, name);
}

static int split(char *line, char **argv)
{
	char *save;
	int argc = 0;

	for (char *word = strtok_r(line, " =\t\r\n", &save); word && argc < ARGS_MAX;
		word = strtok_r(NULL, " =\t\r\n", &save))
		argv[argc++] = word;
	return argc;
}

/* Cuts "csi." off the name; the device that is meant, or NULL. */
static struct device *choose(char **name, struct device *dev)
{
	char *dot = strchr(*name, '.');

	if (dot) {
		*dot = '\0';
		for (dev = devices; dev && strcmp(dev->ops->kind, *name);)
			dev = dev->next;
		*name = dot + 1;
	}
	for (struct device *each = devices; each && !dev; each = each->next)
		if (find_for(each, *name))
			dev = each;
	return dev;
}

int command_run(struct device *dev, const char *line, char *reply)
{
	char copy[LINE_MAX_BYTES], text[REPLY_MAX] = "", *argv[ARGS_MAX] = { NULL };
	const struct command *command = NULL;
	int argc, res = -ENOENT;

	snprintf(copy, sizeof(copy), "%s", line);
	argc = split(copy, argv);
	if (argc && (dev = choose(&argv[0], dev)))
		command = find_for(dev, argv[0]);
	if (command) {
		pthread_mutex_lock(&dev->lock);
		res = command->run(dev, argc, argv, text);
		device_update(dev);
		pthread_cond_broadcast(&dev->tick);
		pthread_cond_broadcast(&dev->done);
		pthread_mutex_unlock(&dev->lock);
	}
	if (res < 0)
		snprintf(reply, REPLY_MAX, "error %s: %s", strerror(-res), line);
	else
		snprintf(reply, REPLY_MAX, "ok%s%.4000s", *text ? " " : "", text);
	report_debug("%s -> %.200s", line, reply);
	return res;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (!path || strlen(path) >= sizeof(addr.sun_path))
		return -1;
	strcpy(addr.sun_path, path);
	unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && listen(fd, 16) == 0)
		return fd;
	report_debug("control socket %s: %s", path, strerror(errno));
	real()->close(fd);
	return -1;
}

static void answer(int fd, char *line)
{
	char reply[REPLY_MAX + 2];
	size_t len;

	command_run(NULL, line, reply);
	len = strlen(reply);
	reply[len++] = '\n';
	if (syscall(SYS_write, fd, reply, len) < 0)
		report_debug("control: %s", strerror(errno));
}

/* One peer at a time, line by line, until it hangs up or falls silent for a second. */
static void serve(int fd)
{
	char line[LINE_MAX_BYTES];
	size_t n = 0;
	struct pollfd on = { .fd = fd, .events = POLLIN };

	while (n < sizeof(line) - 1 && real()->poll(&on, 1, RECEIVE_MS) > 0) {
		char *end;
		ssize_t got = syscall(SYS_read, fd, line + n, sizeof(line) - 1 - n);

		if (got <= 0)
			break;
		n += (size_t)got;
		line[n] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end++ = '\0';
			answer(fd, line);
			n -= (size_t)(end - line);
			memmove(line, end, n + 1);
		}
	}
	real()->close(fd);
}

static void *run(void *arg)
{
	struct pollfd on = { .fd = (int)(intptr_t)arg, .events = POLLIN };

	pthread_setname_np(pthread_self(), "fake-control");
	for (;;) {
		int fd, wait_ms = script_run_timed();

		if (real()->poll(&on, 1, wait_ms) > 0 &&
			(fd = (int)syscall(SYS_accept4, on.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
			serve(fd);
	}
	return NULL;
}

void control_start(void)
{
	int fd = listen_at(getenv("HDMICAST_FAKE_CTL"));
	sigset_t all, old;
	pthread_t thread;

	script_begin();
	if (fd < 0 && !script_exists())
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (pthread_create(&thread, NULL, run, (void *)(intptr_t)fd) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}
