// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The fan-out behind real sockets on the loopback, its viewers in the same thread. The test is
 * the encoder: it publishes access units and counts the requests for key frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/util.h"
#include "fanout/fanout.h"
#include "fanout/key_pace.h"
#include "net/connection.h"

#define PATIENCE_NS (60 * NS_PER_S / slower)
#define MAX_ASKED   1000
#define HEAD_SIZE   16    /* of an access unit of ours: "[K 123456 98765]" */
#define LONG        60000 /* bytes of an access unit that a socket's buffers soon are full of */

static struct event_base *base;
static struct outlet *outlet;
static struct fanout *fanout;
static struct connection_set *set;
static atomic_int alive; /* access units that were not released */
static unsigned next_unit;
static unsigned n_asked; /* requests for a key frame */
static int64_t asked_ns[MAX_ASKED];

/* ---- the clock: ours, libevent's too */

static int64_t ahead_ns;   /* of the machine's clock, slowed */
static int slower = 1;     /* it goes, so that being late on a busy machine is less late */
static int64_t stopped_ns; /* where it stands; 0: it runs */

int clock_gettime(clockid_t id, struct timespec *out)
{
	int res = (int)syscall(SYS_clock_gettime, id, out);
	int64_t ns = (out->tv_sec * NS_PER_S + out->tv_nsec) / slower + ahead_ns;

	if (id == CLOCK_REALTIME)
		return res;
	if (stopped_ns)
		ns = stopped_ns;
	out->tv_sec = ns / NS_PER_S;
	out->tv_nsec = ns % NS_PER_S;
	return res;
}

static void step_clock(int64_t ms)
{
	ahead_ns += ms * NS_PER_MS;
	if (stopped_ns)
		stopped_ns += ms * NS_PER_MS;
}

/* ---- the server's side */

static void on_need_key(void *arg)
{
	(void)arg;
	assert_true(n_asked < MAX_ASKED);
	asked_ns[n_asked++] = now_ns();
}

static const struct outlet_events events = { .need_key = on_need_key };

/* A viewer over a socket. */
struct end {
	struct viewer viewer;
	struct connection *conn;
};

static struct connection *conn_of(struct viewer *viewer)
{
	return ((struct end *)viewer)->conn;
}

static void on_drained(void *arg)
{
	fanout_go_on(arg);
}

static void on_closed(void *arg)
{
	fanout_unwatch(arg);
	free(arg);
}

static const struct connection_owner owner = { .drained = on_drained, .closed = on_closed };

static bool is_clear(struct viewer *viewer)
{
	return viewer->is_new || connection_is_clear(conn_of(viewer));
}

static void send_unit(struct viewer *viewer, const struct delivery *delivery)
{
	struct connection *conn = conn_of(viewer);
	struct chunk_writer chunk;

	if (delivery->is_first) {
		assert_true(delivery->packed->key);
		connection_stream(conn);
		evbuffer_add(connection_output(conn), "HEAD", 4);
	}
	/* Nothing waits in the output but that. */
	assert_true(evbuffer_get_length(connection_output(conn)) <= 4);
	chunk_writer_init(&chunk);
	chunk.body = delivery->packed;
	connection_send(conn, &chunk);
}

static const struct viewer_ops plain = { .is_clear = is_clear, .send = send_unit };

/* One that makes something of its own. */
static unsigned n_packed;

static struct frame *pack(struct frame_pool *pool, const struct frame *unit)
{
	struct frame *packed;

	n_packed++;
	assert_int_equal(frame_pool_get(pool, unit->plane[0].size, &packed), 0);
	memcpy(packed->plane[0].data, unit->plane[0].data, unit->plane[0].size);
	packed->key = unit->key;
	return packed;
}

static struct frame *pack_keys(struct frame_pool *pool, const struct frame *unit)
{
	return unit->key ? pack(pool, unit) : NULL;
}

