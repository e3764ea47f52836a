/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What server.c and the endpoints share. An endpoint is one file that defines a struct endpoint,
 * and one line in the table in server.c. Network thread only.
 */
#ifndef HTTP_ENDPOINT_H
#define HTTP_ENDPOINT_H

#include <event2/event.h>

#include "base/rate.h"
#include "fanout/arbiter.h"
#include "fanout/fanout.h"
#include "http/exchange.h"
#include "http/streams/multipart.h"
#include "net/listen.h"
#include "pipeline/pipeline.h"
#include "settings/options.h"
#include "settings/settings.h"
#include "shm/sinks.h"

/* The structure whose member this is. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

struct settings_change;

/* Kinds of streams, as /metrics tells them apart. */
enum stream_kind { STREAM_MJPEG, STREAM_MP4, STREAM_AVC, STREAM_H264, STREAM_KINDS };

struct traffic {
	unsigned clients; /* now */
	uint64_t bytes;   /* that the kernel took */
};

/* Someone who watches /stream. */
struct mjpeg_viewer {
	TAILQ_ENTRY(mjpeg_viewer) link; /* server->mjpeg_viewers */
	struct viewer viewer;
	struct server *server;
	struct connection *conn;
	struct multipart_session session;
	struct latency_sending sending;
	struct rate rate;
	size_t untouched; /* length of the output in which no byte of its part was sent yet */
};

struct server {
	const struct options *opt;
	struct pipeline *pipeline;
	struct sinks *sinks;
	struct settings *settings; /* NULL: nothing may change */
	struct settings_change *change;
	struct event_base *base;
	struct fanout *jpeg, *h264;
	struct arbiter *arbiter;
	struct connection_set *connections;
	struct listener listener;
	struct acceptor *acceptor;
	struct exchange_server requests;
	struct protocol http;
	char *auth_token; /* NULL: everyone may */
	TAILQ_HEAD(, mjpeg_viewer) mjpeg_viewers;
	struct traffic traffic[STREAM_KINDS];
	int64_t started_us; /* of the wall clock */
};

struct endpoint {
	const char *path;
	unsigned methods; /* of enum request_method; HEAD and OPTIONS always work */
	size_t max_body;  /* bytes of a PATCH or POST, which change something: origin.h; 0: none */
	bool is_public;   /* needs no password */
	bool is_page;     /* --static replaces it, and "?action=" works on it */
	void (*handle)(struct server *server, struct exchange *exchange, const struct request *req);
	const char *help;
};

extern const struct endpoint endpoint_page, endpoint_page_style, endpoint_page_script;
extern const struct endpoint endpoint_favicon;
extern const struct endpoint endpoint_stream, endpoint_snapshot;
extern const struct endpoint endpoint_h264, endpoint_mp4, endpoint_avc;
extern const struct endpoint endpoint_state, endpoint_clock;
extern const struct endpoint endpoint_metrics, endpoint_healthz;
extern const struct endpoint endpoint_settings, endpoint_keyframe, endpoint_controls;
/* Everything else, with --static. */
extern const struct endpoint endpoint_static;

/* Whether --static names a directory we can read. Logs why not; 0 or -errno. */
int static_check(const struct options *opt);

#endif
