/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that every kind knows. A key of the configuration is a command too. */
#include "control.h"
#include "picture.h"
#include "report.h"
#include "vb2.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool parse_count(const char *text, unsigned max, unsigned *value)
{
	char *end;
	unsigned long n = text && isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;

	if (!text || !isdigit((unsigned char)*text) || *end || n > max)
		return false;
	*value = (unsigned)n;
	return true;
}

bool parse_switch(const char *text, bool *on)
{
	*on = !text || !strcmp(text, "on") || !strcmp(text, "1");
	return *on || !strcmp(text, "off") || !strcmp(text, "0");
}

bool parse_size(const char *text, struct size *size)
{
	int n = 0;

	return text && sscanf(text, "%ux%u%n", &size->width, &size->height, &n) == 2 && !text[n] &&
	       size->width >= 16 && size->width <= 8192 && size->height >= 16 &&
	       size->height <= 8192;
}

static int run_unplug(struct device *dev, int argc, char **argv, char *reply)
{
	(void)argc, (void)argv, (void)reply;
	device_unplug(dev);
	return 0;
}

static int run_replug(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	return device_replug(dev, argc > 1 ? argv[1] : NULL);
}

static int run_plugged(struct device *dev, int argc, char **argv, char *reply)
{
	bool on;

	(void)reply;
	if (!parse_switch(argc > 1 ? argv[1] : NULL, &on))
		return -EINVAL;
	if (!on)
		device_unplug(dev);
	return on && !dev->plugged ? device_replug(dev, NULL) : 0;
}

static int run_path(struct device *dev, int argc, char **argv, char *reply)
{
	char *to = !strcmp(argv[0], "meta")   ? dev->meta
		   : !strcmp(argv[0], "link") ? dev->link
					      : dev->path;

	(void)reply;
	if (argc < 2 || strlen(argv[1]) >= sizeof(dev->path))
		return -EINVAL;
	strcpy(to, argv[1]);
	return 0;
}

static int run_stall(struct device *dev, int argc, char **argv, char *reply)
{
	(void)argc, (void)reply;
	dev->stalled = !strcmp(argv[0], "stall");
	return 0;
}

static int run_eproto(struct device *dev, int argc, char **argv, char *reply)
{
	(void)argc, (void)argv, (void)reply;
	queue_fail_all(dev->queue);
	dev->silent = true;
	return 0;
}

static int run_eio(struct device *dev, int argc, char **argv, char *reply)
{
	(void)argc, (void)argv, (void)reply;
	dev->queue->error = true;
	return 0;
}

struct fault_name {
	const char *name;
	size_t offset;
};

#define FAULT(name, field)                           \
	{                                            \
		name, offsetof(struct faults, field) \
	}

static const struct fault_name counts[] = {
	FAULT("error-buffers", error),
	FAULT("truncate", truncate),
	FAULT("garbage", garbage),
	FAULT("flip", flip),
	FAULT("zero", zero),
	FAULT("tiny", tiny),
	FAULT("bomb", bomb),
	FAULT("false-sof", false_sof),
	FAULT("drop", drop),
	FAULT("zero-time", zero_time),
	FAULT("backstep", backstep),
	FAULT("jitter", jitter_ms),
};

static const struct fault_name switches[] = {
	FAULT("no-dht", no_dht),
	FAULT("avi1", avi1),
	FAULT("no-jfif", no_jfif),
	FAULT("nodrop", nodrop),
	FAULT("poison", poison),
};

static int run_count(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned value = 1;

	(void)reply;
	if (argc > 1 && !parse_count(argv[1], UINT32_MAX, &value))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++)
		if (!strcmp(counts[i].name, argv[0]))
			memcpy((char *)&dev->faults + counts[i].offset, &value, sizeof(value));
	return 0;
}

