// SPDX-License-Identifier: GPL-3.0-or-later
/* What rings and sinks have in common: see input.h. */
#include "dump/input.h"

#include "base/util.h"

#define LOG_TOPIC "dump"
#include "base/log.h"

/* Others may write any time: of one that cannot be, no age is to be had. */
static int64_t if_past(int64_t ns, int64_t now)
{
	return ns > 0 && ns <= now ? ns : 0;
}

int input_next(struct input *input, struct dump_frame *out)
{
	int res = input->ops->next(input, out);

	if (res == 0) {
		const int64_t now = now_ns();

		out->captured_ns = if_past(out->captured_ns, now);
		out->published_ns = if_past(out->published_ns, now);
		input->has_come = true;
		input->said = NULL;
	}
	return res;
}

void input_stay(struct input *input)
{
	input->ops->stay(input);
}

void input_close(struct input *input)
{
	input->ops->close(input);
	free(input->data);
	free(input);
}

static const char *kind(const struct input *input)
{
	return input->opt->is_sink ? "sink" : "ring";
}

void input_is_attached(struct input *input)
{
	input->attached_ns = now_ns();
	input->has_come = false;
	log_verbose("reading %s %s", kind(input), input->opt->name);
}

void input_say(struct input *input, const char *state)
{
	if (state != input->said)
		log_info("waiting for %s %s: %s", kind(input), input->opt->name, state);
	input->said = state;
}

void input_say_quiet(struct input *input)
{
	if (!input->has_come && now_ns() - input->attached_ns > input->opt->timeout_s * NS_PER_S)
		input_say(input, "it is there, and no frame came yet");
}

bool input_make_room(struct input *input, size_t size)
{
	uint8_t *data;

	if (size <= input->room)
		return true;
	data = realloc(input->data, size);
	if (!data)
		return false;
	input->data = data;
	input->room = size;
	return true;
}
