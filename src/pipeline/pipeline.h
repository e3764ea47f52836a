/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pipeline keeps a source alive: it opens, reads, and after any error closes, waits and opens
 * again, for as long as the program runs. While there is no picture it publishes a slate that says
 * why, once a second. It owns the outlets: raw frames, and JPEG and H.264 made of them on demand.
 */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H

#include "encoder/h264.h"
#include "media/drops.h"
#include "media/mailbox.h"
#include "pipeline/device_controls.h"
#include "settings/options.h"

struct pipeline;

/* All that is known about the source. The texts are constants. */
struct pipeline_status {
	bool online;
	int error;         /* 0 or the -errno behind `state` */
	const char *state; /* "online", "no-signal", …: for programs */
	const char *text;  /* "No signal": for people */
	const char *hint;  /* what to do about it; "" when online */
	uint32_t width;    /* of the last picture, or as configured */
	uint32_t height;
	uint32_t format; /* fourcc of the last picture, 0 before the first */
	unsigned captured_fps;
	uint64_t captured; /* frames since the start */
	uint64_t skipped;  /* left out by --desired-fps */
	uint64_t restarts; /* how often the source was opened again */
};

/* Nothing is captured before pipeline_start(). opt must outlive the pipeline. */
int pipeline_create(struct pipeline **out, const struct options *opt);
int pipeline_start(struct pipeline *pipeline);
/* Ends the capture thread; as long as a driver holds it, this waits. Call it once or often. */
void pipeline_stop(struct pipeline *pipeline);
/* Stopped, and no mailbox attached. NULL is fine. */
void pipeline_destroy(struct pipeline *pipeline);

/* JPEG pictures, made only while a mailbox is attached. */
struct outlet *pipeline_jpeg(struct pipeline *pipeline);
/* H.264 access units, made only while a mailbox is attached: see encoder/h264.h. */
struct outlet *pipeline_h264(struct pipeline *pipeline);
/* What the source delivers, plus the slate. */
struct outlet *pipeline_raw(struct pipeline *pipeline);

/* The rest may be called on any thread. */
void pipeline_get_status(struct pipeline *pipeline, struct pipeline_status *out);
void pipeline_get_h264_status(struct pipeline *pipeline, struct h264_status *out);
/*
 * From now on the live options (options_next_live) are these; image controls when the device is
 * opened next, see pipeline_device_controls(). A rate above the one that the device was opened with opens it
 * again; all else is done without a gap, but for what h264_encoder_set_options() says.
 */
void pipeline_set_options(struct pipeline *pipeline, const struct options *now);
/* Controls of the device. A change there that pipeline_set_options() is told of outlives the device. */
struct device_controls *pipeline_device_controls(struct pipeline *pipeline);
/* See h264_encoder_limit(). */
void pipeline_limit_h264(struct pipeline *pipeline, const struct encoder_limit *limit);
struct drops *pipeline_drops(struct pipeline *pipeline);
struct latency *pipeline_latency(struct pipeline *pipeline, enum medium medium);
/* How /state names the JPEG encoder: "HW" when pictures are passed through, else "CPU". */
const char *pipeline_encoder_type(struct pipeline *pipeline);
/* An eventfd: readable after the state or the size changed. Its reader resets it. */
int pipeline_change_fd(struct pipeline *pipeline);
/* When the capture thread last went round its loop: what the watchdog looks at. */
int64_t pipeline_alive_ns(struct pipeline *pipeline);

#endif