static const struct viewer_ops packing = { pack, is_clear, send_unit, NULL };
static const struct viewer_ops failing = { pack_keys, is_clear, send_unit, NULL };
static const struct viewer_ops *wanted_ops;

/* Who comes watches. */
static void admit(int fd)
{
	struct connection *conn = connection_set_add(set, fd, "test");
	struct end *end = xcalloc(1, sizeof(*end));

	end->conn = conn;
	connection_own(conn, &owner, end, NULL);
	connection_read(conn, 1024);
	fanout_watch(fanout, &end->viewer, wanted_ops);
}

static int start_with(int timeout_s)
{
	struct connection_limits limits = { .connections = 200, .timeout_s = timeout_s };

	stopped_ns = 0;
	slower = 20;
	next_unit = n_asked = n_packed = 0;
	wanted_ops = &plain;
	base = event_base_new();
	outlet = outlet_create(&events, NULL);
	set = connection_set_create(base, &limits);
	return fanout_create(&fanout, base, outlet, &fanout_rule_h264);
}

static int start(void **state)
{
	(void)state;
	return start_with(60);
}

static int start_impatient(void **state)
{
	(void)state;
	return start_with(1);
}

/* For lines that are slow in the kernel's time, too. */
static int start_slow(void **state)
{
	int res = start(state);

	slower = 3;
	return res;
}

static int stop(void **state)
{
	int left;

	(void)state;
	connection_set_destroy(set);
	fanout_destroy(fanout);
	assert_false(outlet_wanted(outlet));
	outlet_destroy(outlet);
	event_base_free(base);
	left = atomic_exchange(&alive, 0);
	assert_int_equal(left, 0);
	return 0;
}

/* One turn of the server's loop; waits a little when there is nothing to do. */
static void turn(void)
{
	struct timeval wait = { .tv_usec = 1000 / slower };

	if (!stopped_ns)
		event_base_loopexit(base, &wait);
	event_base_loop(base, stopped_ns ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
}

static void turn_after(int64_t ms)
{
	step_clock(ms);
	turn();
}

/* ---- the encoder */

static void release(struct frame *unit)
{
	atomic_fetch_sub(&alive, 1);
	free(unit->plane[0].data);
	free(unit);
}

static void publish_only(bool key, size_t size)
{
	struct frame *unit = xcalloc(1, sizeof(*unit));
	char head[64];

	frame_init(unit, release, NULL);
	atomic_fetch_add(&alive, 1);
	unit->key = key;
	unit->plane[0].data = malloc(size);
	unit->plane[0].size = size;
	memset(unit->plane[0].data, '.', size);
	snprintf(head, sizeof(head), "[%c %06u %05zu]", key ? 'K' : 'd', ++next_unit, size);
	memcpy(unit->plane[0].data, head, HEAD_SIZE);
	outlet_publish(outlet, unit);
	frame_unref(unit);
}

static void publish(bool key, size_t size)
{
	publish_only(key, size);
	turn();
}

/* As an encoder does: a key frame when one was asked for. */
static void publish_as_asked(size_t size)
{
	static unsigned n_answered;

	if (!next_unit)
		n_answered = 0;
	publish(n_asked > n_answered, size);
	n_answered = n_asked;
}

/* ---- a viewer's side */

struct client {
	int fd;
	bool has_head;
	size_t used;
	char heard[LONG + 4]; /* of an access unit that is not complete */
	unsigned n_units, n_gaps;
	unsigned first, last; /* numbers of access units */
};

static struct client *watch(int buffer)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	struct client *client = xcalloc(1, sizeof(*client));
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (buffer)
		setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	assert_int_equal(bind(listening, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listening, 1), 0);
	getsockname(listening, (struct sockaddr *)&address, &size);
	assert_int_equal(connect(client->fd, (struct sockaddr *)&address, size), 0);
	fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(listening);
	if (buffer)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	admit(fd);
	turn();
	return client;
}

