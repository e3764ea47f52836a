/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small encoder client for the tests of the fake encoder. Multi-planar but where it says so. */
#ifndef FAKE_SELFTEST_M2M_H
#define FAKE_SELFTEST_M2M_H

#include "selftest.h"

enum { M2M_OUT = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, M2M_CAP = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE };

struct encoder {
	int fd;
	unsigned n_out, n_cap, n_planes;
	uint8_t *out[8][3], *cap[8];
	size_t out_len[8][3], cap_len[8];
	struct v4l2_pix_format_mplane raw, coded;
};

/* What came out: flags, time, and a copy of up to 64 KiB. */
struct unit {
	unsigned index;
	uint32_t flags, sequence;
	int64_t time_us;
	size_t size;
	uint8_t data[1 << 16];
};

int m2m_set(struct encoder *e, uint32_t id, int32_t value);
int m2m_get(struct encoder *e, uint32_t id, int32_t *value);
int m2m_format(struct encoder *e, uint32_t type, uint32_t fourcc, unsigned w, unsigned h,
	unsigned stride, struct v4l2_pix_format_mplane *out);
int m2m_request(struct encoder *e, uint32_t type, uint32_t memory, unsigned *count);
void m2m_map(struct encoder *e, unsigned n_out, unsigned n_cap);
int m2m_stream(struct encoder *e, uint32_t type, bool on);
int m2m_queue_capture(struct encoder *e, unsigned index);
/* A picture whose brightness is `grey`; time_us is its timestamp. */
int m2m_queue_picture(struct encoder *e, unsigned index, uint8_t grey, int64_t time_us);
int m2m_queue_noise(struct encoder *e, unsigned index, int64_t time_us);
int m2m_dequeue_picture(struct encoder *e, unsigned *index); /* waits for up to 2 s */
int m2m_dequeue(struct encoder *e, struct unit *unit);       /* the same; does not queue again */
int m2m_command(struct encoder *e, uint32_t cmd);
short m2m_ready(struct encoder *e, short events, int timeout_ms);
/* One picture in, one unit out; both buffers are used again. */
void m2m_pass(struct encoder *e, uint8_t grey, int64_t time_us, struct unit *unit);
/* Formats, buffers, STREAMON: 2 pictures, 3 coded buffers of NV12. */
void m2m_start(struct encoder *e, unsigned width, unsigned height);
void m2m_open(struct encoder *e, const char *path);
void m2m_close(struct encoder *e);
bool has_nal(const struct unit *unit, unsigned type);

/* Open in each test. */
extern struct encoder m2m;
int reset_m2m(void **state);
int finish_m2m(void **state);

#endif
