/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The user-space half of the kernel's UVC gadget: an MJPEG camera whose faults can be chosen.
 *
 * It answers the host's PROBE/COMMIT and feeds the JPEGs of MEDIA/WxH.mjpg at the negotiated rate,
 * in a loop, one after the other. The kernel's unbind waits until this program has closed its node,
 * and the device is on the bus only while the node is open, so that the node is closed and opened
 * again at each disconnect.
 *
 * SIGUSR1 stops the frames and starts them again, without a word to the host: a source that stalls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <time.h>
#include <unistd.h>

#include <linux/usb/ch9.h>
#include <linux/usb/g_uvc.h>
#include <linux/usb/video.h>
#include <linux/videodev2.h>

#define ARRAY_SIZE(a)       (sizeof(a) / sizeof((a)[0]))
#define NS_PER_SECOND       1000000000LL
#define LOOK_AROUND_NS      (NS_PER_SECOND / 50)
#define REOPEN_DELAY_US     200000
#define MAX_BUFFERS         8
#define NODES               64
#define STREAMING_INTERFACE 1
#define MAX_PAYLOAD         3072

struct jpeg {
	uint8_t *data;
	uint32_t size;
};

/* One frame size of the format descriptor; the order is that of the descriptors, which count
 * from 1. */
struct mode {
	uint32_t width, height;
	struct jpeg *jpegs;
	size_t count;
};

struct options {
	const char *media;
	unsigned truncate_every; /* every n-th frame ends in its middle */
	unsigned junk_bytes;     /* appended behind each frame's end marker */
	unsigned first_frame_delay_ms;
	bool no_huffman; /* leave the Huffman tables out, as many cameras do */
};

struct gadget {
	int fd;
	struct uvc_streaming_control probe, commit;
	uint8_t pending; /* the control whose data stage comes next */
	bool disconnected;

	bool streaming;
	uint8_t *buffers[MAX_BUFFERS];
	size_t buffer_size;
	unsigned buffer_count;
	unsigned idle[MAX_BUFFERS], idle_count;
	int64_t due_ns;
	unsigned frame;
};

static struct mode modes[] = { { .width = 640, .height = 480 }, { .width = 1280, .height = 720 },
	{ .width = 1920, .height = 1080 } };
static struct options options = { .media = "." };
static volatile sig_atomic_t stalled, quit;

static void toggle_stall(int signal)
{
	(void)signal;
	stalled = !stalled;
}

static void ask_to_quit(int signal)
{
	(void)signal;
	quit = 1;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static int xioctl(int fd, unsigned long request, void *argument)
{
	int res;

	do
		res = ioctl(fd, request, argument);
	while (res < 0 && errno == EINTR);
	return res < 0 ? -errno : res;
}

static void complain(const char *what, int res)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-res));
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- pictures ---- */

/* Copies one JPEG without its DHT segments; returns the new size. */
static uint32_t copy_without_huffman(uint8_t *out, const uint8_t *in, uint32_t size)
{
	uint32_t at = 2, used = 2;

	memcpy(out, in, 2);
	while (at + 4 <= size && in[at + 1] != 0xda) {
		uint32_t segment = 2 + (in[at + 2] << 8 | in[at + 3]);

		if (in[at + 1] != 0xc4) {
			memcpy(out + used, in + at, segment);
			used += segment;
		}
		at += segment;
	}
	memcpy(out + used, in + at, size - at);
	return used + size - at;
}

static void add_jpeg(struct mode *mode, const uint8_t *data, uint32_t size)
{
	struct jpeg *jpeg;

	mode->jpegs = realloc(mode->jpegs, (mode->count + 1) * sizeof(*mode->jpegs));
	if (!mode->jpegs)
		die("realloc");
	jpeg = &mode->jpegs[mode->count++];
	jpeg->data = calloc(1, size + options.junk_bytes);
	if (!jpeg->data)
		die("calloc");
	if (options.no_huffman) {
		jpeg->size = copy_without_huffman(jpeg->data, data, size);
	} else {
		memcpy(jpeg->data, data, size);
		jpeg->size = size;
	}
	/* Neither zeros nor anything that looks like a marker. */
	memset(jpeg->data + jpeg->size, 0xa5, options.junk_bytes);
	jpeg->size += options.junk_bytes;
}

/* The media have no thumbnails: each FFD8 starts a picture and each FFD9 ends one. */
static void split_jpegs(struct mode *mode, const uint8_t *data, size_t size)
{
	const uint8_t *start = NULL;

	for (size_t i = 0; i + 1 < size; i++) {
		if (data[i] != 0xff)
			continue;
		if (data[i + 1] == 0xd8)
			start = data + i;
		else if (data[i + 1] == 0xd9 && start) {
			add_jpeg(mode, start, (uint32_t)(data + i + 2 - start));
			start = NULL;
		}
	}
}

