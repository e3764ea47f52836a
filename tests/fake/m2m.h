/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A V4L2 memory-to-memory H.264 encoder that encodes for real. Each open handle is an encoder of
 * its own (E1); all of them share the device's one thread, the "VPU", which takes one frame at a
 * time. Names such as G13 in comments and reports are rules: see README.md.
 *
 * All of it is under the device lock. Only the thread lets go of it while it waits, reads a picture
 * and encodes: ctx->busy is set meanwhile, and who wants to free something ends the session and
 * waits until it is not.
 */
#ifndef FAKE_M2M_H
#define FAKE_M2M_H

#include "control.h"
#include "controls.h"
#include "device.h"
#include "vb2.h"

#include <sys/types.h>

enum { PLANES_MAX = 3, RAW_MAX = 16, CONTROLS_MAX = 16, SILENCE_MS = 3000 };

#define M2M_NC12 v4l2_fourcc('N', 'C', '1', '2') /* columns of 128 pixels */

/* ---- m2m_variant.c: which hardware and which driver it stands for */

struct m2m_variant {
	const char *name, *driver, *card, *called; /* called: its node, in /sys */
	uint32_t caps;                             /* device_caps */
	bool mplane;                               /* the multi-planar API */
	bool encoder;          /* false: a decoy; all but asking is a mistake (E18) */
	uint32_t raw[RAW_MAX]; /* formats, the default first; ends with 0 */
	uint32_t coded[3];
	const struct control *controls; /* in the order of their creation */
	unsigned n_controls;
	uint16_t min, max_width, max_height, step;
	/* Sizes are rounded up and returned so; lines are of whole stride_align, 0: a table (E9). */
	uint16_t width_align, height_align, stride_align;
	uint16_t min_outputs; /* MIN_BUFFERS_FOR_OUTPUT; REQBUFS raises to it */
	bool firmware; /* bcm2835: controls reach it with the first REQBUFS, levels are checked */
	bool drains;   /* STOP and START as the specification says (G38) */
	bool counts;   /* sequence and PFRAME are set */
	bool yuv32;    /* E10: old kernels */
};

const struct m2m_variant *m2m_variant_named(const char *name);

/* ---- the device */

struct m2m_counters {
	unsigned opens, sessions, in, out, idr, forced, dropped, reimports, dmabuf, copied;
	unsigned max_in_flight, pieces, wedges, torn;
};

/* What an encoder works with at the moment; also what the summary says. */
struct m2m_settings {
	uint32_t format, width, height, stride, fps_num, fps_den;
	uint32_t bitrate, gop, profile, level, min_qp, max_qp, quant;
	bool colour; /* the SPS says what the samples mean */
	bool repeat; /* parameter sets before each IDR */
	bool separate;
};

struct m2m {
	const struct m2m_variant *variant; /* set before the first open */
	bool thread;
	pthread_cond_t work; /* the VPU has something to do, or has done it; of CLOCK_MONOTONIC */
	bool wedged;
	int64_t stall_until_ns;
	unsigned latency_ms, pace; /* pace: MB/s, instead of latency_ms; 0 */
	unsigned drop, error, lose;
	bool scattered;         /* no import works */
	unsigned import_errors; /* imports to come that fail: … */
	char import_failure;    /* … q(buf) says so, or the picture has a f(lag) or is l(ost) */
	bool colour, pre2017, pre2022;
	uint32_t rejected; /* the control that the firmware refuses */
	uint32_t split;    /* largest coded buffer; 0 */
	size_t cma_bytes;
	int64_t usual_ns; /* what x264 takes for a picture */
	int64_t free_ns;  /* the last picture's end: hardware starts the next without a pause */
	unsigned turn, seed;
	struct m2m_counters count;
	struct m2m_settings last;
};

/* ---- the queues */

struct m2m_plane {
	struct buffer *mem; /* MMAP */
	uint8_t *import;    /* DMABUF: our mapping of it */
	size_t size;        /* of the dmabuf */
	ino_t inode;        /* of the dmabuf: who it is */
	int fd;             /* as the client called it */
	uint32_t bytesused, data_offset, length;
};

struct m2m_buffer {
	unsigned index;
	enum buffer_state state;
	struct m2m_plane plane[PLANES_MAX];
	struct timeval timestamp;
	uint32_t flags, sequence;
	bool submitted; /* the encoder has it, since then, and with it the answer to: */
	int64_t submitted_ns;
	bool idr;      /* a key frame was asked for */
	bool stop;     /* drain after it */
	char fails;    /* its import will, when it is submitted: f(lag) or l(ost) */
	uint64_t hash; /* of the picture when it was queued (B13) */
};

