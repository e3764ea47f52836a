/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How threads wait for each other: eventfds, and poll with a deadline. What the kernel refuses for
 * a moment (memory, mostly) is no reason to end: it is as if nothing had happened yet.
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include <poll.h>
#include <stdint.h>

#define WAIT_FOR_EVER INT64_MAX

/*
 * Waits until one of the descriptors is ready, at most until that time (now_ns()), however long ago
 * it was. Returns how many are ready: 0 after the time, a signal, or an error of the kernel's; all
 * revents are 0 then.
 */
int wait_for_events(struct pollfd *on, nfds_t count, int64_t until_ns);

/* Makes an eventfd readable, which it may be already; -1: none. Never blocks. Any thread. */
void wake(int fd);

#endif
