/* SPDX-License-Identifier: MIT */
/*
 * hdmicast-ring: video frames in shared memory, for any number of readers.
 *
 * First the format (docs/ring.md tells why it is so), then the functions of libhdmicast-ring. A
 * reader may be written from the first half alone. Plain C99, or C++.
 *
 * Two POSIX shared memory objects make a ring. "/NAME" is written by one writer and only read by
 * everybody else: a header, an array of slots, and a ring of bytes. "/NAME.ctl" is written by the
 * readers and believed by nobody. All numbers are in the byte order of the machine, all offsets
 * in bytes from the beginning of the object, all times nanoseconds of CLOCK_MONOTONIC. The layout
 * is the same for 32-bit and 64-bit programs.
 */
#ifndef HDMICAST_RING_H
#define HDMICAST_RING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the format */

#define HDMICAST_RING_MAGIC         UINT64_C(0x31676e6972636468) /* "hdcring1" in memory */
#define HDMICAST_RING_CONTROL_MAGIC UINT64_C(0x316c746372636468) /* "hdcrctl1" */
#define HDMICAST_RING_VERSION       1u                           /* readers refuse a higher one */
#define HDMICAST_RING_READERS       64u
#define HDMICAST_RING_MAX_SLOTS     65536u

/* The state of an object. It only ever grows. */
enum {
	HDMICAST_RING_NEW = 0,  /* not yet complete: look again soon */
	HDMICAST_RING_LIVE = 1, /* in use, as long as its writer holds the lock: see below */
	HDMICAST_RING_GONE = 2  /* abandoned: no frame comes any more, open the name again */
};

/* What is known about a frame, as bits. */
enum {
	HDMICAST_FRAME_KEY = 1,    /* decodes by itself: all raw pictures and JPEG, IDR of H.264 */
	HDMICAST_FRAME_ONLINE = 2, /* a picture of the source; else the no-signal picture */
	HDMICAST_FRAME_FULL_RANGE = 4, /* YUV: 0 to 255; else 16 to 235 */
	HDMICAST_FRAME_BT709 = 8       /* YUV: the matrix of BT.709; else of BT.601 */
};

/*
 * The first 256 bytes of "/NAME". What comes before `state` does not change once that is LIVE.
 * What follows it is read and written atomically; a frame's number here is its sequence modulo
 * 2^32.
 *
 * While the writer lives, it holds an open-file-description write lock (F_OFD_SETLK) on the first
 * byte of the object. The kernel drops it when the writer dies, however that happens. A reader
 * asks with F_OFD_GETLK and l_type F_RDLCK.
 */
struct hdmicast_ring_header {
	uint64_t magic;        /*   0: HDMICAST_RING_MAGIC */
	uint32_t version;      /*   8: of the layout */
	uint32_t header_bytes; /*  12: of this header, 256 or more */
	uint32_t slot_bytes;   /*  16: from one slot to the next, 128 or more */
	uint32_t slot_count;   /*  20: a power of two, 2 to 65536 */
	uint64_t slot_offset;  /*  24: where slot 0 is */
	uint64_t data_offset;  /*  32: where the ring of bytes is */
	uint64_t data_bytes;   /*  40: its size */
	uint64_t object_bytes; /*  48: size of the whole object */
	uint64_t epoch;        /*  56: differs for each ring ever made under this name */
	uint32_t writer_pid;   /*  64: for people; may be of another PID namespace */
	uint32_t reserved0;    /*  68 */
	char writer[56];       /*  72: for people: program and version, ends in a zero */

	uint32_t state;         /* 128: HDMICAST_RING_NEW, LIVE, GONE */
	uint32_t bell;          /* 132: futex; changes with each frame and with `state` */
	uint32_t head;          /* 136: number of the next frame: `head - 1` is the newest */
	uint32_t key;           /* 140: number of the newest key frame, plus 1; 0: none of use */
	uint32_t tail;          /* 144: number of the oldest frame that is still whole */
	uint32_t reserved1[27]; /* 148 */
};

/*
 * Describes one frame. Frame n is in slot n % slot_count as long as the stamp is
 * HDMICAST_RING_STAMP(n); the stamp also covers the frame's bytes. It is 0 while slot or bytes
 * are being written to.
 */
