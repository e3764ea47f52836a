// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The pipeline with a source that plays a script: what it shows, says and does after each
 * error, and that it ends when told, whatever the source does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/*
 * A second copy of the pipeline, under names of its own beside the one in the program, that gets
 * its source from us.
 */
#define source_find              scripted_find
#define pipeline_create          tested_create
#define pipeline_start           tested_start
#define pipeline_stop            tested_stop
#define pipeline_destroy         tested_destroy
#define pipeline_jpeg            tested_jpeg
#define pipeline_h264            tested_h264
#define pipeline_raw             tested_raw
#define pipeline_get_h264_status tested_get_h264_status
#define pipeline_set_options     tested_set_options
#define pipeline_limit_h264      tested_limit_h264
#define pipeline_device_controls tested_desk
#define pipeline_get_status      tested_get_status
#define pipeline_drops           tested_drops
#define pipeline_latency         tested_latency
#define pipeline_encoder_type    tested_encoder_type
#define pipeline_change_fd       tested_change_fd
#define pipeline_alive_ns        tested_alive_ns
#include "../../src/pipeline/pipeline.c"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "preload.h"
#include "slate/draw.h"

#define PATIENCE_NS (60 * NS_PER_S)

/* What open() and next() do, one after the other. */
enum what {
	END,        /* waits for the stop */
	OPEN_FAILS, /* with value */
	FRAMES,     /* value frames, 10 ms apart */
	SILENCE,    /* for value ms */
	FAIL,       /* next() fails with value, and the source is closed */
	DROP,       /* next() says that it dropped a frame */
	WIDTH,      /* frames are value wide from here on */
	HOLD,       /* as a driver that does not come back, until let_go() */
};

struct step {
	enum what what;
	int value;
};

static struct {
	const struct step *step; /* capture thread only, as all of this block */
	int left;                /* of the step */
	uint32_t width;
	uint64_t sequence;
	int64_t silent_until_ns;
	struct source source;
	const struct source_config *config;
	struct frame_pool *pool;

	atomic_bool held, released;
	atomic_int brightness;
	atomic_uint opens, closes;
	atomic_int_least64_t opened_ns, closed_ns;
} script;

/*
 * The clock stands. It goes on where the source waits, by just what that takes, and where a test
 * says so: then the capture thread is held, or in await_retry().
 */
static void step_ms(int64_t ms)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* own.h is of one thread */

	pthread_mutex_lock(&lock);
	own_step(preload_own(), ms * NS_PER_MS);
	pthread_mutex_unlock(&lock);
}

/* Of the machine: whoever has something to do may do it now. */
static void rest(void)
{
	syscall(SYS_nanosleep, &(struct timespec){ 0, NS_PER_MS }, NULL);
}

#define AWAIT(condition)                                                                      \
	for (int64_t end_ = own_real_ns(CLOCK_MONOTONIC) + PATIENCE_NS; !(condition); rest()) \
	assert_true(own_real_ns(CLOCK_MONOTONIC) < end_)

static void step_on(void)
{
	script.step++;
	script.left = script.step->what == FRAMES ? script.step->value : 0;
	script.silent_until_ns = now_ns() + script.step->value * NS_PER_MS;
}

static bool is_readable(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1;
}

/* -ECANCELED when the program stops. */
static int hold(void)
{
	if (script.step->what != HOLD)
		return 0;
	atomic_store(&script.held, true);
	while (!atomic_exchange(&script.released, false)) {
		if (is_readable(script.config->stop_fd))
			return -ECANCELED;
		rest();
	}
	step_on();
	return 0;
}

static int scripted_open(struct source **out, const struct source_config *config)
{
	atomic_fetch_add(&script.opens, 1);
	atomic_store(&script.opened_ns, now_ns());
	script.config = config;
	if (script.step->what == OPEN_FAILS) {
		int res = script.step->value;

		if (script.step[1].what != END) /* the last one lasts */
			step_on();
		return res;
	}
	*out = &script.source;
	return 0;
}

static int give_frame(struct frame **out)
{
	int res = frame_pool_get(script.pool, draw_bytes(script.width, 120), out);

	if (res < 0)
		return res;
	draw_shape(*out, script.width, 120);
	(*out)->online = true;
	(*out)->sequence = ++script.sequence;
	(*out)->captured_ns = (*out)->grabbed_ns = now_ns();
	return 0;
}

