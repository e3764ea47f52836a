/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The little of /sys that is asked about our nodes: /sys/dev/char/81:MINOR. */
#ifndef FAKE_SYSFS_H
#define FAKE_SYSFS_H

/* Where the link at path, of a node of ours, leads in the end; NULL: it is none. */
const char *sysfs_target(const char *path);

#endif
