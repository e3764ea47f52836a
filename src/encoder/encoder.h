/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an H.264 encoder is: a table of functions, and one struct for each opened one. m2m.c is
 * the hardware's, x264.c the software's; session.c runs one on a thread of its own.
 *
 * All functions but takes() are called on that thread alone. open, submit, tune and close may
 * block as long as a driver does: the session's owner watches the clock and, when it takes too
 * long, abandons session and thread. So an encoder has no locks and no threads that anybody waits
 * for, and shares nothing but the memory of its inputs.
 */
#ifndef ENCODER_ENCODER_H
#define ENCODER_ENCODER_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/picture.h"
#include "media/frame.h"
#include "media/h264_sps.h"

#define ENCODER_INPUTS    2 /* at most: one is encoded while the next is filled */
#define ENCODER_IN_FLIGHT 4 /* more than ever are submitted and not collected */

#define ENCODER_HOLDS_FRAMES (1U << 31) /* frames that were submitted are still being read */

/* What may be changed while frames flow. */
struct encoder_tuning {
	unsigned bitrate_kbps;
	unsigned gop; /* frames from key frame to key frame; 0: key frames on demand only */
	unsigned fps; /* as declared: the rate control counts on it */
	unsigned min_qp, max_qp;
};

/* What bitrate and rate may be at most, whatever was asked for; 0: no limit. */
struct encoder_limit {
	unsigned bitrate_kbps, fps;
};

struct encoder_config {
	uint32_t width, height; /* pixels, as shown */
	/*
	 * How the frames will be: format, planes' strides and sizes, range, matrix, dmabuf.id are
	 * set, pointers and descriptors are not. The input format is chosen after it.
	 */
	struct frame like;
	struct encoder_tuning tuning;
	unsigned most_fps; /* that tuning may ask for later: the level has to have room for it */
	enum h264_profile profile;
	bool boost;         /* --h264-boost: 60 fps above 720p */
	const char *device; /* m2m: "" looks for one */
};

/* A frame on its way through an encoder. */
struct encoder_pending {
	int64_t timestamp_us; /* unique and increasing; 0: this entry is free */
	int64_t begin_ns;     /* submitted */
	struct frame origin;  /* its times, number, online, range, matrix */
	bool want_key;        /* it was to be an IDR */
};

struct encoder_ops;

/* The head of each encoder's own struct. */
struct encoder {
	const struct encoder_ops *ops; /* set by open, as is the rest of this block */
	uint32_t width, height;
	char device[128]; /* its node, or "libx264 164" */
	enum h264_profile profile;
	unsigned level;                /* as struct h264_level */
	unsigned most_level, most_fps; /* that it may have; as in struct encoder_config */
	/*
	 * To be polled for `events`, which each collect() may change, while frames are pending or
	 * inputs busy; -1: nothing to wait for.
	 */
	int fd;
	short events;
	struct picture input[ENCODER_INPUTS]; /* memory to be filled, by the owner's thread */
	unsigned n_inputs;

	struct encoder_tuning tuning; /* as in force: what was asked for, clamped */
	/*
	 * A bit for each input that must not be written to, and ENCODER_HOLDS_FRAMES. May be set
	 * for longer than anything is pending: hardware may give a picture back after its unit.
	 */
	uint32_t busy_inputs;
	struct encoder_pending pending[ENCODER_IN_FLIGHT];
	int64_t last_timestamp_us;
	uint64_t lost;      /* frames that went in and never came out: rate control dropped them */
	unsigned keys_lost; /* that were to be IDRs, and are none or never came out */

	struct frame_pool *pool; /* of access units; encoder_init() makes it */
	uint8_t sps[H264_SPS_MAX + 4], pps[H264_SPS_MAX + 4]; /* the last ones, start code first */
	size_t sps_size, pps_size;
	enum frame_range range; /* what the last access unit's samples mean */
	enum frame_matrix matrix;
};