struct m2m_queue {
	uint32_t type, memory;
	bool output, streaming, error, in_dqbuf, last_dequeued;
	unsigned count, n_planes, n_todo, n_done;
	uint32_t sizes[PLANES_MAX];
	struct m2m_buffer *buffers[BUFFERS_MAX];
	unsigned todo[BUFFERS_MAX], done[BUFFERS_MAX];
	uint32_t sequence;
};

struct m2m_format {
	uint32_t fourcc, width, height; /* of the buffer */
	unsigned n_planes;              /* memories */
	uint32_t stride[PLANES_MAX], size[PLANES_MAX];
};

struct m2m_encoder;

enum drain { DRAIN_NONE, DRAIN_ASKED, DRAIN_DONE };

struct m2m_ctx {
	struct handle *h;
	struct m2m *m2m;
	const struct m2m_variant *variant;
	struct m2m_queue out, cap;
	struct m2m_format raw, coded;
	uint32_t crop_width, crop_height;
	bool crop_set;
	uint32_t colorspace[4];
	uint32_t fps_num, fps_den;
	bool component;  /* the firmware has an encoder for us */
	bool poisoned;   /* a STREAMON failed (G7) */
	bool hung;       /* nothing comes out any more */
	bool wedges_off; /* STREAMOFF will wedge the VPU (G21) */
	bool force_key;  /* for the next frame that is submitted */
	enum drain drain;
	bool busy;        /* a frame is in the VPU */
	unsigned session; /* grows with each; a job of an older one is thrown away */
	bool headers_due; /* none were sent in this session yet */
	uint32_t events;  /* subscribed: a bit for each type */
	unsigned since_idr, frames, epipes, imports;
	struct m2m_encoder *encoder;
	struct m2m_settings settings; /* of the encoder */
	uint8_t *unit;                /* an access unit on its way into CAPTURE buffers */
	size_t unit_size, unit_at;
	struct timeval unit_time;
	uint32_t unit_flags;
	struct m2m_buffer *inside; /* the picture it was made of, not returned yet */
};

static inline struct m2m *m2m_of(const struct device *dev)
{
	return dev->priv;
}

static inline struct m2m_ctx *ctx_of(const struct handle *h)
{
	return h->instance;
}

extern const struct ioctl_entry m2m_ioctls[];
void m2m_event(struct handle *h, uint32_t type);
extern const struct command m2m_commands[];

/* Reports a client's mistake and returns -error. */
int m2m_refuse(const struct m2m_ctx *ctx, const char *rule, int error, const char *what);
void m2m_summary(char *buf, size_t size); /* " m2m_in=…" of the first encoder; or "" */

/* ---- m2m_format.c and m2m_crop.c */
void m2m_formats_init(struct m2m_ctx *ctx);
bool m2m_is_output(const struct m2m_ctx *ctx, uint32_t type);
bool m2m_is_capture(const struct m2m_ctx *ctx, uint32_t type);
int m2m_enum_fmt(struct handle *h, void *arg);
int m2m_enum_framesizes(struct handle *h, void *arg);
int m2m_try_fmt(struct handle *h, void *arg);
int m2m_g_fmt(struct handle *h, void *arg);
int m2m_s_fmt(struct handle *h, void *arg);
int m2m_g_selection(struct handle *h, void *arg);
int m2m_s_selection(struct handle *h, void *arg);
int m2m_g_parm(struct handle *h, void *arg);
int m2m_s_parm(struct handle *h, void *arg);

/* ---- m2m_controls.c */
void m2m_controls_init(struct m2m_ctx *ctx);
int m2m_control(struct handle *h, struct control *c, int32_t value);
/* The first REQBUFS: what was set so far goes to the firmware (C5). */
void m2m_controls_replay(struct m2m_ctx *ctx);
/* What the firmware was told; or fallback, where the variant has no such control. */
int32_t m2m_applied(const struct m2m_ctx *ctx, uint32_t id, int32_t fallback);
void m2m_settings_get(const struct m2m_ctx *ctx, struct m2m_settings *out);
/* G3, G4: 0 or -ESRCH. */
int m2m_check_level(const struct m2m_ctx *ctx);

