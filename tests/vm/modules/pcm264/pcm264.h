/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pcm264 is a V4L2 stateful encoder for tests: the real mem2mem core, on a machine without an
 * encoder. It looks like the Raspberry Pi's (bcm2835-codec: names, formats, strides, controls),
 * and its H.264 is lossless, so that each sample can be checked. What it cannot show is what the
 * Pi's firmware does. It fails on demand: see parameters.c.
 *
 * queue.c: buffers and the work; ioctl.c: formats and commands; controls.c; driver.c: the node.
 */
#ifndef PCM264_H
#define PCM264_H

#include <linux/workqueue.h>
#include <media/v4l2-ctrls.h>
#include <media/v4l2-device.h>
#include <media/v4l2-event.h>
#include <media/v4l2-ioctl.h>
#include <media/v4l2-mem2mem.h>

#include "bitstream.h"
#include "format.h"

#define PCM264_NAME "pcm264"

struct pcm264 {
	struct v4l2_device v4l2;
	struct video_device node;
	struct v4l2_m2m_dev *m2m;
	struct workqueue_struct *works;
	struct mutex lock; /* of ioctls and queues */
};

/* One for each open of the node. */
struct instance {
	struct v4l2_fh fh;
	struct pcm264 *device;
	struct v4l2_ctrl_handler controls;

	struct raw_layout raw;
	struct v4l2_rect crop;
	u32 coded_width, coded_height, coded_size;
	u32 colorspace, ycbcr_enc, xfer_func, quantization;
	struct v4l2_fract interval;
	u32 raw_sequence, coded_sequence;

	u32 key_period; /* as are the next two: written by controls, read by the work */
	bool repeat_headers;
	bool want_key;

	struct work_struct work;
	bool aborting;
	bool needs_headers;
	u32 frames; /* since the start of the stream */
	struct stream stream;
	u8 *picture, *reference;
	spinlock_t lock; /* of marking the last buffer */
};

static inline struct instance *instance_of(struct file *file)
{
	return container_of(file->private_data, struct instance, fh);
}

int controls_init(struct instance *instance);

extern const struct v4l2_ioctl_ops ioctl_multi_planar, ioctl_single_planar;
void ioctl_set_defaults(struct instance *instance);
void ioctl_queue_eos(struct instance *instance);

extern const struct v4l2_m2m_ops queue_work_ops;
int queue_init(void *instance, struct vb2_queue *raw, struct vb2_queue *coded);
void queue_init_work(struct instance *instance);
void queue_free_pictures(struct instance *instance);

#endif