static void leave(struct client *client)
{
	close(client->fd);
	free(client);
}

/* Judges one access unit: whole, in order, and after a gap a key frame. */
static void see(struct client *client, const char *unit)
{
	unsigned number;
	size_t size;
	char kind;

	assert_int_equal(sscanf(unit, "[%c %06u %05zu]", &kind, &number, &size), 3);
	for (size_t i = HEAD_SIZE; i < size; i++)
		assert_int_equal(unit[i], '.');
	assert_true(number > client->last);
	if (number != client->last + 1) {
		assert_int_equal(kind, 'K');
		client->n_gaps += client->n_units > 0;
	}
	if (!client->n_units++) {
		assert_int_equal(kind, 'K');
		client->first = number;
	}
	client->last = number;
}

/* The bytes of the access unit that `heard` begins with, 0 when its head is not complete. */
static size_t measure(const struct client *client)
{
	return client->used < HEAD_SIZE ? 0 : strtoul(client->heard + 10, NULL, 10);
}

/* Reads at most `most` bytes that are there. False: closed. */
static bool read_some(struct client *client, size_t most)
{
	size_t room = sizeof(client->heard) - client->used, size;
	ssize_t got;

	got = recv(client->fd, client->heard + client->used, MIN(room, most), MSG_DONTWAIT);
	if (got <= 0)
		return got < 0 && errno == EAGAIN;
	client->used += got;
	if (!client->has_head && client->used >= 4) {
		assert_memory_equal(client->heard, "HEAD", 4);
		client->has_head = true;
		client->used -= 4;
		memmove(client->heard, client->heard + 4, client->used);
	}
	while ((size = measure(client)) && client->used >= size) {
		see(client, client->heard);
		client->used -= size;
		memmove(client->heard, client->heard + size, client->used);
	}
	return true;
}

static void hear(struct client *client, unsigned number)
{
	int64_t until = now_ns() + PATIENCE_NS;

	while (client->last < number) {
		if (now_ns() > until)
			fail_msg("%u has not come, %u was the last", number, client->last);
		turn();
		assert_true(read_some(client, LONG));
	}
	assert_int_equal(client->last, number);
}

/* Publishes until nothing of it can be sent any more, and then so many. */
static void stall(unsigned more)
{
	unsigned known = 0;

	for (unsigned still = 0; still < more; still++) {
		publish(false, LONG);
		if ((unsigned)alive != known && !fanout_skipped(fanout))
			still = 0;
		known = alive;
	}
}

/* ---- where it begins */

static void a_viewer_begins_at_a_key_frame(void **state)
{
	struct client *client = watch(0);

	(void)state;
	publish(false, 100);
	publish(false, 100);
	assert_int_equal(alive, 0);
	publish(true, 100);
	publish(false, 200);
	hear(client, 4);
	assert_int_equal(client->first, 3);
	assert_int_equal(client->n_units, 2);
	assert_int_equal(fanout_skipped(fanout), 0);
	leave(client);
}

static void nobody_watches_nothing_is_wanted(void **state)
{
	struct client *client;

	(void)state;
	assert_false(outlet_wanted(outlet));
	client = watch(0);
	assert_true(outlet_wanted(outlet));
	leave(client);
	while (fanout_viewers(fanout))
		turn();
	assert_false(outlet_wanted(outlet));
}

static void the_next_viewer_sees_nothing_of_the_one_before(void **state)
{
	struct client *client = watch(0);

	(void)state;
	publish(true, 100);
	hear(client, 1);
	for (unsigned n = 0; n < 10; n++)
		publish_only(true, 100);
	leave(client);
	while (fanout_viewers(fanout))
		turn();
	assert_int_equal(alive, 0);
	client = watch(0);
	publish(false, 100); /* the mailbox takes it, for it waits for no key frame */
	publish(true, 100);
	hear(client, next_unit);
	assert_int_equal(client->n_units, 1);
	assert_int_equal(fanout_skipped(fanout), 0); /* nobody had begun yet */
	leave(client);
}