struct hdmicast_ring_slot {
	uint32_t stamp;           /*   0: read first, and again after slot or bytes were used */
	uint32_t flags;           /*   4: HDMICAST_FRAME_... */
	uint64_t sequence;        /*   8: counts up by one, from 0, for each frame of an epoch */
	uint64_t offset;          /*  16: of the bytes, from data_offset; a multiple of 64 */
	uint64_t size;            /*  24: of the bytes, which are in one piece */
	int64_t captured_ns;      /*  32: first pixel at the grabber, as its driver says */
	int64_t published_ns;     /*  40: when the frame was complete in the ring */
	uint32_t fourcc;          /*  48: V4L2 pixel format */
	uint32_t width;           /*  52: pixels, as shown */
	uint32_t height;          /*  56 */
	uint32_t stride;          /*  60: bytes from row to row of the first plane; 0: compressed */
	uint64_t source_sequence; /*  64: of the source's frame, losses in the driver included */
	uint64_t dropped;         /*  72: since the epoch began: frames lost before the ring */
	uint64_t oversized;       /*  80: since then: frames that did not fit into the ring */
	int64_t encode_begin_ns;  /*  88: 0: was not encoded */
	int64_t encode_end_ns;    /*  96 */
	uint32_t stride2;         /* 104: of the other planes; 0: there are none */
	uint32_t plane_offset[2]; /* 108: of the second and third plane in the bytes; 0: none */
	uint32_t reserved[3];     /* 116 */
};

/*
 * A reader sleeps by FUTEX_WAIT_BITSET on `bell` with the value b that it saw and this bit. If
 * that returns 0, it was woken in place of others, and must at once wake two more who sleep with
 * the same bit: FUTEX_WAKE_BITSET, which does not need write access. Simple readers may use
 * FUTEX_WAIT, and wake nobody: the writer notices, and then wakes everybody by itself.
 */
#define HDMICAST_RING_BELL_BIT(b) ((uint32_t)1 << ((uint32_t)(b)&31u))

#define HDMICAST_RING_STAMP(n) ((uint32_t)((uint32_t)(n)*2u + 1u))

/*
 * "/NAME.ctl": this, then one hdmicast_ring_reader for each of HDMICAST_RING_READERS. It is used
 * with pread() and pwrite() only: mapped, whoever shortens the object ends all others by SIGBUS.
 */
struct hdmicast_ring_control {
	uint64_t magic;   /*  0: HDMICAST_RING_CONTROL_MAGIC */
	uint32_t version; /*  8 */
	uint32_t readers; /* 12: HDMICAST_RING_READERS */
	uint64_t epoch;   /* 16: of the ring that it belongs to */
	uint64_t reserved[5];
};

/*
 * What one reader says. It is his who holds a write lock (F_OFD_SETLK) on these 32 bytes, and he
 * is there as long as he does; when none is free, readers share the last one, without a lock, and
 * are there while its beat changes.
 */
struct hdmicast_ring_reader {
	uint32_t pid;  /*  0: for people */
	uint32_t beat; /*  4: changes every second or two while frames are read or waited for */
	uint32_t keys; /*  8: a change asks for a key frame */
	uint32_t laps; /* 12: how often it was overtaken */
	uint64_t lost; /* 16: frames that this reader missed */
	uint64_t reserved2;
};

#if defined(__cplusplus) && __cplusplus >= 201103L
#define HDMICAST_ASSERT(what) static_assert(what, #what)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define HDMICAST_ASSERT(what) _Static_assert(what, #what)
#else
#define HDMICAST_ASSERT(what) extern int hdmicast_assert_[(what) ? 1 : -1]
#endif
HDMICAST_ASSERT(sizeof(struct hdmicast_ring_header) == 256);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_header, slot_offset) == 24);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_header, epoch) == 56);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_header, writer) == 72);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_header, state) == 128);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_header, tail) == 144);
HDMICAST_ASSERT(sizeof(struct hdmicast_ring_slot) == 128);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_slot, sequence) == 8);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_slot, fourcc) == 48);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_slot, source_sequence) == 64);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_slot, stride2) == 104);
HDMICAST_ASSERT(offsetof(struct hdmicast_ring_slot, plane_offset) == 108);
HDMICAST_ASSERT(sizeof(struct hdmicast_ring_control) == 64);
HDMICAST_ASSERT(sizeof(struct hdmicast_ring_reader) == 32);

/* ---- the library */