static int wait_stop(int64_t ms)
{
	if (is_readable(script.config->stop_fd))
		return -ECANCELED;
	step_ms(ms);
	return -ETIMEDOUT;
}

static int scripted_next(struct source *source, struct frame **out, int64_t until_ns)
{
	struct pollfd stop = { .fd = script.config->stop_fd, .events = POLLIN };
	const struct step *step;
	int64_t left_ms, timeout_ms;
	int res;

	(void)source;
	if ((res = hold()) < 0)
		return res;
	step = script.step;
	switch (step->what) {
	case FRAMES:
		if ((res = wait_stop(10)) == -ECANCELED)
			return res;
		if (--script.left == 0)
			step_on();
		return give_frame(out);
	case SILENCE:
		left_ms = (script.silent_until_ns - now_ns()) / NS_PER_MS;
		timeout_ms = (until_ns - now_ns() + NS_PER_MS - 1) / NS_PER_MS;
		res = wait_stop(MAX(MIN(left_ms, timeout_ms), 0));
		if (left_ms <= timeout_ms)
			step_on();
		return res;
	case WIDTH:
		script.width = (uint32_t)step->value;
		step_on();
		return -EAGAIN;
	case DROP: step_on(); return -EAGAIN;
	case FAIL:
	case OPEN_FAILS: step_on(); return step->what == FAIL ? step->value : -EIO;
	default: poll(&stop, 1, -1); return -ECANCELED;
	}
}

/* Until the capture thread is in a HOLD. */
static void await_held(void)
{
	AWAIT(atomic_load(&script.held));
}

static void let_go(void)
{
	await_held();
	atomic_store(&script.held, false);
	atomic_store(&script.released, true);
}

static void scripted_close(struct source *source)
{
	(void)source;
	atomic_fetch_add(&script.closes, 1);
	atomic_store(&script.closed_ns, now_ns());
}

static void scripted_list(struct source *source, struct source_controls *out)
{
	(void)source;
	out->count = 1;
	out->control[0].value = atomic_load(&script.brightness);
}

static int scripted_control(struct source *source, const struct option_control wish[CONTROLS],
	enum option_control_id *which)
{
	(void)source, (void)which;
	atomic_store(&script.brightness, wish[CONTROL_BRIGHTNESS].value);
	return 0;
}

static const struct source_ops scripted_ops = {
	.name = "scripted",
	.open = scripted_open,
	.next = scripted_next,
	.list = scripted_list,
	.control = scripted_control,
	.close = scripted_close,
};

const struct source_ops *source_find(const char *name)
{
	script.source.ops = &scripted_ops;
	(void)name;
	return &scripted_ops;
}

/* A pipeline that plays, and someone who looks at its raw frames. */
struct play {
	struct options opt;
	struct pipeline *pipe;
	struct mailbox *mailbox;
	int saved_stderr, said;
};

static struct play *begin(const struct step *steps, int desired_fps)
{
	struct play *play = xcalloc(1, sizeof(*play));
	char name[] = "hdmicast", *argv[] = { name, NULL };

	memset(&script, 0, sizeof(script));
	script.step = steps - 1;
	script.width = 160;
	script.pool = frame_pool_create(4);
	calm_set(0, 1);
	step_on();

	assert_int_equal(options_parse(&play->opt, 1, argv), OPTIONS_RUN);
	play->opt.desired_fps = desired_fps;
	play->said = memfd_create("stderr", MFD_CLOEXEC);
	fcntl(play->said, F_SETFL, O_APPEND);
	play->saved_stderr = dup(STDERR_FILENO);
	dup2(play->said, STDERR_FILENO);
	assert_int_equal(pipeline_create(&play->pipe, &play->opt), 0);
	assert_int_equal(mailbox_create(&play->mailbox, 1), 0);
	outlet_attach(pipeline_raw(play->pipe), play->mailbox);
	return play;
}

static struct play *start(const struct step *steps, int desired_fps)
{
	struct play *play = begin(steps, desired_fps);

	assert_int_equal(pipeline_start(play->pipe), 0);
	return play;
}

static char said[65536];