static void every_viewer_gets_everything(void **state)
{
	struct client *client[3];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++)
		client[i] = watch(0);
	publish(true, 100);
	for (unsigned n = 0; n < 50; n++) {
		publish(false, LONG);
		for (unsigned i = 0; i < ARRAY_SIZE(client); i++)
			hear(client[i], next_unit);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++) {
		assert_int_equal(client[i]->n_units, 51);
		leave(client[i]);
	}
	assert_int_equal(fanout_skipped(fanout), 0);
}

static void what_is_packed_is_packed_once_for_all_viewers(void **state)
{
	struct client *client[4];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++) {
		wanted_ops = i ? &packing : &plain;
		client[i] = watch(i == 3 ? 4096 : 0);
	}
	publish(false, 100);
	assert_int_equal(n_packed, 0); /* nobody has begun */
	publish(true, 100);
	for (unsigned n = 1; n < 40; n++) {
		publish(false, LONG);
		for (unsigned i = 0; i < 3; i++)
			hear(client[i], next_unit);
		read_some(client[3], LONG);
	}
	assert_int_equal(n_packed, 40);
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++)
		leave(client[i]);
	while (fanout_viewers(fanout))
		turn();
	assert_int_equal(alive, 0);
}

static void what_cannot_be_made_is_skipped_up_to_a_key_frame(void **state)
{
	struct client *client;

	(void)state;
	wanted_ops = &failing;
	client = watch(0);
	publish(true, 100);
	hear(client, 1);
	publish(false, 100);
	publish(false, 100);
	assert_int_equal(fanout_skipped(fanout), 2);
	publish(true, 100);
	hear(client, 4);
	assert_int_equal(client->n_gaps, 1);
	leave(client);
}

/* ---- when key frames are asked for */

static void a_newcomer_asks_at_once(void **state)
{
	struct client *first = watch(0), *second;

	(void)state;
	assert_int_equal(n_asked, 1);
	publish(true, 100);
	hear(first, 1);
	turn_after(KEY_PACE_NEWCOMER_MS);
	stopped_ns = now_ns();
	second = watch(0);
	assert_int_equal(n_asked, 2);
	stopped_ns = 0;
	publish(true, 100);
	hear(second, 2);
	hear(first, 2);
	leave(first);
	leave(second);
}

static void newcomers_share_a_request(void **state)
{
	struct client *first, *second, *third;

	(void)state;
	stopped_ns = now_ns();
	first = watch(0);
	second = watch(0); /* the key frame that the first asked for is on its way */
	publish(true, 100);
	hear(second, 1);
	third = watch(0); /* and this one comes too late for it */
	turn_after(KEY_PACE_NEWCOMER_MS - 1);
	assert_int_equal(n_asked, 1);
	turn_after(2);
	assert_int_equal(n_asked, 2);
	assert_true(asked_ns[1] - asked_ns[0] < KEY_PACE_CONGESTED_MS * NS_PER_MS);
	stopped_ns = 0;
	publish(true, 100);
	hear(third, 2);
	leave(first);
	leave(second);
	leave(third);
}

/* Each would cost all others a key frame. */
static void who_comes_again_and_again_gets_two_key_frames_a_second(void **state)
{
	const int seconds = 5;
	struct client *steady = watch(0);
	int64_t begun = now_ns();

	(void)state;
	publish_as_asked(100);
	while (now_ns() - begun < seconds * NS_PER_S) {
		struct client *other = watch(0);

		publish_as_asked(100);
		leave(other);
		turn_after(20);
	}
	assert_in_range(n_asked, seconds,
		KEY_PACE_AHEAD + 1 + (now_ns() - begun) / (KEY_PACE_CONGESTED_MS * NS_PER_MS));
	leave(steady);
}

