/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a hardware encoder takes: format, strides, sizes, crop. All is read back and believed. */
#ifndef ENCODER_M2M_FORMAT_H
#define ENCODER_M2M_FORMAT_H

#include <linux/videodev2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encoder/encoder.h"
#include "encoder/m2m_device.h"
#include "v4l2/format.h"

struct m2m_format {
	struct v4l2_layout memory; /* of the buffers: what is beyond the picture is cropped away */
	uint32_t format;           /* of the single-memory twin: NV12 for NM12 */
	bool as_source;            /* pictures like config->like can be read where they lie */
};

/*
 * Chooses and sets the raw format, then the coded one again, and the crop. -ERANGE: the encoder cannot do this
 * size; -ENOTSUP: no raw format that we could fill. Has logged why.
 */
int m2m_format_negotiate(const struct m2m_device *device, const struct encoder_config *config,
	struct m2m_format *out);

/* Whether the memory of pictures like that could be the encoder's as it is, as far as we know. */
bool m2m_format_could_import(const struct m2m_device *device, const struct frame *like);

/* Sets the OUTPUT queue to exactly this format; -ENOTSUP when the driver would not. */
int m2m_format_repeat(const struct m2m_device *device, const struct m2m_format *format);

/*
 * Sets format, size and planes of a picture in a buffer of that format: memory[] is one address
 * for each memory plane. Returns in used[] the bytes of each; false: they are more than it holds.
 */
bool m2m_format_lay_out(const struct m2m_format *format, struct picture *picture,
	uint8_t *const memory[FRAME_PLANES], uint32_t used[FRAME_PLANES]);

#endif