static void finish(struct play *play)
{
	ssize_t got;

	pipeline_stop(play->pipe);
	outlet_detach(pipeline_raw(play->pipe), play->mailbox);
	mailbox_destroy(play->mailbox);
	pipeline_destroy(play->pipe);
	frame_pool_destroy(script.pool);
	dup2(play->saved_stderr, STDERR_FILENO);
	close(play->saved_stderr);
	got = pread(play->said, said, sizeof(said) - 1, 0);
	said[MAX(got, 0)] = '\0';
	close(play->said);
	free(play);
}

static unsigned count_said(const char *text)
{
	unsigned count = 0;

	for (const char *at = said; (at = strstr(at, text)); at++)
		count++;
	return count;
}

static struct frame *receive(struct play *play)
{
	AWAIT(is_readable(mailbox_fd(play->mailbox)));
	return mailbox_take(play->mailbox);
}

/* Frames go by until one is (or is not) a picture. */
static struct frame *receive_kind(struct play *play, bool online)
{
	struct frame *frame = receive(play);

	while (frame->online != online) {
		frame_unref(frame);
		frame = receive(play);
	}
	return frame;
}

static struct pipeline_status status_of(struct play *play)
{
	struct pipeline_status status;

	pipeline_get_status(play->pipe, &status);
	return status;
}

/* Waits on the change event, as main does. */
static void assert_becomes(struct play *play, const char *state)
{
	eventfd_t count;

	while (strcmp(status_of(play).state, state)) {
		AWAIT(is_readable(pipeline_change_fd(play->pipe)));
		eventfd_read(pipeline_change_fd(play->pipe), &count);
	}
}

/* Until the capture thread waits to open the source again, and has shown what is due. */
static void await_retry(struct play *play)
{
	for (int i = 0; i < 2; i++) { /* it hears this before it shows the slate */
		wake(play->pipe->wake_fd);
		AWAIT(!is_readable(play->pipe->wake_fd));
	}
}

static void before_it_starts_it_says_so(void **state)
{
	static const struct step steps[] = { { END, 0 } };
	struct play *play = begin(steps, 0);
	struct pipeline_status status = status_of(play);

	(void)state;
	assert_false(status.online);
	assert_string_equal(status.state, "starting");
	assert_int_equal(status.width, 640);
	assert_int_equal(status.height, 480);
	assert_int_equal(status.format, 0);
	finish(play);
}

static void frames_reach_the_reader_in_order_and_the_state_is_online(void **state)
{
	static const struct step steps[] = { { FRAMES, 20 }, { HOLD, 0 } };
	struct play *play = start(steps, 0);
	uint64_t last = 0;

	(void)state;
	while (last < 20) {
		struct frame *frame = receive(play);

		assert_true(frame->online && frame->key);
		assert_true(frame->sequence > last);
		last = frame->sequence;
		frame_unref(frame);
	}
	assert_becomes(play, "online");
	assert_true(status_of(play).online);
	assert_int_equal(status_of(play).captured, 20);
	assert_int_equal(status_of(play).skipped, 0);
	assert_int_equal(status_of(play).width, 160);
	assert_int_equal(status_of(play).height, 120);
	assert_int_equal(status_of(play).format, V4L2_PIX_FMT_YUV420);
	assert_string_equal(status_of(play).hint, "");
	finish(play);
	assert_int_equal(count_said("Online"), 1);
	assert_int_equal(script.closes, 1);
}

