/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What v4l2-ctl asks sysfs to tell a video node from a radio. */
#include "real.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static FILE *open_uevent(void)
{
	static const char text[] = "MAJOR=81\nMINOR=0\nDEVNAME=video0\n";
	int fd = memfd_create("uevent", MFD_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (write(fd, text, sizeof(text) - 1) < 0 || lseek(fd, 0, SEEK_SET) < 0) {
		real()->close(fd);
		return NULL;
	}
	return fdopen(fd, "r");
}

FILE *fopen(const char *path, const char *mode)
{
	static FILE *(*next)(const char *, const char *);

	if (!strcmp(path, "/sys/dev/char/81:0/uevent"))
		return open_uevent();
	if (!next)
		next = (__typeof__(next))dlsym(RTLD_NEXT, "fopen64");
	return next(path, mode);
}

FILE *fopen64(const char *path, const char *mode) __attribute__((alias("fopen")));
