/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A small V4L2 client for the tests of the fake devices. */
#ifndef FAKE_SELFTEST_H
#define FAKE_SELFTEST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENT_BUFFERS = 4 };

struct client {
	int fd;
	unsigned count;
	void *mem[8];
	size_t len[8];
};

/* 0 or -errno */
int request(int fd, unsigned long code, void *arg);

/* Sends a command, and returns the answer; fails the test unless that begins with "ok". */
const char *command(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Until the device's status has these words; with a limit against waiting for ever. */
void await_status(const char *kind, const char *words);

/*
 * The time of this program and of its devices goes three times slower than the machine's. For what
 * only has to pass it may go quickly, and it can be stopped and stepped. Each test begins calmly.
 */
void time_calm(void);
void time_quick(void);
void time_stop(void);
void time_step(int ms);

struct client client_open(const char *path);
void client_close(struct client *c);                   /* unmaps, frees, closes */
void client_buffers(struct client *c, unsigned count); /* REQBUFS, mmap */
int client_queue(struct client *c, unsigned index);
int client_stream(struct client *c, bool on);
void client_start(struct client *c);                      /* buffers, QBUF of all, STREAMON */
int client_take(struct client *c, struct v4l2_buffer *b); /* poll, DQBUF */
struct v4l2_buffer client_frame(struct client *c);        /* take and queue again; must succeed */
short client_poll(struct client *c, short events, int timeout_ms);
/* Whatever is there, or comes without a long pause; it is not queued again. False: nothing. */
bool client_rest(struct client *c, struct v4l2_buffer *b);
int set_format(int fd, uint32_t fourcc, unsigned w, unsigned h, struct v4l2_pix_format *out);

/* selftest_exit.c, in a process of its own: leaves open or mapped what its argument says. */
int leave_behind(const char *what);

/* The number of lines in the report that start with rule, since the last call for any rule. */
unsigned violations(const char *rule);

extern const struct CMUnitTest uvc_tests[], hang_tests[], queue_tests[], answer_tests[],
	exit_tests[], csi_tests[];
extern const size_t n_uvc_tests, n_hang_tests, n_queue_tests, n_answer_tests, n_exit_tests,
	n_csi_tests;
extern const struct CMUnitTest m2m_format_tests[], m2m_control_tests[], m2m_queue_tests[],
	m2m_stream_tests[], m2m_stop_tests[], m2m_variant_tests[];
extern const size_t n_m2m_format_tests, n_m2m_control_tests, n_m2m_queue_tests, n_m2m_stream_tests,
	n_m2m_stop_tests, n_m2m_variant_tests;

/* Open in each test between reset_uvc and finish_uvc. */
extern struct client uvc;
int reset_uvc(void **state);
int finish_uvc(void **state);

#endif
