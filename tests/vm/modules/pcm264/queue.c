// SPDX-License-Identifier: GPL-2.0-only
/* Buffers and the work: one frame after the other, for all instances, on one kernel thread. */
#include <linux/delay.h>
#include <linux/dma-buf.h>
#include <linux/mm.h>
#include <media/videobuf2-vmalloc.h>

#include "parameters.h"
#include "pcm264.h"

static bool is_nth(u32 number, u32 every)
{
	return every && number % every == 0;
}

static void run_latency(struct instance *instance)
{
	u32 latency_us = READ_ONCE(parameters.latency_us);

	if (latency_us)
		usleep_range(latency_us, latency_us + 100);
	wait_event(parameters_changed,
		!READ_ONCE(parameters.hang) || READ_ONCE(instance->aborting));
}

/* Returns the bytes of the access unit, 0 when it does not fit. */
static size_t encode(struct instance *instance, const u8 *from, u8 *to, size_t size, bool *is_key)
{
	struct stream *stream = &instance->stream;
	size_t headers = 0, bytes;

	*is_key = xchg(&instance->want_key, false) || instance->needs_headers ||
		  !stream->has_reference || is_nth(instance->coded_sequence, instance->key_period);
	layout_to_planar(&instance->raw, from, stream, instance->picture);
	if (instance->needs_headers || (*is_key && instance->repeat_headers)) {
		stream->fps_num = instance->interval.denominator;
		stream->fps_den = instance->interval.numerator;
		headers = stream_write_headers(stream, to, size);
	}
	bytes = stream_write_picture(stream, instance->picture, instance->reference, *is_key,
		to + headers, size - headers);
	if (!bytes)
		return 0;
	instance->needs_headers = false;
	swap(instance->picture, instance->reference);
	return headers + bytes;
}

static enum vb2_buffer_state fill(struct instance *instance, struct vb2_v4l2_buffer *raw,
	struct vb2_v4l2_buffer *coded)
{
	const u8 *from = vb2_plane_vaddr(&raw->vb2_buf, 0);
	u8 *to = vb2_plane_vaddr(&coded->vb2_buf, 0);
	size_t bytes = 0;
	bool is_key = false;

	if (from && to)
		bytes = encode(instance, from, to, vb2_plane_size(&coded->vb2_buf, 0), &is_key);
	v4l2_m2m_buf_copy_metadata(raw, coded, true);
	coded->flags &= ~(V4L2_BUF_FLAG_KEYFRAME | V4L2_BUF_FLAG_PFRAME | V4L2_BUF_FLAG_BFRAME |
			  V4L2_BUF_FLAG_LAST);
	coded->flags |= is_key ? V4L2_BUF_FLAG_KEYFRAME : 0; /* the Pi's has no word for P */
	coded->field = V4L2_FIELD_NONE;
	coded->sequence = instance->coded_sequence++;
	vb2_set_plane_payload(&coded->vb2_buf, 0, bytes);
	if (!bytes || is_nth(instance->frames, parameters.err_every)) {
		instance->stream.has_reference = false;
		return VB2_BUF_STATE_ERROR;
	}
	if (is_nth(instance->frames, parameters.empty_every)) {
		instance->stream.has_reference = false; /* the reader has not got it */
		vb2_set_plane_payload(&coded->vb2_buf, 0, 0);
	}
	return VB2_BUF_STATE_DONE;
}

/* Whether it lies in another driver's memory. */
static bool is_foreign(const struct vb2_buffer *vb)
{
	struct dma_buf *dmabuf = vb->memory == VB2_MEMORY_DMABUF ? vb->planes[0].dbuf : NULL;

	return dmabuf && (!dmabuf->name || strcmp(dmabuf->name, PCM264_NAME));
}

static void count_job(const struct vb2_v4l2_buffer *raw)
{
	parameters.jobs++;
	if (is_foreign(&raw->vb2_buf))
		parameters.imported++;
}

