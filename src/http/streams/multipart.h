/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of a multipart/x-mixed-replace stream, as uStreamer's readers know them: pure
 * functions over evbuffers. A part ends with the boundary of the next one, so that a browser
 * shows the picture when its last byte came and not when the next picture begins.
 */
#ifndef HTTP_STREAMS_MULTIPART_H
#define HTTP_STREAMS_MULTIPART_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/buffer.h>

#include "fanout/fanout.h"

/* What a client asks for in the query of /stream. */
struct multipart_wishes {
	bool extra_headers;     /* everything known about the picture, in each part */
	bool advance_headers;   /* the next part's headers at once: Blink paints a part then */
	bool dual_final_frames; /* the last of a run of equal pictures twice: WebKit's bug */
	bool zero_data;         /* no pictures: for measuring */
};

struct multipart_session {
	struct multipart_wishes wishes;
	char id[17]; /* hex digits: the cookie by which a page finds itself in /state */
	char *key;   /* what the page calls itself, percent-encoded; "0" when it did not say */
};

/* A time of CLOCK_MONOTONIC as seconds with six decimals. */
#define MULTIPART_TIME_SIZE 32
const char *multipart_format_time(char out[static MULTIPART_TIME_SIZE], int64_t ns);

/* The head of the reply and the first boundary. `headers` is complete lines (CORS), or "". */
void multipart_add_head(struct evbuffer *out, const struct multipart_session *session,
	const char *instance_id, const char *headers);
/* One picture and the boundary after it. -ENOMEM: nothing sensible can follow. */
int multipart_add_part(struct evbuffer *out, const struct multipart_session *session,
	const struct delivery *delivery, unsigned client_fps);

#endif
