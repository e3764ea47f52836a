/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The firmware's encoder: x264 on one thread, one slice a picture, no delay. Who calls says which
 * picture is an IDR, so that the period may change at any time.
 */
#include "m2m.h"

#include <stdlib.h>
#include <string.h>

#include <x264.h>

struct m2m_encoder {
	x264_t *x264;
	x264_param_t param;
	struct m2m_settings settings;
	uint8_t *scratch; /* planar 4:2:0 */
	int64_t pts;
	uint8_t headers[512];
	size_t headers_size;
};

static void set_rate(x264_param_t *p, const struct m2m_settings *opened,
	const struct m2m_settings *s)
{
	/* x264 knows the rate of its opening only; bits for each frame are what counts. */
	double fps = (double)s->fps_num / s->fps_den;
	double ratio = (double)opened->fps_num / opened->fps_den / fps;
	int kbps = (int)(s->bitrate / 1000.0 * ratio);

	p->rc.i_bitrate = kbps < 10 ? 10 : kbps;
	p->rc.i_vbv_max_bitrate = p->rc.i_bitrate;
	p->rc.i_vbv_buffer_size = p->rc.i_bitrate / 2;
}

static void set_profile(x264_param_t *p, uint32_t profile)
{
	p->b_cabac = profile >= V4L2_MPEG_VIDEO_H264_PROFILE_MAIN;
	p->analyse.b_transform_8x8 = profile >= V4L2_MPEG_VIDEO_H264_PROFILE_HIGH;
	p->analyse.i_weighted_pred = 0;
}

static void set_colour(x264_param_t *p, bool colour)
{
	p->vui.i_vidformat = 5;
	p->vui.b_fullrange = 0;
	p->vui.i_colorprim = p->vui.i_transfer = p->vui.i_colmatrix = colour ? 1 : 2;
}

static void configure(x264_param_t *p, const struct m2m_settings *s)
{
	x264_param_default_preset(p, "ultrafast", "zerolatency");
	p->i_log_level = X264_LOG_NONE;
	p->i_threads = 1;
	p->b_sliced_threads = 0;
	p->i_csp = X264_CSP_I420;
	p->i_width = (int)(s->width & ~1u);
	p->i_height = (int)(s->height & ~1u);
	p->i_fps_num = s->fps_num;
	p->i_fps_den = s->fps_den;
	p->b_vfr_input = 0;
	p->i_keyint_max = X264_KEYINT_MAX_INFINITE;
	p->i_scenecut_threshold = 0;
	p->i_bframe = 0;
	p->b_repeat_headers = 0;
	p->b_annexb = 1;
	p->b_aud = 0;
	p->i_level_idc = (int)s->level;
	p->rc.i_qp_min = (int)s->min_qp;
	p->rc.i_qp_max = (int)(s->max_qp > s->min_qp ? s->max_qp : s->min_qp);
	p->rc.i_rc_method = s->bitrate ? X264_RC_ABR : X264_RC_CQP;
	p->rc.i_qp_constant = (int)s->quant;
	if (s->bitrate)
		set_rate(p, s, s);
	set_profile(p, s->profile);
	set_colour(p, s->colour);
}

static void keep_headers(struct m2m_encoder *enc)
{
	x264_nal_t *nals;
	int n = 0;

	if (x264_encoder_headers(enc->x264, &nals, &n) < 0)
		return;
	for (int i = 0; i < n; i++) {
		size_t size = (size_t)nals[i].i_payload;

		if (nals[i].i_type != NAL_SPS && nals[i].i_type != NAL_PPS)
			continue;
		if (enc->headers_size + size > sizeof(enc->headers))
			return;
		memcpy(enc->headers + enc->headers_size, nals[i].p_payload, size);
		enc->headers_size += size;
	}
}

int m2m_encoder_open(struct m2m_encoder **out, const struct m2m_settings *settings)
{
	struct m2m_encoder *enc = calloc(1, sizeof(*enc));

	if (!enc)
		abort();
	enc->settings = *settings;
	configure(&enc->param, settings);
	enc->scratch = malloc((size_t)settings->width * settings->height * 3 / 2 + 64);
	enc->x264 = x264_encoder_open(&enc->param);
	if (!enc->x264 || !enc->scratch) {
		m2m_encoder_close(enc);
		return -1;
	}
	keep_headers(enc);
	*out = enc;
	return 0;
}

void m2m_encoder_close(struct m2m_encoder *enc)
{
	if (!enc)
		return;
	if (enc->x264)
		x264_encoder_close(enc->x264);
	free(enc->scratch);
	free(enc);
}

static bool same_but_rate(const struct m2m_settings *a, const struct m2m_settings *b)
{
	return a->width == b->width && a->height == b->height && a->profile == b->profile &&
	       a->level == b->level && a->min_qp == b->min_qp && a->max_qp == b->max_qp &&
	       !a->bitrate == !b->bitrate && a->quant == b->quant && a->colour == b->colour;
}

bool m2m_encoder_tune(struct m2m_encoder *enc, const struct m2m_settings *settings)
{
	if (settings->bitrate) {
		set_rate(&enc->param, &enc->settings, settings);
		x264_encoder_reconfig(enc->x264, &enc->param);
	}
	return same_but_rate(&enc->settings, settings);
}

size_t m2m_encoder_headers(const struct m2m_encoder *enc, const uint8_t **data)
{
	*data = enc->headers;
	return enc->headers_size;
}

void m2m_encoder_load(struct m2m_encoder *enc, const struct m2m_picture *pic)
{
	m2m_picture_convert(pic, enc->scratch);
}

size_t m2m_encoder_encode(struct m2m_encoder *enc, bool idr, const uint8_t **data)
{
	int width = enc->param.i_width, height = enc->param.i_height, n = 0, size;
	x264_picture_t in, out;
	x264_nal_t *nals;

	x264_picture_init(&in);
	in.i_type = idr ? X264_TYPE_IDR : X264_TYPE_P;
	in.i_pts = enc->pts++;
	in.img.i_csp = X264_CSP_I420;
	in.img.i_plane = 3;
	in.img.plane[0] = enc->scratch;
	in.img.plane[1] = enc->scratch + width * height;
	in.img.plane[2] = in.img.plane[1] + width * height / 4;
	in.img.i_stride[0] = width;
	in.img.i_stride[1] = in.img.i_stride[2] = width / 2;
	size = x264_encoder_encode(enc->x264, &nals, &n, &in, &out);
	if (size <= 0 || n < 1)
		return 0;
	*data = nals[0].p_payload;
	return (size_t)size;
}