/* Nothing came of the last frame, but the reader waits for a last buffer. */
static struct vb2_v4l2_buffer *make_last(struct v4l2_m2m_ctx *m2m, struct vb2_v4l2_buffer *coded)
{
	if (!coded) {
		coded = v4l2_m2m_dst_buf_remove(m2m);
		coded->field = V4L2_FIELD_NONE;
		vb2_set_plane_payload(&coded->vb2_buf, 0, 0);
	}
	coded->flags |= V4L2_BUF_FLAG_LAST;
	return coded;
}

/* coded: NULL when the frame was dropped. */
static void finish(struct instance *instance, struct vb2_v4l2_buffer *raw,
	struct vb2_v4l2_buffer *coded, enum vb2_buffer_state state)
{
	struct v4l2_m2m_ctx *m2m = instance->fh.m2m_ctx;

	spin_lock(&instance->lock);
	if (v4l2_m2m_is_last_draining_src_buf(m2m, raw)) {
		coded = make_last(m2m, coded);
		ioctl_queue_eos(instance);
		v4l2_m2m_mark_stopped(m2m);
	}
	v4l2_m2m_src_buf_remove(m2m);
	raw->sequence = instance->raw_sequence++;
	v4l2_m2m_buf_done(raw, VB2_BUF_STATE_DONE);
	if (coded)
		v4l2_m2m_buf_done(coded, state);
	spin_unlock(&instance->lock);
	v4l2_m2m_job_finish(instance->device->m2m, m2m);
}

static void work(struct work_struct *work)
{
	struct instance *instance = container_of(work, struct instance, work);
	struct v4l2_m2m_ctx *m2m = instance->fh.m2m_ctx;
	struct vb2_v4l2_buffer *raw = v4l2_m2m_next_src_buf(m2m), *coded = NULL;
	enum vb2_buffer_state state = VB2_BUF_STATE_DONE;

	instance->frames++;
	run_latency(instance);
	if (!is_nth(instance->frames, parameters.drop_every)) {
		coded = v4l2_m2m_dst_buf_remove(m2m);
		state = fill(instance, raw, coded);
		count_job(raw);
	}
	finish(instance, raw, coded, state);
}

void queue_init_work(struct instance *instance)
{
	spin_lock_init(&instance->lock);
	INIT_WORK(&instance->work, work);
}

static void run(void *priv)
{
	struct instance *instance = priv;

	queue_work(instance->device->works, &instance->work);
}

static void abort_job(void *priv)
{
	struct instance *instance = priv;

	WRITE_ONCE(instance->aborting, true);
	wake_up_all(&parameters_changed);
}

const struct v4l2_m2m_ops queue_work_ops = { .device_run = run, .job_abort = abort_job };

static u32 least_bytes(struct vb2_queue *queue)
{
	struct instance *instance = vb2_get_drv_priv(queue);

	return V4L2_TYPE_IS_OUTPUT(queue->type) ? instance->raw.size : instance->coded_size;
}

static int set_up(struct vb2_queue *queue, unsigned int *buffers, unsigned int *planes,
	unsigned int sizes[], struct device *devices[])
{
	if (*planes)
		return sizes[0] < least_bytes(queue) ? -EINVAL : 0;
	*planes = 1;
	sizes[0] = least_bytes(queue);
	return 0;
}

/* Called once for memory of our own, and each time that another's is imported. */
static int init_buffer(struct vb2_buffer *vb)
{
	if (is_foreign(vb))
		parameters.attached++;
	return 0;
}

static int validate_raw(struct vb2_buffer *vb)
{
	to_vb2_v4l2_buffer(vb)->field = V4L2_FIELD_NONE;
	return 0;
}

static int prepare(struct vb2_buffer *vb)
{
	return vb2_plane_size(vb, 0) < least_bytes(vb->vb2_queue) ? -EINVAL : 0;
}

static void take_buffer(struct vb2_buffer *vb)
{
	struct instance *instance = vb2_get_drv_priv(vb->vb2_queue);
	struct v4l2_m2m_ctx *m2m = instance->fh.m2m_ctx;
	struct vb2_v4l2_buffer *buf = to_vb2_v4l2_buffer(vb);

	if (V4L2_TYPE_IS_OUTPUT(vb->vb2_queue->type) || !vb2_is_streaming(vb->vb2_queue) ||
		!v4l2_m2m_dst_buf_is_last(m2m)) {
		v4l2_m2m_buf_queue(m2m, buf);
		return;
	}
	/* Drained with no buffer to say it in: this one says it. */
	vb2_set_plane_payload(vb, 0, 0);
	buf->field = V4L2_FIELD_NONE;
	buf->sequence = instance->coded_sequence++;
	v4l2_m2m_last_buffer_done(m2m, buf);
	ioctl_queue_eos(instance);
}

