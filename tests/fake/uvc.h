/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An HDMI grabber behind uvcvideo: what uvc.c (device, stream) and uvc_ioctl.c share. */
#ifndef FAKE_UVC_H
#define FAKE_UVC_H

#include "device.h"

enum { TICKS_PER_S = 10000000, NS_PER_TICK = 100 }; /* the unit of frame intervals */

/* What S_FMT makes of it: known format, nearest size. */
void uvc_fit(const struct device *dev, struct v4l2_pix_format *pix);
void uvc_default_rate(struct device *dev);

extern const struct ioctl_entry uvc_ioctls[];

#endif