static void a_request_that_was_not_heard_is_repeated(void **state)
{
	struct client *client;

	(void)state;
	stopped_ns = now_ns();
	client = watch(0);
	for (unsigned i = 1; i < 4; i++) {
		turn_after(KEY_PACE_CONGESTED_MS - 1);
		assert_int_equal(n_asked, i);
		turn_after(2);
		assert_int_equal(n_asked, i + 1);
	}
	leave(client);
}

static void who_has_its_picture_asks_for_nothing(void **state)
{
	struct client *client = watch(0);

	(void)state;
	publish(true, 100);
	hear(client, 1);
	turn_after(KEY_PACE_CONGESTED_MS + 100);
	assert_int_equal(n_asked, 1);
	leave(client);
}

static void slow_lines_ask_together_and_seldom(void **state)
{
	struct client *slow[4], *quick = watch(0);
	int64_t begun, took_ms = 0;
	unsigned first, n_gapped = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		slow[i] = watch(4096);
	publish_as_asked(100);
	first = n_asked;
	for (begun = now_ns(); n_gapped < ARRAY_SIZE(slow) || n_asked < first + 2;) {
		assert_true(took_ms < 20000);
		publish_as_asked(LONG);
		hear(quick, next_unit);
		n_gapped = 0;
		for (unsigned i = 0; i < ARRAY_SIZE(slow); i++) {
			assert_true(read_some(slow[i], 15000)); /* a quarter of what it should */
			n_gapped += slow[i]->n_gaps > 0;
		}
		took_ms = (now_ns() - begun) / NS_PER_MS;
	}
	assert_in_range(n_asked, first + 2, first + 1 + took_ms / KEY_PACE_CONGESTED_MS);
	for (unsigned i = MAX(first, 1); i < n_asked; i++)
		assert_true(asked_ns[i] - asked_ns[i - 1] >= KEY_PACE_CONGESTED_MS * NS_PER_MS);
	assert_int_equal(quick->n_gaps, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++) {
		assert_in_range(slow[i]->n_gaps, 1, 1 + took_ms / KEY_PACE_CONGESTED_MS);
		leave(slow[i]);
	}
	leave(quick);
}

/* ---- how far behind a viewer may be */

static void a_viewer_that_never_reads_holds_little_and_asks_for_nothing(void **state)
{
	struct client *client = watch(4096);
	int most = 0;

	(void)state;
	publish(true, 100);
	stall(3 * FANOUT_QUEUE);
	for (unsigned n = 0; n < 300; n++) {
		publish(n % 30 == 0, LONG);
		most = MAX(most, alive);
	}
	assert_in_range(most, 1, FANOUT_QUEUE + 1);
	assert_true(fanout_skipped(fanout) > 250);
	assert_int_equal(n_asked, 1);
	leave(client);
}

static void a_viewer_that_never_reads_is_closed(void **state)
{
	struct client *client = watch(4096);
	int64_t begun = now_ns();

	(void)state;
	publish(true, 100);
	while (fanout_viewers(fanout) && now_ns() - begun < PATIENCE_NS) {
		step_clock(10);
		publish(false, LONG);
	}
	assert_int_equal(fanout_viewers(fanout), 0);
	assert_int_equal(alive, 0);
	leave(client);
}

static void who_fell_behind_goes_on_at_a_key_frame(void **state)
{
	struct client *client = watch(4096);
	unsigned key;

	(void)state;
	publish(true, 100);
	stall(FANOUT_QUEUE + 2);
	assert_true(fanout_skipped(fanout) > 0);
	turn_after(KEY_PACE_CONGESTED_MS); /* since the first request */
	assert_int_equal(n_asked, 1);
	for (int64_t begun = now_ns(); n_asked == 1 && now_ns() - begun < PATIENCE_NS; turn())
		read_some(client, LONG);
	assert_int_equal(n_asked, 2); /* its line is free: see read_some() for what it saw */
	publish(false, 100);
	publish(true, 100);
	key = next_unit;
	publish(false, 100);
	hear(client, key + 1);
	assert_int_equal(client->n_gaps, 1);
	assert_int_equal(key - 1 + 2, client->n_units + fanout_skipped(fanout));
	leave(client);
}

