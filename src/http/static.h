/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files below a directory, and nothing else: what /static needs, without a connection. */
#ifndef HTTP_STATIC_H
#define HTTP_STATIC_H

#include <sys/types.h>

/*
 * Opens the regular file that a request's path means below `root`; a directory means its
 * index.html. No symbolic link is followed, and nothing above `root` is ever reached. Returns a
 * descriptor and the size, or -errno.
 */
int static_open(const char *root, const char *path, off_t *size);
/* The same without openat2(2), for kernels before 5.6 and sandboxes that refuse it. */
int static_open_walking(const char *root, const char *path, off_t *size);

/* The MIME type by the extension of the path, index.html for a path that names none. */
const char *static_type(const char *path);

#endif
