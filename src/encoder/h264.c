// SPDX-License-Identifier: GPL-3.0-or-later
/* The H.264 encoder: see h264.h. */
#include "encoder/h264.h"

#include "util.h"

struct h264_encoder {
	struct outlet *outlet;
};

int h264_encoder_create(struct h264_encoder **out, const struct options *opt, struct outlet *raw,
	struct drops *drops)
{
	struct h264_encoder *encoder = xcalloc(1, sizeof(*encoder));

	(void)opt, (void)raw, (void)drops;
	encoder->outlet = outlet_create(NULL, NULL);
	*out = encoder;
	return 0;
}

void h264_encoder_destroy(struct h264_encoder *encoder)
{
	if (!encoder)
		return;
	outlet_destroy(encoder->outlet);
	free(encoder);
}

struct outlet *h264_encoder_outlet(struct h264_encoder *encoder)
{
	return encoder->outlet;
}

void h264_encoder_tune(struct h264_encoder *encoder, const struct encoder_tuning *tuning)
{
	(void)encoder, (void)tuning;
}

void h264_encoder_get_status(struct h264_encoder *encoder, struct h264_status *out)
{
	(void)encoder;
	*out = (struct h264_status){ .state = "off", .encoder = "none", .profile = "" };
}

int64_t h264_encoder_damaged_ns(struct h264_encoder *encoder)
{
	(void)encoder;
	return 0;
}