static void a_key_frame_that_comes_too_early_starts_the_queue_again(void **state)
{
	struct client *client = watch(4096);
	unsigned key;

	(void)state;
	publish(true, 100);
	stall(FANOUT_QUEUE + 2); /* waits for a key frame now, with a busy line */
	publish(true, LONG);
	key = next_unit;
	publish(false, 100);
	publish(false, 100);
	hear(client, key + 2);
	assert_int_equal(client->n_gaps, 1);
	assert_int_equal(n_asked, 1);
	leave(client);
}

/* 3 units, 100 ms, 12 units: as viewer.h says. */
static void a_few_units_may_wait_long_and_more_a_short_time(void **state)
{
	struct client *client = watch(4096);
	unsigned skipped;

	(void)state;
	publish(true, 100);
	stall(FANOUT_QUEUE + 2);
	skipped = fanout_skipped(fanout);
	stopped_ns = now_ns();
	publish(true, LONG);
	for (unsigned i = 1; i < 3; i++) {
		step_clock(105);
		publish(false, 100);
	}
	assert_int_equal(fanout_skipped(fanout), skipped); /* three, however long */
	publish(false, 100);
	assert_int_equal(fanout_skipped(fanout), skipped + 4);
	publish(true, LONG);
	step_clock(95);
	for (unsigned i = 1; i < 12; i++)
		publish(false, 100);
	assert_int_equal(fanout_skipped(fanout), skipped + 4);
	publish(false, 100);
	assert_int_equal(fanout_skipped(fanout), skipped + 4 + 12 + 1);
	leave(client);
}

static void what_waited_too_long_is_not_sent_when_the_line_is_free(void **state)
{
	struct client *client = watch(4096);
	unsigned skipped, late;

	(void)state;
	publish(true, 100);
	stall(FANOUT_QUEUE + 2);
	skipped = fanout_skipped(fanout);
	publish(true, 100);
	late = next_unit;
	step_clock(105);
	for (unsigned i = 0; i < 20000 && fanout_skipped(fanout) == skipped; i++) {
		turn();
		assert_true(read_some(client, LONG));
		assert_true(client->last < late);
	}
	assert_int_equal(fanout_skipped(fanout), skipped + 1);
	publish(true, 100);
	hear(client, late + 1);
	leave(client);
}

/* ---- many */

/* ---- a transport of which nothing is heard when its line is clear */

static bool mute_is_clear;
static unsigned n_heard;

static bool is_mute_clear(struct viewer *viewer)
{
	(void)viewer;
	return mute_is_clear;
}

static void hear_mute(struct viewer *viewer, const struct delivery *delivery)
{
	(void)viewer;
	assert_int_equal(delivery->is_first, n_heard == 0);
	n_heard++;
}

static void a_line_that_says_nothing_is_looked_at(void **state)
{
	static const struct viewer_ops mute = { .is_clear = is_mute_clear, .send = hear_mute };
	struct viewer viewer = { 0 };

	(void)state;
	stopped_ns = now_ns();
	mute_is_clear = true;
	n_heard = 0;
	fanout_watch(fanout, &viewer, &mute);
	publish(true, 100);
	assert_int_equal(n_heard, 1);
	mute_is_clear = false;
	publish(false, 100);
	publish(false, 100);
	turn_after(50);
	assert_int_equal(n_heard, 1);
	mute_is_clear = true;
	turn_after(20);
	turn_after(20);
	assert_int_equal(n_heard, 3);
	fanout_unwatch(&viewer);
}

