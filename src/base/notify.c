// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * systemd's notification socket: see notify.h. By hand, for it is one datagram of a documented form,
 * and libsystemd would bring five more libraries into the process.
 */
#include "base/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_un address; /* set by notify_init() */
static socklen_t address_size;     /* 0: nobody listens */
static int64_t watchdog_us;

void notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (usec && (!pid || atoll(pid) == getpid()))
		watchdog_us = atoll(usec);
	if (path && (*path == '/' || *path == '@') && strlen(path) < sizeof(address.sun_path)) {
		address.sun_family = AF_UNIX;
		strcpy(address.sun_path, path);
		address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
		if (*path == '@')
			address.sun_path[0] = '\0'; /* an abstract socket */
	}
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void notify_send(const char *format, ...)
{
	char text[512];
	va_list args;
	int length;

	if (!address_size)
		return;
	va_start(args, format);
	length = vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	AUTO(auto_close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && sendto(fd, text, MIN((size_t)length, sizeof(text) - 1), MSG_NOSIGNAL,
			       (struct sockaddr *)&address, address_size) < 0) {
		/* Nobody reads it: the service goes on all the same. */
	}
}

int64_t notify_watchdog_us(void)
{
	return watchdog_us;
}
