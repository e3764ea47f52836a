/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A /dev and a /sys of our own: v4l2/device.c is compiled in here, over them. The test sets our_nodes[]
 * and is the driver, see driver.h; who opens what is noted.
 */
#ifndef UNIT_NODES_H
#define UNIT_NODES_H

#include <dirent.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/util.h"
#include "driver.h"

#define FIRST_FD 1000

static const struct node {
	const char *name; /* in /dev; NULL ends the list */
	const char *driver, *card, *bus;
	uint32_t caps, capture, output; /* output, capture: the one format of each queue */
	int error;                      /* of open(2) */
	const char *called, *parent;    /* by /sys; NULL: it does not tell */
} * our_nodes;
static unsigned n_open, at, times_opened[16];

static int node_of(const char *path)
{
	for (int i = 0; our_nodes[i].name; i++) {
		if (!strncmp(path, "/dev/", 5) && !strcmp(path + 5, our_nodes[i].name))
			return i;
	}
	errno = ENOENT;
	return -1;
}

static int our_open(const char *path, int flags)
{
	int number = node_of(path);

	assert_true(flags & O_NONBLOCK);
	if (number < 0)
		return -1;
	times_opened[number]++;
	errno = our_nodes[number].error;
	n_open += !errno;
	return errno ? -1 : FIRST_FD + number;
}

static void our_close_fd(int *fd)
{
	n_open -= *fd >= FIRST_FD;
	*fd = -1;
}

static int our_stat(const char *path, struct stat *out)
{
	int number = node_of(path);

	out->st_rdev = makedev(81, (unsigned)number);
	return number < 0 ? -1 : 0;
}

/* What is at /sys/dev/char/81:N/WHAT, or NULL. */
static const struct node *node_in_sys(const char *path, const char *what)
{
	unsigned number;
	char name[16];

	assert_int_equal(sscanf(path, "/sys/dev/char/81:%u/%15s", &number, name), 2);
	assert_string_equal(name, what);
	return &our_nodes[number];
}

static FILE *our_fopen(const char *path, const char *mode)
{
	const char *called = node_in_sys(path, "name")->called;

	return called ? fmemopen((void *)called, strlen(called), mode) : NULL;
}

static char *our_realpath(const char *path, char *out)
{
	const char *parent = node_in_sys(path, "device")->parent;

	assert_null(out);
	return parent ? strdup(parent) : NULL;
}

static DIR *our_opendir(const char *path)
{
	assert_string_equal(path, "/dev");
	at = 0;
	return (DIR *)&our_nodes;
}

static struct dirent *our_readdir(DIR *dir)
{
	static struct dirent entry;

	(void)dir;
	if (!our_nodes[at].name)
		return NULL;
	strcpy(entry.d_name, our_nodes[at++].name);
	return &entry;
}

static int our_closedir(DIR *dir)
{
	(void)dir;
	return 0;
}

static int query_capability(const struct node *node, struct v4l2_capability *cap)
{
	*cap = (struct v4l2_capability){ .capabilities = V4L2_CAP_DEVICE_CAPS,
		.device_caps = node->caps };
	strcpy((char *)cap->driver, node->driver ? node->driver : "");
	strcpy((char *)cap->card, node->card ? node->card : "");
	strcpy((char *)cap->bus_info, node->bus ? node->bus : "");
	return 0;
}

#define open            our_open
#define close_fd        our_close_fd
#define stat(path, out) our_stat(path, out)
#define fopen           our_fopen
#define realpath        our_realpath
#define opendir(path)   our_opendir(path)
#define readdir         our_readdir
#define closedir        our_closedir
#include "../../src/v4l2/device.c" /* NOLINT(bugprone-suspicious-include) */
#undef open
#undef close_fd
#undef stat
#undef fopen
#undef realpath
#undef opendir
#undef readdir
#undef closedir

static void set_nodes(const struct node *there)
{
	our_nodes = there;
	n_open = 0;
	memset(times_opened, 0, sizeof(times_opened));
}

#endif