static void return_buffers(struct vb2_queue *queue, enum vb2_buffer_state state)
{
	struct instance *instance = vb2_get_drv_priv(queue);
	struct v4l2_m2m_ctx *m2m = instance->fh.m2m_ctx;
	struct vb2_v4l2_buffer *buf;

	while ((buf = V4L2_TYPE_IS_OUTPUT(queue->type) ? v4l2_m2m_src_buf_remove(m2m)
						       : v4l2_m2m_dst_buf_remove(m2m)))
		v4l2_m2m_buf_done(buf, state);
}

void queue_free_pictures(struct instance *instance)
{
	kvfree(instance->picture);
	kvfree(instance->reference);
	instance->picture = instance->reference = NULL;
}

static int start_raw(struct instance *instance)
{
	size_t size;

	stream_init(&instance->stream, instance->crop.width, instance->crop.height);
	instance->frames = instance->raw_sequence = 0;
	size = stream_picture_size(&instance->stream);
	queue_free_pictures(instance);
	instance->picture = kvzalloc(size, GFP_KERNEL);
	instance->reference = kvzalloc(size, GFP_KERNEL);
	return instance->picture && instance->reference ? 0 : -ENOMEM;
}

static int start(struct vb2_queue *queue, unsigned int count)
{
	struct instance *instance = vb2_get_drv_priv(queue);
	int res = parameters.fail_streamon ? -EIO : 0;

	if (!res && V4L2_TYPE_IS_OUTPUT(queue->type))
		res = start_raw(instance);
	if (res) {
		return_buffers(queue, VB2_BUF_STATE_QUEUED);
		return res;
	}
	WRITE_ONCE(instance->aborting, false);
	v4l2_m2m_update_start_streaming_state(instance->fh.m2m_ctx, queue);
	if (V4L2_TYPE_IS_CAPTURE(queue->type)) {
		instance->needs_headers = true;
		instance->coded_sequence = 0;
	}
	return 0;
}

static void stop(struct vb2_queue *queue)
{
	struct instance *instance = vb2_get_drv_priv(queue);

	return_buffers(queue, VB2_BUF_STATE_ERROR);
	v4l2_m2m_update_stop_streaming_state(instance->fh.m2m_ctx, queue);
	if (V4L2_TYPE_IS_OUTPUT(queue->type) && v4l2_m2m_has_stopped(instance->fh.m2m_ctx))
		ioctl_queue_eos(instance);
}

static const struct vb2_ops queue_ops = {
	.queue_setup = set_up,
	.buf_init = init_buffer,
	.buf_out_validate = validate_raw,
	.buf_prepare = prepare,
	.buf_queue = take_buffer,
	.start_streaming = start,
	.stop_streaming = stop,
	.wait_prepare = vb2_ops_wait_prepare,
	.wait_finish = vb2_ops_wait_finish,
};

static int init_queue(struct instance *instance, struct vb2_queue *queue, u32 type)
{
	queue->type = type;
	queue->io_modes = VB2_MMAP | VB2_DMABUF;
	queue->drv_priv = instance;
	queue->buf_struct_size = sizeof(struct v4l2_m2m_buffer);
	queue->ops = &queue_ops;
	queue->mem_ops = &vb2_vmalloc_memops;
	queue->timestamp_flags = V4L2_BUF_FLAG_TIMESTAMP_COPY;
	queue->lock = &instance->device->lock;
	queue->dev = instance->device->v4l2.dev;
	return vb2_queue_init(queue);
}

int queue_init(void *priv, struct vb2_queue *raw, struct vb2_queue *coded)
{
	bool single = parameters.single_planar;
	int res = init_queue(priv, raw,
		single ? V4L2_BUF_TYPE_VIDEO_OUTPUT : V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE);

	if (res)
		return res;
	return init_queue(priv, coded,
		single ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE);
}