static void load_mode(struct mode *mode)
{
	char path[512];
	uint8_t *data;
	off_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/%ux%u.mjpg", options.media, mode->width, mode->height);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path);
	size = lseek(fd, 0, SEEK_END);
	data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		die(path);
	split_jpegs(mode, data, size);
	munmap(data, size);
	close(fd);
	if (!mode->count) {
		fprintf(stderr, "%s: no picture in it\n", path);
		exit(1);
	}
}

/* ---- streaming ---- */

static struct mode *committed_mode(struct gadget *gadget)
{
	return &modes[gadget->commit.bFrameIndex - 1];
}

static uint32_t fill(struct gadget *gadget, uint8_t *buffer)
{
	struct mode *mode = committed_mode(gadget);
	struct jpeg *jpeg;
	uint32_t size;

	/* Pictures are read in when their size is first asked for: the largest takes a second. */
	if (!mode->count)
		load_mode(mode);
	jpeg = &mode->jpegs[gadget->frame++ % mode->count];
	size = jpeg->size < gadget->buffer_size ? jpeg->size : (uint32_t)gadget->buffer_size;
	memcpy(buffer, jpeg->data, size);
	if (options.truncate_every && gadget->frame % options.truncate_every == 0)
		return size / 2;
	return size;
}

static void queue(struct gadget *gadget, unsigned index)
{
	struct v4l2_buffer buffer = {
		.index = index, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP
	};
	int res;

	buffer.bytesused = fill(gadget, gadget->buffers[index]);
	res = xioctl(gadget->fd, VIDIOC_QBUF, &buffer);
	if (res < 0)
		complain("QBUF", res);
}

static void stop(struct gadget *gadget)
{
	struct v4l2_requestbuffers none = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.memory = V4L2_MEMORY_MMAP };
	int type = V4L2_BUF_TYPE_VIDEO_OUTPUT;

	if (!gadget->streaming)
		return;
	xioctl(gadget->fd, VIDIOC_STREAMOFF, &type);
	for (unsigned i = 0; i < gadget->buffer_count; i++)
		munmap(gadget->buffers[i], gadget->buffer_size);
	xioctl(gadget->fd, VIDIOC_REQBUFS, &none);
	gadget->streaming = false;
	gadget->buffer_count = gadget->idle_count = 0;
}

static int map_buffers(struct gadget *gadget)
{
	struct v4l2_requestbuffers want = {
		.count = 4, .type = V4L2_BUF_TYPE_VIDEO_OUTPUT, .memory = V4L2_MEMORY_MMAP
	};
	int res = xioctl(gadget->fd, VIDIOC_REQBUFS, &want);

	/* f_uvc answers with the number of buffers where others answer 0. */
	if (res < 0)
		return res;
	gadget->buffer_count = want.count < MAX_BUFFERS ? want.count : MAX_BUFFERS;
	for (unsigned i = 0; i < gadget->buffer_count; i++) {
		struct v4l2_buffer buffer = {
			.index = i, .type = want.type, .memory = want.memory
		};

		res = xioctl(gadget->fd, VIDIOC_QUERYBUF, &buffer);
		if (res < 0)
			return res;
		gadget->buffer_size = buffer.length;
		gadget->buffers[i] = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED,
			gadget->fd, buffer.m.offset);
		if (gadget->buffers[i] == MAP_FAILED)
			die("mmap");
		gadget->idle[i] = i;
	}
	gadget->idle_count = gadget->buffer_count;
	return 0;
}

static void start(struct gadget *gadget)
{
	int type = V4L2_BUF_TYPE_VIDEO_OUTPUT;
	int res;

	stop(gadget);
	res = map_buffers(gadget);
	if (res < 0)
		return complain("cannot allocate buffers", res);
	gadget->due_ns = now_ns() + options.first_frame_delay_ms * 1000000LL;
	/* The driver wants a buffer before it starts, except that a late first frame must not be
	 * there yet. */
	if (!options.first_frame_delay_ms)
		queue(gadget, gadget->idle[--gadget->idle_count]);
	res = xioctl(gadget->fd, VIDIOC_STREAMON, &type);
	if (res < 0)
		return complain("STREAMON", res);
	gadget->streaming = true;
}

static void take_sent_buffer(struct gadget *gadget)
{
	struct v4l2_buffer buffer = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT,
		.memory = V4L2_MEMORY_MMAP };
	int res = xioctl(gadget->fd, VIDIOC_DQBUF, &buffer);

	if (res >= 0) {
		gadget->idle[gadget->idle_count++] = buffer.index;
	} else if (res != -EAGAIN) {
		complain("DQBUF", res);
		stop(gadget);
	}
}

