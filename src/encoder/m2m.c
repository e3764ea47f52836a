// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The hardware's H.264: V4L2 stateful memory-to-memory encoders (the kernel's dev-encoder.rst),
 * first of all bcm2835-codec of the Raspberry Pi up to 4. Nothing here waits for anything but a
 * driver's call itself.
 *
 * The parts: m2m_device.c finds it, m2m_format.c and m2m_control.c set it up, m2m_queue.c moves
 * buffers, m2m_input.c is where pictures go in, m2m_unit.c where the bitstream comes out.
 */
#include <poll.h>

#include "base/util.h"
#include "encoder/encoder.h"
#include "encoder/m2m_control.h"
#include "encoder/m2m_device.h"
#include "encoder/m2m_format.h"
#include "encoder/m2m_input.h"
#include "encoder/m2m_unit.h"

#define LOG_TOPIC "m2m"
#include "base/log.h"

/* A frame that went in and that nothing came of for so long was dropped by the rate control. */
#define DROPPED_NS (200 * NS_PER_MS)

/* One is being filled, one waits for us, and one or two more where there is memory. */
#define UNIT_BUFFERS 4

#define PI_MACROBLOCKS 8192 /* in a picture; behind that is garbage (raspberrypi/linux #6045) */
#define LEAST_FPS      10  /* to declare: the Pi hangs below 9 at 1080p (raspberrypi/linux #4739) */
#define LEAST_SD_KBPS  500 /* and with too few bits (rpicam-apps #664, #682) */
#define LEAST_HD_KBPS  1000
#define SD_MACROBLOCKS 1620 /* 720x576 */
#define LEAST_QP       16   /* the Pi's own 20 blurs text */
#define MOST_QP        51
#define DEFAULT_GOP    60 /* where no key frame can be asked for */

struct m2m {
	struct encoder encoder; /* first: the rest of the program knows only this */
	struct m2m_device device;
	struct m2m_input input;
	struct m2m_unit unit;
	bool has_key;                       /* key frames by request */
	bool need_key;                      /* something was lost that later frames build on */
	int64_t read_ns[ENCODER_IN_FLIGHT]; /* when the hardware was done reading; 0: not yet */
};

static struct m2m *to_m2m(struct encoder *encoder)
{
	return (struct m2m *)encoder;
}

/* ---- open */

static uint32_t macroblocks(const struct encoder *encoder)
{
	return (encoder->width + 15) / 16 * ((encoder->height + 15) / 16);
}

/* What hardware and firmware bear, before levels are looked at. */
static void bound(const struct m2m *m2m, struct encoder_tuning *tuning)
{
	bool is_sd = macroblocks(&m2m->encoder) <= SD_MACROBLOCKS;

	tuning->fps = MAX(tuning->fps, LEAST_FPS);
	tuning->bitrate_kbps = MAX(tuning->bitrate_kbps, is_sd ? LEAST_SD_KBPS : LEAST_HD_KBPS);
	/* A period of 1 hangs the Pi (raspberrypi/linux #4740). */
	if (tuning->gop == 1)
		tuning->gop = 2;
	if (!tuning->gop && !m2m->has_key)
		tuning->gop = DEFAULT_GOP;
	if (!tuning->min_qp)
		tuning->min_qp = LEAST_QP;
	if (!tuning->max_qp)
		tuning->max_qp = MOST_QP;
	tuning->max_qp = CLAMP(tuning->max_qp, tuning->min_qp, MOST_QP);
}

/*
 * The Pi's hardware is made for level 4.0, 245760 macroblocks a second; with the "boost" a fast
 * one may try the twice as many of 4.2. Other drivers know themselves what they can do.
 */
static int fit(struct m2m *m2m, struct encoder_tuning *tuning, bool boost)
{
	struct encoder *encoder = &m2m->encoder;
	bool is_pi = m2m->device.is_bcm2835;
	unsigned most = is_pi ? (boost ? 42 : 40) : 51;
	int res = is_pi && macroblocks(encoder) > PI_MACROBLOCKS ? -ERANGE : 0;

	bound(m2m, tuning);
	if (res == 0)
		res = encoder_fit(encoder, tuning, most);
	if (res == -ERANGE)
		log_warn("%s cannot do %ux%u: more than %s", m2m->device.node.path, encoder->width,
			encoder->height,
			is_pi ? "8192 macroblocks in a picture" : "level 5.1 has room for");
	return res;
}