static void each_error_of_open_shows_its_slate_at_once(void **state)
{
	static const struct {
		struct step step[2];
		const char *state, *text;
	} cases[] = {
		{ { { OPEN_FAILS, -ENODEV }, { END, 0 } }, "no-device", "No capture device" },
		{ { { OPEN_FAILS, -EACCES }, { END, 0 } }, "no-permission", "Device not allowed" },
		{ { { OPEN_FAILS, -EBUSY }, { END, 0 } }, "busy", "Device in use" },
		{ { { OPEN_FAILS, -ENOLINK }, { END, 0 } }, "no-signal", "No signal" },
		{ { { OPEN_FAILS, -ENOTCONN }, { END, 0 } }, "no-cable", "No HDMI cable" },
		{ { { OPEN_FAILS, -ENOLCK }, { END, 0 } }, "no-sync", "No sync" },
		{ { { OPEN_FAILS, -ERANGE }, { END, 0 } }, "unsupported-mode", "Unsupported" },
		{ { { OPEN_FAILS, -ENOSPC }, { END, 0 } }, "no-bandwidth", "bandwidth" },
		{ { { OPEN_FAILS, -EIO }, { END, 0 } }, "device-error", "Capture device failed" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct play *play = start(cases[i].step, 0);
		struct frame *slate = receive_kind(play, false); /* no time passes */

		assert_true(slate->key && slate->keepable);
		assert_int_equal(slate->width, 640);
		assert_int_equal(slate->height, 480);
		frame_unref(slate);
		assert_string_equal(status_of(play).state, cases[i].state);
		assert_false(status_of(play).online);
		assert_true(*status_of(play).hint);
		finish(play);
		assert_int_equal(count_said(cases[i].text), 1);
	}
}

static void the_slate_comes_once_a_second_and_is_said_once(void **state)
{
	static const struct step steps[] = { { OPEN_FAILS, -ENODEV }, { END, 0 } };
	struct play *play = start(steps, 0);

	(void)state;
	for (int i = 0; i < 3; i++) {
		frame_unref(receive_kind(play, false));
		await_retry(play);
		step_ms(999);
		await_retry(play);
		assert_false(is_readable(mailbox_fd(play->mailbox)));
		step_ms(1);
	}
	frame_unref(receive_kind(play, false));
	assert_true(status_of(play).restarts >= 2);
	finish(play);
	assert_int_equal(count_said("No capture device"), 1);
}

static void a_newcomer_sees_the_slate_at_once(void **state)
{
	static const struct step steps[] = { { OPEN_FAILS, -ENODEV }, { END, 0 } };
	struct play *play = start(steps, 0);

	(void)state;
	frame_unref(receive_kind(play, false));
	for (int i = 0; i < 10; i++) {
		outlet_detach(pipeline_raw(play->pipe), play->mailbox);
		frame_unref(mailbox_take(play->mailbox));
		outlet_attach(pipeline_raw(play->pipe), play->mailbox);
		assert_true(is_readable(mailbox_fd(play->mailbox)));
		frame_unref(mailbox_take(play->mailbox));
	}
	finish(play);
}

static void the_slate_has_the_size_of_the_last_picture(void **state)
{
	static const struct step steps[] = { { WIDTH, 320 }, { FRAMES, 5 }, { HOLD, 0 },
		{ FAIL, -ENODEV }, { OPEN_FAILS, -ENODEV }, { END, 0 } };
	struct play *play = start(steps, 0);
	struct frame *slate;

	(void)state;
	let_go();
	slate = receive_kind(play, false);
	assert_int_equal(slate->width, 320);
	assert_int_equal(slate->height, 120);
	frame_unref(slate);
	assert_int_equal(status_of(play).width, 320);
	finish(play);
	assert_int_equal(script.closes, 1);
}

static void the_picture_comes_back_after_every_kind_of_failure(void **state)
{
	static const int errors[] = { -EIO, -ENODEV, -ENOLINK, -ENOLCK, -ENOTCONN, -ERANGE, -EPROTO,
		-ENOSPC };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		const struct step steps[] = { { FRAMES, 3 }, { HOLD, 0 }, { FAIL, errors[i] },
			{ FRAMES, 100 }, { HOLD, 0 } };
		struct play *play = start(steps, 0);

		frame_unref(receive_kind(play, true));
		let_go();
		frame_unref(receive_kind(play, false));
		await_retry(play);
		assert_int_equal(script.opens, 1);
		step_ms(1000);
		frame_unref(receive_kind(play, true));
		assert_becomes(play, "online");
		finish(play);
		assert_int_equal(script.opens, 2);
		assert_int_equal(script.closes, 2);
		assert_int_equal(count_said("Online"), 2);
	}
}

static void a_changed_source_is_opened_again_without_a_slate(void **state)
{
	static const struct step steps[] = { { FRAMES, 5 }, { FAIL, -ERESTART }, { WIDTH, 320 },
		{ FRAMES, 5 }, { FAIL, -ERESTART }, { WIDTH, 160 }, { FRAMES, 5 }, { HOLD, 0 } };
	struct play *play = start(steps, 0);
	uint64_t last = 0;

	(void)state;
	while (last < 15) { /* no time passes while it is closed */
		struct frame *frame = receive(play);

		assert_true(frame->online);
		last = frame->sequence;
		frame_unref(frame);
	}
	assert_int_equal(script.opened_ns, script.closed_ns);
	finish(play);
	assert_int_equal(script.opens, 3);
	assert_int_equal(count_said("Online: 160x120"), 2);
	assert_int_equal(count_said("Online: 320x120"), 1);
}

