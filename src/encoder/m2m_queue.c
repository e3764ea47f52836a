// SPDX-License-Identifier: GPL-3.0-or-later
/* An encoder's queues, and what their errors mean: see m2m_queue.h. */
#include "encoder/m2m_queue.h"

#include "base/util.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

static const char *side_of(const struct v4l2_queue *queue)
{
	return V4L2_TYPE_IS_OUTPUT(queue->type) ? "pictures" : "bitstream";
}

static void say_no_buffers(const struct v4l2_queue *queue, enum v4l2_memory memory, int res)
{
	if (memory == V4L2_MEMORY_DMABUF)
		log_info("the encoder imports no buffers: %s", strerror(-res));
	else if (res == -ENOMEM)
		log_warn("no memory for the encoder's %s: the kernel needs more contiguous "
			 "memory (on a Pi dtoverlay=vc4-kms-v3d,cma-256, elsewhere cma=)",
			side_of(queue));
	else if (res == -EINVAL) /* what bcm2835 says when the firmware makes no component */
		log_error("the encoder refuses to start (VIDIOC_REQBUFS: %s): its firmware has no "
			  "encoder, no resources left, or hangs until the next reboot",
			strerror(-res));
	else
		log_error("no buffers for the encoder's %s (VIDIOC_REQBUFS): %s", side_of(queue),
			strerror(-res));
}

int m2m_queue_allocate(struct v4l2_queue *queue, enum v4l2_memory memory, unsigned count,
	struct v4l2_map *place)
{
	bool mapping;
	int res = v4l2_queue_allocate(queue, memory, count, place, &mapping);

	if (mapping)
		log_error("cannot map the encoder's %s: %s", side_of(queue), strerror(-res));
	else if (res < 0)
		say_no_buffers(queue, memory, res);
	return res == -EINVAL && !mapping ? -EIO : res;
}

/*
 * What an errno of STREAMON means. bcm2835 returns the firmware's status with another sign
 * (mmal-vchiq.c), so that they look odd: its "invalid" is 3, ESRCH.
 */
static const char *meaning(int error)
{
	switch (error) {
	case ESRCH: return "it refuses this size, rate or bitrate";
	case EPERM: return "its firmware is out of memory";
	case ENOENT: return "its firmware is out of space";
	case EINTR: return "its firmware does not implement this";
	case E2BIG: return "its firmware has an I/O error";
	case ENOEXEC:
	case EBADF: return "its firmware refuses the data";
	case ECHILD:
	case EAGAIN: return "its firmware is not ready or set up wrongly";
	case EACCES: return "its firmware is not connected";
	case ETIME: return "its firmware does not answer; only a reboot helps if that stays so";
	case ENOMEM: return "no memory; the kernel may need more of it contiguous (cma=)";
	default: return strerror(error);
	}
}

int m2m_queue_start(struct v4l2_queue *queue)
{
	int res = v4l2_queue_start(queue);

	if (res == 0)
		return 0;
	log_error("the encoder does not start (VIDIOC_STREAMON of %s, errno %d): %s",
		side_of(queue), -res, meaning(-res));
	return res == -ENODEV ? -ENODEV : -EIO;
}
