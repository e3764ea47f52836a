/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fake device, its nodes and its open handles.
 *
 * Locks: table lock (handle.c) > device lock. Whoever holds a device lock takes no other lock of
 * ours. The thread of a device makes its frames; ioctls come from the client's threads. The
 * mutexes of the drivers that the devices stand for are flags under the device lock: see locks.c.
 */
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include "fake.h"

#include <linux/videodev2.h>
#include <pthread.h>

struct device;
struct handle;
struct queue;
struct buffer;
struct command;
struct control;

enum { EVENTS_MAX = 32, FORMATS_MAX = 16, SIZES_MAX = 16, RATES_MAX = 16, INJECTIONS_MAX = 16 };

struct ioctl_entry {
	uint32_t request;
	const char *name;                       /* "streamon": what the command "fail" calls it */
	int (*fn)(struct handle *h, void *arg); /* under the device lock; 0 or -errno */
};

/* One kind of device. All members are called under the device lock. */
struct device_ops {
	const char *kind;
	const char *path;
	const char *parent; /* what its node belongs to, in /sys */
	/* What /sys calls its node. */
	const char *(*called)(const struct device *dev);
	uint32_t buf_type;
	const struct ioctl_entry *ioctls; /* ends with request 0; before the shared ones */
	const struct command *commands;   /* ends with a NULL name */
	void (*init)(struct device *dev);
	/* The queue is about to stream: 0 or -errno, which STREAMON returns. */
	int (*start)(struct device *dev);
	/* Whether the sensor ticks now. Called at each wake-up of the thread: may change states. */
	bool (*flowing)(struct device *dev, int64_t now);
	/* When flowing() wants to be called again at the latest; INT64_MAX is never. */
	int64_t (*deadline)(struct device *dev);
	/* Makes a frame in buf: sets bytesused and error. False: the frame vanishes. */
	bool (*fill)(struct device *dev, struct buffer *buf, uint32_t stamp);
	/* The node came back. */
	void (*plugged)(struct device *dev);
	/* NULL: handles share the device's one queue, and the members above are in use. */
	const struct instance_ops *instance;
	bool contiguous; /* its buffers, for whoever imports them */
	/* The MUTEX_… that the driver takes for this call: a request or CALL_…. NULL: MUTEX_DEVICE. */
	unsigned (*mutexes)(const struct handle *h, uint32_t call);
};

/* What a kind needs where each open handle is a device of its own. Under the device lock. */
struct instance_ops {
	void (*opened)(struct handle *h);
	/* May wait, with the lock released meanwhile. */
	void (*closed)(struct handle *h);
	/* Which of POLLIN, POLLOUT and POLLERR hold. */
	short (*poll)(const struct handle *h);
	/* The buffer at this offset of mmap(), and the queue that it belongs to; or NULL. */
	struct buffer *(*buffer_at)(struct handle *h, int64_t offset, const void **queue);
	/* The driver is told a control's new value: 0 or -errno. */
	int (*control)(struct handle *h, struct control *c, int32_t value);
	/* The command "fail" made this request fail. */
	void (*injected)(struct handle *h, const struct ioctl_entry *entry);
	/* Whether the handle may be open at exit: it cannot be closed without waiting for ever. */
	bool (*hangs)(const struct handle *h);
};

struct size {
	unsigned width, height;
};

/* Faults that count down by frames, and switches. */
struct faults {
	unsigned error, truncate, garbage, flip, zero, tiny, bomb, false_sof, drop, zero_time;
	unsigned backstep;
	bool no_dht, avi1, no_jfif, nodrop, poison;
	unsigned trailing;  /* bytes after EOI */
	char trailing_kind; /* 0, f(f) or s(tale) */
	struct size lie;    /* MJPEG of this size, whatever S_FMT said; 0 is off */
	unsigned jitter_ms;
};

/* What happens to the next calls of a request. */
struct injection {
	const struct ioctl_entry *entry;
	int error;         /* they fail with it; 0: they hang … */
	int64_t hang_ns;   /* … so long; INT64_MAX: until they are released */
	unsigned count;    /* calls to come */
	unsigned inside;   /* those that hang now */
	unsigned releases; /* ends all that began before it changed */
};

struct picture;

struct device {
	const struct device_ops *ops;
	void *priv;          /* of the kind; set before start */
	struct device *next; /* set before start */
	unsigned minor; /* of its node; the next one is that of its metadata; set before start */

	pthread_mutex_t lock; /* everything below is under it */
	pthread_cond_t tick;  /* wakes the thread of the device */
	pthread_cond_t done;  /* wakes a blocked DQBUF */
	pthread_cond_t freed; /* wakes who waits for a mutex, and who hangs */
	unsigned held;        /* mutexes of the driver */
	unsigned waiting;     /* calls that wait for one */
	bool busy;            /* a call of another program's holds MUTEX_DEVICE */
	bool thread;
	char path[108], meta[108], link[108];
	bool plugged;
	unsigned generation; /* counts replugs: older handles are dead */

	struct queue *queue;
	struct v4l2_pix_format pix;
	uint32_t formats[FORMATS_MAX];
	unsigned n_formats;
	struct size sizes[SIZES_MAX];
	unsigned n_sizes;
	uint32_t rates[RATES_MAX]; /* intervals in 100 ns */
	unsigned n_rates;
	struct control *controls;
	unsigned n_controls;

