/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session runs one encoder on a thread of its own, so that no driver can ever hold up its
 * owner: the owner hands frames over, looks how far things are, and lets go of a session that
 * hangs. What it let go of ends by itself, should the driver ever return, and frees itself.
 *
 * Access units are published on the session's thread, in order, and never after
 * session_close().
 */
#ifndef ENCODER_SESSION_H
#define ENCODER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "encoder/encoder.h"
#include "media/mailbox.h"

struct session;

enum session_state {
	SESSION_OPENING,
	SESSION_RUNNING,
	SESSION_FAILED, /* see error; can only be closed */
	SESSION_CLOSED  /* after session_close(): the driver let go of everything */
};

/* How things were a moment ago. */
struct session_view {
	enum session_state state;
	int error;
	unsigned in_flight;   /* frames handed over that have neither come out nor are lost */
	int64_t waiting_ns;   /* since when the oldest of them, or open or close, takes; 0: idle */
	int64_t begin_ns;     /* when the encoder began with the oldest of them */
	uint32_t free_inputs; /* a bit for each input that may be filled */
	unsigned keys_lost;   /* frames that were to be key frames and became none: ask again */

	int64_t encode_ns; /* what a frame takes, smoothed; 0: not known yet */
	uint64_t units, keys, lost;
	size_t last_size;    /* bytes of the last access unit */
	int64_t ended_ns;    /* when the last access unit came out */
	int64_t last_key_ns; /* when the last key frame did */
	bool online;         /* of the last access unit */
	unsigned fps;        /* as in force, see struct encoder_tuning */
};

/*
 * Opens the encoder on a new thread and publishes to `to`. config is copied; config->device must
 * outlive the session. wake_fd: an eventfd, written when a frame has
 * come out or is lost, an input is free that was not, or the state changes.
 */
int session_start(struct session **out, const struct encoder_ops *ops,
	const struct encoder_config *config, struct outlet *to, int wake_fd);
void session_get_view(struct session *session, struct session_view *out);
/* What it was started for. */
const struct encoder_config *session_config(const struct session *session);
/* The encoder of a session that is running: its inputs, takes() and what is set by open. */
const struct encoder *session_encoder(const struct session *session);
/* What is in force there. */
void session_get_tuning(struct session *session, struct encoder_tuning *out);

/*
 * Hands a frame over: in->input was filled, or in->frame is to be read in place (a reference is
 * taken). At most ENCODER_INPUTS may be in flight.
 */
void session_submit(struct session *session, const struct encoder_submission *in);
void session_tune(struct session *session, const struct encoder_tuning *tuning);

/* Asks it to close. The owner touches no input any more; frames in flight are thrown away. */
void session_close(struct session *session);
/* Lets go of it, closed or not. NULL is fine. */
void session_release(struct session *session);

#endif
