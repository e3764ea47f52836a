// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * hdmicast: options → objects → loop → reverse teardown. The main thread is the network thread;
 * signals are events on its loop and reach no other thread.
 */
#include <bsd/unistd.h>
#include <event2/event.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "base/notify.h"
#include "http/server.h"
#include "pipeline/pipeline.h"
#include "pipeline/source_state.h"
#include "settings/options.h"
#include "settings/settings.h"
#include "shm/sinks.h"

#define LOG_TOPIC "main"
#include "base/log.h"

/* A pipeline that has not gone round its loop for this long is stuck: systemd is told nothing. */
#define STUCK_NS (15 * NS_PER_S)

/* From the signal to the end, whatever state a driver is in; sanitizers need longer. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STOP_MS 1500
#else
#define STOP_MS 700
#endif

struct app {
	struct options opt; /* as at the start; see settings_now() */
	struct settings *settings;
	struct event_base *base;
	struct pipeline *pipe;
	struct server *server;
	struct sinks *sinks;
	struct event *signals[3], *change, *watchdog, *clients;
	int64_t watched_ns; /* when somebody was watching last */
	int exit_code;
};

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct app *app = arg;

	(void)what;
	log_info("stopping: %s", strsignal(number));
	event_base_loopbreak(app->base);
}

/* The source's state or size is another one. */
static void on_change(evutil_socket_t fd, short what, void *arg)
{
	struct app *app = arg;
	struct pipeline_status status;
	eventfd_t count;

	(void)what;
	if (eventfd_read(fd, &count) < 0)
		return;
	pipeline_get_status(app->pipe, &status);
	if (status.online)
		notify_send("STATUS=%s: %ux%u %.4s", status.text, status.width, status.height,
			(char *)&status.format);
	else
		notify_send("STATUS=%s: %s", status.text, status.hint);
	if (app->opt.notify_parent && getppid() > 1)
		kill(getppid(), SIGUSR2);
	if (app->opt.exit_on_device_error && source_state_find(status.error)->device) {
		log_error("stopping, as --exit-on-device-error asks");
		app->exit_code = EXIT_FAILURE;
		event_base_loopbreak(app->base);
	}
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	struct app *app = arg;

	(void)fd, (void)what;
	if (now_ns() - pipeline_alive_ns(app->pipe) < STUCK_NS)
		notify_send("WATCHDOG=1");
}

/* Once a second, only with --exit-on-no-clients. */
static void on_count_clients(evutil_socket_t fd, short what, void *arg)
{
	struct app *app = arg;
	const int64_t now = now_ns();

	(void)fd, (void)what;
	if (server_clients(app->server) > 0 || sinks_have_clients(app->sinks))
		app->watched_ns = now;
	if (now - app->watched_ns < app->opt.exit_on_no_clients_s * NS_PER_S)
		return;
	log_info("stopping: nobody watched for %d s", app->opt.exit_on_no_clients_s);
	event_base_loopbreak(app->base);
}

static struct event *add_timer(struct app *app, event_callback_fn callback, int64_t every_us)
{
	struct timeval every = { every_us / 1000000, every_us % 1000000 };
	struct event *timer = event_new(app->base, -1, EV_PERSIST, callback, app);

	if (timer)
		event_add(timer, &every);
	return timer;
}

static const int stop_signals[] = { SIGINT, SIGTERM, SIGHUP };

/* From the first line of main() until the loop listens to them, so that none ends us halfway. */
static void hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(stop_signals); i++)
		sigaddset(&set, stop_signals[i]);
	sigprocmask(how, &set, NULL);
}