static int run_switch(struct device *dev, int argc, char **argv, char *reply)
{
	bool on;

	(void)reply;
	if (!parse_switch(argc > 1 ? argv[1] : NULL, &on))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(switches); i++)
		if (!strcmp(switches[i].name, argv[0]))
			memcpy((char *)&dev->faults + switches[i].offset, &on, sizeof(on));
	if (!strcmp(argv[0], "frozen"))
		dev->frozen = on;
	if (!strcmp(argv[0], "count-pages"))
		dev->count_pages = on;
	return 0;
}

static int run_trailing(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (argc < 2 || !parse_count(argv[1], 1 << 20, &dev->faults.trailing))
		return -EINVAL;
	dev->faults.trailing_kind = argc > 2 ? argv[2][0] : 0;
	return 0;
}

static int run_lie(struct device *dev, int argc, char **argv, char *reply)
{
	struct size size = { dev->pix.width / 2, dev->pix.height / 2 };

	(void)reply;
	if (argc > 1 && !strcmp(argv[1], "off"))
		size = (struct size){ 0 };
	else if (argc > 1 && strcmp(argv[1], "on") && !parse_size(argv[1], &size))
		return -EINVAL;
	dev->faults.lie = size;
	return 0;
}

static int run_first_delay(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned ms;

	(void)reply;
	if (argc < 2 || !parse_count(argv[1], 600000, &ms))
		return -EINVAL;
	dev->first_delay_ns = ms * NS_PER_MS;
	return 0;
}

static int run_times(struct device *dev, int argc, char **argv, char *reply)
{
	static const char *const names[] = { "true", "same", "fours" };

	(void)reply;
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (argc > 1 && !strcmp(argv[1], names[i])) {
			dev->times = names[i][0];
			dev->held_time_ns = 0;
			return 0;
		}
	return -EINVAL;
}

static int run_fps(struct device *dev, int argc, char **argv, char *reply)
{
	char *end = NULL;
	double fps = argc > 1 ? strtod(argv[1], &end) : -1;

	(void)reply;
	if (fps < 0 || fps > 1000 || *end)
		return -EINVAL;
	dev->forced_ns = fps > 0 ? (int64_t)(NS_PER_S / fps) : 0;
	return 0;
}

static int run_mode(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (argc < 2 || (strcmp(argv[1], "cheap") && strcmp(argv[1], "exact")))
		return -EINVAL;
	dev->cheap = argv[1][0] == 'c';
	return 0;
}

static int run_look(struct device *dev, int argc, char **argv, char *reply)
{
	(void)reply;
	if (argc < 2 || !argv[1][0] || !strchr("mbcn", argv[1][0]))
		return -EINVAL;
	dev->look = argv[1][0];
	for (unsigned i = 0; i < dev->queue->count; i++)
		dev->queue->buffers[i]->drawn = 0;
	return 0;
}

static int run_number(struct device *dev, int argc, char **argv, char *reply)
{
	unsigned n;

	(void)reply;
	if (argc < 2 || !parse_count(argv[1], 100000, &n) || !n)
		return -EINVAL;
	if (!strcmp(argv[0], "frames"))
		dev->frames = n;
	else if (!strcmp(argv[0], "quality"))
		dev->quality = n > 100 ? 100 : n;
	else
		dev->starve_ms = n;
	return 0;
}

static int run_fmt(struct device *dev, int argc, char **argv, char *reply)
{
	char *save;

	(void)reply;
	dev->n_formats = 0;
	for (char *word = argc > 1 ? strtok_r(argv[1], "+", &save) : NULL; word;
		word = strtok_r(NULL, "+", &save)) {
		uint32_t fourcc = v4l2_fourcc(' ', ' ', ' ', ' ');

		memcpy(&fourcc, word, strnlen(word, 4));
		if (dev->n_formats < FORMATS_MAX && format_description(fourcc))
			dev->formats[dev->n_formats++] = fourcc;
	}
	if (!dev->n_formats)
		return -EINVAL;
	dev->pix.pixelformat = dev->formats[0];
	dev->ops->plugged(dev);
	return 0;
}

