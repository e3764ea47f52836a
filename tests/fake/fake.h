/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libfakev4l2.so: V4L2 grabbers and encoders inside one process, by LD_PRELOAD.
 *
 * Environment
 *   HDMICAST_FAKE         what exists and what happens to it (grammar below);
 *                         unset means "uvc;csi"
 *   HDMICAST_FAKE_PATH    node of the first device instead of /dev/fake-uvc or /dev/fake-csi
 *   HDMICAST_FAKE_CTL     path of a UNIX stream socket taking commands at run time
 *   HDMICAST_FAKE_REPORT  file to which mistakes of the client and the summary are appended
 *   HDMICAST_FAKE_LOG     file to which "stamp sequence timestamp_ns bytes" is written per frame
 *   HDMICAST_FAKE_DEBUG   any value: say commands and mistakes on stderr
 *   FAKE_TIMES, FAKE_JPEGS, FAKE_INTERVALS, FAKE_HANG
 *                         arguments of the commands "times", "jpegs", "intervals" and "hang", to
 *                         the first device that knows them: FAKE_HANG='qbuf 60000'
 *
 * Grammar
 *   config  = item *( ";" item )
 *   item    = device | event
 *   device  = kind [ ":" key [ "=" value ] *( "," key [ "=" value ] ) ]     kind = uvc | csi | m2m
 *   event   = "at=" when ":" command
 *   when    = N        before the N-th frame of the device's life is made (0 is the first);
 *                      "m2m." commands count pictures that go into the encoder
 *           | TIME     that long after the process first touched a fake node: 500ms, 2s
 *           | +TIME    that long after the event before it
 *   command = [ kind "." ] name *( ( " " | "=" ) argument )
 * Events run in the order written; each waits for the one before it. Every key of a device is a
 * command too ("uvc:fps=61" starts with "fps 61"). Without "kind." a command goes to the first
 * device of the list that knows it. A blank after ";" is allowed.
 *
 *   HDMICAST_FAKE='uvc:fps=30,size=1280x720,no-dht;at=60:unplug;at=+2s:replug /dev/fake-uvc2'
 *
 * Commands: see README.md, or send "help". Each answers one line, "ok[ …]" or "error text".
 *
 * Stamp: every picture starts, at its top left corner, with 32 square blocks in a row, black (0)
 * or white (1), most significant bit first: the number of the frame in the device's life, which
 * grows by one for each tick of the sensor (dropped ones too) and does not restart with STREAMON,
 * unlike v4l2_buffer.sequence. Blocks are 16 pixels wide and high, 8 in pictures narrower than
 * 512. In "mode cheap" (benchmarks) MJPEG carries the number modulo the prepared set and raw
 * pictures carry the buffer's index: nothing is drawn per frame. stamp.py reads it back.
 */
#ifndef FAKE_FAKE_H
#define FAKE_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(f, a)  __attribute__((format(printf, f, a)))

#define NS_PER_S  1000000000LL
#define NS_PER_MS 1000000LL

/* The side of a stamp block in a picture of this width. */
static inline unsigned stamp_side(unsigned width)
{
	return width < 512 ? 8 : 16;
}

static inline int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

#endif
