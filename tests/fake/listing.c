/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * readdir() of /dev: after the real entries come the nodes of ours that have their place there.
 * scandir() and glob() have their own way into libc and do not see them.
 */
#include "device.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { LISTINGS_MAX = 8 };

struct listing {
	DIR *dir; /* NULL: free */
	struct device *next;
	struct dirent entry;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* taken before that of a device */
static struct listing listings[LISTINGS_MAX];

static void *next_symbol(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static struct listing *listing_of(const DIR *dir)
{
	for (unsigned i = 0; i < LISTINGS_MAX; i++)
		if (listings[i].dir == dir)
			return &listings[i];
	return NULL;
}

DIR *opendir(const char *path)
{
	static DIR *(*next)(const char *);
	struct listing *listing;
	DIR *dir;

	if (!next)
		next = (__typeof__(next))next_symbol("opendir");
	dir = next(path);
	if (!dir || (strcmp(path, "/dev") && strcmp(path, "/dev/")))
		return dir;
	path_is_ours(path); /* the configuration is read */
	pthread_mutex_lock(&lock);
	listing = listing_of(NULL);
	if (listing)
		*listing = (struct listing){ .dir = dir, .next = devices };
	pthread_mutex_unlock(&lock);
	return dir;
}

static bool is_listed(struct device *dev, char *name, size_t size)
{
	bool listed;

	pthread_mutex_lock(&dev->lock);
	listed = dev->plugged && !strncmp(dev->path, "/dev/", 5) && !strchr(dev->path + 5, '/');
	snprintf(name, size, "%s", dev->path + (listed ? 5 : 0));
	pthread_mutex_unlock(&dev->lock);
	return listed;
}

static struct dirent *next_of_ours(struct listing *listing)
{
	while (listing->next) {
		struct device *dev = listing->next;

		listing->next = dev->next;
		listing->entry = (struct dirent){ .d_ino = 1, .d_type = DT_CHR };
		if (is_listed(dev, listing->entry.d_name, sizeof(listing->entry.d_name)))
			return &listing->entry;
	}
	return NULL;
}

struct dirent *readdir(DIR *dir)
{
	static struct dirent *(*next)(DIR *);
	struct listing *listing;
	struct dirent *entry;

	if (!next)
		next = (__typeof__(next))next_symbol("readdir");
	entry = next(dir);
	if (entry)
		return entry;
	pthread_mutex_lock(&lock);
	listing = listing_of(dir);
	if (listing)
		entry = next_of_ours(listing);
	pthread_mutex_unlock(&lock);
	return entry;
}

struct dirent64 *readdir64(DIR *dir) __attribute__((alias("readdir")));

int closedir(DIR *dir)
{
	static int (*next)(DIR *);
	struct listing *listing;

	if (!next)
		next = (__typeof__(next))next_symbol("closedir");
	pthread_mutex_lock(&lock);
	listing = listing_of(dir);
	if (listing)
		listing->dir = NULL;
	pthread_mutex_unlock(&lock);
	return next(dir);
}