static void what_waits_before_what_cannot_be_made_is_no_use(void **state)
{
	static const struct viewer_ops mute = { pack_keys, is_mute_clear, hear_mute, NULL };
	struct viewer viewer = { 0 };

	(void)state;
	stopped_ns = now_ns();
	mute_is_clear = true;
	n_heard = 0;
	fanout_watch(fanout, &viewer, &mute);
	publish(true, 100);
	mute_is_clear = false;
	publish(true, 100);  /* waits */
	publish(false, 100); /* and this cannot be made */
	assert_int_equal(fanout_skipped(fanout), 2);
	mute_is_clear = true;
	turn_after(20);
	turn_after(20);
	assert_int_equal(n_heard, 1);
	publish(true, 100);
	assert_int_equal(n_heard, 2);
	fanout_unwatch(&viewer);
}

static void a_hundred_viewers_come_and_go_and_leave_nothing(void **state)
{
	static struct client *client[100];
	unsigned n_seen = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(client); i++)
		client[i] = watch(i % 3 ? 0 : 4096);
	publish(true, 100);
	for (unsigned n = 0; n < 60; n++) {
		step_clock(10);
		publish(n % 10 == 0, n % 4 ? 1000 : LONG);
		for (unsigned i = n; i < ARRAY_SIZE(client); i++)
			read_some(client[i], LONG);
		leave(client[n]); /* in the middle of whatever it gets */
	}
	for (unsigned i = 60; i < ARRAY_SIZE(client); i++) {
		n_seen += client[i]->n_units;
		leave(client[i]);
	}
	assert_true(n_seen > 40 * 30);
	for (int64_t begun = now_ns(); fanout_viewers(fanout) && now_ns() - begun < PATIENCE_NS;)
		turn();
	assert_int_equal(fanout_viewers(fanout), 0);
	assert_int_equal(alive, 0);
}

static void stopping_with_viewers_releases_everything(void **state)
{
	struct client *slow = watch(4096), *held;

	(void)state;
	publish(true, 100);
	stall(2);
	held = watch(0);
	assert_int_equal(fanout_viewers(fanout), 2);
	leave(slow); /* stop() comes before the server hears of it */
	leave(held);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_viewer_begins_at_a_key_frame),
		TEST(nobody_watches_nothing_is_wanted),
		TEST(the_next_viewer_sees_nothing_of_the_one_before),
		TEST(every_viewer_gets_everything),
		TEST(what_is_packed_is_packed_once_for_all_viewers),
		TEST(what_cannot_be_made_is_skipped_up_to_a_key_frame),
		TEST(a_newcomer_asks_at_once),
		TEST(newcomers_share_a_request),
		TEST(who_comes_again_and_again_gets_two_key_frames_a_second),
		TEST(a_request_that_was_not_heard_is_repeated),
		TEST(who_has_its_picture_asks_for_nothing),
		cmocka_unit_test_setup_teardown(slow_lines_ask_together_and_seldom, start_slow,
			stop),
		TEST(a_viewer_that_never_reads_holds_little_and_asks_for_nothing),
		cmocka_unit_test_setup_teardown(a_viewer_that_never_reads_is_closed,
			start_impatient, stop),
		TEST(who_fell_behind_goes_on_at_a_key_frame),
		TEST(a_key_frame_that_comes_too_early_starts_the_queue_again),
		TEST(a_few_units_may_wait_long_and_more_a_short_time),
		TEST(what_waited_too_long_is_not_sent_when_the_line_is_free),
		TEST(a_line_that_says_nothing_is_looked_at),
		TEST(what_waits_before_what_cannot_be_made_is_no_use),
		TEST(a_hundred_viewers_come_and_go_and_leave_nothing),
		TEST(stopping_with_viewers_releases_everything),
	};

	signal(SIGPIPE, SIG_IGN); /* main() does */
	log_init(LOG_LEVEL_ERROR - 1, LOG_COLOUR_NEVER);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