static void a_first_frame_may_take_three_seconds(void **state)
{
	static const struct step steps[] = { { SILENCE, 1500 }, { HOLD, 0 }, { SILENCE, 1500 },
		{ FRAMES, 1 }, { HOLD, 0 } };
	int64_t began_ns;
	struct play *play = begin(steps, 0);
	struct frame *frame;

	(void)state;
	began_ns = now_ns();
	assert_int_equal(pipeline_start(play->pipe), 0);
	frame = receive_kind(play, false);
	assert_int_equal(frame->captured_ns - began_ns, NS_PER_S);
	frame_unref(frame);
	assert_string_equal(status_of(play).state, "no-frames");
	let_go();
	frame = receive_kind(play, true);
	assert_int_equal(frame->captured_ns - began_ns, 3010 * NS_PER_MS);
	frame_unref(frame);
	assert_int_equal(script.opens, 1);
	finish(play);
}

static void a_source_that_falls_silent_is_opened_again(void **state)
{
	static const struct step steps[] = { { FRAMES, 3 }, { HOLD, 0 }, { SILENCE, 1500 },
		{ FRAMES, 1000 }, { HOLD, 0 } };
	struct play *play = start(steps, 0);
	struct frame *frame;
	int64_t held_ns;

	(void)state;
	await_held();
	held_ns = now_ns();
	frame_unref(receive_kind(play, true));
	let_go();
	frame = receive_kind(play, false);
	assert_int_equal(frame->captured_ns - held_ns, NS_PER_S);
	frame_unref(frame);
	assert_string_equal(status_of(play).state, "no-frames");
	await_retry(play);
	step_ms(100);
	frame_unref(receive_kind(play, true));
	assert_int_equal(script.opens, 2);
	finish(play);
	assert_int_equal(count_said("No frames"), 1);
}

static void dropped_frames_do_not_count_as_pictures(void **state)
{
	static const struct step steps[] = { { DROP, 0 }, { DROP, 0 }, { FRAMES, 2 }, { DROP, 0 },
		{ FRAMES, 1 }, { HOLD, 0 } };
	struct play *play = start(steps, 0);

	(void)state;
	await_held();
	assert_int_equal(status_of(play).captured, 3);
	finish(play);
	assert_int_equal(script.opens, 1);
}

static void the_limit_skips_and_counts(void **state)
{
	static const struct step steps[] = { { FRAMES, 100 }, { HOLD, 0 } };
	static const int limits[] = { 10, 20, 50 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		struct play *play = start(steps, limits[i]);

		await_held();
		assert_int_equal(status_of(play).captured, 100);
		assert_int_equal(status_of(play).skipped, 100 - limits[i]);
		finish(play);
	}
}

static void the_change_event_fires_for_states_and_sizes_only(void **state)
{
	static const struct step steps[] = { { FRAMES, 20 }, { WIDTH, 320 }, { FRAMES, 20 },
		{ FAIL, -ENOLINK }, { OPEN_FAILS, -ENOLINK }, { END, 0 } };
	struct play *play = start(steps, 0);
	eventfd_t count;

	(void)state;
	frame_unref(receive_kind(play, false));
	for (int i = 0; i < 3; i++) {
		await_retry(play);
		step_ms(500);
	}
	await_retry(play);
	assert_int_equal(script.opens, 4);
	assert_int_equal(eventfd_read(pipeline_change_fd(play->pipe), &count), 0);
	assert_int_equal(count, 3); /* online, another size, no signal */
	finish(play);
}

static void it_is_alive_while_it_waits_for_a_device(void **state)
{
	static const struct step steps[] = { { OPEN_FAILS, -ENODEV }, { END, 0 } };
	struct play *play = start(steps, 0);

	(void)state;
	frame_unref(receive_kind(play, false));
	for (int i = 0; i < 3; i++) {
		await_retry(play);
		step_ms(1000);
		AWAIT(pipeline_alive_ns(play->pipe) == now_ns());
	}
	finish(play);
}

