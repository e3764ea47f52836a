// SPDX-License-Identifier: GPL-3.0-or-later
/* Pictures into a hardware encoder: see m2m_input.h. */
#include "encoder/m2m_input.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/util.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/* In a row. One may be an accident. */
#define IMPORT_ERRORS 2

static size_t round_to_page(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/* ---- open */

static int open_mapped(struct m2m_input *input, struct encoder *encoder, unsigned count)
{
	uint8_t *memory[FRAME_PLANES] = { NULL };
	int res = m2m_queue_allocate(&input->queue, V4L2_MEMORY_MMAP, count, NULL);

	if (res < 0)
		return res;
	encoder->n_inputs = MIN(input->queue.n_buffers, ENCODER_INPUTS);
	for (unsigned i = 0; i < encoder->n_inputs; i++) {
		for (unsigned p = 0; p < input->format.memory.n_planes; p++)
			memory[p] = input->queue.map[i][p].at;
		m2m_format_lay_out(&input->format, &encoder->input[i], memory, input->used);
	}
	return 0;
}

static void free_memory(struct m2m_input *input)
{
	for (unsigned i = 0; i < ENCODER_INPUTS; i++) {
		if (input->memory[i].at)
			munmap(input->memory[i].at, input->memory[i].size);
		input->memory[i].at = NULL;
	}
}

/* Not from malloc: m2m_queue_allocate() may map the driver's memory over it. */
static int make_inputs(struct m2m_input *input, struct encoder *encoder)
{
	size_t size = round_to_page(input->format.memory.size[0]);

	for (unsigned i = 0; i < ENCODER_INPUTS; i++) {
		void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

		if (at == MAP_FAILED)
			return -ENOMEM;
		input->memory[i] = (struct v4l2_map){ at, size };
		m2m_format_lay_out(&input->format, &encoder->input[i],
			(uint8_t *[FRAME_PLANES]){ at, NULL, NULL }, input->used);
	}
	encoder->n_inputs = ENCODER_INPUTS;
	return 0;
}

static int open_imported(struct m2m_input *input, struct encoder *encoder)
{
	int res = m2m_queue_allocate(&input->queue, V4L2_MEMORY_DMABUF, V4L2_BUFFERS, NULL);

	if (res < 0)
		return res;
	/* Two are for our own pictures, and a source with fewer than three is none. */
	res = input->queue.n_buffers < ENCODER_INPUTS + 3 ? -ENOTSUP : make_inputs(input, encoder);
	if (res < 0) {
		v4l2_queue_free(&input->queue);
		free_memory(input);
	}
	return res;
}

int m2m_input_open(struct m2m_input *input, const struct m2m_device *device,
	const struct m2m_format *format, struct encoder *encoder, unsigned count)
{
	input->device = device;
	input->format = *format;
	input->picture = encoder->input;
	input->queue = (struct v4l2_queue){
		.fd = device->node.fd, .type = device->output, .n_planes = format->memory.n_planes
	};
	input->staging.device.node.fd = -1;
	for (unsigned i = 0; i < ENCODER_INPUTS; i++) {
		input->staging.dmabuf[i] = -1;
		encoder->input[i].width = encoder->width;
		encoder->input[i].height = encoder->height;
	}
	for (unsigned i = 0; i < V4L2_BUFFERS; i++)
		input->slot[i].input = -1;
	if (format->as_source && open_imported(input, encoder) == 0) {
		atomic_store(&input->imports, true);
		return 0;
	}
	return open_mapped(input, encoder, count);
}

int m2m_input_start(struct m2m_input *input)
{
	return input->queue.memory == V4L2_MEMORY_MMAP ? m2m_queue_start(&input->queue) : 0;
}

/* ---- import */

bool m2m_input_takes(const struct m2m_input *input, const struct frame *frame)
{
	const struct picture *like = &input->picture[0];

	if (!atomic_load(&input->imports) || !frame->dmabuf.id || frame->format != like->format ||
		frame->width != like->width || frame->height != like->height ||
		frame->dmabuf.size < input->format.memory.size[0])
		return false;
	for (unsigned i = 0; i < FRAME_PLANES; i++) {
		if (frame->plane[i].stride != like->plane[i].stride ||
			(like->plane[i].stride &&
				frame->plane[i].data - frame->plane[0].data !=
					like->plane[i].data - like->plane[0].data))
			return false;
	}
	return true;
}

/* Buffers of an imported queue that sources may have; the others are for our own pictures. */
static unsigned n_shared(const struct m2m_input *input)
{
	return input->queue.n_buffers - ENCODER_INPUTS;
}

/*
 * The buffer for that memory: its own, else one whose memory is of a set that is gone, so that it is
 * let go of at last, else a free one.
 */
static struct m2m_slot *find_slot(struct m2m_input *input, const struct frame_dmabuf *dmabuf)
{
	struct m2m_slot *unbound = NULL, *gone = NULL;

	for (unsigned i = 0; i < n_shared(input); i++) {
		struct m2m_slot *slot = &input->slot[i];

		if (slot->id == dmabuf->id)
			return slot->queued ? NULL : slot;
		if (!slot->id)
			unbound = slot;
		else if (slot->set != dmabuf->set && !slot->queued)
			gone = slot;
	}
	return gone ? gone : unbound;
}

static int put_slot(struct m2m_input *input, struct m2m_slot *slot, const struct m2m_slot *next,
	int dmabuf)
{
	struct v4l2_given buffer = { .index = (unsigned)(slot - input->slot),
		.timestamp_us = next->timestamp_us,
		.dmabuf = dmabuf,
		.length = input->format.memory.size[0] };
	int res;

	memcpy(buffer.used, input->used, sizeof(buffer.used));
	res = v4l2_queue_put(&input->queue, &buffer);
	if (res < 0)
		return res;
	*slot = *next;
	slot->queued = true;
	if (slot->frame)
		frame_ref(slot->frame);
	return 0;
}

/* The first picture is in, and imported: now the queue may run. */
static int start_late(struct m2m_input *input)
{
	return input->queue.streaming ? 0 : m2m_queue_start(&input->queue);
}

static void close_staging(struct m2m_staging *staging)
{
	for (unsigned i = 0; i < ENCODER_INPUTS; i++)
		close_fd(&staging->dmabuf[i]);
	v4l2_queue_free(&staging->queue);
	m2m_device_close(&staging->device);
}

/*
 * No imports any more: the driver's own buffers instead, at the very addresses of our inputs,
 * which another thread may know. Their content is lost, and so is what is under way.
 */
static int change_to_mapped(struct m2m_input *input)
{
	int res;

	atomic_store(&input->imports, false);
	v4l2_queue_free(&input->queue);
	for (unsigned i = 0; i < V4L2_BUFFERS; i++) {
		frame_unref(input->slot[i].frame);
		input->slot[i] = (struct m2m_slot){ .input = -1 };
	}
	close_staging(&input->staging);
	res = m2m_queue_allocate(&input->queue, V4L2_MEMORY_MMAP, ENCODER_INPUTS, input->memory);
	if (res == 0 && input->queue.n_buffers < ENCODER_INPUTS) {
		log_error("%s has no memory for two pictures of its own", input->device->node.path);
		res = -ENOMEM;
	}
	return res < 0 ? res : m2m_queue_start(&input->queue);
}

static void stop_importing(struct m2m_input *input, int error)
{
	if (atomic_exchange(&input->imports, false))
		log_info("%s cannot read the source's memory (%s): pictures are copied",
			input->device->node.path, strerror(-error));
}

static int put_frame(struct m2m_input *input, const struct encoder_submission *in,
	int64_t timestamp_us)
{
	struct m2m_slot next = { .id = in->frame->dmabuf.id,
		.set = in->frame->dmabuf.set,
		.timestamp_us = timestamp_us,
		.input = -1,
		.frame = in->frame };
	struct m2m_slot *slot = find_slot(input, &in->frame->dmabuf);
	int res;

	if (!slot || !atomic_load(&input->imports))
		return -ENOTSUP;
	res = put_slot(input, slot, &next, in->frame->dmabuf.fd);
	if (res == 0)
		return start_late(input);
	if (res == -ENODEV || res == -EIO)
		return res;
	/* Memory in pieces, or where the hardware cannot reach: videobuf2 knows it only now. */
	stop_importing(input, res);
	if (input->queue.streaming)
		return -ENOTSUP; /* from now on by way of the second handle */
	res = change_to_mapped(input);
	return res < 0 ? res : -ENOTSUP;
}

/* ---- our own pictures among imported ones */

/* Another handle of the device, with buffers like the first one's. It never streams. */
static int open_staging(struct m2m_input *input)
{
	struct m2m_staging *staging = &input->staging;
	int res = 0;

	staging->device = *input->device;
	staging->device.node.fd = open(input->device->node.path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (staging->device.node.fd < 0)
		return -errno;
	staging->queue = (struct v4l2_queue){
		.fd = staging->device.node.fd, .type = input->device->output, .n_planes = 1
	};
	res = m2m_device_set_h264(&staging->device, input->picture->width, input->picture->height);
	if (res >= 0)
		res = m2m_format_repeat(&staging->device, &input->format);
	if (res >= 0)
		res = m2m_queue_allocate(&staging->queue, V4L2_MEMORY_MMAP, ENCODER_INPUTS, NULL);
	if (res >= 0 && staging->queue.n_buffers < ENCODER_INPUTS)
		res = -ENOMEM;
	for (unsigned i = 0; res >= 0 && i < ENCODER_INPUTS; i++) {
		staging->dmabuf[i] = v4l2_queue_export(&staging->queue, i, O_RDWR);
		if (staging->dmabuf[i] < 0)
			res = staging->dmabuf[i];
	}
	return res;
}

static int put_staged(struct m2m_input *input, int number, int64_t timestamp_us)
{
	struct m2m_staging *staging = &input->staging;
	struct m2m_slot *slot = &input->slot[n_shared(input) + (unsigned)number];
	struct m2m_slot next = { .timestamp_us = timestamp_us, .input = number };
	int res = staging->failed ? -EIO : 0;

	if (res == 0 && staging->device.node.fd < 0)
		res = open_staging(input);
	if (res < 0)
		return res;
	memcpy(staging->queue.map[number][0].at, input->memory[number].at, input->used[0]);
	return put_slot(input, slot, &next, staging->dmabuf[number]);
}

/* ---- what the encoder calls */

static int put_mapped(struct m2m_input *input, int number, int64_t timestamp_us)
{
	struct m2m_slot next = { .timestamp_us = timestamp_us, .input = number };

	return put_slot(input, &input->slot[number], &next, -1);
}

static int put_input(struct m2m_input *input, int number, int64_t timestamp_us)
{
	int res;

	if (input->queue.memory == V4L2_MEMORY_MMAP)
		return put_mapped(input, number, timestamp_us);
	res = put_staged(input, number, timestamp_us);
	if (res == 0)
		return start_late(input);
	if (res == -ENODEV)
		return res;
	log_info("%s: no buffers of its own beside imported ones (%s): pictures are copied",
		input->device->node.path, strerror(-res));
	res = change_to_mapped(input);
	return res < 0 ? res : -ENOTSUP;
}

int m2m_input_put(struct m2m_input *input, const struct encoder_submission *in,
	int64_t timestamp_us)
{
	int res;

	res = in->input < 0 ? put_frame(input, in, timestamp_us)
			    : put_input(input, in->input, timestamp_us);
	return res == -EAGAIN ? -EIO : res;
}

/* The driver took a picture, and whether it could import it is known only now. */
static void note_import(struct m2m_input *input, const struct m2m_slot *slot, bool failed)
{
	unsigned *errors = &input->errors[slot->frame == NULL];

	*errors = failed ? *errors + 1 : 0;
	if (*errors < IMPORT_ERRORS)
		return;
	if (slot->frame)
		stop_importing(input, -EIO);
	else
		input->staging.failed = true;
}

int m2m_input_reclaim(struct m2m_input *input, int64_t *timestamp_us, int *number)
{
	struct v4l2_taken buffer;
	struct m2m_slot *slot;
	int res = input->queue.streaming ? v4l2_queue_take(&input->queue, &buffer) : -EAGAIN;

	if (res < 0)
		return res;
	slot = &input->slot[buffer.index];
	*timestamp_us = slot->timestamp_us;
	*number = slot->input;
	if (input->queue.memory == V4L2_MEMORY_DMABUF)
		note_import(input, slot, buffer.flags & V4L2_BUF_FLAG_ERROR);
	slot->queued = false;
	frame_unref(slot->frame);
	slot->frame = NULL;
	return 0;
}

bool m2m_input_holds_frames(const struct m2m_input *input)
{
	for (unsigned i = 0; i < input->queue.n_buffers; i++) {
		if (input->slot[i].frame)
			return true;
	}
	return false;
}

void m2m_input_close(struct m2m_input *input)
{
	if (!input->device)
		return;
	/* First the queue: the hardware reads what the rest lets go of. */
	v4l2_queue_free(&input->queue);
	for (unsigned i = 0; i < V4L2_BUFFERS; i++)
		frame_unref(input->slot[i].frame);
	free_memory(input);
	close_staging(&input->staging);
}
