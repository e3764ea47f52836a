// SPDX-License-Identifier: GPL-3.0-or-later
/* What the kernel knows of a line: see tcp_info.h. In its own file, for libc's tcp.h is too old. */
#include "net/tcp_info.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/util.h"

bool tcp_info_is_empty(int fd)
{
	int pending;

	return ioctl(fd, SIOCOUTQ, &pending) == 0 && pending == 0;
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
