/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel knows, and is told, of the line behind a TCP socket. */
#ifndef NET_TCP_INFO_H
#define NET_TCP_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_progress {
	uint64_t acked;   /* bytes that the peer has, since the connection began */
	uint64_t pending; /* bytes written that it has not, as far as is known */
	int64_t lag_ns; /* how long they will take, but for what every byte takes on an idle line */
};

/*
 * For a stream without end: little of it waits in the kernel, and a peer that vanished without a
 * word is given up. Fails on a UNIX socket, whose small buffer needs neither.
 */
void tcp_info_set_stream(int fd, int timeout_ms);

/* All zero, so that it is never in the way, for what is not TCP. */
void tcp_info_look(struct tcp_progress *line, int fd);

/*
 * Whether the peer has what was written, but for some milliseconds' worth: what is written now is not
 * held up by it. That there is nothing left is cheaper to ask, and asked first.
 */
bool tcp_info_is_clear(int fd);

#endif
