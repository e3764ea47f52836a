// SPDX-License-Identifier: GPL-3.0-or-later
/* See output.h. A frame is one write(2) where the other side takes it. */
#include "dump/output.h"

#include <fcntl.h>

#include "base/base64.h"
#include "base/util.h"

#define LOG_TOPIC "dump"
#include "base/log.h"

struct output {
	const struct dump_options *opt;
	const volatile sig_atomic_t *is_stopped;
	int fd; /* -1: frames go nowhere */
	char *line;
	size_t room;
};

int output_open(struct output **out, const struct dump_options *opt,
	const volatile sig_atomic_t *is_stopped)
{
	struct output *output;
	int fd = -1;

	if (strcmp(opt->output, "-") == 0)
		fd = STDOUT_FILENO;
	else if (*opt->output)
		fd = open(opt->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 && *opt->output) {
		int res = -errno;

		log_error("cannot write to %s: %m", opt->output);
		return res;
	}
	output = xcalloc(1, sizeof(*output));
	*output = (struct output){ .opt = opt, .is_stopped = is_stopped, .fd = fd };
	*out = output;
	return 0;
}

int output_close(struct output *output)
{
	int res = 0;

	if (!output)
		return 0;
	if (output->fd >= 0 && close(output->fd) < 0) {
		res = -errno;
		log_error("cannot write to %s: %m", output->opt->output);
	}
	free(output->line);
	free(output);
	return res;
}

static int write_all(const struct output *output, const void *data, size_t size)
{
	/* A pipe that took some of it before the signal says so, and not -EINTR. */
	while (size && !*output->is_stopped) {
		ssize_t n = write(output->fd, data, size);

		if (n < 0) {
			int res = -errno;

			if (res != -EPIPE && res != -EINTR)
				log_error("cannot write to %s: %m", output->opt->output);
			return res;
		}
		data = (const uint8_t *)data + n;
		size -= (size_t)n;
	}
	return size ? -EINTR : 0;
}

/* The members that every frame has; 0 and 1 as uStreamer writes them. */
static char *put_facts(char *to, size_t room, const struct dump_frame *frame)
{
	int size = snprintf(to, room,
		"{\"size\": %zu, \"width\": %u, \"height\": %u, \"format\": %u, \"stride\": %u, "
		"\"online\": %d, \"key\": %d, %s",
		frame->size, frame->width, frame->height, frame->fourcc, frame->stride,
		frame->online, frame->key, frame->facts);

	return to + MIN((size_t)size, room - 1);
}

static int write_json(struct output *output, const struct dump_frame *frame)
{
	size_t data = output->opt->no_data ? 0 : BASE64_SIZE(frame->size);
	size_t room = sizeof(frame->facts) + 256 + data;
	char *end;

	if (room > output->room) {
		char *line = realloc(output->line, room);

		if (!line) {
			log_error("no memory for a line of %zu bytes", room);
			return -ENOMEM;
		}
		output->line = line;
		output->room = room;
	}
	end = put_facts(output->line, sizeof(frame->facts) + 224, frame);
	if (!output->opt->no_data) {
		end = stpcpy(end, ", \"data\": \"");
		end = base64_put(end, frame->data, frame->size);
		*end++ = '"';
	}
	*end++ = '}';
	*end++ = '\n';
	return write_all(output, output->line, (size_t)(end - output->line));
}

int output_write(struct output *output, const struct dump_frame *frame)
{
	if (output->fd < 0)
		return 0;
	return output->opt->json ? write_json(output, frame)
				 : write_all(output, frame->data, frame->size);
}