static void queue_what_is_due(struct gadget *gadget)
{
	int64_t interval_ns = gadget->commit.dwFrameInterval * 100LL;

	while (gadget->streaming && gadget->idle_count && !stalled && now_ns() >= gadget->due_ns) {
		queue(gadget, gadget->idle[--gadget->idle_count]);
		gadget->due_ns += interval_ns;
		/* After a stall the rate goes on; what was missed is not made up for. */
		if (gadget->due_ns < now_ns() - 5 * interval_ns)
			gadget->due_ns = now_ns();
	}
}

/* ---- control requests ---- */

static void fill_control(struct uvc_streaming_control *control, unsigned frame_index,
	uint32_t interval)
{
	struct mode *mode;

	if (frame_index < 1 || frame_index > ARRAY_SIZE(modes))
		frame_index = 1;
	mode = &modes[frame_index - 1];
	*control = (struct uvc_streaming_control){
		.bmHint = 1,
		.bFormatIndex = 1,
		.bFrameIndex = (uint8_t)frame_index,
		.dwFrameInterval = interval < 166666    ? 166666
				   : interval > 2000000 ? 2000000
							: interval,
		.dwMaxVideoFrameSize = mode->width * mode->height * 2,
		.dwMaxPayloadTransferSize = MAX_PAYLOAD,
		.bmFramingInfo = 3,
		.bPreferedVersion = 1,
		.bMaxVersion = 1,
	};
}

static int answer(struct gadget *gadget, uint8_t request, uint8_t which,
	struct uvc_streaming_control *control)
{
	switch (request) {
	case UVC_SET_CUR: gadget->pending = which; return sizeof(*control);
	case UVC_GET_CUR:
		*control = which == UVC_VS_PROBE_CONTROL ? gadget->probe : gadget->commit;
		return sizeof(*control);
	case UVC_GET_MIN:
	case UVC_GET_DEF: fill_control(control, 1, 333333); return sizeof(*control);
	case UVC_GET_MAX: fill_control(control, ARRAY_SIZE(modes), 166666); return sizeof(*control);
	case UVC_GET_RES: memset(control, 0, sizeof(*control)); return sizeof(*control);
	case UVC_GET_LEN: *(uint8_t *)control = sizeof(*control); return 2;
	case UVC_GET_INFO:
		*(uint8_t *)control = 3; /* can be read and set */
		return 1;
	default: return -EL2HLT; /* stall the endpoint */
	}
}

static void setup(struct gadget *gadget, const struct usb_ctrlrequest *request)
{
	struct uvc_request_data response = { .length = -EL2HLT };
	uint8_t control = request->wValue >> 8, interface = request->wIndex & 0xff;
	int res;

	if ((request->bRequestType & (USB_TYPE_MASK | USB_RECIP_MASK)) ==
			(USB_TYPE_CLASS | USB_RECIP_INTERFACE) &&
		interface == STREAMING_INTERFACE &&
		(control == UVC_VS_PROBE_CONTROL || control == UVC_VS_COMMIT_CONTROL))
		response.length = answer(gadget, request->bRequest, control,
			(struct uvc_streaming_control *)response.data);
	if (response.length > request->wLength)
		response.length = request->wLength;
	res = xioctl(gadget->fd, UVCIOC_SEND_RESPONSE, &response);
	if (res < 0)
		complain("SEND_RESPONSE", res);
}

static void set_format(struct gadget *gadget)
{
	struct mode *mode = committed_mode(gadget);
	struct v4l2_format format = { .type = V4L2_BUF_TYPE_VIDEO_OUTPUT };
	int res;

	format.fmt.pix.width = mode->width;
	format.fmt.pix.height = mode->height;
	format.fmt.pix.pixelformat = V4L2_PIX_FMT_MJPEG;
	format.fmt.pix.field = V4L2_FIELD_NONE;
	format.fmt.pix.sizeimage = gadget->commit.dwMaxVideoFrameSize;
	res = xioctl(gadget->fd, VIDIOC_S_FMT, &format);
	if (res < 0)
		complain("S_FMT", res);
}

static void receive(struct gadget *gadget, const struct uvc_request_data *data)
{
	struct uvc_streaming_control wish = { 0 };
	size_t size = data->length < (int)sizeof(wish) ? (size_t)data->length : sizeof(wish);

	memcpy(&wish, data->data, size);
	if (gadget->pending == UVC_VS_PROBE_CONTROL) {
		fill_control(&gadget->probe, wish.bFrameIndex, wish.dwFrameInterval);
	} else if (gadget->pending == UVC_VS_COMMIT_CONTROL) {
		fill_control(&gadget->commit, wish.bFrameIndex, wish.dwFrameInterval);
		set_format(gadget);
	}
	gadget->pending = 0;
}