/* What bound() changed, once. That something is lowered, encoder_fit() says. */
static void say_raised(const struct m2m *m2m, const struct encoder_tuning *wanted)
{
	const struct encoder_tuning *tuning = &m2m->encoder.tuning;

	if (tuning->bitrate_kbps > wanted->bitrate_kbps)
		log_info("%u kbit/s instead of %u: with less, hardware hangs at this size",
			tuning->bitrate_kbps, wanted->bitrate_kbps);
	if (wanted->gop == 1)
		log_info("a key frame in every two frames: hardware hangs when each is one");
}

static int check_size(const struct encoder_config *config)
{
	if (config->width && config->height && config->width % 2 == 0 && config->height % 2 == 0)
		return 0;
	/* Drivers take it, and what becomes of the last column's colour nobody knows. */
	log_warn("hardware encoders cannot do odd sizes (%ux%u)", config->width, config->height);
	return -ERANGE;
}

/* Fewer buffers of both kinds where there is little contiguous memory. */
static int allocate(struct m2m *m2m, const struct m2m_format *format)
{
	unsigned inputs = MAX(ENCODER_INPUTS, m2m_control_least_inputs(&m2m->device));
	int res = m2m_input_open(&m2m->input, &m2m->device, format, &m2m->encoder, inputs);

	if (res < 0)
		return res;
	res = m2m_unit_open(&m2m->unit, &m2m->device, UNIT_BUFFERS);
	if (res != -ENOMEM || m2m->input.queue.memory != V4L2_MEMORY_MMAP ||
		m2m->input.queue.n_buffers == 1)
		return res;
	m2m_input_close(&m2m->input);
	res = m2m_input_open(&m2m->input, &m2m->device, format, &m2m->encoder, 1);
	return res < 0 ? res : m2m_unit_open(&m2m->unit, &m2m->device, UNIT_BUFFERS);
}

static int set_up(struct m2m *m2m, const struct encoder_config *config)
{
	struct encoder *encoder = &m2m->encoder;
	struct m2m_format format;
	int res = m2m_format_negotiate(&m2m->device, config, &format);

	if (res < 0)
		return res;
	m2m->has_key = m2m_control_has_key(&m2m->device);
	res = fit(m2m, &encoder->tuning, config->boost);
	if (res < 0)
		return res;
	say_raised(m2m, &config->tuning);
	m2m_control_setup(&m2m->device, encoder);
	res = allocate(m2m, &format);
	if (res == 0)
		res = m2m_queue_start(&m2m->unit.queue);
	if (res == 0)
		res = m2m_input_start(&m2m->input);
	if (res == 0)
		log_verbose("%s (%s): %ux%u from %.4s with rows of %u bytes%s, level %u.%u, %u + "
			    "%u "
			    "buffers",
			m2m->device.node.path, m2m->device.node.card, encoder->width,
			encoder->height, (const char *)&format.memory.fourcc,
			format.memory.stride[0], format.as_source ? " in place" : "",
			encoder->level / 10, encoder->level % 10, m2m->input.queue.n_buffers,
			m2m->unit.queue.n_buffers);
	return res;
}

/*
 * No draining (ENCODER_CMD STOP): what is still in there is thrown away anyway, and on a Pi a
 * second drain or one at the wrong time leaves the firmware waiting.
 */
static void m2m_close(struct encoder *encoder)
{
	struct m2m *m2m = to_m2m(encoder);

	m2m_input_close(&m2m->input);
	m2m_unit_close(&m2m->unit);
	m2m_device_close(&m2m->device);
	encoder_finish(encoder);
	free(m2m);
}

