// SPDX-License-Identifier: GPL-3.0-or-later
/* The table of options, the parser over it, and --help out of it: see options.h. */
#include "dump/options.h"

#include <getopt.h>
#include <stddef.h>

#define LOG_TOPIC "options"
#include "base/log.h"

enum type {
	GROUP,   /* a heading */
	RING,    /* the name of a ring; min: its medium */
	SINK,    /* the name of a sink */
	LAYOUT,  /* const struct layout * */
	TEXT,    /* const char * */
	INT,     /* int, any base that strtoll knows */
	SECONDS, /* int64_t nanoseconds, a decimal number */
	FLAG,    /* bool */
	LEVEL,   /* sets log_level to min */
	ACTION,  /* help, version */
};

struct row {
	const char *name;
	char letter;
	enum type type;
	size_t offset; /* of the field in struct dump_options */
	long min, max, normal;
	const char *arg, *text;
};

#define AT(field) offsetof(struct dump_options, field)

/* clang-format off */
static const struct row rows[] = {
	{ "Where frames come from", 0, GROUP, 0, 0, 0, 0, NULL, NULL },
	{ "h264", 0, RING, 0, DUMP_H264, 0, 0, "NAME", "a ring with H.264, to stdout" },
	{ "jpeg", 0, RING, 0, DUMP_JPEG, 0, 0, "NAME", "a ring with JPEG, to stdout" },
	{ "raw", 0, RING, 0, DUMP_RAW, 0, 0, "NAME", "a ring with raw pictures, to stdout" },
	{ "ring", 0, RING, 0, DUMP_ANY, 0, 0, "NAME", "any ring" },
	{ "sink", 's', SINK, 0, 0, 0, 0, "NAME", "a sink, as uStreamer has them" },
	{ "sink-abi", 0, LAYOUT, AT(layout), 0, 0, 0, "VERSION", "its layout: 7, 7b, 8 or 10; it tells by itself" },
	{ "sink-timeout", 't', INT, AT(timeout_s), 1, 60, 1, "SECONDS", "until it is said that no frame comes" },
	{ "key-required", 'k', FLAG, AT(key_required), 0, 0, 0, NULL, "ask for a key frame, and begin with one" },

	{ "Where they go", 0, GROUP, 0, 0, 0, 0, NULL, NULL },
	{ "output", 'o', TEXT, AT(output), 0, 0, 0, "FILE", "to a file; - is stdout" },
	{ "output-json", 'j', FLAG, AT(json), 0, 0, 0, NULL, "a line of JSON for each" },
	{ "no-data", 0, FLAG, AT(no_data), 0, 0, 0, NULL, "JSON without the frame's bytes" },
	{ "count", 'c', INT, AT(count), 0, 2147483647, 0, "N", "end after so many; 0: never" },
	{ "interval", 'i', SECONDS, AT(interval_ns), 0, 60, 0, "SECONDS", "wait between two" },
	{ "stats", 0, FLAG, AT(stats), 0, 0, 0, NULL, "rates, latency and losses, once a second" },

	{ "Log", 0, GROUP, 0, 0, 0, 0, NULL, NULL },
	{ "log-level", 0, INT, AT(log_level), 0, 3, 0, "N", "0 info, 1 perf, 2 verbose, 3 debug" },
	{ "perf", 0, LEVEL, 0, LOG_LEVEL_PERF, 0, 0, NULL, "--log-level 1" },
	{ "verbose", 0, LEVEL, 0, LOG_LEVEL_VERBOSE, 0, 0, NULL, "--log-level 2: a line for each frame" },
	{ "debug", 0, LEVEL, 0, LOG_LEVEL_DEBUG, 0, 0, NULL, "--log-level 3" },
	{ "force-log-colors", 0, FLAG, AT(force_log_colors), 0, 0, 0, NULL, "colours also when stderr is no terminal" },
	{ "no-log-colors", 0, FLAG, AT(no_log_colors), 0, 0, 0, NULL, "no colours" },

	{ "Help", 0, GROUP, 0, 0, 0, 0, NULL, NULL },
	{ "help", 'h', ACTION, 0, 0, 0, 0, NULL, "this text" },
	{ "version", 'v', ACTION, 0, 0, 0, 0, NULL, "print it" },
};
/* clang-format on */

#define END (rows + ARRAY_SIZE(rows))

static bool complain(const struct row *row, const char *what)
{
	fprintf(stderr, "hdmicast-dump: --%s %s\n", row->name, what);
	return false;
}

static bool set_int(int *field, const struct row *row, const char *value)
{
	char *end, text[96];
	long long number;

	errno = 0;
	number = strtoll(value, &end, 0);
	if (errno || end == value || *end || number < row->min || number > row->max) {
		snprintf(text, sizeof(text), "takes a number from %ld to %ld", row->min, row->max);
		return complain(row, text);
	}
	*field = (int)number;
	return true;
}

