/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A TC358743 behind unicam: what csi.c (states, stream) and csi_ioctl.c (requests) share. */
#ifndef FAKE_CSI_H
#define FAKE_CSI_H

#include "device.h"

enum { EDID_BLOCKS_MAX = 8, EDID_BLOCK = 128 };

enum link_state { LINK_NONE, LINK_NO_LOCK, LINK_OUT_OF_RANGE, LINK_OK };

struct mode {
	unsigned width, height, fps;
	bool interlaced;
};

/* All under the device lock. */
struct csi {
	bool cable, source, unlockable; /* plugged; sends at all; without sync */
	struct mode sent;               /* by the source */
	struct mode set;                /* by S_DV_TIMINGS */
	uint8_t edid[EDID_BLOCKS_MAX * EDID_BLOCK];
	unsigned edid_blocks;
	int64_t link_ns, lock_ns; /* when TMDS and sync are there again */
	enum link_state seen;     /* at the last look, with this mode */
	struct mode seen_mode;
	int64_t event_ns; /* a change is announced then; 0: none */
	bool running;     /* the chip: stops by itself on a change */
	unsigned lanes, link_mbit, settle_ms, renegotiate_ms, event_ms, burst, flicker_ms, queries;
	bool meta_busy, mc;
	bool fixed; /* no format but the present one, as RK3588's HDMI RX */
};

struct csi *csi_of(const struct device *dev);
bool mode_equal(const struct mode *a, const struct mode *b);
bool mode_in_range(const struct mode *mode);
/* Looks at the clock: state, stop of the chip, events. */
enum link_state csi_look(struct device *dev, int64_t now);
/* After S_DV_TIMINGS, S_FMT: width of 4, stride of 32 bytes or the client's larger one. */
void csi_fit(const struct device *dev, struct v4l2_pix_format *pix);
void csi_hotplug(struct device *dev); /* the source sees HPD drop and come back */
void csi_use_mode(struct device *dev, const struct mode *mode);

extern const struct ioctl_entry csi_ioctls[];

#endif