	uint32_t life;       /* ticks ever: the next stamp */
	int64_t interval_ns; /* as negotiated */
	int64_t forced_ns;   /* as commanded, 0: as negotiated */
	int64_t next_ns;     /* next tick; 0: not flowing */
	int64_t first_delay_ns;
	bool stalled, silent; /* by command; by EPROTO, until STREAMOFF */
	char times;           /* s(ame) or f(ours): who else bears the time of a frame; 0 */
	int64_t held_time_ns; /* which is this; 0: of the next */
	uint32_t held_sequence;
	uint8_t *jpeg; /* in place of each picture; NULL */
	size_t jpeg_size;
	bool stuck_rates; /* their list never ends */
	bool cheap, frozen;
	char look; /* m(oving), b(lack), c(olour bars) or n(oise, in JPEG) */
	unsigned frames, quality;
	unsigned starve_ms; /* the client may hold everything so long */
	struct faults faults;
	bool count_pages;
	unsigned pages, returned; /* touched of the buffer that came back last; how many came */
	struct injection injections[INJECTIONS_MAX];
	struct picture *picture; /* made for pix; NULL until needed */

	struct handle *handles;
	struct handle *privileged;
};

struct handle {
	int fd;        /* the client's: an eventfd, readable = POLLIN */
	int pri_fd;    /* ours: readable = POLLPRI */
	int out_fd;    /* ours: readable = POLLOUT; -1 where there is none */
	unsigned refs; /* under the table lock */
	struct device *dev;
	struct handle *next; /* under the device lock, as all below */
	unsigned generation;
	unsigned held; /* mutexes of the driver that are the handle's own */
	bool meta;
	bool in_level, pri_level, out_level;
	struct queue *queue; /* of our generation */
	void *instance;      /* the kind's, with instance_ops; as are its controls */
	struct control *controls;
	unsigned n_controls;
	bool subscribed;
	struct v4l2_event events[EVENTS_MAX];
	unsigned n_events, event_sequence;
	unsigned enodev, poll_errors; /* in a row, to notice a client that spins */
};

extern struct device *devices; /* the list of the configuration */

struct device *device_create(const char *kind);
/* The plugged device whose node this is now, or NULL; *meta says which of its nodes. */
struct device *device_find(const char *path, bool *meta);
/* The same by the node's number: 81:MINOR. */
struct device *device_of_minor(unsigned minor);
/* The first true answer starts the script and the control socket. */
bool path_is_ours(const char *path);
/* clock.c: the thread that makes the frames of dev; started once, by the first STREAMON. */
void device_start_clock(struct device *dev);

/* Under the device lock. */
void device_unplug(struct device *dev);
int device_replug(struct device *dev, const char *path);
void device_update(struct device *dev); /* state changed: fds, thread, sleepers */
void device_event(struct device *dev, uint32_t type, uint32_t changes);
bool handle_gone(const struct handle *h);

/* handle.c: descriptors. */
int handle_open(struct device *dev, bool meta, int flags);
struct handle *handle_get(int fd); /* NULL: not ours */
void handle_put(struct handle *h);
int handle_close(int fd); /* 0, or -EBADF: not ours */
int handle_ioctl(struct handle *h, unsigned long request, void *arg);
void handle_poll_begin(struct handle *h); /* poll() comes to the driver before it sleeps */
short handle_revents(struct handle *h, short events);
void handles_finish(void);
const char *handle_path(const struct handle *h);

/* locks.c; under the device lock, which they let go of while they wait. */
enum {
	MUTEX_DEVICE = 1, /* one for everything */
	MUTEX_QUEUE = 2,
	MUTEX_FORMAT = 4,
	MUTEX_CONTROLS = 8,
	MUTEX_HANDLE = 16 /* one for everything of a handle */
};
enum { CALL_OPEN = 1, CALL_CLOSE, CALL_POLL }; /* no request has these numbers */

/* What the driver takes for the call, as soon as it is free; for locks_drop(). */
unsigned locks_take(struct handle *h, uint32_t call);
void locks_drop(struct handle *h, unsigned mutexes);
void locks_wait_done(struct handle *h); /* in DQBUF: for dev->done, and for its mutexes again */

/* inject.c; the same. */
enum { HANGING_BYTES = 400 };
/* Replaces what is left of the same kind for the same request. False: too many. */
bool inject(struct device *dev, const struct injection *wish);
int injected_error(struct device *dev, const struct ioctl_entry *entry); /* 0 or -errno */
void injected_hang(struct device *dev, const struct ioctl_entry *entry);
/* Ends all hangs of the request, begun or to come; NULL: of all. */
void injections_release(struct device *dev, const struct ioctl_entry *entry);
/* " hanging=qbuf+s_ctrl waiting=1" or " hanging=none waiting=0". */
void calls_describe(const struct device *dev, char *buf, size_t size);
bool anything_hangs(void); /* no locks: at exit */

/* common.c: requests that every kind answers alike. */
extern const struct ioctl_entry common_ioctls[], foreign_ioctls[];
const struct ioctl_entry *device_ioctl(const struct device *dev, uint32_t request);
const struct ioctl_entry *device_ioctl_named(const struct device *dev, const char *name);

extern const struct device_ops uvc_ops, csi_ops, m2m_ops;

#endif