static void add_events(struct app *app)
{
	for (unsigned i = 0; i < ARRAY_SIZE(stop_signals); i++) {
		app->signals[i] = evsignal_new(app->base, stop_signals[i], on_signal, app);
		event_add(app->signals[i], NULL);
	}
	hold_signals(SIG_UNBLOCK);
	app->change = event_new(app->base, pipeline_change_fd(app->pipe), EV_READ | EV_PERSIST,
		on_change, app);
	event_add(app->change, NULL);
	if (notify_watchdog_us())
		app->watchdog = add_timer(app, on_watchdog, notify_watchdog_us() / 3);
	if (app->opt.exit_on_no_clients_s)
		app->clients = add_timer(app, on_count_clients, 1000000);
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void remove_events(struct app *app)
{
	for (unsigned i = 0; i < ARRAY_SIZE(app->signals); i++)
		free_event(app->signals[i]);
	free_event(app->change);
	free_event(app->watchdog);
	free_event(app->clients);
}

/* What can fail before there is anything to see; each failure has been logged. */
static int start(struct app *app)
{
	int res;

	app->base = event_base_new();
	if (!app->base) {
		log_error("no event loop: is the limit of open files (ulimit -n) very low?");
		return -ENOMEM;
	}
	settings_create(&app->settings, &app->opt);
	res = pipeline_create(&app->pipe, &app->opt);
	if (res < 0) {
		errno = -res;
		log_error("cannot start: %m");
		return res;
	}
	res = server_create(&app->server, app->base, app->pipe, settings_now(app->settings));
	if (res < 0)
		return res;
	server_set_settings(app->server, app->settings);
	res = sinks_create(&app->sinks, &app->opt, app->pipe);
	if (res < 0) {
		log_error("cannot start the shared-memory sinks: %s", strerror(-res));
		return res;
	}
	server_set_sinks(app->server, app->sinks);
	res = pipeline_start(app->pipe);
	if (res < 0)
		log_error("cannot start the capture thread: %s", strerror(-res));
	return res;
}

static void run(struct app *app)
{
	add_events(app);
	app->watched_ns = now_ns();
	log_info("ready: open %s", server_url(app->server));
	notify_send("READY=1\nSTATUS=Starting");
	event_base_dispatch(app->base);
	notify_send("STOPPING=1");
	hold_signals(SIG_BLOCK); /* a second one must not cut the way out short */
	remove_events(app);
}

static int leave_with; /* the exit status, for leave() */

/* The way out took too long: some driver holds a thread of ours. The kernel cleans up. */
static void leave(int number)
{
	static const char text[] = "hdmicast: stuck in a driver: leaving at once\n";

	(void)number;
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
		/* Nowhere left to say it. */
	}
	_exit(leave_with);
}

static void limit_stop(const struct app *app)
{
	struct itimerval limit = { .it_value = { STOP_MS / 1000, STOP_MS % 1000 * 1000 } };

	leave_with = app->exit_code;
	signal(SIGALRM, leave);
	setitimer(ITIMER_REAL, &limit, NULL);
}

static void stop(struct app *app)
{
	limit_stop(app);
	server_destroy(app->server);
	sinks_destroy(app->sinks);
	if (app->pipe)
		pipeline_stop(app->pipe);
	pipeline_destroy(app->pipe);
	settings_destroy(app->settings);
	if (app->base)
		event_base_free(app->base);
}

static void prepare_process(const struct options *opt, int argc, char *argv[])
{
	char line[1024] = "";

	struct rlimit files;

	/* Each viewer is a descriptor; the default of 1024 dates from select(2), which we never call. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
	if (opt->exit_on_parent_death) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() == 1)
			raise(SIGTERM); /* it died before we asked */
	}
	/* setproctitle_init() moved the arguments away: the password was wiped in its copy only. */
	if (!*opt->process_name_prefix && !*opt->passwd)
		return;
	for (int i = 0; i < argc && strlen(line) + strlen(argv[i]) + 2 < sizeof(line); i++)
		strcat(strcat(line, i ? " " : ""), argv[i]);
	setproctitle("-%s%s%s", opt->process_name_prefix, *opt->process_name_prefix ? ": " : "",
		line);
}

int main(int argc, char *argv[])
{
	struct app app = { 0 };

	hold_signals(SIG_BLOCK);
	setproctitle_init(argc, argv, environ);
	switch (options_parse(&app.opt, argc, argv)) {
	case OPTIONS_EXIT: return EXIT_SUCCESS;
	case OPTIONS_WRONG: return 2;
	case OPTIONS_RUN: break;
	}
	log_init(app.opt.log_level, app.opt.no_log_colors      ? LOG_COLOUR_NEVER
				    : app.opt.force_log_colors ? LOG_COLOUR_ALWAYS
							       : LOG_COLOUR_AUTO);
	notify_init();
	prepare_process(&app.opt, argc, argv);
	options_log_notices();
	log_info("hdmicast %s", VERSION);
	if (start(&app) < 0)
		app.exit_code = EXIT_FAILURE;
	else
		run(&app);
	stop(&app);
	return app.exit_code;
}
