/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where a picture's time goes, from its first pixel to the socket: a histogram for each stage of one
 * medium. Stages follow one another without a gap, so that together they are the frame's age. The
 * slate has no age, and is not counted. Any thread.
 */
#ifndef MEDIA_LATENCY_H
#define MEDIA_LATENCY_H

#include "base/histogram.h"
#include "media/frame.h"

enum latency_stage {
	STAGE_GRAB,    /* from the first pixel until the driver gave it to us */
	STAGE_WAIT,    /* until somebody began to work on it */
	STAGE_CONVERT, /* decoding and converting it for the encoder; JPEG: a part of the next one */
	STAGE_ENCODE,  /* in the encoder, or copied when JPEG is passed through */
	STAGE_PUBLISH, /* until it was given to all readers */
	STAGE_SEND,    /* until the kernel had all of it, for each viewer */
	STAGES
};

struct latency {
	atomic_uint_least64_t frames; /* published, the slate too */
	struct histogram stage[STAGES];
	struct histogram published; /* age when it was given to all readers */
	struct histogram sent;      /* age when the kernel had it, for each viewer */
};

/* As it is called in /state and /metrics. */
const char *latency_name(enum latency_stage stage);

/* Counts a frame whose published_ns was just set; its other times say the rest. */
void latency_note_published(struct latency *latency, const struct frame *frame);

/* What is being sent to a viewer: the times that count when it is done. */
struct latency_sending {
	int64_t captured_ns;
	int64_t published_ns; /* 0: nothing, or nothing that counts */
};

/* A newer frame may take the place of one that was not sent. */
void latency_begin_sending(struct latency_sending *sending, const struct frame *frame);
/* The kernel has all of it. Fine when nothing was being sent. */
void latency_note_sent(struct latency *latency, struct latency_sending *sending);

#endif
