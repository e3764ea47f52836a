// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Frames of a sink: uStreamer's shared memory. We look once a millisecond, inside the lock, and say
 * each time that we are here, as its protocol wants it.
 *
 * It is read, not mapped: every user of it may shorten it at any time, which pread(2) answers with
 * fewer bytes, and a mapping with SIGBUS.
 */
#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "dump/input.h"
#include "shm/hdmicast-ring.h"
#include "shm/layout.h"

#define LOG_TOPIC "dump"
#include "base/log.h"

#define LOOK_NS NS_PER_MS

struct sink_input {
	struct input base;
	int fd;            /* -1: not attached */
	int64_t locked_ns; /* when we held the lock last */
	bool has_seen;     /* a frame, of this object: */
	uint64_t seen;     /* its id */
	bool needs_key;    /* frames are skipped up to a key frame */
	bool has_asked;    /* for one */
	size_t refused;    /* the size that the last frame claimed, if that cannot be */
};

static struct sink_input *sink_of(struct input *base)
{
	return (struct sink_input *)base;
}

static int fail(const struct sink_input *in, int error, const char *why)
{
	log_error("cannot read sink %s: %s", in->base.opt->name, why);
	return error;
}

/* ---- the object */

static const char no_sink[] = "the object of this name is no sink";

static bool is_shared_memory(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode);
}

static int attach(struct sink_input *in)
{
	const struct timespec look = { .tv_nsec = 50 * NS_PER_MS };
	const char *name = in->base.opt->name;

	in->fd = shm_open(name, O_RDWR | O_NONBLOCK, 0);
	if (in->fd < 0 ? errno == ELOOP || errno == ENXIO : !is_shared_memory(in->fd))
		return fail(in, -EBADMSG, no_sink);
	if (in->fd < 0 && errno == EINVAL) /* which shm_open(3) says of directories, too */
		return fail(in, -EINVAL, "that is no sink, or no name for one");
	if (in->fd < 0 && errno == ENOENT) {
		input_say(&in->base, "there is none of this name: does its writer run?");
		nanosleep(&look, NULL);
		return -EAGAIN;
	}
	if (in->fd < 0 && errno == EACCES)
		return fail(in, -EACCES,
			"it is not for this user to read and write: are its mode "
			"and group right?");
	if (in->fd < 0) {
		int res = -errno;

		return fail(in, res, strerror(-res));
	}
	in->locked_ns = now_ns();
	in->has_seen = false;
	in->needs_key = in->base.opt->key_required;
	in->has_asked = !in->needs_key;
	input_is_attached(&in->base);
	return 0;
}

static bool is_removed(const struct sink_input *in)
{
	struct stat stat;

	return fstat(in->fd, &stat) < 0 || !stat.st_nlink;
}

/* ---- a look, inside the lock */

/* -EAGAIN: nothing was written yet. -ESTALE: its writer took leave. */
static int check_head(struct sink_input *in, const struct layout_head *head, ssize_t size)
{
	if (size < 0)
		return fail(in, -EIO, "it cannot be read");
	if (size == 0 || (size >= (ssize_t)sizeof(*head) && !head->magic))
		return -EAGAIN;
	if (size < (ssize_t)sizeof(head->magic) || head->magic != LAYOUT_MAGIC)
		return fail(in, -EBADMSG,
			head->magic == HDMICAST_RING_MAGIC
				? "it is a ring, which is read with --ring"
				: no_sink);
	if (size < (ssize_t)sizeof(*head))
		return fail(in, -ENODATA, "the object is shorter than the header of a sink");
	return head->version ? 0 : -ESTALE;
}

static const struct layout *find_layout(struct sink_input *in, unsigned version, off_t bytes)
{
	const struct dump_options *opt = in->base.opt;
	const struct layout *layout = opt->layout ? opt->layout
						  : layout_recognise(version, opt->name,
							    (uint64_t)bytes);

	if (layout && layout->version == version)
		return layout;
	if (layout)
		log_error("sink %s has layout %u, not %s as --sink-abi says", opt->name, version,
			layout->name);
	else
		log_error("sink %s has layout %u, which is not known here: 7, 8 and 10 are, of "
			  "uStreamer 6.10 to 6.61, and 6.62 and later",
			opt->name, version);
	return NULL;
}

/* What every reader may have written is said once, and waited out. */
static bool fits(struct sink_input *in, const struct layout *layout, size_t used, off_t bytes)
{
	size_t room = MIN((size_t)bytes - layout->size, LAYOUT_MOST);

	if (used <= room) {
		in->refused = 0;
		return true;
	}
	if (used != in->refused)
		log_warn("sink %s: a frame claims to have %zu bytes, and there is room for %zu",
			in->base.opt->name, used, room);
	in->refused = used;
	return false;
}