static int m2m_open(struct encoder **out, const struct encoder_config *config)
{
	struct m2m *m2m;
	int res = check_size(config);

	if (res < 0)
		return res;
	m2m = xcalloc(1, sizeof(*m2m));
	encoder_init(&m2m->encoder, &encoder_m2m, config);
	m2m->device.node.fd = -1;
	res = m2m_device_open(&m2m->device, config->device, config->width, config->height);
	if (res == 0)
		res = set_up(m2m, config);
	if (res < 0) {
		m2m_close(&m2m->encoder);
		return res;
	}
	snprintf(m2m->encoder.device, sizeof(m2m->encoder.device), "%s", m2m->device.node.path);
	m2m->encoder.fd = m2m->device.node.fd;
	m2m->encoder.events = POLLIN | POLLOUT;
	*out = &m2m->encoder;
	return 0;
}

/* ---- in */

static bool m2m_takes(const struct encoder *encoder, const struct frame *frame)
{
	return m2m_input_takes(&((const struct m2m *)encoder)->input, frame);
}

/* Its own buffers were chosen for other pictures: the no-signal picture, say. */
static bool m2m_could_take(const struct encoder *encoder, const struct frame *frame)
{
	const struct m2m *m2m = (const struct m2m *)encoder;

	return m2m_format_could_import(&m2m->device, frame);
}

/* The entry of a frame, without judging those before it as encoder_match() does. */
static struct encoder_pending *find_pending(struct encoder *encoder, int64_t timestamp_us)
{
	for (unsigned i = 0; i < ENCODER_IN_FLIGHT && timestamp_us; i++) {
		if (encoder->pending[i].timestamp_us == timestamp_us)
			return &encoder->pending[i];
	}
	return NULL;
}

static void ask_key(struct m2m *m2m, bool wanted)
{
	int res;

	if (!m2m->has_key || !(wanted || m2m->need_key))
		return;
	res = m2m_control_force_key(&m2m->device);
	if (res < 0)
		log_warn("%s refuses to make a key frame: %s", m2m->device.node.path,
			strerror(-res));
	m2m->need_key = res < 0;
}

/* The queue was stopped under way: what was in it will not come out. */
static void forget_all(struct m2m *m2m)
{
	struct encoder *encoder = &m2m->encoder;

	for (unsigned i = 0; i < ENCODER_IN_FLIGHT; i++) {
		if (encoder->pending[i].timestamp_us)
			encoder_lose(encoder, &encoder->pending[i]);
	}
	encoder->busy_inputs = 0;
	m2m->need_key = true;
}

static int m2m_submit(struct encoder *encoder, const struct encoder_submission *in)
{
	struct m2m *m2m = to_m2m(encoder);
	int64_t timestamp_us = encoder_note(encoder, in);
	struct encoder_pending *pending = find_pending(encoder, timestamp_us);
	int res;

	m2m->read_ns[pending - encoder->pending] = 0;
	/* Before the frame: it holds for whichever the hardware begins with next. */
	ask_key(m2m, in->want_key);
	res = m2m_input_put(&m2m->input, in, timestamp_us);
	if (res == 0) {
		encoder->busy_inputs |= in->input < 0 ? ENCODER_HOLDS_FRAMES : 1U << in->input;
		return 0;
	}
	encoder_lose(encoder, pending);
	if (res == -ENOTSUP && in->input >= 0)
		forget_all(m2m);
	if (res != -ENOTSUP)
		log_error("%s takes no pictures any more: %s", m2m->device.node.path,
			strerror(-res));
	return res;
}

/* ---- out */

/* Pictures that the hardware has read are free again. */
static int reclaim(struct m2m *m2m)
{
	struct encoder *encoder = &m2m->encoder;
	struct encoder_pending *pending;
	int64_t timestamp_us;
	int number, res;

	while ((res = m2m_input_reclaim(&m2m->input, &timestamp_us, &number)) == 0) {
		if (number >= 0)
			encoder->busy_inputs &= ~(1U << number);
		pending = find_pending(encoder, timestamp_us);
		if (pending)
			m2m->read_ns[pending - encoder->pending] = now_ns();
	}
	if (!m2m_input_holds_frames(&m2m->input))
		encoder->busy_inputs &= ~ENCODER_HOLDS_FRAMES;
	return res == -EAGAIN ? 0 : res;
}

