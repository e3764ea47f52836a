/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An encoder that does as it is told: for tests of what is built around encoders. Its access units
 * hold nothing but the number of the frame. The knobs are set before the session starts, or are
 * atomic.
 */
#ifndef TESTS_FAKE_ENCODER_H
#define TESTS_FAKE_ENCODER_H

#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "base/util.h"
#include "encoder/encoder.h"

struct fake_knobs {
	atomic_int open_error, submit_error, collect_error;
	atomic_int hang_in_open, hang_in_submit, hang_in_close; /* until it is 0 again */
	atomic_int silent;                                      /* nothing comes out */
	atomic_int takes;                                       /* frames in place */
	atomic_int could_take;                                  /* and would, opened anew */
	atomic_int most_level;                                  /* 0: levels are no matter */
	atomic_int big_units;                                   /* so many are, then small */
	atomic_int most_fps;                                    /* 0: any rate */
	atomic_llong encode_ns;                                 /* until a unit is out */
	atomic_int opened, closed, submitted, keys, in_place;   /* counts */
	atomic_uint bitrate_kbps;                               /* as tuned last */
};

struct fake_encoder {
	struct encoder encoder;
	struct fake_knobs *knobs;
	uint8_t *memory[ENCODER_INPUTS];
	struct {
		int64_t timestamp_us, due_ns;
		int input;
		struct frame *frame;
		bool key;
	} job[ENCODER_IN_FLIGHT];
	unsigned n_jobs;
	bool first;
};

static struct fake_knobs fake_hardware, fake_software;
static struct encoder_config fake_config; /* of the last one that was opened */

/* In the machine's time, for the clock may stand. Who waits for 2 knows that it hangs. */
static inline void fake_pause(atomic_int *knob)
{
	int asked = 1;

	atomic_compare_exchange_strong(knob, &asked, 2);
	while (atomic_load(knob))
		syscall(SYS_nanosleep, &(struct timespec){ 0, 1000000 }, NULL);
}

