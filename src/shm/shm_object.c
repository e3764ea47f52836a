/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A name is given up and taken under the write lock of the data object: two writers never share
 * one, and the kernel knows whether an old writer still lives.
 */
#include "shm/shm_object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "shm/futex_wake.h"
#include "shm/shared.h"

/* One ring's control object would be another one's ring. */
#define CONTROL_SUFFIX ".ctl"

#define OBJECT_NAME_MAX 250 /* what the readers' library takes */

static bool ends_in(const char *name, const char *suffix)
{
	const size_t length = strlen(name), end = strlen(suffix);

	return length >= end && strcmp(name + length - end, suffix) == 0;
}

int shm_object_set_names(struct shm_object_names *names, const char *name)
{
	size_t length;

	name += *name == '/';
	length = strlen(name);
	if (!length || strchr(name, '/') || *name == '.' || ends_in(name, CONTROL_SUFFIX))
		return -EINVAL;
	if (length > OBJECT_NAME_MAX)
		return -ENAMETOOLONG;
	snprintf(names->data, sizeof(names->data), "/%s", name);
	snprintf(names->control, sizeof(names->control), "/%s" CONTROL_SUFFIX, name);
	return 0;
}

/* -EBUSY when another writer has it. */
static int lock_first_byte(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* What keeps ours from being set may be a lock of readers, which they need no more than to read for. */
static bool has_writer(int fd)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;
}

bool shm_object_is_named(const char *name, int fd)
{
	AUTO(auto_close) int found = shm_open(name, O_RDONLY | O_NONBLOCK, 0);
	struct stat named, ours;

	return found >= 0 && fstat(found, &named) == 0 && fstat(fd, &ours) == 0 &&
	       named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

/* Whether it is one of ours, or one whose writer died before it wrote the first byte. */
static bool begins_with(int fd, uint64_t magic)
{
	uint64_t found = 0;
	ssize_t size = pread(fd, &found, sizeof(found), 0);

	return size == 0 || (size == sizeof(found) && found == magic);
}

static int check_old(int fd)
{
	struct stat st;

	if (!begins_with(fd, HDMICAST_RING_MAGIC))
		return -EEXIST;
	if (fstat(fd, &st))
		return -errno;
	/* Its owner could shorten it while we have it mapped. */
	return st.st_uid == geteuid() ? 0 : -EACCES;
}

/* NULL when it is too short to have readers. */
static struct hdmicast_ring_header *map_header(int fd)
{
	struct stat st;
	void *header;

	if (fstat(fd, &st) || st.st_size < (off_t)sizeof(struct hdmicast_ring_header))
		return NULL;
	header = mmap(NULL, sizeof(struct hdmicast_ring_header), PROT_READ | PROT_WRITE, MAP_SHARED,
		fd, 0);
	if (header == MAP_FAILED)
		return NULL;
	return header;
}

/*
 * Of two writers that come at once, one has the lock and the other finds it. While readers keep
 * both from having it, the later one may take away the earlier one's new object, which notices that
 * and begins again: so that in the end, too, one has the name.
 */
int shm_object_take_over(const struct shm_object_names *names, struct hdmicast_ring_header **old)
{
	AUTO(auto_close) int fd = shm_open(names->data, O_RDWR | O_NONBLOCK, 0);
	int res;

	*old = NULL;
	if (fd < 0 && errno == EINVAL)
		return -EEXIST; /* shm_open(3) says of a directory that it is no name */
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	res = check_old(fd);
	if (res)
		return res;
	res = lock_first_byte(fd);
	if (res == -EBUSY && !has_writer(fd))
		res = 0;
	if (res)
		return res;
	if (!shm_object_is_named(names->data, fd))
		return -EBUSY; /* somebody else took it over meanwhile */
	if (shm_unlink(names->data))
		return -errno;
	/* Where there was a ring this is its other object, whatever its readers made of it. */
	shm_unlink(names->control);
	*old = map_header(fd);
	return 0;
}

void shm_object_retire(struct hdmicast_ring_header *header)
{
	if (!header)
		return;
	shared_store_release(&header->state, HDMICAST_RING_GONE);
	futex_wake_all(&header->bell);
	munmap(header, sizeof(*header));
}

void shm_object_remove(const char *name, int fd)
{
	if (fd >= 0 && shm_object_is_named(name, fd))
		shm_unlink(name);
}

/* A name is taken by another writer at the same moment: that one is busy with it. */
static int create(const char *name)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd >= 0)
		return fd;
	return errno == EEXIST ? -EBUSY : -errno;
}