static void drop_silent(struct m2m *m2m, int64_t now)
{
	struct encoder *encoder = &m2m->encoder;

	for (unsigned i = 0; i < ENCODER_IN_FLIGHT; i++) {
		struct encoder_pending *pending = &encoder->pending[i];

		if (!pending->timestamp_us || !m2m->read_ns[i] ||
			now - m2m->read_ns[i] < DROPPED_NS ||
			(m2m->unit.size && m2m->unit.timestamp_us == pending->timestamp_us))
			continue;
		encoder_lose(encoder, pending);
	}
}

/* Gives the unit out. -EAGAIN: it was none that anybody can use. */
static int finish_unit(struct m2m *m2m, bool doubtful, struct frame **out)
{
	struct encoder *encoder = &m2m->encoder;
	struct m2m_unit *unit = &m2m->unit;
	struct encoder_pending *pending = encoder_match(encoder, unit->timestamp_us);
	int res = -EBADMSG;

	m2m->need_key |= doubtful;
	/* Parameter sets are remembered even when they belong to no frame. */
	if (!unit->damaged)
		res = encoder_make_unit(encoder, pending, unit->data, unit->size, out);
	if (res == -EBADMSG && pending)
		encoder_lose(encoder, pending);
	/* Damaged, or of a frame that was given up: later ones build on it. */
	m2m->need_key |= res < 0 && unit->has_slice;
	m2m_unit_reset(unit);
	return res < 0 ? -EAGAIN : 0;
}

/*
 * A device that is gone or whose queues are dead says so for ever, and without an end to it the
 * caller's poll() would never wait again. CAPTURE has buffers at all times, so that POLLERR
 * (v4l2_m2m_poll) cannot just mean that there are none.
 */
static int check_alive(const struct m2m *m2m)
{
	struct pollfd on = { .fd = m2m->device.node.fd, .events = POLLIN | POLLOUT };

	if ((!encoder_count_pending(&m2m->encoder) && !m2m->encoder.busy_inputs) ||
		poll(&on, 1, 0) <= 0)
		return -EAGAIN;
	if (on.revents & (POLLHUP | POLLNVAL))
		return -ENODEV;
	return on.revents & POLLERR ? -EIO : -EAGAIN;
}

static int collect(struct m2m *m2m, struct frame **out)
{
	bool doubtful;
	int res = reclaim(m2m);

	while (res == 0) {
		if (m2m_unit_is_whole(&m2m->unit, now_ns(), &doubtful)) {
			if (finish_unit(m2m, doubtful, out) == 0)
				return 0;
			continue;
		}
		res = m2m_unit_read(&m2m->unit);
		m2m->need_key |= m2m->unit.failed;
		m2m->unit.failed = false;
	}
	if (res != -EAGAIN)
		return res;
	drop_silent(m2m, now_ns());
	return check_alive(m2m);
}

static int m2m_collect(struct encoder *encoder, struct frame **out)
{
	struct m2m *m2m = to_m2m(encoder);
	int res = collect(m2m, out);

	/* A picture comes back before its unit, or with it: then one wake-up is enough. */
	encoder->events = encoder_count_pending(encoder) ? POLLIN : POLLIN | POLLOUT;
	if (res < 0 && res != -EAGAIN)
		log_error("%s failed: %s", m2m->device.node.path, strerror(-res));
	return res;
}

/* ---- live */

static int m2m_tune(struct encoder *encoder, const struct encoder_tuning *tuning)
{
	struct m2m *m2m = to_m2m(encoder);
	struct encoder_tuning next = *tuning;
	/* The level is what it was when the stream began: the parameter set says so. */
	int res = fit(m2m, &next, false);

	if (res == 0)
		m2m_control_tune(&m2m->device, encoder, &next);
	return res;
}

const struct encoder_ops encoder_m2m = {
	.name = "m2m",
	.open = m2m_open,
	.takes = m2m_takes,
	.could_take = m2m_could_take,
	.submit = m2m_submit,
	.collect = m2m_collect,
	.tune = m2m_tune,
	.close = m2m_close,
};