/* The descriptor becomes readable when the oldest job is done. */
static inline void fake_arm(struct fake_encoder *fake)
{
	int64_t due = fake->n_jobs ? MAX(fake->job[0].due_ns, 1) : 0;
	struct itimerspec at = { .it_value = { due / NS_PER_S, due % NS_PER_S } };

	timerfd_settime(fake->encoder.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static inline void fake_close(struct encoder *encoder)
{
	struct fake_encoder *fake = (struct fake_encoder *)encoder;

	fake_pause(&fake->knobs->hang_in_close);
	while (fake->n_jobs)
		frame_unref(fake->job[--fake->n_jobs].frame);
	for (unsigned i = 0; i < ENCODER_INPUTS; i++)
		free(fake->memory[i]);
	close(encoder->fd);
	encoder_finish(encoder);
	atomic_fetch_add(&fake->knobs->closed, 1);
	free(fake);
}

static inline int fake_open(struct encoder **out, const struct encoder_config *config,
	const struct encoder_ops *ops, struct fake_knobs *knobs)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct fake_encoder *fake;
	size_t size = (size_t)config->width * config->height;

	pthread_mutex_lock(&lock); /* one that hangs is no reason not to open the next */
	fake_config = *config;
	pthread_mutex_unlock(&lock);
	atomic_fetch_add(&knobs->opened, 1);
	fake_pause(&knobs->hang_in_open);
	if (atomic_load(&knobs->open_error))
		return atomic_load(&knobs->open_error);
	fake = xcalloc(1, sizeof(*fake));
	fake->knobs = knobs;
	fake->first = true;
	encoder_init(&fake->encoder, ops, config);
	if (atomic_load(&knobs->most_level))
		encoder_fit(&fake->encoder, &fake->encoder.tuning,
			(unsigned)atomic_load(&knobs->most_level));
	if (atomic_load(&knobs->most_fps))
		fake->encoder.tuning.fps = MIN(config->tuning.fps, (unsigned)knobs->most_fps);
	for (unsigned i = 0; i < ENCODER_INPUTS; i++) {
		struct picture *picture = &fake->encoder.input[i];

		fake->memory[i] = xcalloc(1, 2 * size + 64);
		picture->format = V4L2_PIX_FMT_YUV420;
		picture->width = config->width;
		picture->height = config->height;
		picture->plane[0] = (struct frame_plane){ fake->memory[i], config->width, size };
		for (unsigned p = 1; p < 3; p++)
			picture->plane[p] = (struct frame_plane){ fake->memory[i] + size,
				(config->width + 1) / 2, size / 2 };
	}
	snprintf(fake->encoder.device, sizeof(fake->encoder.device), "fake");
	fake->encoder.n_inputs = ENCODER_INPUTS;
	fake->encoder.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	fake->encoder.events = POLLIN;
	*out = &fake->encoder;
	return 0;
}

static inline bool fake_takes(const struct encoder *encoder, const struct frame *frame)
{
	(void)frame;
	return atomic_load(&((const struct fake_encoder *)encoder)->knobs->takes);
}

static inline bool fake_could_take(const struct encoder *encoder, const struct frame *frame)
{
	return frame->dmabuf.id &&
	       atomic_load(&((const struct fake_encoder *)encoder)->knobs->could_take);
}

static inline int fake_submit(struct encoder *encoder, const struct encoder_submission *in)
{
	struct fake_encoder *fake = (struct fake_encoder *)encoder;
	struct fake_knobs *knobs = fake->knobs;

	fake_pause(&knobs->hang_in_submit);
	if (atomic_load(&knobs->submit_error)) {
		encoder->lost++;
		encoder->keys_lost += in->want_key;
		return atomic_load(&knobs->submit_error);
	}
	fake->job[fake->n_jobs].timestamp_us = encoder_note(encoder, in);
	fake->job[fake->n_jobs].due_ns = now_ns() + atomic_load(&knobs->encode_ns);
	fake->job[fake->n_jobs].input = in->input;
	fake->job[fake->n_jobs].frame = in->frame ? frame_ref(in->frame) : NULL;
	fake->job[fake->n_jobs].key = in->want_key || fake->first;
	if (fake->n_jobs && fake->job[fake->n_jobs - 1].due_ns > now_ns())
		fake->job[fake->n_jobs].due_ns = fake->job[fake->n_jobs - 1].due_ns +
						 atomic_load(&knobs->encode_ns);
	fake->first = false;
	fake->n_jobs++;
	fake_arm(fake);
	if (in->input >= 0)
		encoder->busy_inputs |= 1U << in->input;
	atomic_fetch_add(&knobs->submitted, 1);
	atomic_fetch_add(&knobs->in_place, in->input < 0);
	atomic_fetch_add(&knobs->keys, in->want_key);
	return 0;
}

static inline int fake_collect(struct encoder *encoder, struct frame **out)
{
	struct fake_encoder *fake = (struct fake_encoder *)encoder;
	struct encoder_pending *pending;
	struct frame *unit;
	size_t size = 8;

	if (atomic_load(&fake->knobs->collect_error))
		return atomic_load(&fake->knobs->collect_error);
	if (atomic_load(&fake->knobs->silent) || !fake->n_jobs || fake->job[0].due_ns > now_ns())
		return -EAGAIN;
	pending = encoder_match(encoder, fake->job[0].timestamp_us);
	if (atomic_load(&fake->knobs->big_units) > 0) {
		atomic_fetch_sub(&fake->knobs->big_units, 1);
		size = 100000;
	}
	if (!pending || frame_pool_get(encoder->pool, size, &unit) < 0)
		abort();
	frame_copy_origin(unit, &pending->origin);
	memcpy(unit->plane[0].data, &unit->sequence, 8);
	unit->format = V4L2_PIX_FMT_H264;
	unit->key = fake->job[0].key;
	unit->keepable = false;
	unit->width = encoder->width;
	unit->height = encoder->height;
	unit->encode_begin_ns = pending->begin_ns;
	unit->encode_end_ns = now_ns();
	encoder_forget(encoder, pending);
	if (fake->job[0].input >= 0)
		encoder->busy_inputs &= ~(1U << fake->job[0].input);
	frame_unref(fake->job[0].frame);
	memmove(&fake->job[0], &fake->job[1], --fake->n_jobs * sizeof(fake->job[0]));
	fake_arm(fake);
	*out = unit;
	return 0;
}

static inline int fake_tune(struct encoder *encoder, const struct encoder_tuning *tuning)
{
	encoder->tuning = *tuning;
	encoder->tuning.bitrate_kbps = MIN(tuning->bitrate_kbps, 20000U);
	atomic_store(&((struct fake_encoder *)encoder)->knobs->bitrate_kbps, tuning->bitrate_kbps);
	return 0;
}

extern const struct encoder_ops fake_hardware_ops, fake_software_ops;

static inline int fake_open_hardware(struct encoder **out, const struct encoder_config *config)
{
	return fake_open(out, config, &fake_hardware_ops, &fake_hardware);
}

static inline int fake_open_software(struct encoder **out, const struct encoder_config *config)
{
	return fake_open(out, config, &fake_software_ops, &fake_software);
}

const struct encoder_ops fake_hardware_ops = { .name = "m2m",
	.open = fake_open_hardware,
	.takes = fake_takes,
	.could_take = fake_could_take,
	.submit = fake_submit,
	.collect = fake_collect,
	.tune = fake_tune,
	.close = fake_close };
const struct encoder_ops fake_software_ops = { .name = "x264",
	.open = fake_open_software,
	.takes = fake_takes,
	.could_take = fake_could_take,
	.submit = fake_submit,
	.collect = fake_collect,
	.tune = fake_tune,
	.close = fake_close };

#endif
