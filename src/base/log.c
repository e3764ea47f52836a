// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * One line is one write(2), so lines of several threads never mix. Whether stderr is the journal
 * is decided as systemd.exec(5) says: $JOURNAL_STREAM names the device and inode of the stream.
 */
#include "base/log.h"

#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* Set by log_init() before any thread starts. */
static enum log_level max_level = LOG_LEVEL_INFO;
static bool colours;
static bool journal;

static const struct {
	const char *name, *colour;
	int priority; /* of syslog(3) */
} levels[] = {
	{ "ERROR", "\033[31m", 3 },
	{ "WARN ", "\033[33m", 4 },
	{ "INFO ", "\033[32m", 6 },
	{ "PERF ", "\033[36m", 7 },
	{ "VERB ", "\033[34m", 7 },
	{ "DEBUG", "\033[90m", 7 },
};

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_init(enum log_level level, enum log_colour colour)
{
	max_level = level;
	journal = stderr_is_journal();
	colours = colour == LOG_COLOUR_ALWAYS ||
		  (colour == LOG_COLOUR_AUTO && isatty(STDERR_FILENO));
}

void log_name_thread(const char *name)
{
	prctl(PR_SET_NAME, name);
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

static int write_prefix(char *line, size_t size, enum log_level level, const char *topic)
{
	unsigned index = level - LOG_LEVEL_ERROR;
	int64_t now_ms = now_ns() / NS_PER_MS;

	if (journal)
		return snprintf(line, size, "<%d>%s: ", levels[index].priority, topic);
	return snprintf(line, size, "%s-- %s [%lld.%03lld %8s] --%s ",
		colours ? levels[index].colour : "", levels[index].name, (long long)now_ms / 1000,
		(long long)now_ms % 1000, topic, colours ? "\033[0m" : "");
}

void log_write(enum log_level level, const char *topic, const char *format, ...)
{
	int saved = errno;
	char line[1024];
	size_t used, room;
	va_list args;
	int wanted;

	if (level > max_level)
		return;
	used = write_prefix(line, sizeof(line), level, topic);
	room = sizeof(line) - used - 1;
	errno = saved; /* for %m */
	va_start(args, format);
	wanted = vsnprintf(line + used, room, format, args);
	va_end(args);
	used += MIN((size_t)MAX(wanted, 0), room - 1);
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0) {
		/* Nowhere left to say it. */
	}
	errno = saved;
}
