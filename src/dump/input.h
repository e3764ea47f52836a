/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where hdmicast-dump has its frames from: a ring or a sink. One that is not there is waited for,
 * one that is something else is an error.
 */
#ifndef DUMP_INPUT_H
#define DUMP_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dump/options.h"

/* How long input_next() may keep its caller. */
#define INPUT_WAIT_MS 100

/* A frame in the input's memory, until input_next() is called again. */
struct dump_frame {
	const uint8_t *data;
	size_t size;
	uint32_t fourcc, width, height, stride;
	bool online, key;
	int64_t captured_ns, published_ns; /* 0: not told, or no time that can be */
	int64_t arrived_ns;                /* when it was seen here */
	bool was_there;                    /* before us: its age tells nothing */
	/* What was missed here, since the frame before, and what was before the ring, in all. */
	bool is_counted; /* else nobody knows */
	uint64_t lost, dropped;
	char facts[640]; /* members of a JSON object, that not every input has */
};

struct input;

struct input_ops {
	int (*next)(struct input *input, struct dump_frame *out);
	void (*stay)(struct input *input);
	void (*close)(struct input *input);
};

/* What both have; the first member of each. */
struct input {
	const struct input_ops *ops;
	const struct dump_options *opt;
	const char *said; /* the state that was logged last, a constant; NULL: frames come */
	int64_t attached_ns;
	bool has_come; /* a frame, since then */
	uint8_t *data;
	size_t room;
};

/* Never fails: what is wrong with it, input_next() says. opt: borrowed. */
struct input *ring_input_open(const struct dump_options *opt);
struct input *sink_input_open(const struct dump_options *opt);
void input_close(struct input *input);

/* The next frame; -EAGAIN: none came yet; else an error that was logged, and will not pass. */
int input_next(struct input *input, struct dump_frame *out);
/* Lets the writer know that one is still here, for who takes no frames for a while. */
void input_stay(struct input *input);

/* ---- for the inputs */

/* From now on frames may come. */
void input_is_attached(struct input *input);
/* Logs a state that keeps frames from coming, when it is another one. */
void input_say(struct input *input, const char *state);
/* The same, that the first frame does not come although nothing is wrong, when that lasts. */
void input_say_quiet(struct input *input);
/* Makes room in `data`; false: there is no memory. */
bool input_make_room(struct input *input, size_t size);
/* Seconds with nine places, as uStreamer's fields have three. */
#define INPUT_TIME "%s%llu.%09llu"
#define INPUT_TIME_OF(ns) \
	(ns) < 0 ? "-" : "", input_distance(ns) / NS_PER_S, input_distance(ns) % NS_PER_S

/* From zero: a ring that is not ours may tell any time. */
static inline unsigned long long input_distance(int64_t ns)
{
	return ns < 0 ? 0 - (unsigned long long)ns : (unsigned long long)ns;
}

#endif
