// SPDX-License-Identifier: GPL-3.0-or-later
/* Pieces of a stream: all that the socket did not take is queued, and nothing twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/util.h"
#include "net/chunk_writer.h"

#define TEST(name) cmocka_unit_test(name)

static const char whole[] = "head, body, tail";
static struct frame body;
static unsigned n_released;

static void release(struct frame *frame)
{
	(void)frame;
	n_released++;
}

static void make_body(const char *text)
{
	n_released = 0;
	frame_init(&body, release, NULL);
	body.plane[0].data = (uint8_t *)text;
	body.plane[0].size = strlen(text);
}

static void make_chunk(struct chunk_writer *chunk)
{
	make_body("body, ");
	chunk_writer_init(chunk);
	chunk_writer_add(chunk, "he", 2);
	chunk_writer_add(chunk, "ad, ", 4);
	chunk->body = &body;
	chunk->tail = "tail";
	assert_int_equal(chunk_writer_size(chunk), strlen(whole));
}

static void assert_holds(struct evbuffer *out, const char *text)
{
	assert_int_equal(evbuffer_get_length(out), strlen(text));
	assert_memory_equal(evbuffer_pullup(out, -1), text, strlen(text));
}

static void what_is_left_is_queued_from_any_byte_on(void **state)
{
	struct chunk_writer chunk;

	(void)state;
	for (size_t from = 0; from <= strlen(whole); from++) {
		struct evbuffer *out = evbuffer_new();

		make_chunk(&chunk);
		assert_int_equal(chunk_writer_queue(&chunk, out, from), 0);
		if (from < strlen(whole))
			assert_holds(out, whole + from);
		evbuffer_free(out);
		frame_unref(&body);
		assert_int_equal(n_released, 1);
	}
}

static void a_frame_lives_until_its_last_byte_has_left(void **state)
{
	struct evbuffer *out = evbuffer_new();
	struct chunk_writer chunk;

	(void)state;
	make_chunk(&chunk);
	assert_int_equal(chunk_writer_queue(&chunk, out, 0), 0);
	frame_unref(&body);
	evbuffer_drain(out, strlen("head, body"));
	assert_int_equal(n_released, 0);
	evbuffer_drain(out, strlen(", "));
	assert_int_equal(n_released, 1);
	evbuffer_free(out);
}

static void a_piece_is_written_in_order_and_needs_no_part(void **state)
{
	struct chunk_writer chunk;
	char got[64];
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	make_chunk(&chunk);
	assert_int_equal(chunk_writer_write(&chunk, ends[0]), strlen(whole));
	assert_int_equal(read(ends[1], got, sizeof(got)), strlen(whole));
	assert_memory_equal(got, whole, strlen(whole));

	chunk_writer_init(&chunk);
	assert_int_equal(chunk_writer_size(&chunk), 0);
	chunk_writer_add(&chunk, "head", 4);
	assert_int_equal(chunk_writer_write(&chunk, ends[0]), 4);
	chunk.head_size = 0;
	chunk.body = &body;
	assert_int_equal(chunk_writer_write(&chunk, ends[0]), strlen("body, "));
	assert_int_equal(read(ends[1], got, sizeof(got)), strlen("headbody, "));
	assert_memory_equal(got, "headbody, ", strlen("headbody, "));
	close(ends[1]);
	close(ends[0]);
	assert_int_equal(chunk_writer_write(&chunk, ends[0]), -EBADF);
	frame_unref(&body);
	assert_int_equal(n_released, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_left_is_queued_from_any_byte_on),
		TEST(a_frame_lives_until_its_last_byte_has_left),
		TEST(a_piece_is_written_in_order_and_needs_no_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
