/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logging to stderr, from any thread, keeping errno. Each .c file defines LOG_TOPIC before it
 * includes this header. Under systemd lines carry journal priorities; elsewhere they look like
 * "-- INFO  [12.345 http] -- text", which existing log readers strip.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/util.h"

enum log_level {
	LOG_LEVEL_ERROR = -2,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_PERF,
	LOG_LEVEL_VERBOSE,
	LOG_LEVEL_DEBUG
};

enum log_colour { LOG_COLOUR_AUTO, LOG_COLOUR_ALWAYS, LOG_COLOUR_NEVER };

/* Before any thread starts. Lines above `level` are not written. */
void log_init(enum log_level level, enum log_colour colour);
/* Names the calling thread for the log and for ps(1); at most 15 characters. */
void log_name_thread(const char *name);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *topic, const char *format, ...) PRINTF(3, 4);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, LOG_TOPIC, __VA_ARGS__)
#define log_warn(...)    log_write(LOG_LEVEL_WARN, LOG_TOPIC, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, LOG_TOPIC, __VA_ARGS__)
#define log_verbose(...) log_write(LOG_LEVEL_VERBOSE, LOG_TOPIC, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, LOG_TOPIC, __VA_ARGS__)

#endif
