/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The side of a hardware encoder where pictures go in: its OUTPUT queue, in one of two ways.
 *
 * Mapped: inputs are the driver's own buffers, and are filled in place. Imported, when the
 * source's pictures are as the encoder wants them: it reads them where they lie, and each of its
 * buffers is bound to one of the source's for good, because binding them anew for each frame
 * leaks in some kernels (raspberrypi/linux #6429). What has to be converted all the same (the
 * no-signal picture) is then written to inputs in memory of ours, and copied to buffers of a second
 * handle of the same device, which are imported as well: a queue has one kind of memory, and to
 * change that it would have to be stopped.
 */
#ifndef ENCODER_M2M_INPUT_H
#define ENCODER_M2M_INPUT_H

#include <stdatomic.h>

#include "encoder/encoder.h"
#include "encoder/m2m_device.h"
#include "encoder/m2m_format.h"
#include "encoder/m2m_queue.h"

/* One buffer of the queue, and what is in it. */
struct m2m_slot {
	uint64_t id; /* imported: of the memory it is bound to; 0: none yet */
	uint64_t set;
	bool queued;
	int64_t timestamp_us;
	int input;           /* -1: none */
	struct frame *frame; /* a reference, while the driver may read its memory; NULL: none */
};

/* The second handle. */
struct m2m_staging {
	struct m2m_device device; /* fd -1: not open */
	struct v4l2_queue queue;
	int dmabuf[ENCODER_INPUTS];
	bool failed; /* not even these can be imported */
};

struct m2m_input {
	const struct m2m_device *device;
	struct m2m_format format;
	struct v4l2_queue queue;
	struct m2m_slot slot[V4L2_BUFFERS];
	uint32_t used[FRAME_PLANES];   /* bytes of a picture */
	const struct picture *picture; /* the encoder's inputs */
	struct v4l2_map
		memory[ENCODER_INPUTS]; /* imported: theirs, until the driver's takes over */
	struct m2m_staging staging;
	unsigned
		errors[2]; /* imports that failed late, in a row: of sources; of our own pictures */
	atomic_bool imports; /* cleared by the encoder's thread, read by any */
};

/*
 * Allocates buffers and sets the encoder's inputs. Tries to import when the format is as_source.
 * `count` buffers at least, if there is memory for them.
 */
int m2m_input_open(struct m2m_input *input, const struct m2m_device *device,
	const struct m2m_format *format, struct encoder *encoder, unsigned count);
/* Starts a mapped queue; an imported one starts with its first picture, see m2m_input_put(). */
int m2m_input_start(struct m2m_input *input);
/* Any thread. */
bool m2m_input_takes(const struct m2m_input *input, const struct frame *frame);
/*
 * -ENOTSUP: that picture is not taken, a frame is to be converted from now on; and when it was an
 * input, all that was under way is lost. Any other error is the end.
 */
int m2m_input_put(struct m2m_input *input, const struct encoder_submission *in,
	int64_t timestamp_us);
/*
 * Takes back one picture that the driver has read, and lets go of it. *timestamp_us: the one it
 * was put with; *number: its input, or -1. -EAGAIN: none.
 */
int m2m_input_reclaim(struct m2m_input *input, int64_t *timestamp_us, int *number);
/* Whether the driver may still read frames of the source. */
bool m2m_input_holds_frames(const struct m2m_input *input);
/* Stops the queue and lets go of everything; fine at any time after zeroing. */
void m2m_input_close(struct m2m_input *input);

#endif
