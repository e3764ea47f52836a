// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * hdmicast-dump: frames out of shared memory, to a file or a pipe, or only to measure them. One
 * thread: an input gives a frame, an output takes it.
 *
 * It reads rings by the library only, as a program of others does, and finds out first what is wrong
 * with it. Its table of options is its own: the daemon's is about struct options to the last row.
 */
#include <signal.h>

#include "base/util.h"
#include "dump/input.h"
#include "dump/options.h"
#include "dump/output.h"
#include "dump/stats.h"

#define LOG_TOPIC "dump"
#include "base/log.h"

static volatile sig_atomic_t is_stopped;

static void on_signal(int number)
{
	(void)number;
	is_stopped = 1;
}

/* A wait or a write is interrupted; a second signal ends us however things stand. */
static void take_signals(void)
{
	struct sigaction stop = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

static int pause_between(struct input *input, struct stats *stats, int64_t interval_ns)
{
	const int64_t until_ns = now_ns() + interval_ns;
	int64_t left_ns;
	int res = 0;

	while (!is_stopped && res == 0 && (left_ns = until_ns - now_ns()) > 0) {
		struct timespec piece = { 0 };

		piece.tv_nsec = MIN(left_ns, INPUT_WAIT_MS * NS_PER_MS);
		nanosleep(&piece, NULL);
		input_stay(input);
		res = stats_tick(stats);
	}
	return res;
}

static void log_frame(const struct dump_frame *frame)
{
	log_verbose("%.4s %ux%u, %zu bytes%s%s, %.3f ms old, %llu lost",
		(const char *)&frame->fourcc, frame->width, frame->height, frame->size,
		frame->key ? ", key" : "", frame->online ? "" : ", offline",
		(double)(frame->arrived_ns - frame->captured_ns) / NS_PER_MS,
		(unsigned long long)frame->lost);
}

static int run(const struct dump_options *opt, struct input *input, struct output *output,
	struct stats *stats)
{
	struct dump_frame frame;
	int frames = 0, res = 0;

	while (!is_stopped && res == 0 && (!opt->count || frames < opt->count)) {
		res = input_next(input, &frame);
		if (res == 0) {
			log_frame(&frame);
			stats_add(stats, &frame);
			res = output_write(output, &frame);
			if (res == 0 && ++frames != opt->count)
				res = pause_between(input, stats, opt->interval_ns);
		}
		if (res == 0 || res == -EAGAIN)
			res = stats_tick(stats);
	}
	return res;
}

/* Who reads the output may have enough of it: that is no failure. */
static bool is_fault(int res)
{
	return res < 0 && res != -EPIPE && res != -EINTR;
}

static int dump(const struct dump_options *opt)
{
	struct output *output;
	struct stats *stats;
	struct input *input;
	bool failed;

	if (output_open(&output, opt, &is_stopped) < 0)
		return EXIT_FAILURE;
	input = opt->is_sink ? sink_input_open(opt) : ring_input_open(opt);
	stats = stats_create(opt);
	failed = is_fault(run(opt, input, output, stats));
	stats_destroy(stats);
	input_close(input);
	failed |= output_close(output) < 0;
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char *argv[])
{
	struct dump_options opt;

	switch (dump_options_parse(&opt, argc, argv)) {
	case DUMP_EXIT: return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
	case DUMP_WRONG: return 2;
	default: break;
	}
	log_init(opt.log_level, opt.force_log_colors ? LOG_COLOUR_ALWAYS
				: opt.no_log_colors  ? LOG_COLOUR_NEVER
						     : LOG_COLOUR_AUTO);
	take_signals();
	return dump(&opt);
}
