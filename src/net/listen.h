/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The listening socket: a UNIX one, the one that systemd passed, or TCP; the first of these that
 * the options ask for.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <sys/types.h>

#include "settings/options.h"

struct listener {
	int fd;
	char *url;       /* where people find the page; "unix:/run/…" for a UNIX socket */
	char *unix_path; /* a socket file of ours, to be removed at the end; else NULL */
	dev_t device;    /* … unless another program has put its own there meanwhile */
	ino_t inode;
};

/* On failure logs one line with the remedy and returns -errno. */
int listener_open(struct listener *listener, const struct options *opt);
/* Half-open and zeroed ones are fine. */
void listener_close(struct listener *listener);

#endif