/* What goes in. */
struct encoder_submission {
	/*
	 * Either input[] of this number, which was filled, or -1 and a frame that takes() is true
	 * for. Then the encoder reads the frame's memory and holds a reference for that long.
	 */
	int input;
	struct frame *frame;        /* borrowed; NULL with an input */
	const struct frame *origin; /* times, number, online; what the samples mean; borrowed */
	bool want_key;              /* this very frame has to be an IDR */
};

struct encoder_ops {
	const char *name; /* as in --h264-encoder */
	/*
	 * Logs what it found out, and an unexpected error once. -ENODEV: there is no such encoder;
	 * -ERANGE: it cannot do this size or rate; -EBUSY, -ENOMEM, -EIO …: it can, but not now.
	 */
	int (*open)(struct encoder **out, const struct encoder_config *config);
	/* Whether it can read this frame where it lies. Any thread; looks at nothing that changes. */
	bool (*takes)(const struct encoder *encoder, const struct frame *frame);
	/*
	 * Whether one that is opened for such frames could, though this one cannot, as far as is
	 * known without trying. Any thread. NULL: never.
	 */
	bool (*could_take)(const struct encoder *encoder, const struct frame *frame);
	/*
	 * Any error: the encoder can only be closed. But -ENOTSUP: takes() was too hopeful; convert
	 * it. What was to be an IDR is counted as lost.
	 */
	int (*submit)(struct encoder *encoder, const struct encoder_submission *in);
	/*
	 * The next access unit, which the caller owns: Annex B, each IDR with SPS and PPS before it.
	 * Never blocks. -EAGAIN: nothing yet; call again when fd is ready, and after 100 ms at the
	 * latest while anything is pending. Any other error: the encoder can only be closed.
	 */
	int (*collect)(struct encoder *encoder, struct frame **out);
	/* Sets encoder->tuning to what then holds. Applies from the next submitted frame on. */
	int (*tune)(struct encoder *encoder, const struct encoder_tuning *tuning);
	/* Accepts what is half opened. */
	void (*close)(struct encoder *encoder);
};

extern const struct encoder_ops encoder_m2m;
#ifdef WITH_X264
extern const struct encoder_ops encoder_x264;
#endif

/* ---- for the encoders themselves: encoder.c */

/* Fills the head of a zeroed struct. */
void encoder_init(struct encoder *encoder, const struct encoder_ops *ops,
	const struct encoder_config *config);
void encoder_finish(struct encoder *encoder);

/*
 * Remembers a frame that is about to go in, and what its samples mean (in->origin's range and
 * matrix, also for an input); returns the timestamp it goes in with.
 */
int64_t encoder_note(struct encoder *encoder, const struct encoder_submission *in);
/*
 * The entry of that timestamp, or NULL. Those before it are lost: they are freed and counted. The
 * entry stays until encoder_make_unit() or encoder_forget().
 */
struct encoder_pending *encoder_match(struct encoder *encoder, int64_t timestamp_us);
void encoder_forget(struct encoder *encoder, struct encoder_pending *pending);
/* Forgets one that will not come out, and counts it. */
void encoder_lose(struct encoder *encoder, struct encoder_pending *pending);
unsigned encoder_count_pending(const struct encoder *encoder);

/*
 * Makes an access unit of what an encoder gave out for `pending`, and forgets that. Parameter
 * sets are remembered, say what the samples mean (h264_set_colour), and stand before each IDR.
 * -EBADMSG: it holds no slice (parameter sets alone: they were remembered), or pending is NULL;
 * nothing is forgotten then, so the slices may still come. -ENOMEM: the frame is lost.
 */
int encoder_make_unit(struct encoder *encoder, struct encoder_pending *pending, const uint8_t *data,
	size_t size, struct frame **out);

/*
 * Clamps bitrate and rate to what size, profile and the level picked for them allow, and logs it
 * once. The first call picks the level, from 4.0 on; it stays, for it stands in the stream.
 * -ERANGE when no level up to `most` (42, say) has room for the size.
 */
int encoder_fit(struct encoder *encoder, struct encoder_tuning *tuning, unsigned most);
/* Whether one that is opened for that rate would have a higher level. Any thread. */
bool encoder_is_outgrown(const struct encoder *encoder, unsigned most_fps);

#endif
