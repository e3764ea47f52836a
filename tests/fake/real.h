/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The next libc entry points behind ours; usable before any constructor ran. */
#ifndef FAKE_REAL_H
#define FAKE_REAL_H

#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/types.h>

struct real {
	int (*open)(const char *path, int flags, ...);
	int (*openat)(int dir, const char *path, int flags, ...);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, ...);
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t off);
	int (*munmap)(void *addr, size_t len);
	int (*poll)(struct pollfd *fds, nfds_t n, int timeout);
	int (*ppoll)(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		const sigset_t *mask);
	int (*select)(int n, fd_set *in, fd_set *out, fd_set *pri, struct timeval *timeout);
	int (*pselect)(int n, fd_set *in, fd_set *out, fd_set *pri, const struct timespec *timeout,
		const sigset_t *mask);
	int (*access)(const char *path, int mode);
	int (*faccessat)(int dir, const char *path, int mode, int flags);
	int (*stat)(const char *path, struct stat *st);
	int (*lstat)(const char *path, struct stat *st);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *path, struct stat *st, int flags);
	ssize_t (*readlink)(const char *path, char *buf, size_t size);
	char *(*realpath)(const char *path, char *out);
};

/* Any thread; resolves once. */
const struct real *real(void);

#endif
