// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Reads N multipart streams at once as cheaply as it can and says how many frames came and how
 * old they were: drain PORT CLIENTS SECONDS [PATH]. SECONDS 0: until its standard input ends, and
 * all have had ten pictures. The age of a frame is the moment its last byte was read minus the
 * driver's timestamp, both CLOCK_MONOTONIC of this machine.
 * Of any other path than /stream it only counts the bytes. One line of JSON on stdout.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/util.h"

#define MAX_AGES 200000
#define ENOUGH   10 /* pictures */

struct reader {
	int fd;
	char head[2048]; /* what is not parsed yet */
	size_t used;
	size_t body_left; /* bytes of the picture still to come */
	int64_t captured_ns;
	unsigned frames;
	uint64_t bytes; /* since the warm-up */
};

static double ages_ms[MAX_AGES];
static unsigned n_ages;
static int64_t count_from_ns; /* frames before this are warm-up */

static int open_stream(int port, const char *path)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char request[256];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ||
		write(fd, request, strlen(request)) < 0) {
		perror("drain: connect");
		exit(1);
	}
	return fd;
}

/* The value of a header in a part's head, or NULL. */
static const char *find(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	return at ? at + strlen(name) : NULL;
}

static void frame_done(struct reader *reader)
{
	int64_t now = now_ns();

	if (now < count_from_ns)
		return;
	reader->frames++;
	if (reader->captured_ns && n_ages < MAX_AGES)
		ages_ms[n_ages++] = (double)(now - reader->captured_ns) / NS_PER_MS;
}

/* A complete part head at the front of the buffer: how long it is, 0 if there is none yet. */
static size_t parse_head(struct reader *reader)
{
	char *end = strstr(reader->head, "\r\n\r\n");
	const char *length, *grab;

	if (!end)
		return 0;
	*end = '\0';
	length = find(reader->head, "Content-Length: ");
	grab = find(reader->head, "X-UStreamer-Grab-Begin-Time: ");
	if (!grab)
		grab = find(reader->head, "X-UStreamer-Grab-Time: ");
	reader->body_left = length ? strtoul(length, NULL, 10) : 0;
	reader->captured_ns = grab ? (int64_t)(strtod(grab, NULL) * 1e9) : 0;
	return (size_t)(end - reader->head) + 4;
}

static void count_bytes(struct reader *reader, ssize_t got)
{
	if (now_ns() >= count_from_ns)
		reader->bytes += (size_t)got;
}

static void skip_body(struct reader *reader)
{
	/* MSG_TRUNC throws away without copying; by syscall(2), since nothing is written at NULL. */
	ssize_t got = syscall(SYS_recvfrom, reader->fd, NULL, reader->body_left,
		MSG_TRUNC | MSG_DONTWAIT, NULL, NULL);

	if (got > 0) {
		count_bytes(reader, got);
		reader->body_left -= (size_t)got;
		if (!reader->body_left)
			frame_done(reader);
	}
}

static void read_some(struct reader *reader)
{
	ssize_t got;
	size_t head;

	if (reader->body_left) {
		skip_body(reader);
		return;
	}
	got = recv(reader->fd, reader->head + reader->used, sizeof(reader->head) - 1 - reader->used,
		MSG_DONTWAIT);
	if (got <= 0)
		return;
	count_bytes(reader, got);
	reader->used += (size_t)got;
	reader->head[reader->used] = '\0';
	while ((head = parse_head(reader))) {
		size_t rest = reader->used - head, body = MIN(rest, reader->body_left);

		memmove(reader->head, reader->head + head + body, rest - body + 1);
		reader->used = rest - body;
		if (body && body == reader->body_left)
			frame_done(reader);
		reader->body_left -= body;
		if (reader->body_left)
			return;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static unsigned count_least(const struct reader *readers, int clients)
{
	unsigned least = UINT32_MAX;

	for (int i = 0; i < clients; i++)
		least = MIN(least, readers[i].frames);
	return least;
}

static bool is_stdin_over(void)
{
	struct pollfd end = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	return poll(&end, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) == 0;
}

/* end_ns 0: see above. */
static bool is_over(int64_t end_ns, const struct reader *readers, int clients)
{
	static bool is_told;

	if (end_ns)
		return now_ns() >= end_ns;
	is_told = is_told || is_stdin_over();
	return is_told && count_least(readers, clients) >= ENOUGH;
}

int main(int argc, char *argv[])
{
	int clients = argc > 2 ? atoi(argv[2]) : 1, limit_s = argc > 3 ? atoi(argv[3]) : 5;
	const char *path = argc > 4 ? argv[4] : "/stream?extra_headers=1";
	struct reader *readers = xcalloc((size_t)MAX(clients, 1), sizeof(*readers));
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	unsigned frames = 0, least;
	bool is_multipart = strncmp(path, "/stream?", 8) == 0;
	uint64_t bytes = 0;
	double seconds;

	for (int i = 0; i < clients; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &readers[i] };

		readers[i].fd = open_stream(atoi(argv[1]), path);
		readers[i].body_left = is_multipart ? 0 : SIZE_MAX;
		epoll_ctl(epoll, EPOLL_CTL_ADD, readers[i].fd, &event);
	}
	count_from_ns = now_ns() + NS_PER_S;
	while (!is_over(limit_s ? count_from_ns + limit_s * NS_PER_S : 0, readers, clients)) {
		struct epoll_event events[64];
		int ready = epoll_wait(epoll, events, 64, 100);

		for (int i = 0; i < ready; i++)
			read_some(events[i].data.ptr);
	}
	seconds = (double)(now_ns() - count_from_ns) / NS_PER_S;
	least = count_least(readers, clients);
	for (int i = 0; i < clients; i++) {
		frames += readers[i].frames;
		bytes += readers[i].bytes;
	}
	qsort(ages_ms, n_ages, sizeof(*ages_ms), by_value);
	printf("{\"fps\": %.2f, \"least_fps\": %.2f, \"p50_ms\": %.3f, \"p95_ms\": %.3f, \"mbit\": "
	       "%.3f}\n",
		clients ? (double)frames / clients / seconds : 0,
		clients ? (double)least / seconds : 0, n_ages ? ages_ms[n_ages / 2] : 0,
		n_ages ? ages_ms[n_ages * 95 / 100] : 0,
		clients ? (double)bytes * 8e-6 / clients / seconds : 0);
	free(readers);
	return 0;
}