static void handle_events(struct gadget *gadget)
{
	struct v4l2_event event;
	int res;

	while ((res = xioctl(gadget->fd, VIDIOC_DQEVENT, &event)) >= 0) {
		const struct uvc_event *uvc = (const void *)&event.u.data;

		switch (event.type) {
		case UVC_EVENT_DISCONNECT:
			stop(gadget);
			gadget->disconnected = true;
			break;
		case UVC_EVENT_SETUP: setup(gadget, &uvc->req); break;
		case UVC_EVENT_DATA: receive(gadget, &uvc->data); break;
		case UVC_EVENT_STREAMON: start(gadget); break;
		case UVC_EVENT_STREAMOFF: stop(gadget); break;
		}
	}
	if (res == -ENODEV) {
		stop(gadget);
		gadget->disconnected = true;
	}
}

/* ---- life ---- */

/* Opens the node whose driver is the gadget's; -ENODEV when there is none (not bound to a
 * controller). */
static int open_gadget_node(void)
{
	for (int i = 0; i < NODES; i++) {
		struct v4l2_capability capability;
		char path[32];
		int fd;

		snprintf(path, sizeof(path), "/dev/video%d", i);
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (xioctl(fd, VIDIOC_QUERYCAP, &capability) == 0 &&
			!strcmp((char *)capability.driver, "g_uvc"))
			return fd;
		close(fd);
	}
	return -ENODEV;
}

static void subscribe(struct gadget *gadget)
{
	for (uint32_t type = UVC_EVENT_FIRST; type <= UVC_EVENT_LAST; type++) {
		struct v4l2_event_subscription subscription = { .type = type };
		int res = xioctl(gadget->fd, VIDIOC_SUBSCRIBE_EVENT, &subscription);

		if (res < 0)
			complain("SUBSCRIBE_EVENT", res);
	}
}

/* Time until the next frame is due. Signals and the node's end wake nobody: they are looked for
 * meanwhile. */
static struct timeval next_timeout(const struct gadget *gadget)
{
	int64_t wait_ns = LOOK_AROUND_NS;

	if (gadget->streaming && gadget->idle_count && !stalled)
		wait_ns = gadget->due_ns - now_ns();
	if (wait_ns > LOOK_AROUND_NS)
		wait_ns = LOOK_AROUND_NS;
	if (wait_ns < 0)
		wait_ns = 0;
	return (struct timeval){ .tv_sec = wait_ns / NS_PER_SECOND,
		.tv_usec = wait_ns % NS_PER_SECOND / 1000 };
}

/* Serves one connection to a host; returns when it has ended. */
static void serve(struct gadget *gadget)
{
	while (!quit && !gadget->disconnected) {
		struct timeval timeout = next_timeout(gadget);
		fd_set exceptional, writable;
		int ready;

		FD_ZERO(&exceptional);
		FD_ZERO(&writable);
		FD_SET(gadget->fd, &exceptional);
		if (gadget->streaming && gadget->idle_count < gadget->buffer_count)
			FD_SET(gadget->fd, &writable);
		ready = select(gadget->fd + 1, NULL, &writable, &exceptional, &timeout);
		if (ready < 0 && errno != EINTR)
			die("select");
		handle_events(gadget);
		if (ready > 0 && FD_ISSET(gadget->fd, &writable) && gadget->streaming)
			take_sent_buffer(gadget);
		queue_what_is_due(gadget);
	}
}

static void parse(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "m:T:Z:D:H")) != -1) {
		switch (letter) {
		case 'm': options.media = optarg; break;
		case 'T': options.truncate_every = (unsigned)atoi(optarg); break;
		case 'Z': options.junk_bytes = (unsigned)atoi(optarg); break;
		case 'D': options.first_frame_delay_ms = (unsigned)atoi(optarg); break;
		case 'H': options.no_huffman = true; break;
		default:
			fprintf(stderr,
				"usage: %s [-m MEDIA] [-T EVERY] [-Z BYTES] [-D MS] [-H]\n"
				"  -T truncate every n-th frame   -Z junk behind each frame\n"
				"  -D first frame after MS        -H no Huffman tables\n",
				argv[0]);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction stall = { .sa_handler = toggle_stall },
			 end = { .sa_handler = ask_to_quit };

	parse(argc, argv);
	sigaction(SIGUSR1, &stall, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	while (!quit) {
		struct gadget gadget = { .fd = open_gadget_node() };

		if (gadget.fd < 0) {
			usleep(LOOK_AROUND_NS /
				1000); /* unplugged; no event tells of a node that appears */
			continue;
		}
		fill_control(&gadget.probe, 1, 333333);
		gadget.commit = gadget.probe;
		subscribe(&gadget);
		serve(&gadget);
		stop(&gadget);
		close(gadget.fd);
		/* An unbind follows the disconnect at once; a node that is open again by then would
		 * hold it up. */
		if (!quit)
			usleep(REOPEN_DELAY_US);
	}
	return 0;
}