/*
 * A reader's handle: for one thread at a time, and of no use to a child after fork(). All functions
 * return 0 or a negative errno, if nothing else is said. None waits but hdmicast_ring_wait(). When
 * the writer ends, dies or makes a ring of another size, the handle finds the new one by itself;
 * hdmicast_frame.epoch tells.
 */
struct hdmicast_ring;

/* A frame in the ring, borrowed. What is not explained here is as in the slot. */
struct hdmicast_frame {
	/*
	 * The writer waits for nobody: it may overwrite these bytes while they are being used, so
	 * call hdmicast_ring_valid() afterwards and throw the result away when it says no.
	 * Readable until the next call of wait, next, newest or close.
	 */
	const void *data;
	size_t size;
	uint64_t epoch;
	uint64_t sequence;
	uint64_t lost; /* frames that this reader missed since the one before, for any reason */
	uint32_t flags;
	uint32_t fourcc, width, height, stride, stride2, plane_offset[2];
	int64_t captured_ns, published_ns, encode_begin_ns, encode_end_ns;
	uint64_t source_sequence, dropped, oversized;
};

struct hdmicast_ring_info {
	int attached; /* there is a ring that its writer has not given up */
	int alive;    /* and its writer lives */
	uint64_t epoch;
	uint64_t data_bytes;
	uint32_t slot_count;
	uint32_t writer_pid;
	char writer[56];
};

enum {
	HDMICAST_RING_EARLY = 1 /* for open(): there may be no ring yet; wait for it */
};

/*
 * name: with or without the leading slash. -ENOENT no such object, -EACCES not for this user,
 * -EBADMSG an object of another kind, -EPROTONOSUPPORT of a newer version, -ENODATA shorter than
 * it claims to be, -EPROTO its header contradicts itself, -EAGAIN just being made, -EINVAL no name.
 * Without write access to NAME.ctl a reader is not counted and cannot ask for key frames. For one
 * that is counted, the writer makes frames until it is closed: do not keep open what is not read.
 */
int hdmicast_ring_open(struct hdmicast_ring **out, const char *name, unsigned flags);
/* NULL is fine. */
void hdmicast_ring_close(struct hdmicast_ring *ring);

/*
 * Until a frame can be had: 0, or -ETIMEDOUT. timeout_ms: below 0 waits for ever. Signals do not
 * end it.
 */
int hdmicast_ring_wait(struct hdmicast_ring *ring, int timeout_ms);
/*
 * A descriptor for poll(): readable when hdmicast_ring_next() may have something, and every two
 * seconds when it has not. It is the ring's; read frames until -EAGAIN, each time: that resets it,
 * and tells the writer that somebody is here. Starts a thread, which waits in your stead.
 */
int hdmicast_ring_fd(struct hdmicast_ring *ring);

/*
 * Borrows the next frame; -EAGAIN: there is none yet. A new reader starts at the newest key frame
 * in the ring, and so does one who was too slow and lost frames. Of raw pictures and JPEG each is
 * a key frame.
 */
int hdmicast_ring_next(struct hdmicast_ring *ring, struct hdmicast_frame *out);
/* As next, but skips to the newest key frame if one was not read yet. */
int hdmicast_ring_newest(struct hdmicast_ring *ring, struct hdmicast_frame *out);

/*
 * 1: all that was read from the frame up to now is right. 0: the writer has reached it; it counts
 * as lost, and data is NULL now.
 */
int hdmicast_ring_valid(struct hdmicast_ring *ring, struct hdmicast_frame *frame);
/* Copies the bytes and validates. -ESTALE: overwritten meanwhile. -EMSGSIZE: room is too small. */
int hdmicast_ring_copy(struct hdmicast_ring *ring, struct hdmicast_frame *frame, void *to,
	size_t room);

/* Asks for a key frame; the writer decides how often there is one. Asked by itself after losses. */
int hdmicast_ring_request_key(struct hdmicast_ring *ring);
/* How many frames this reader missed since it was opened. */
uint64_t hdmicast_ring_lost(const struct hdmicast_ring *ring);
/*
 * Looks at the ring and at its writer. A frame that was borrowed stays readable; so it is wait, next
 * and newest that go over to another ring.
 */
int hdmicast_ring_get_info(struct hdmicast_ring *ring, struct hdmicast_ring_info *out);
/* A sentence about an error of this library, for people; a constant, or strerror()'s. */
const char *hdmicast_ring_strerror(int error);

#ifdef __cplusplus
}
#endif

#endif
