/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the kernel knows of the line behind a TCP socket. */
#ifndef HTTP_LINE_H
#define HTTP_LINE_H

#include <stdbool.h>
#include <stdint.h>

struct line {
	uint64_t acked;   /* bytes that the peer has, since the connection began */
	uint64_t pending; /* bytes written that it has not, as far as is known */
	int64_t lag_ns;   /* how long they will take, but for what every byte takes on an idle line */
};

/* Whether the peer has all that was written, which is cheaper to ask. False: not, or not known. */
bool line_is_empty(int fd);

/* All zero, so that it is never in the way, for what is not TCP. */
void line_look(struct line *line, int fd);

#endif
