/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The libc entry points that the fake stands in front of, except poll and select. */
#include "device.h"
#include "real.h"
#include "report.h"
#include "sysfs.h"
#include "vb2.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static struct real resolved;
static pthread_once_t resolve_once = PTHREAD_ONCE_INIT;

#define RESOLVE(name) (resolved.name = (__typeof__(resolved.name))dlsym(RTLD_NEXT, #name))

static void resolve(void)
{
	RESOLVE(open);
	RESOLVE(openat);
	RESOLVE(close);
	RESOLVE(ioctl);
	RESOLVE(mmap);
	RESOLVE(munmap);
	RESOLVE(poll);
	RESOLVE(ppoll);
	RESOLVE(select);
	RESOLVE(pselect);
	RESOLVE(access);
	RESOLVE(faccessat);
	RESOLVE(stat);
	RESOLVE(lstat);
	RESOLVE(fstat);
	RESOLVE(fstatat);
	RESOLVE(readlink);
	RESOLVE(realpath);
}

const struct real *real(void)
{
	pthread_once(&resolve_once, resolve);
	return &resolved;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* -2: not ours. */
static int open_fake(const char *path, int flags)
{
	struct device *dev;
	bool meta;
	int fd;

	if (!path || !path_is_ours(path))
		return -2;
	dev = device_find(path, &meta);
	if (!dev)
		return fail(ENOENT);
	fd = handle_open(dev, meta, flags);
	return fd < 0 ? fail(-fd) : fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
	int fd = open_fake(path, flags);
	va_list ap;
	mode_t mode;

	if (fd != -2)
		return fd;
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return real()->open(path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	int fd = open_fake(path, flags);
	va_list ap;
	mode_t mode;

	if (fd != -2)
		return fd;
	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return real()->openat(dir, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int dir, const char *path, int flags, ...) __attribute__((alias("openat")));

/* What _FORTIFY_SOURCE makes of open() without a mode. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);

int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

int __open64_2(const char *path, int flags)
{
	return open(path, flags);
}

int close(int fd)
{
	return handle_close(fd) == 0 ? 0 : real()->close(fd);
}

int ioctl(int fd, unsigned long request, ...)
{
	struct handle *h;
	va_list ap;
	void *arg;
	int res;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == FIONBIO || request == FIOCLEX || request == FIONCLEX ||
		!(h = handle_get(fd)))
		return real()->ioctl(fd, request, arg);
	res = handle_ioctl(h, request, arg);
	handle_put(h);
	return res < 0 ? fail(-res) : res;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct handle *h = flags & MAP_ANONYMOUS ? NULL : handle_get(fd);
	void *mem;

	if (!h)
		return real()->mmap(addr, len, prot, flags, fd, off);
	mem = mapping_create(h, addr, len, prot, flags, off);
	handle_put(h);
	return mem;
}

void *mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t off)
	__attribute__((alias("mmap")));

int munmap(void *addr, size_t len)
{
	mapping_remove(addr, len);
	return real()->munmap(addr, len);
}

/* 1: a node of ours is there; 0: not ours; -1: ours, but unplugged, errno is set. */
static int look_for(const char *path, unsigned *minor)
{
	struct device *dev;
	bool meta;

	if (!path || !path_is_ours(path))
		return 0;
	dev = device_find(path, &meta);
	if (!dev)
		return fail(ENOENT);
	*minor = dev->minor + meta;
	return 1;
}

static int present(const char *path)
{
	unsigned minor;

	return look_for(path, &minor);
}

static int describe_node(struct stat *st, unsigned minor)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFCHR | 0660;
	st->st_nlink = 1;
	st->st_rdev = makedev(81, minor);
	return 0;
}

int access(const char *path, int mode)
{
	int on = present(path);

	return on ? (on < 0 ? -1 : 0) : real()->access(path, mode);
}

int faccessat(int dir, const char *path, int mode, int flags)
{
	int on = present(path);

	return on ? (on < 0 ? -1 : 0) : real()->faccessat(dir, path, mode, flags);
}

int stat(const char *path, struct stat *st)
{
	unsigned minor;
	int on = look_for(path, &minor);

	return on ? (on < 0 ? -1 : describe_node(st, minor)) : real()->stat(path, st);
}

int lstat(const char *path, struct stat *st)
{
	unsigned minor;
	int on = look_for(path, &minor);

	return on ? (on < 0 ? -1 : describe_node(st, minor)) : real()->lstat(path, st);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	unsigned minor;
	int on = look_for(path, &minor);

	return on ? (on < 0 ? -1 : describe_node(st, minor))
		  : real()->fstatat(dir, path, st, flags);
}

int fstat(int fd, struct stat *st)
{
	struct handle *h = handle_get(fd);
	unsigned minor;

	if (!h)
		return real()->fstat(fd, st);
	minor = h->dev->minor + h->meta;
	handle_put(h);
	return describe_node(st, minor);
}

/* On 64-bit machines one layout has both names. */
int stat64(const char *path, struct stat64 *st) __attribute__((alias("stat")));
int lstat64(const char *path, struct stat64 *st) __attribute__((alias("lstat")));
int fstat64(int fd, struct stat64 *st) __attribute__((alias("fstat")));
int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
	__attribute__((alias("fstatat")));

/* Only the persistent link of a device ("link" in the configuration) points anywhere. */
static const char *link_target(const char *path)
{
	bool meta;
	struct device *dev = path && path_is_ours(path) ? device_find(path, &meta) : NULL;

	return dev && !strcmp(path, dev->link) ? dev->path : NULL;
}

ssize_t readlink(const char *path, char *buf, size_t size)
{
	int on = present(path);
	const char *target = link_target(path);

	if (!on)
		return real()->readlink(path, buf, size);
	if (on < 0 || !target)
		return on < 0 ? -1 : fail(EINVAL);
	if (size > strlen(target))
		size = strlen(target);
	memcpy(buf, target, size);
	return (ssize_t)size;
}

char *realpath(const char *path, char *out)
{
	int on = present(path);
	const char *target = on ? link_target(path) : sysfs_target(path);

	if (!on && !target)
		return real()->realpath(path, out);
	if (on < 0)
		return NULL;
	target = target ? target : path;
	return out ? strcpy(out, target) : strdup(target);
}

__attribute__((destructor)) static void finish(void)
{
	if (!devices)
		return;
	handles_finish();
	mapping_finish();
	report_finish();
}
