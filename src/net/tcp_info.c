// SPDX-License-Identifier: GPL-3.0-or-later
/* What the kernel knows of a line: see tcp_info.h. In its own file, for libc's tcp.h is too old. */
#include "net/tcp_info.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/util.h"

/*
 * What may wait unsent in the kernel before a stream's socket counts as full. Otherwise the send
 * buffer grows to megabytes and a slow line shows pictures that are many seconds old. A larger
 * value would not make fast lines cheaper (50 viewers of 200 KB pictures on loopback: measured).
 */
#define STREAM_UNSENT_BYTES (16 * 1024)

/* What may be on its way on a line that still counts as clear: nobody sees that much. */
#define CLEAR_NS (30 * NS_PER_MS)

void tcp_info_set_stream(int fd, int timeout_ms)
{
	int unsent = STREAM_UNSENT_BYTES;

	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
}

void tcp_info_look(struct tcp_progress *line, int fd)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	int64_t whole_ns;

	*line = (struct tcp_progress){ 0 };
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return;
	line->acked = info.tcpi_bytes_acked;
	line->pending = (uint64_t)info.tcpi_unacked * info.tcpi_snd_mss + info.tcpi_notsent_bytes;
	/* Nothing was delivered yet: nothing is known. */
	if (!info.tcpi_delivery_rate)
		return;
	whole_ns = (int64_t)(line->pending * NS_PER_S / info.tcpi_delivery_rate);
	line->lag_ns = MAX(whole_ns - info.tcpi_min_rtt * NS_PER_US, 0);
}

bool tcp_info_is_clear(int fd)
{
	struct tcp_progress line;
	int pending;

	if (ioctl(fd, SIOCOUTQ, &pending) == 0 && pending == 0)
		return true;
	tcp_info_look(&line, fd);
	return line.lag_ns <= CLEAR_NS;
}
