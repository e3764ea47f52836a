/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel knows of the line behind a TCP socket. */
#ifndef NET_TCP_INFO_H
#define NET_TCP_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_progress {
	uint64_t acked;   /* bytes that the peer has, since the connection began */
	uint64_t pending; /* bytes written that it has not, as far as is known */
	int64_t lag_ns; /* how long they will take, but for what every byte takes on an idle line */
};

/* Whether the peer has all that was written, which is cheaper to ask. False: not, or not known. */
bool tcp_info_is_empty(int fd);

/* All zero, so that it is never in the way, for what is not TCP. */
void tcp_info_look(struct tcp_progress *line, int fd);

#endif
