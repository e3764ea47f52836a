// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * H.264 in software, by libx264: a frame goes in, its access unit comes out, at once. There is no
 * look-ahead and there are no B frames, so nothing is ever held back.
 *
 * What we encode is mostly a desktop: text that stands still, and now and then all of it changes.
 * So the quality is constant and the bitrate is its limit (CRF with VBV): what stands still costs
 * nothing, however long, and a picture that the limit made coarse is sharpened by the next ones.
 *
 * Key frames are counted here, for then the GOP may change at any time. So may the declared rate:
 * x264 counts on the one it was opened with, and its limit is scaled to give the same bits a frame.
 *
 * submit() does it all on the caller's thread, with the slices on threads of x264's own; these
 * inherit the caller's signal mask, in which all signals are blocked.
 */
#include "encoder/encoder.h"

#include <linux/videodev2.h>

#include <x264.h>

#include "base/util.h"

#define LOG_TOPIC "x264"
#include "base/log.h"

#define PRESET      "superfast"
#define MOST_LEVEL  51
#define MAX_QP      51
#define MAX_THREADS 4  /* each has a slice, and slices cost bits */
#define STRIDE      64 /* bytes that strides and planes are multiples of */

/* From here on text on a desktop shows no fault; each point less costs an eighth more bits. */
#define QUALITY 24

/*
 * How many frames' worth of bits may come at once: on a line that is just as fast as the bitrate, no
 * access unit takes longer. A new page of text at 1080p and 5 Mbit/s begins with 25 dB then, and has
 * 35 four and 50 sixteen frames later; with 250 ms at once it would begin with 35 and end as late.
 */
#define BURST_FRAMES 2

struct x264 {
	struct encoder base;
	x264_param_t param;
	x264_t *x264;
	uint8_t *memory[ENCODER_INPUTS];
	unsigned opened_fps;  /* what x264 counts on */
	int64_t n_frames;     /* that went in; the next one's time for x264 */
	unsigned since_key;   /* frames since the last IDR */
	bool needs_key;       /* one was lost: what follows cannot be decoded without */
	const uint8_t *ready; /* an access unit in x264's memory until the next submit(), or NULL */
	size_t ready_size;
	int64_t ready_us; /* its timestamp */
};

static struct x264 *x264_of(struct encoder *encoder)
{
	return (struct x264 *)encoder;
}

/* ---- parameters */

PRINTF(3, 0)
static void on_log(void *arg, int level, const char *format, va_list args)
{
	char text[256];

	(void)arg;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	/* A warning may be about each frame: a picture that does not fit into the VBV, say. */
	log_write(level <= X264_LOG_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, LOG_TOPIC, "%s",
		text);
}

static int n_threads(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	return (int)CLAMP(online, 1L, (long)MAX_THREADS);
}

/* The part of the parameters that x264 changes while it runs. */
static void set_rate(x264_param_t *param, const struct encoder_tuning *tuning, unsigned opened_fps)
{
	uint64_t kbps = (uint64_t)tuning->bitrate_kbps * opened_fps / tuning->fps;

	param->rc.i_vbv_max_bitrate = (int)CLAMP(kbps, 1U, 1000000U);
	param->rc.i_vbv_buffer_size = (int)((BURST_FRAMES * (uint64_t)param->rc.i_vbv_max_bitrate +
						    opened_fps - 1) /
					    opened_fps);
}

static void set_quality(x264_param_t *param, const struct encoder_tuning *tuning)
{
	int most = tuning->max_qp ? (int)MIN(tuning->max_qp, MAX_QP) : MAX_QP;

	param->rc.i_rc_method = X264_RC_CRF;
	/* It takes bits from what is rich in contrast, which is text. */
	param->rc.i_aq_mode = X264_AQ_NONE;
	param->rc.i_qp_min = MIN((int)tuning->min_qp, most);
	param->rc.i_qp_max = most;
	param->rc.f_rf_constant = (float)CLAMP(QUALITY, param->rc.i_qp_min, most);
}

static int set_params(struct x264 *x264)
{
	static const char *const profiles[] = {
		[H264_CONSTRAINED_BASELINE] = "baseline", /* x264's is: it knows no FMO, no ASO */
		[H264_BASELINE] = "baseline",
		[H264_MAIN] = "main",
		[H264_HIGH] = "high",
	};
	const struct encoder *base = &x264->base;
	x264_param_t *param = &x264->param;

	if (x264_param_default_preset(param, PRESET, "zerolatency") < 0)
		return -EINVAL;
	param->pf_log = on_log;
	param->i_log_level = X264_LOG_WARNING;
	param->i_threads = n_threads();
	param->b_sliced_threads = 1;
	param->i_width = (int)base->width;
	param->i_height = (int)base->height;
	param->i_csp = X264_CSP_NV12; /* of the stream 4:2:0; inputs say their own */
	param->i_level_idc = (int)base->level;
	param->i_fps_num = x264->opened_fps;
	param->i_fps_den = 1;
	param->b_vfr_input = 0;
	param->i_keyint_max = X264_KEYINT_MAX_INFINITE;
	param->i_scenecut_threshold = 0;
	param->b_repeat_headers = 1;
	param->b_annexb = 1;
	param->b_aud = 0;
	set_quality(param, &base->tuning);
	set_rate(param, &base->tuning, x264->opened_fps);
	return x264_param_apply_profile(param, profiles[base->profile]) < 0 ? -EINVAL : 0;
}