static bool set_seconds(int64_t *field, const struct row *row, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	/* Written so that "nan" is refused. */
	if (end == value || *end || !(seconds >= (double)row->min && seconds <= (double)row->max))
		return complain(row, "takes seconds from 0 to 60, as 0.5");
	*field = (int64_t)(seconds * NS_PER_S);
	return true;
}

static bool set_name(struct dump_options *opt, const struct row *row, const char *value)
{
	if (opt->name)
		return complain(row, "is one source too many: there can be one");
	if (!*value)
		return complain(row, "needs a name");
	opt->name = value;
	opt->is_sink = row->type == SINK;
	opt->medium = row->type == RING ? (enum dump_medium)row->min : DUMP_ANY;
	return true;
}

static bool set_option(struct dump_options *opt, const struct row *row, const char *value)
{
	void *field = (char *)opt + row->offset;

	switch (row->type) {
	case RING:
	case SINK: return set_name(opt, row, value);
	case LAYOUT:
		opt->layout = layout_named(value);
		return opt->layout || complain(row, "takes one of 7, 7b, 8, 10");
	case TEXT: *(const char **)field = value; return true;
	case INT: return set_int(field, row, value);
	case SECONDS: return set_seconds(field, row, value);
	case FLAG: *(bool *)field = true; return true;
	case LEVEL: opt->log_level = (int)row->min; return true;
	default: return true;
	}
}

static void print_help(void)
{
	puts("Usage: hdmicast-dump --h264 NAME | --ring NAME | --sink NAME [OPTION]…\n"
	     "Take video out of shared memory: into a file or a pipe, or to measure it.");
	for (const struct row *row = rows; row < END; row++) {
		char left[64], letter[5] = "    ";

		if (row->type == GROUP) {
			printf("\n%s:\n", row->name);
			continue;
		}
		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		snprintf(left, sizeof(left), "  %s--%s %s", letter, row->name,
			row->arg ? row->arg : "");
		printf("%-38s %s", left, row->text);
		if (row->type == INT || row->type == SECONDS)
			printf(" [%ld–%ld, default %ld]", row->min, row->max, row->normal);
		putchar('\n');
	}
}

static void make_getopt_tables(struct option *longs, char *letters)
{
	for (const struct row *row = rows; row < END; row++) {
		int takes = row->arg ? required_argument : no_argument;

		if (row->type == GROUP)
			continue;
		*longs++ = (struct option){ row->name, takes, NULL, 256 + (int)(row - rows) };
		if (!row->letter)
			continue;
		*letters++ = row->letter;
		if (row->arg)
			*letters++ = ':';
	}
	*longs = (struct option){ 0 };
	*letters = '\0';
}

static const struct row *row_of(int found)
{
	if (found >= 256)
		return &rows[found - 256];
	for (const struct row *row = rows; row < END; row++) {
		if (row->letter == found)
			return row;
	}
	return NULL;
}

static const char *fault_of(const struct dump_options *opt)
{
	if (!opt->name)
		return "name a source: --h264, --jpeg, --raw or --ring NAME, or --sink NAME";
	if (opt->layout && !opt->is_sink)
		return "--sink-abi is for a sink";
	if (opt->no_data && !opt->json)
		return "--no-data is for --output-json";
	if (!*opt->output || strcmp(opt->output, "-") != 0 || opt->json)
		return NULL;
	return isatty(STDOUT_FILENO)
		       ? "frames would spoil this terminal: use a pipe, or --output FILE"
		       : NULL;
}

static enum dump_action finish(struct dump_options *opt)
{
	const char *fault;

	if (!opt->output)
		opt->output = (opt->medium || opt->json) && !opt->stats ? "-" : "";
	fault = fault_of(opt);
	if (!fault)
		return DUMP_RUN;
	fprintf(stderr, "hdmicast-dump: %s\n", fault);
	return DUMP_WRONG;
}

enum dump_action dump_options_parse(struct dump_options *out, int argc, char *argv[])
{
	struct option longs[ARRAY_SIZE(rows) + 1];
	char letters[2 * ARRAY_SIZE(rows) + 1];
	int found;

	*out = (struct dump_options){ .timeout_s = 1 };
	make_getopt_tables(longs, letters);
	while ((found = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct row *row = found == '?' ? NULL : row_of(found);

		if (!row) /* getopt_long() has said why */
			return DUMP_WRONG;
		if (row->type == ACTION) {
			if (row->letter == 'h')
				print_help();
			else
				puts(VERSION);
			return DUMP_EXIT;
		}
		if (!set_option(out, row, optarg))
			return DUMP_WRONG;
	}
	if (optind < argc) {
		fprintf(stderr, "hdmicast-dump: unexpected argument '%s'\n", argv[optind]);
		return DUMP_WRONG;
	}
	return finish(out);
}
