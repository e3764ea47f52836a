/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "script.h"
#include "control.h"
#include "report.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 128, POLL_MS = 20, COMMAND_BYTES = 200 };

enum when { AT_FRAME, AT_TIME, AFTER };

struct step {
	enum when when;
	uint32_t frame;
	int64_t delay_ns;
	char command[COMMAND_BYTES];
};

static struct step steps[STEPS_MAX]; /* set before start */
static unsigned n_steps;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one runner at a time */
static atomic_uint cursor;                               /* moves under lock */
static _Atomic int64_t begun_ns, last_ns;                /* of the script, of the latest step */

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static void complain(const char *what, const char *text)
{
	fprintf(stderr, "fake-v4l2: HDMICAST_FAKE: %s: %s\n", what, text);
}

static bool parse_when(const char *text, struct step *step)
{
	char *end;
	double n;

	step->when = *text == '+' ? AFTER : AT_FRAME;
	n = strtod(text + (*text == '+'), &end);
	if (end == text || n < 0)
		return false;
	if (!*end && step->when == AT_FRAME) {
		step->frame = (uint32_t)n;
		return true;
	}
	if (step->when == AT_FRAME)
		step->when = AT_TIME;
	step->delay_ns = (int64_t)(n * (!strcmp(end, "ms") ? NS_PER_MS : NS_PER_S));
	return !strcmp(end, "ms") || !strcmp(end, "s");
}

static void load_event(char *text)
{
	char *command = strchr(text, ':');
	struct step *step = &steps[n_steps];

	if (!command || n_steps == STEPS_MAX) {
		complain("not an event", text);
		return;
	}
	*command++ = '\0';
	if (!parse_when(text, step)) {
		complain("not a time", text);
		return;
	}
	snprintf(step->command, sizeof(step->command), "%s", trim(command));
	n_steps++;
}

static void load_device(char *text)
{
	char *keys = strchr(text, ':'), *save, reply[REPLY_MAX];
	struct device *dev;

	if (keys)
		*keys++ = '\0';
	dev = device_create(text);
	if (!dev) {
		complain("not a kind of device", text);
		return;
	}
	for (char *key = keys ? strtok_r(keys, ",", &save) : NULL; key;
		key = strtok_r(NULL, ",", &save))
		if (command_run(dev, trim(key), reply) < 0)
			complain("not a key", reply);
}

/* Commands that a variable of the environment gives, for who does not write the configuration. */
static void load_environment(void)
{
	static const char *const names[][2] = { { "FAKE_TIMES", "times" },
		{ "FAKE_JPEGS", "jpegs" }, { "FAKE_INTERVALS", "intervals" },
		{ "FAKE_HANG", "hang" } };
	char line[COMMAND_BYTES * 2], reply[REPLY_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		const char *value = getenv(names[i][0]);

		snprintf(line, sizeof(line), "%s %s", names[i][1], value ? value : "");
		if (value && command_run(NULL, line, reply) < 0)
			complain(names[i][0], reply);
	}
}

void script_load(const char *config)
{
	char *copy = strdup(config), *save;

	if (!copy)
		abort();
	for (char *item = strtok_r(copy, ";", &save); item; item = strtok_r(NULL, ";", &save)) {
		item = trim(item);
		if (!strncmp(item, "at=", 3))
			load_event(item + 3);
		else if (*item)
			load_device(item);
	}
	free(copy);
	load_environment();
}

void script_begin(void)
{
	begun_ns = last_ns = now_ns();
}

bool script_exists(void)
{
	return n_steps > 0;
}

/* The device whose frames a step counts: the one its command goes to, else the first. */
static bool counts_frames_of(const struct step *step, const struct device *dev)
{
	size_t len = strlen(dev->ops->kind);

	if (!strchr(step->command, '.') ||
		strchr(step->command, '.') > strpbrk(step->command, " =/"))
		return dev == devices;
	return !strncmp(step->command, dev->ops->kind, len) && step->command[len] == '.';
}

static bool due_at_frame(unsigned i, const struct device *dev, uint32_t frame)
{
	return i < n_steps && steps[i].when == AT_FRAME && frame >= steps[i].frame &&
	       counts_frames_of(&steps[i], dev);
}

bool script_due(const struct device *dev, uint32_t frame)
{
	return due_at_frame(cursor, dev, frame);
}

/* Under lock. */
static void run_step(void)
{
	char reply[REPLY_MAX];
	unsigned i = cursor;

	if (command_run(NULL, steps[i].command, reply) < 0)
		complain("event", reply);
	last_ns = now_ns();
	cursor = i + 1;
}

void script_frame(struct device *dev, uint32_t frame)
{
	pthread_mutex_lock(&lock);
	while (due_at_frame(cursor, dev, frame))
		run_step();
	pthread_mutex_unlock(&lock);
}

/* INT64_MAX: nothing by time. */
static int64_t next_time(void)
{
	unsigned i = cursor;

	if (i >= n_steps || steps[i].when == AT_FRAME)
		return INT64_MAX;
	return (steps[i].when == AT_TIME ? begun_ns : last_ns) + steps[i].delay_ns;
}

/* A step by frame may arm one by time on another thread: look again now and then meanwhile. */
int script_run_timed(void)
{
	int64_t left;

	pthread_mutex_lock(&lock);
	while (next_time() <= now_ns())
		run_step();
	left = next_time();
	pthread_mutex_unlock(&lock);
	if (cursor >= n_steps)
		return -1;
	left = left == INT64_MAX ? POLL_MS : (left - now_ns()) / NS_PER_MS + 1;
	return left < POLL_MS ? (int)(left < 0 ? 0 : left) : POLL_MS;
}