/* fchmod, because the umask counts for nothing here. */
static int set_access(int fd, mode_t mode, gid_t group)
{
	if (group != (gid_t)-1 && fchown(fd, (uid_t)-1, group))
		return -errno;
	return fchmod(fd, mode) ? -errno : 0;
}

static int write_start(int fd, const void *start, size_t size)
{
	ssize_t done = pwrite(fd, start, size, 0);

	if (done < 0)
		return -errno;
	return (size_t)done == size ? 0 : -ENOSPC;
}

/*
 * The lock comes first, then the bytes that tell whose it is, then access for others: nobody else
 * can lock it before us, and what is left if we die here is known for what it is. The memory is
 * allocated now, since a full /dev/shm would end us by SIGBUS later.
 */
static int fill_data(int fd, const struct hdmicast_ring_header *like, mode_t mode, gid_t group)
{
	int res = lock_first_byte(fd);

	if (!res)
		res = write_start(fd, like, sizeof(*like));
	if (!res)
		res = -posix_fallocate(fd, 0, (off_t)like->object_bytes);
	return res ? res : set_access(fd, (mode & 0444) | 0600, group);
}

int shm_object_create_data(const struct shm_object_names *names,
	const struct hdmicast_ring_header *like, mode_t mode, gid_t group)
{
	AUTO(auto_close) int fd = create(names->data);
	int res;

	if (fd < 0)
		return fd;
	res = fill_data(fd, like, mode, group);
	if (!res)
		return steal_fd(&fd);
	shm_object_remove(names->data, fd);
	return res;
}

struct hdmicast_ring_control shm_object_describe_control(uint64_t epoch)
{
	return (struct hdmicast_ring_control){ .magic = HDMICAST_RING_CONTROL_MAGIC,
		.version = HDMICAST_RING_VERSION,
		.readers = HDMICAST_RING_READERS,
		.epoch = epoch };
}

static int fill_control(int fd, uint64_t epoch, mode_t mode, gid_t group)
{
	const struct hdmicast_ring_control start = shm_object_describe_control(epoch);
	const off_t bytes = sizeof(start) +
			    HDMICAST_RING_READERS * sizeof(struct hdmicast_ring_reader);
	int res = write_start(fd, &start, sizeof(start));

	if (!res)
		res = -posix_fallocate(fd, 0, bytes);
	/* Who may read frames may also say that he does. */
	return res ? res : set_access(fd, (mode & 0444) | (mode & 0444) >> 1 | 0600, group);
}

/* Left without a ring: by a writer that died when it had made nothing else. */
static int remove_old_control(const char *name)
{
	AUTO(auto_close) int fd = shm_open(name, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!begins_with(fd, HDMICAST_RING_CONTROL_MAGIC))
		return -EEXIST;
	return shm_unlink(name) ? -errno : 0;
}

int shm_object_create_control(const struct shm_object_names *names, uint64_t epoch, mode_t mode,
	gid_t group)
{
	AUTO(auto_close) int fd = -1;
	int res = remove_old_control(names->control);

	if (res)
		return res;
	fd = create(names->control);
	if (fd < 0)
		return fd;
	res = fill_control(fd, epoch, mode, group);
	if (!res)
		return steal_fd(&fd);
	shm_object_remove(names->control, fd);
	return res;
}