static int read_payload(struct sink_input *in, const struct layout *layout, size_t used)
{
	for (size_t at = 0; at < used;) {
		ssize_t n = pread(in->fd, in->base.data + at, used - at,
			(off_t)(layout->size + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* somebody shortens it just now */
			return -EAGAIN;
		at += (size_t)n;
	}
	return 0;
}

static void describe(const struct layout *layout, const struct layout_facts *facts, char *text,
	size_t size)
{
	char grabbed[64] = "";

	if (layout->grab_end_at)
		snprintf(grabbed, sizeof(grabbed), "\"grab_end_ts\": " INPUT_TIME ", ",
			INPUT_TIME_OF(facts->grab_end_ns));
	snprintf(text, size,
		"\"gop\": %u, \"%s\": " INPUT_TIME ", %s\"encode_begin_ts\": " INPUT_TIME
		", \"encode_end_ts\": " INPUT_TIME,
		facts->gop, layout->grab_end_at ? "grab_begin_ts" : "grab_ts",
		INPUT_TIME_OF(facts->grab_begin_ns), grabbed, INPUT_TIME_OF(facts->encode_begin_ns),
		INPUT_TIME_OF(facts->encode_end_ns));
}

static void fill(struct sink_input *in, const struct layout *layout,
	const union layout_header *header, struct dump_frame *out)
{
	struct layout_facts facts;

	layout_read(layout, header, &facts);
	*out = (struct dump_frame){ .data = in->base.data,
		.size = header->head.used,
		.fourcc = facts.format,
		.width = facts.width,
		.height = facts.height,
		.stride = facts.stride,
		.online = facts.online,
		.key = facts.key,
		.captured_ns = facts.grab_begin_ns };
	if (in->base.opt->json)
		describe(layout, &facts, out->facts, sizeof(out->facts));
}

static void ask_key(struct sink_input *in, const struct layout *layout)
{
	static const uint8_t yes = 1;

	if (pwrite(in->fd, &yes, sizeof(yes), (off_t)layout->key_at) < 0)
		log_warn("cannot ask sink %s for a key frame: %m", in->base.opt->name);
	in->has_asked = true;
}

/* A frame that is new. */
static int take(struct sink_input *in, const union layout_header *header, ssize_t size,
	struct dump_frame *out)
{
	const struct layout *layout;
	struct stat stat;
	int res;

	if (fstat(in->fd, &stat) < 0)
		return fail(in, -EIO, "it cannot be looked at");
	layout = find_layout(in, header->head.version, stat.st_size);
	if (!layout)
		return -EPROTONOSUPPORT;
	if ((size_t)size < layout->size || (size_t)stat.st_size < layout->size)
		return fail(in, -ENODATA, "the object is shorter than the header of a sink");
	if (!in->has_asked)
		ask_key(in, layout);
	if (!fits(in, layout, header->head.used, stat.st_size))
		return -EAGAIN;
	if (!input_make_room(&in->base, header->head.used))
		return fail(in, -ENOMEM, "there is no memory for a frame");
	if ((res = read_payload(in, layout, header->head.used)) < 0)
		return res;
	fill(in, layout, header, out);
	/* All other media are complete without others, and not marked so by everybody. */
	if (in->needs_key && !out->key && out->fourcc == V4L2_PIX_FMT_H264)
		return -EAGAIN;
	in->needs_key = false;
	return 0;
}

/* Only in what is known to be a sink. */
static void show_up(const struct sink_input *in, int64_t now)
{
	uint8_t client[LAYOUT_CLIENT_SIZE];

	layout_set_client(client, now);
	if (pwrite(in->fd, client, sizeof(client), LAYOUT_CLIENT_AT) < 0)
		log_debug("sink %s: %m", in->base.opt->name);
}

static int look(struct sink_input *in, struct dump_frame *out)
{
	union layout_header header = { 0 };
	ssize_t size = pread(in->fd, &header, sizeof(header), 0);
	int64_t arrived_ns = now_ns();
	int res = check_head(in, &header.head, size);

	if (res < 0)
		return res;
	if (in->has_seen && header.head.id == in->seen)
		res = -EAGAIN;
	else if ((res = take(in, &header, size, out)) == 0) {
		out->arrived_ns = arrived_ns;
		out->was_there = out->captured_ns < in->base.attached_ns;
	}
	if (res < 0 && res != -EAGAIN)
		return res;
	in->has_seen = true;
	in->seen = header.head.id;
	show_up(in, arrived_ns);
	return res;
}

/* ---- the loop */

static bool lock(struct sink_input *in)
{
	if (flock(in->fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	in->locked_ns = now_ns();
	return true;
}

static int try_it(struct sink_input *in, struct dump_frame *out)
{
	int res;

	if (!lock(in))
		return -EAGAIN;
	res = look(in, out);
	flock(in->fd, LOCK_UN);
	return res;
}

static void find_reason(struct sink_input *in)
{
	if (now_ns() - in->locked_ns > in->base.opt->timeout_s * NS_PER_S)
		input_say(&in->base, "another program holds its lock and does not let go");
	else
		input_say_quiet(&in->base);
}

/* Its writer took leave of it, or removed it without a word, as uStreamer does. */
static void go_back(struct sink_input *in)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	input_say(&in->base, "its writer has ended");
	close_fd(&in->fd);
	nanosleep(&pause, NULL);
}

static int next(struct input *base, struct dump_frame *out)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	const int64_t until_ns = now_ns() + INPUT_WAIT_MS * NS_PER_MS;
	struct sink_input *in = sink_of(base);
	int res;

	if (in->fd < 0 && (res = attach(in)) < 0)
		return res;
	while ((res = try_it(in, out)) == -EAGAIN && now_ns() < until_ns)
		nanosleep(&pause, NULL);
	if (res == -ESTALE || (res == -EAGAIN && is_removed(in))) {
		go_back(in);
		return -EAGAIN;
	}
	if (res == -EAGAIN)
		find_reason(in);
	return res;
}

static void stay(struct input *base)
{
	struct sink_input *in = sink_of(base);

	if (in->fd < 0 || !in->has_seen || !lock(in))
		return;
	show_up(in, now_ns());
	flock(in->fd, LOCK_UN);
}

static void close_sink(struct input *base)
{
	close_fd(&sink_of(base)->fd);
}

static const struct input_ops ops = { .next = next, .stay = stay, .close = close_sink };

struct input *sink_input_open(const struct dump_options *opt)
{
	struct sink_input *in = xcalloc(1, sizeof(*in));

	in->base = (struct input){ .ops = &ops, .opt = opt };
	in->fd = -1;
	return &in->base;
}
