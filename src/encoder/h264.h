/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Frames in, H.264 access units out, on demand: by the hardware encoder where there is one, else
 * by x264, and always by one of them. Works only while a mailbox is attached to its outlet. The
 * newest frame is encoded as soon as there is room for it; nothing stale is ever queued.
 *
 * An encoder that hangs or fails is abandoned on its own thread and opened again; after a few
 * failures x264 takes over (--h264-encoder auto) until the hardware answers again.
 */
#ifndef ENCODER_H264_H
#define ENCODER_H264_H

#include <stdbool.h>
#include <stdint.h>

#include "encoder/encoder.h"
#include "encoder/h264_status.h"
#include "media/drops.h"
#include "media/mailbox.h"
#include "settings/options.h"

struct h264_encoder;

/* Borrows all arguments until it is destroyed. -errno when threads or descriptors run out. */
int h264_encoder_create(struct h264_encoder **out, const struct options *opt, struct outlet *raw,
	struct drops *drops);
/* An encoder that hangs in its driver is left behind. No mailbox may be attached. NULL is fine. */
void h264_encoder_destroy(struct h264_encoder *encoder);
/* The outlet is the encoder's own. Its need_key asks for an IDR at once. */
struct outlet *h264_encoder_outlet(struct h264_encoder *encoder);

/* The rest may be called on any thread. */

/*
 * Takes bitrate, GOP, QP, rate, profile and the rate of still pictures out of the options, from the
 * next frame on. Without a gap, but for another profile; clamped values show in the status.
 */
void h264_encoder_set_options(struct h264_encoder *encoder, const struct options *now);
/* On top of that, as lines allow: the lower one holds. What was asked for stays as it is. */
void h264_encoder_limit(struct h264_encoder *encoder, const struct encoder_limit *limit);
void h264_encoder_get_status(struct h264_encoder *encoder, struct h264_status *out);
/* Since when all JPEGs were damaged; 0: the last one was not. */
int64_t h264_encoder_damaged_ns(struct h264_encoder *encoder);

#endif
