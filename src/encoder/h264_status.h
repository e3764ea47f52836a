/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is told of the H.264 encoder: the supervisor and h264.c fill it, /state and others read it. */
#ifndef ENCODER_H264_STATUS_H
#define ENCODER_H264_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "encoder/encoder.h"

/* All that is known about it. The texts but `device` and `text` are constants. */
struct h264_status {
	/*
	 * "off" (not wanted by --h264-encoder), "idle" (nobody watches), "starting", "running",
	 * "fallback" (software, because the hardware failed), "failed" (none works; tried again)
	 */
	const char *state;
	const char *encoder; /* "m2m", "x264", or "none" */
	char device[128];    /* what it runs on; "" when none */
	char text[192];      /* for people: what is wrong and what to do; "" when all is well */
	const char *profile;
	unsigned level; /* ten times the number */
	uint32_t width, height;
	struct encoder_tuning wanted, tuning; /* as asked for; as in force */
	bool online;        /* the last access unit shows a picture, not the slate */
	unsigned fps;       /* access units in the last second */
	uint64_t encoded;   /* access units since the start */
	uint64_t keys;      /* key frames among them */
	uint64_t same;      /* frames like the one before, left out */
	uint64_t late;      /* frames left out because the encoder had no time for them */
	uint64_t lost;      /* frames that the encoder's rate control dropped */
	uint64_t opened;    /* how often an encoder was opened */
	uint64_t failures;  /* how often one failed or hung */
	int64_t encode_ns;  /* what encoding a frame takes, smoothed */
	int64_t convert_ns; /* what preparing one takes, smoothed */
};

#endif
