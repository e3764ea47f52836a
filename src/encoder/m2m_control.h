/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Controls and frame rate of a hardware encoder: each may be missing, none is fatal. */
#ifndef ENCODER_M2M_CONTROL_H
#define ENCODER_M2M_CONTROL_H

#include <stdbool.h>

#include "encoder/encoder.h"
#include "encoder/m2m_device.h"

/*
 * Sets all there is to set, before buffers are asked for: bcm2835 keeps controls until then and
 * applies them at once. Reads encoder->tuning, level and profile, and sets them to what the
 * driver made of them.
 */
void m2m_control_setup(const struct m2m_device *device, struct encoder *encoder);
/* Key frames can be had by request. */
bool m2m_control_has_key(const struct m2m_device *device);
/* The next frame that goes in is a key frame. */
int m2m_control_force_key(const struct m2m_device *device);
/* Live: sets encoder->tuning to what then holds. What the driver refuses stays as it was. */
void m2m_control_tune(const struct m2m_device *device, struct encoder *encoder,
	const struct encoder_tuning *tuning);
/* How many OUTPUT buffers the driver wants at least. */
unsigned m2m_control_least_inputs(const struct m2m_device *device);

#endif