/* x264 says no more than that it failed, on its log. */
static int start(struct x264 *x264)
{
	int res;

	x264->opened_fps = x264->base.tuning.fps;
	res = set_params(x264);
	if (res < 0)
		return res;
	x264->x264 = x264_encoder_open(&x264->param);
	x264->n_frames = 0;
	return x264->x264 ? 0 : -EIO;
}

static void stop(struct x264 *x264)
{
	if (x264->x264)
		x264_encoder_close(x264->x264);
	x264->x264 = NULL;
	x264->ready = NULL;
}

/* ---- pictures */

static uint32_t align(uint32_t value, uint32_t to)
{
	return (value + to - 1) / to * to;
}

static int make_input(struct x264 *x264, unsigned number, uint32_t format)
{
	struct picture *input = &x264->base.input[number];
	uint32_t stride = align(x264->base.width, 2 * STRIDE); /* chroma may have half of it */
	size_t size;

	*input = (struct picture){
		.format = format, .width = x264->base.width, .height = x264->base.height
	};
	size = picture_lay_out(input, NULL, stride, x264->base.height);
	x264->memory[number] = aligned_alloc(STRIDE, (size + STRIDE - 1) / STRIDE * STRIDE);
	if (!x264->memory[number])
		return -ENOMEM;
	picture_lay_out(input, x264->memory[number], stride, x264->base.height);
	x264->base.n_inputs = number + 1;
	return 0;
}

/* How x264 calls a format, X264_CSP_NONE when it cannot read it; and how many planes that has. */
static int csp_of(uint32_t format, int *n_planes)
{
	*n_planes = format == V4L2_PIX_FMT_NV12 || format == V4L2_PIX_FMT_NV21 ? 2 : 3;
	switch (format) {
	case V4L2_PIX_FMT_YUV420: return X264_CSP_I420;
	case V4L2_PIX_FMT_YVU420: return X264_CSP_YV12;
	case V4L2_PIX_FMT_NV12: return X264_CSP_NV12;
	case V4L2_PIX_FMT_NV21: return X264_CSP_NV21;
	default: return X264_CSP_NONE;
	}
}

static bool takes(const struct encoder *encoder, const struct frame *frame)
{
	int n_planes;

	if (frame->width != encoder->width || frame->height != encoder->height ||
		csp_of(frame->format, &n_planes) == X264_CSP_NONE)
		return false;
	for (int i = 0; i < n_planes; i++) {
		const struct frame_plane *plane = &frame->plane[i];
		uint32_t row = i && n_planes == 3 ? encoder->width / 2 : encoder->width;
		uint32_t rows = i ? encoder->height / 2 : encoder->height;

		if (!plane->data || plane->stride < row || plane->stride > INT32_MAX ||
			plane->size < (uint64_t)plane->stride * (rows - 1) + row)
			return false;
	}
	return true;
}

static void describe(x264_picture_t *picture, uint32_t format,
	const struct frame_plane plane[FRAME_PLANES])
{
	x264_picture_init(picture);
	picture->img.i_csp = csp_of(format, &picture->img.i_plane);
	for (int i = 0; i < picture->img.i_plane; i++) {
		picture->img.plane[i] = plane[i].data;
		picture->img.i_stride[i] = (int)plane[i].stride;
	}
}

/* ---- the table's functions */

static int check_size(const struct encoder_config *config)
{
	/* In 4:2:0, a stream is cropped by two pixels at a time. */
	if (config->width % 2 || config->height % 2) {
		log_warn("cannot encode %ux%u: H.264 in 4:2:0 has even sizes only", config->width,
			config->height);
		return -ERANGE;
	}
	return 0;
}

static int open_all(struct x264 *x264, const struct encoder_config *config)
{
	struct encoder *base = &x264->base;
	uint32_t format = config->like.format == V4L2_PIX_FMT_NV12 ? V4L2_PIX_FMT_NV12
								   : V4L2_PIX_FMT_YUV420;
	int res = check_size(config);

	if (res < 0)
		return res;
	res = encoder_fit(base, &base->tuning, MOST_LEVEL);
	if (res < 0) {
		log_warn("cannot encode %ux%u: beyond level 5.1", config->width, config->height);
		return res;
	}
	for (unsigned i = 0; i < ENCODER_INPUTS && res == 0; i++)
		res = make_input(x264, i, format);
	return res < 0 ? res : start(x264);
}

