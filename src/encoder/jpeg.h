/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw frames in, JPEG frames out; frames that are JPEG already are sanitised and passed through.
 * Works only while a mailbox is attached to its outlet. Output keeps the order of the input, and
 * each worker starts on the newest frame there is: nothing stale is ever queued.
 */
#ifndef ENCODER_JPEG_H
#define ENCODER_JPEG_H

#include <stdbool.h>

#include "media/drops.h"
#include "media/mailbox.h"
#include "settings/options.h"

struct jpeg_encoder;

/* Borrows all arguments until it is destroyed. Starts opt->workers threads, or as many as it can. */
int jpeg_encoder_create(struct jpeg_encoder **out, const struct options *opt, struct outlet *raw,
	struct drops *drops);
/* Ends the threads within one encode. No mailbox may be attached. NULL is fine. */
void jpeg_encoder_destroy(struct jpeg_encoder *encoder);
/* The outlet is the encoder's own. */
struct outlet *jpeg_encoder_outlet(struct jpeg_encoder *encoder);
/* 1–100, from the next picture on. Any thread. */
void jpeg_encoder_set_quality(struct jpeg_encoder *encoder, int quality);

#endif
