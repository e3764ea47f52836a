// SPDX-License-Identifier: GPL-3.0-or-later
/* Waiting for events: see wait.h. */
#include "base/wait.h"

#include <sys/eventfd.h>

#include "base/util.h"

#define LOG_TOPIC "wait"
#include "base/log.h"

/* An error that lasts must not become a loop that spins. */
#define REFUSED_NS (10 * NS_PER_MS)

int wait_for_events(struct pollfd *on, nfds_t count, int64_t until_ns)
{
	int64_t rest = until_ns == WAIT_FOR_EVER ? 0 : MAX(until_ns - now_ns(), 0);
	struct timespec limit = { rest / NS_PER_S, rest % NS_PER_S };
	int res = ppoll(on, count, until_ns == WAIT_FOR_EVER ? NULL : &limit, NULL);

	if (res >= 0)
		return res;
	for (nfds_t i = 0; i < count; i++)
		on[i].revents = 0;
	if (errno != EINTR) {
		log_debug("ppoll: %m");
		nanosleep(&(struct timespec){ .tv_nsec = REFUSED_NS }, NULL);
	}
	return 0;
}

void wake(int fd)
{
	/* A counter that is full is readable, too. */
	if (fd >= 0 && eventfd_write(fd, 1) < 0 && errno != EAGAIN)
		log_debug("wake-up: %m");
}