static void x264_close(struct encoder *encoder)
{
	struct x264 *x264 = x264_of(encoder);

	if (!x264)
		return;
	stop(x264);
	for (unsigned i = 0; i < ENCODER_INPUTS; i++)
		free(x264->memory[i]);
	encoder_finish(encoder);
	free(x264);
}

static int x264_open(struct encoder **out, const struct encoder_config *config)
{
	struct x264 *x264 = xcalloc(1, sizeof(*x264));
	int res;

	encoder_init(&x264->base, &encoder_x264, config);
	snprintf(x264->base.device, sizeof(x264->base.device), "libx264 %d", X264_BUILD);
	res = open_all(x264, config);
	if (res < 0) {
		x264_close(&x264->base);
		return res;
	}
	log_verbose("opened %s for %ux%u, %s level %u.%u, %u kbit/s at most, %d threads",
		x264->base.device, config->width, config->height,
		h264_profile_name(config->profile), x264->base.level / 10, x264->base.level % 10,
		x264->base.tuning.bitrate_kbps, x264->param.i_threads);
	*out = &x264->base;
	return 0;
}

/* Decoders read what samples mean at an IDR only, so a change of it needs one. */
static bool is_key(const struct x264 *x264, const struct encoder_submission *in)
{
	const struct encoder *base = &x264->base;

	return in->want_key || x264->needs_key || !x264->n_frames ||
	       (base->tuning.gop && x264->since_key >= base->tuning.gop) ||
	       in->origin->range != base->range || in->origin->matrix != base->matrix;
}

static int encode(struct x264 *x264, x264_picture_t *picture)
{
	x264_picture_t ignored;
	x264_nal_t *nals;
	int n_nals, size;

	picture->i_pts = x264->n_frames++;
	size = x264_encoder_encode(x264->x264, &nals, &n_nals, picture, &ignored);
	if (size <= 0 || !n_nals) {
		log_error("no access unit came out (%d)", size);
		return -EIO;
	}
	x264->ready = nals[0].p_payload; /* the others lie behind it */
	x264->ready_size = (size_t)size;
	return 0;
}

static int x264_submit(struct encoder *encoder, const struct encoder_submission *in)
{
	struct x264 *x264 = x264_of(encoder);
	x264_picture_t picture;
	bool key;

	if (in->frame && !takes(encoder, in->frame)) {
		encoder->lost++;
		encoder->keys_lost += in->want_key;
		return -ENOTSUP;
	}
	if (in->frame)
		describe(&picture, in->frame->format, in->frame->plane);
	else
		describe(&picture, encoder->input[in->input].format,
			encoder->input[in->input].plane);
	x264->needs_key |= x264->ready != NULL; /* which nobody collected */
	key = is_key(x264, in);
	picture.i_type = key ? X264_TYPE_IDR : X264_TYPE_AUTO;
	x264->needs_key = false;
	x264->since_key = key ? 1 : x264->since_key + 1;
	x264->ready_us = encoder_note(encoder, in);
	return encode(x264, &picture);
}

static int x264_collect(struct encoder *encoder, struct frame **out)
{
	struct x264 *x264 = x264_of(encoder);
	const uint8_t *ready = x264->ready;
	int res;

	if (!ready)
		return -EAGAIN;
	x264->ready = NULL;
	res = encoder_make_unit(encoder, encoder_match(encoder, x264->ready_us), ready,
		x264->ready_size, out);
	if (res == -ENOMEM) {
		x264->needs_key = true;
		return -EAGAIN;
	}
	return res;
}

/*
 * Bounds of QP are the one thing that x264 does not change while it runs: it is started again,
 * which takes no longer than a frame. Its first picture is an IDR.
 */
static int x264_tune(struct encoder *encoder, const struct encoder_tuning *tuning)
{
	struct x264 *x264 = x264_of(encoder);
	struct encoder_tuning fitted = *tuning;
	bool again = tuning->min_qp != encoder->tuning.min_qp ||
		     tuning->max_qp != encoder->tuning.max_qp;
	int res = encoder_fit(encoder, &fitted, MOST_LEVEL);

	if (res < 0)
		return res;
	encoder->tuning = fitted;
	if (again) {
		x264->needs_key |= x264->ready != NULL;
		stop(x264);
		return start(x264);
	}
	set_rate(&x264->param, &fitted, x264->opened_fps);
	return x264_encoder_reconfig(x264->x264, &x264->param) < 0 ? -EINVAL : 0;
}

const struct encoder_ops encoder_x264 = {
	.name = "x264",
	.open = x264_open,
	.takes = takes,
	.submit = x264_submit,
	.collect = x264_collect,
	.tune = x264_tune,
	.close = x264_close,
};