/* ---- m2m_queue.c, m2m_buffer.c and m2m_memory.c */
int m2m_reqbufs(struct handle *h, void *arg);
int m2m_create_bufs(struct handle *h, void *arg);
int m2m_querybuf(struct handle *h, void *arg);
int m2m_qbuf(struct handle *h, void *arg);
int m2m_dqbuf(struct handle *h, void *arg);
int m2m_expbuf(struct handle *h, void *arg);
int m2m_streamon(struct handle *h, void *arg);
int m2m_streamoff(struct handle *h, void *arg);
struct m2m_queue *m2m_queue_of(struct m2m_ctx *ctx, uint32_t type); /* NULL: no such */
void m2m_queue_off(struct m2m_ctx *ctx, struct m2m_queue *q);
void m2m_queue_free(struct m2m_queue *q);
short m2m_poll(const struct handle *h);
struct buffer *m2m_buffer_at(struct handle *h, int64_t offset, const void **queue);
uint8_t *m2m_memory(const struct m2m_buffer *buf, unsigned plane);
uint64_t m2m_hash(const struct m2m_queue *q, const struct m2m_buffer *buf);
void m2m_done(struct m2m_queue *q, struct m2m_buffer *buf, uint32_t flags);
size_t m2m_cma_free(struct m2m *m2m, struct device *dev);
int m2m_import(struct m2m_ctx *ctx, struct m2m_queue *q, struct m2m_buffer *buf,
	const struct v4l2_plane *planes);
void m2m_buffer_destroy(struct m2m_buffer *buf);
struct m2m_buffer *m2m_buffer_create(const struct m2m_queue *q, unsigned index);
int64_t m2m_offset(const struct m2m_queue *q, unsigned index, unsigned plane);

int m2m_check_planes(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct v4l2_buffer *b);
void m2m_describe(const struct m2m_ctx *ctx, const struct m2m_queue *q,
	const struct m2m_buffer *buf, struct v4l2_buffer *b);

/* ---- m2m_unit.c: what comes out */
bool m2m_more_waits(const struct m2m_ctx *ctx); /* pictures that were submitted */
void m2m_return_picture(struct m2m_ctx *ctx);
void m2m_send_last(struct m2m_ctx *ctx);
void m2m_unit_begin(struct m2m_ctx *ctx, bool idr);
void m2m_unit_append(struct m2m_ctx *ctx, const uint8_t *data, size_t size);
void m2m_unit_spoil(struct m2m_ctx *ctx);
/* Into as many CAPTURE buffers as it takes, as far as there are any (G17, G19). */
void m2m_unit_push(struct m2m_ctx *ctx);

/* ---- m2m_vpu.c, the thread, and m2m_session.c, what requests want of it */
void m2m_vpu_wait_until(struct m2m *m2m, struct device *dev, int64_t when);
void m2m_vpu_start(struct device *dev);
void m2m_vpu_kick(struct device *dev);
void m2m_submit(struct m2m_ctx *ctx); /* all queued frames, if both queues stream */
/* What is in the VPU is lost. Takes as long as a frame does; 2 s when the VPU is stuck (G33). */
void m2m_vpu_flush(struct m2m_ctx *ctx);
/* What STREAMON of the queue has to say: G3 to G6. */
int m2m_vpu_check(struct m2m_ctx *ctx, const struct m2m_queue *q);
int m2m_vpu_stop(struct m2m_ctx *ctx); /* ENCODER_CMD */
int m2m_vpu_resume(struct m2m_ctx *ctx);
void m2m_vpu_wedge(struct device *dev, bool on);
/* A request to a wedged VPU: waits, then -ETIME; 0 at once when it is well (G35). */
int m2m_vpu_ask(struct m2m_ctx *ctx);

/* ---- m2m_x264.c and m2m_picture.c; no locks, no devices */
struct m2m_picture {
	uint32_t format, width, height; /* as shown */
	const uint8_t *plane[PLANES_MAX];
	uint32_t stride;
	uint32_t good_rows; /* G24: what lies below is garbage */
};

/* Planes of a picture in its buffer memories. */
void m2m_picture_init(struct m2m_picture *pic, const struct m2m_format *format,
	uint8_t *const memory[PLANES_MAX]);
/* As planar 4:2:0 with lines of width bytes, chroma of width / 2. Even sizes. */
void m2m_picture_convert(const struct m2m_picture *pic, uint8_t *to);

int m2m_encoder_open(struct m2m_encoder **out, const struct m2m_settings *settings);
void m2m_encoder_close(struct m2m_encoder *enc);
/* Bitrate and rate change at once; what else differs needs a new encoder: false. */
bool m2m_encoder_tune(struct m2m_encoder *enc, const struct m2m_settings *settings);
/* SPS and PPS, Annex B. */
size_t m2m_encoder_headers(const struct m2m_encoder *enc, const uint8_t **data);
/* Reads a picture, which is not needed after that. */
void m2m_encoder_load(struct m2m_encoder *enc, const struct m2m_picture *pic);
/* The picture as one slice, Annex B, valid until the next call; 0: failed. */
size_t m2m_encoder_encode(struct m2m_encoder *enc, bool idr, const uint8_t **data);

#endif