static int run_status(struct device *dev, int argc, char **argv, char *reply)
{
	char hanging[HANGING_BYTES];

	(void)argc, (void)argv;
	calls_describe(dev, hanging, sizeof(hanging));
	snprintf(reply, REPLY_MAX - 3,
		"kind=%s path=%s plugged=%d streaming=%d buffers=%u queued=%u "
		"done=%u blocked=%d returned=%u pages=%u stamp=%u sequence=%u format=%.4s "
		"size=%ux%u%s",
		dev->ops->kind, dev->path, dev->plugged, dev->queue->streaming, dev->queue->count,
		dev->queue->n_todo, dev->queue->n_done, dev->queue->in_dqbuf, dev->returned,
		dev->pages, dev->life, dev->queue->sequence, (const char *)&dev->pix.pixelformat,
		dev->pix.width, dev->pix.height, hanging);
	return 0;
}

static int run_summary(struct device *dev, int argc, char **argv, char *reply)
{
	(void)dev, (void)argc, (void)argv;
	report_summary(reply, REPLY_MAX - 3);
	return 0;
}

static int run_help(struct device *dev, int argc, char **argv, char *reply)
{
	const struct command *lists[] = { dev->ops->commands, common_commands, call_commands };
	size_t n = 0;

	(void)argc, (void)argv;
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct command *c = lists[i]; c && c->name && n < REPLY_MAX - 200; c++)
			n += (size_t)snprintf(reply + n, REPLY_MAX - 3 - n, "%s %s; ", c->name,
				c->usage);
	return 0;
}

const struct command common_commands[] = {
	{ "unplug", "", run_unplug },
	{ "replug", "[path]", run_replug },
	{ "plugged", "on|off", run_plugged },
	{ "path", "node", run_path },
	{ "meta", "node of the metadata sibling", run_path },
	{ "link", "symlink to the node", run_path },
	{ "stall", "", run_stall },
	{ "resume", "", run_stall },
	{ "eproto", "all buffers ERROR, then silence until STREAMOFF", run_eproto },
	{ "eio", "DQBUF EIO until STREAMOFF", run_eio },
	{ "error-buffers", "n", run_count },
	{ "truncate", "n", run_count },
	{ "garbage", "n", run_count },
	{ "flip", "n", run_count },
	{ "zero", "n", run_count },
	{ "tiny", "n", run_count },
	{ "bomb", "[n]", run_count },
	{ "false-sof", "n", run_count },
	{ "drop", "n", run_count },
	{ "zero-time", "n", run_count },
	{ "backstep", "n", run_count },
	{ "jitter", "ms", run_count },
	{ "no-dht", "on|off", run_switch },
	{ "avi1", "on|off", run_switch },
	{ "no-jfif", "on|off", run_switch },
	{ "nodrop", "on|off", run_switch },
	{ "poison", "on|off", run_switch },
	{ "frozen", "on|off", run_switch },
	{ "count-pages", "on|off: of buffers, that the client touches", run_switch },
	{ "trailing", "bytes [zero|ff|stale]", run_trailing },
	{ "lie", "on|off|WxH", run_lie },
	{ "first-frame-delay", "ms", run_first_delay },
	{ "times", "true|same|fours: of the first frame, of each fourth", run_times },
	{ "fps", "rate|0", run_fps },
	{ "fmt", "MJPG+YUYV… (the first is the default)", run_fmt },
	{ "mode", "exact|cheap", run_mode },
	{ "look", "moving|black|colourbars|noise", run_look },
	{ "frames", "n", run_number },
	{ "quality", "n", run_number },
	{ "starve", "ms", run_number },
	{ "status", "", run_status },
	{ "summary", "", run_summary },
	{ "help", "", run_help },
	{ NULL, NULL, NULL },
};
