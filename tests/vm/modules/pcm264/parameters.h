/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests set and read in /sys/module/pcm264/parameters. */
#ifndef PARAMETERS_H
#define PARAMETERS_H

#include <linux/types.h>
#include <linux/wait.h>

struct parameters {
	/* of the device, when loaded */
	int video_nr;
	bool single_planar;
	char *driver, *card;
	/* of what it offers, for those who open it from now on */
	char only[8]; /* the one raw format that it reads, "NV12"; empty: all */
	uint most_pixels, height_alignment, capture_size;
	/* faults */
	uint latency_us, drop_every, empty_every, err_every;
	bool hang, wedge, fail_streamon;
	/* counters */
	uint jobs, imported, attached;
};

extern struct parameters parameters;
/* Woken whenever hang or wedge is written. */
extern wait_queue_head_t parameters_changed;

/* Waits while `wedge` is set; -ERESTARTSYS when the process is killed meanwhile. */
int parameters_wait_wedged(void);

#endif
