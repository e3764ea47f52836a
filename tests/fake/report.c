/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The report file: one write(2) of one whole line each, so that processes may share it. */
#include "report.h"
#include "m2m.h"
#include "real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VIOLATIONS_MAX = 200 };

struct counters counters;

static void append(const char *path, const char *text, size_t len)
{
	int fd;

	if (!path || (fd = real()->open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) < 0)
		return;
	if (write(fd, text, len) < 0)
		report_debug("report: %s", strerror(errno));
	real()->close(fd);
}

void report_violation(const char *rule, const char *fmt, ...)
{
	char line[400];
	int saved = errno, n = snprintf(line, sizeof(line), "%s ", rule);
	va_list ap;

	if (atomic_fetch_add(&counters.violations, 1) >= VIOLATIONS_MAX)
		return;
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\0';
	report_debug("violation: %s", line);
	line[n] = '\n';
	append(getenv("HDMICAST_FAKE_REPORT"), line, (size_t)n + 1);
	errno = saved;
}

void report_debug(const char *fmt, ...)
{
	char line[400];
	int saved = errno, n;
	va_list ap;

	if (!getenv("HDMICAST_FAKE_DEBUG"))
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= 0)
		dprintf(STDERR_FILENO, "fake-v4l2: %s\n", line);
	errno = saved;
}

void report_summary(char *buf, size_t size)
{
	char more[600];

	m2m_summary(more, sizeof(more));
	snprintf(buf, size,
		"summary opens=%lu closes=%lu streamons=%lu reqbufs=%lu made=%lu lost=%lu "
		"injected=%lu delivered=%lu max_held=%lu pages_read=%lu max_pages=%lu "
		"orphans=%lu violations=%lu cpu_us=%lu%s",
		counters.opens, counters.closes, counters.streamons, counters.reqbufs,
		counters.made, counters.lost, counters.injected, counters.delivered,
		counters.max_held, counters.pages_read, counters.max_pages, counters.orphans,
		counters.violations, counters.cpu_us, more);
}

void report_finish(void)
{
	char line[1000];
	size_t len;

	report_summary(line, sizeof(line) - 1);
	report_debug("%s", line);
	len = strlen(line);
	line[len++] = '\n';
	append(getenv("HDMICAST_FAKE_REPORT"), line, len);
}

void report_frame(uint32_t stamp, uint32_t sequence, int64_t timestamp_ns, uint32_t bytes)
{
	static _Atomic int log_fd = -2;
	const char *path;
	int fd = log_fd;

	if (fd == -2) {
		path = getenv("HDMICAST_FAKE_LOG");
		fd = -1;
		if (path)
			fd = real()->open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
		log_fd = fd;
	}
	if (fd >= 0)
		dprintf(fd, "%u %u %lld %u\n", stamp, sequence, (long long)timestamp_ns, bytes);
}

void report_max(atomic_ulong *counter, unsigned long value)
{
	unsigned long seen = atomic_load(counter);

	while (seen < value && !atomic_compare_exchange_weak(counter, &seen, value))
		;
}

void report_cpu(int64_t *seen_us)
{
	struct timespec ts;
	int64_t us;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	us = ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
	counters.cpu_us += (unsigned long)(us - *seen_us);
	*seen_us = us;
}