static void it_is_not_alive_while_a_driver_holds_it(void **state)
{
	static const struct step steps[] = { { FRAMES, 1 }, { HOLD, 0 } };
	struct play *play = start(steps, 0);
	int64_t held_ns;

	(void)state;
	await_held();
	held_ns = now_ns();
	step_ms(1400);
	frame_unref(receive_kind(play, true));
	assert_int_equal(pipeline_alive_ns(play->pipe), held_ns);
	finish(play);
}

static void it_stops_at_once_in_any_state(void **state)
{
	static const struct step scripts[][3] = {
		{ { FRAMES, 100000 }, { END, 0 } },
		{ { SILENCE, 1500 }, { END, 0 } },
		{ { FRAMES, 5 }, { END, 0 } },
		{ { OPEN_FAILS, -ENODEV }, { END, 0 } },
		{ { OPEN_FAILS, -ENOLINK }, { END, 0 } },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct play *play = start(scripts[i], 0);

		frame_unref(receive(play));
		finish(play); /* no time passes */
	}
}

static void it_can_be_destroyed_before_it_started(void **state)
{
	static const struct step steps[] = { { END, 0 } };

	(void)state;
	finish(begin(steps, 0));
	assert_int_equal(script.opens, 0);
	pipeline_destroy(NULL);
}

static void jpeg_is_made_of_frames_and_of_the_slate(void **state)
{
	static const struct step steps[] = { { FRAMES, 5 }, { HOLD, 0 }, { FAIL, -ENOLINK },
		{ OPEN_FAILS, -ENOLINK }, { END, 0 } };
	struct play *play = begin(steps, 0);
	struct mailbox *jpegs;
	struct frame *frame = NULL;

	(void)state;
	assert_int_equal(mailbox_create(&jpegs, 1), 0);
	outlet_attach(pipeline_jpeg(play->pipe), jpegs);
	assert_int_equal(pipeline_start(play->pipe), 0);
	for (bool online = true, done = false; !done;) {
		AWAIT(is_readable(mailbox_fd(jpegs)));
		frame = mailbox_take(jpegs);
		assert_int_equal(frame->format, V4L2_PIX_FMT_JPEG);
		assert_memory_equal(frame->plane[0].data, "\xFF\xD8\xFF", 3);
		assert_true(frame->encode_end_ns >= frame->encode_begin_ns);
		done = !online && !frame->online;
		if (online) {
			assert_true(frame->online);
			let_go();
			online = false;
		}
		frame_unref(frame);
	}
	assert_string_equal(pipeline_encoder_type(play->pipe), "CPU");
	outlet_detach(pipeline_jpeg(play->pipe), jpegs);
	mailbox_destroy(jpegs);
	finish(play);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_it_starts_it_says_so),
		cmocka_unit_test(frames_reach_the_reader_in_order_and_the_state_is_online),
		cmocka_unit_test(each_error_of_open_shows_its_slate_at_once),
		cmocka_unit_test(the_slate_comes_once_a_second_and_is_said_once),
		cmocka_unit_test(a_newcomer_sees_the_slate_at_once),
		cmocka_unit_test(the_slate_has_the_size_of_the_last_picture),
		cmocka_unit_test(the_picture_comes_back_after_every_kind_of_failure),
		cmocka_unit_test(a_changed_source_is_opened_again_without_a_slate),
		cmocka_unit_test(a_first_frame_may_take_three_seconds),
		cmocka_unit_test(a_source_that_falls_silent_is_opened_again),
		cmocka_unit_test(dropped_frames_do_not_count_as_pictures),
		cmocka_unit_test(the_limit_skips_and_counts),
		cmocka_unit_test(the_change_event_fires_for_states_and_sizes_only),
		cmocka_unit_test(it_is_alive_while_it_waits_for_a_device),
		cmocka_unit_test(it_is_not_alive_while_a_driver_holds_it),
		cmocka_unit_test(it_stops_at_once_in_any_state),
		cmocka_unit_test(it_can_be_destroyed_before_it_started),
		cmocka_unit_test(jpeg_is_made_of_frames_and_of_the_slate),
	};

	calm_down(1);
	log_init(LOG_LEVEL_INFO, LOG_COLOUR_NEVER);
	return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
