// SPDX-License-Identifier: GPL-3.0-or-later
/* Frames of a ring, by its reader's library. */
#include <linux/videodev2.h>

#include "base/util.h"
#include "dump/input.h"
#include "media/pixel_format.h"
#include "shm/hdmicast-ring.h"

#define LOG_TOPIC "dump"
#include "base/log.h"

struct ring_input {
	struct input base;
	struct hdmicast_ring *ring; /* NULL: not attached */
	bool has_asked;             /* for a key frame, or need not */
	int64_t looked_ns;          /* why nothing comes */
};

static struct ring_input *ring_of(struct input *base)
{
	return (struct ring_input *)base;
}

static const char *hint(int error)
{
	if (error == -EBADMSG)
		return "; a sink of uStreamer's kind is read with --sink";
	return error == -EPROTONOSUPPORT ? "; take the hdmicast-dump of the daemon's version" : "";
}

/* What will not pass by itself is an error here; the library would wait for all of it. */
static int attach(struct ring_input *in)
{
	const struct timespec look = { .tv_nsec = 50 * NS_PER_MS };
	int res = hdmicast_ring_open(&in->ring, in->base.opt->name, 0);

	if (res == -ENOENT || res == -EAGAIN) {
		in->ring = NULL;
		input_say(&in->base, hdmicast_ring_strerror(res));
		nanosleep(&look, NULL);
		return -EAGAIN;
	}
	if (res < 0) {
		log_error("cannot read ring %s: %s%s", in->base.opt->name,
			hdmicast_ring_strerror(res), hint(res));
		return res;
	}
	in->has_asked = !in->base.opt->key_required;
	input_is_attached(&in->base);
	return 0;
}

static void detach(struct ring_input *in)
{
	hdmicast_ring_close(in->ring);
	in->ring = NULL;
}

static void ask_key(struct ring_input *in)
{
	int res = hdmicast_ring_request_key(in->ring);

	if (res < 0)
		log_warn("cannot ask ring %s for a key frame: %s", in->base.opt->name,
			hdmicast_ring_strerror(res));
	in->has_asked = true;
}

/* Why nothing came, once a second: the library looks often enough for itself. */
static void find_reason(struct ring_input *in)
{
	struct hdmicast_ring_info info;
	int64_t now = now_ns();

	if (now - in->looked_ns < NS_PER_S)
		return;
	in->looked_ns = now;
	hdmicast_ring_get_info(in->ring, &info);
	if (!info.attached)
		detach(in);
	else if (!info.alive)
		input_say(&in->base, "its writer has ended, and another one did not begin yet");
	else
		input_say_quiet(&in->base);
}

static bool is_of_medium(enum dump_medium medium, uint32_t fourcc)
{
	switch (medium) {
	case DUMP_H264: return fourcc == V4L2_PIX_FMT_H264;
	case DUMP_JPEG: return pixel_format_is_jpeg(fourcc);
	case DUMP_RAW: return fourcc != V4L2_PIX_FMT_H264; /* or JPEG, as the grabber gives it */
	default: return true;
	}
}

static int check_medium(const struct ring_input *in, uint32_t fourcc)
{
	if (is_of_medium(in->base.opt->medium, fourcc))
		return 0;
	log_error("ring %s holds %.4s, which is not what was asked for: --ring takes all",
		in->base.opt->name, (const char *)&fourcc);
	return -EMEDIUMTYPE;
}

static void describe(const struct hdmicast_frame *from, char *text, size_t size)
{
	snprintf(text, size,
		"\"grab_begin_ts\": " INPUT_TIME ", \"encode_begin_ts\": " INPUT_TIME
		", \"encode_end_ts\": " INPUT_TIME ", \"publish_ts\": " INPUT_TIME
		", \"epoch\": \"%016llx\", \"sequence\": %llu, \"source_sequence\": %llu, "
		"\"lost\": %llu, \"dropped\": %llu, \"oversized\": %llu, \"stride2\": %u, "
		"\"plane_offset\": [%u, %u], \"full_range\": %d, \"bt709\": %d",
		INPUT_TIME_OF(from->captured_ns), INPUT_TIME_OF(from->encode_begin_ns),
		INPUT_TIME_OF(from->encode_end_ns), INPUT_TIME_OF(from->published_ns),
		(unsigned long long)from->epoch, (unsigned long long)from->sequence,
		(unsigned long long)from->source_sequence, (unsigned long long)from->lost,
		(unsigned long long)from->dropped, (unsigned long long)from->oversized,
		from->stride2, from->plane_offset[0], from->plane_offset[1],
		!!(from->flags & HDMICAST_FRAME_FULL_RANGE),
		!!(from->flags & HDMICAST_FRAME_BT709));
}

static void fill(const struct ring_input *in, const struct hdmicast_frame *from,
	struct dump_frame *out)
{
	*out = (struct dump_frame){ .data = in->base.data,
		.size = from->size,
		.fourcc = from->fourcc,
		.width = from->width,
		.height = from->height,
		.stride = from->stride,
		.online = from->flags & HDMICAST_FRAME_ONLINE,
		.key = from->flags & HDMICAST_FRAME_KEY,
		.captured_ns = from->captured_ns,
		.published_ns = from->published_ns,
		.is_counted = true,
		.lost = from->lost,
		.dropped = from->dropped + from->oversized };
	if (in->base.opt->json)
		describe(from, out->facts, sizeof(out->facts));
}

/* A frame that the writer overwrites meanwhile counts with the next one's losses. */
static int take(struct ring_input *in, struct dump_frame *out)
{
	struct hdmicast_frame frame;
	int64_t arrived_ns = now_ns();
	int res = in->base.opt->interval_ns ? hdmicast_ring_newest(in->ring, &frame)
					    : hdmicast_ring_next(in->ring, &frame);

	if (res < 0)
		return res;
	if ((res = check_medium(in, frame.fourcc)) < 0)
		return res;
	if (!input_make_room(&in->base, frame.size)) {
		log_error("no memory for a frame of %zu bytes", frame.size);
		return -ENOMEM;
	}
	res = hdmicast_ring_copy(in->ring, &frame, in->base.data, in->base.room);
	if (res < 0)
		return res == -ESTALE ? -EAGAIN : res;
	fill(in, &frame, out);
	out->arrived_ns = arrived_ns;
	out->was_there = out->published_ns < in->base.attached_ns;
	return 0;
}

static int next(struct input *base, struct dump_frame *out)
{
	struct ring_input *in = ring_of(base);
	int res;

	if (!in->ring && (res = attach(in)) < 0)
		return res;
	if (!in->has_asked)
		ask_key(in);
	if (hdmicast_ring_wait(in->ring, INPUT_WAIT_MS) == 0)
		return take(in, out);
	find_reason(in);
	return -EAGAIN;
}

/* The library says that one is here whenever one waits. */
static void stay(struct input *base)
{
	struct ring_input *in = ring_of(base);

	if (in->ring)
		hdmicast_ring_wait(in->ring, 0);
}

static void close_ring(struct input *base)
{
	detach(ring_of(base));
}

static const struct input_ops ops = { .next = next, .stay = stay, .close = close_ring };

struct input *ring_input_open(const struct dump_options *opt)
{
	struct ring_input *in = xcalloc(1, sizeof(*in));

	in->base = (struct input){ .ops = &ops, .opt = opt };
	return &in->base;
}
