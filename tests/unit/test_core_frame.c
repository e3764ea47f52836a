// SPDX-License-Identifier: GPL-3.0-or-later
/* What frames and their pool promise: see src/media/frame.h. */
#include "media/frame.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <malloc.h>

#include "base/util.h"

static unsigned n_released;

static void count_release(struct frame *frame)
{
	(void)frame;
	n_released++;
}

static int reset(void **state)
{
	(void)state;
	n_released = 0;
	return 0;
}

static void a_new_frame_has_one_reference_and_no_content(void **state)
{
	struct frame frame;
	int owner;

	(void)state;
	memset(&frame, 0xAA, sizeof(frame));
	frame_init(&frame, count_release, &owner);
	assert_ptr_equal(frame.owner, &owner);
	assert_int_equal(frame.width, 0);
	assert_null(frame.plane[0].data);
	assert_false(frame.online);
	frame_unref(&frame);
	assert_int_equal(n_released, 1);
}

static void the_last_unref_releases_and_no_other(void **state)
{
	struct frame frame;

	(void)state;
	frame_init(&frame, count_release, NULL);
	assert_ptr_equal(frame_ref(&frame), &frame);
	frame_ref(&frame);
	frame_unref(&frame);
	frame_unref(&frame);
	assert_int_equal(n_released, 0);
	frame_unref(&frame);
	assert_int_equal(n_released, 1);
}

static void nothing_can_be_unrefed(void **state)
{
	struct frame *none = NULL;

	(void)state;
	frame_unref(NULL);
	frame_unref_auto(&none);
}

static void spoil_errno(struct frame *frame)
{
	(void)frame;
	errno = EBADF;
}

static void unref_keeps_errno(void **state)
{
	struct frame frame;

	(void)state;
	frame_init(&frame, spoil_errno, NULL);
	errno = ENOLINK;
	frame_unref(&frame);
	assert_int_equal(errno, ENOLINK);
}

static void a_copied_origin_is_the_picture_and_not_its_memory(void **state)
{
	struct frame from, to;

	(void)state;
	frame_init(&from, count_release, &from);
	frame_init(&to, count_release, &to);
	from.online = from.keepable = true;
	from.sequence = 7;
	from.captured_ns = 11;
	from.grabbed_ns = 13;
	from.format = 17;
	from.plane[0].size = 19;
	frame_copy_origin(&to, &from);
	assert_true(to.online && to.keepable);
	assert_int_equal(to.sequence, 7);
	assert_int_equal(to.captured_ns, 11);
	assert_int_equal(to.grabbed_ns, 13);
	assert_ptr_equal(to.owner, &to);
	assert_int_equal(to.format, 0);
	assert_int_equal(to.plane[0].size, 0);
}

static struct frame *get(struct frame_pool *pool, size_t size)
{
	struct frame *frame;

	assert_int_equal(frame_pool_get(pool, size, &frame), 0);
	assert_int_equal(frame->plane[0].size, size);
	memset(frame->plane[0].data, 0x5A, size);
	return frame;
}

static void a_pool_gives_the_same_memory_again(void **state)
{
	struct frame_pool *pool = frame_pool_create(2);
	struct frame *frame = get(pool, 10000);
	uint8_t *data = frame->plane[0].data;

	(void)state;
	frame_unref(frame);
	frame = get(pool, 9000);
	assert_ptr_equal(frame->plane[0].data, data);
	frame_unref(frame);
	frame_pool_destroy(pool);
}

static void a_frame_that_grew_a_little_still_fits(void **state)
{
	struct frame_pool *pool = frame_pool_create(2);
	struct frame *frame = get(pool, 80000);
	uint8_t *data = frame->plane[0].data;

	(void)state;
	frame_unref(frame);
	frame = get(pool, 85000);
	assert_ptr_equal(frame->plane[0].data, data);
	frame_unref(frame);
	frame_pool_destroy(pool);
}

static void a_frame_is_never_larger_than_its_memory(void **state)
{
	struct frame_pool *pool = frame_pool_create(2);
	struct frame *frame;

	(void)state;
	frame_unref(get(pool, 100));
	frame = get(pool, 100000);
	assert_true(frame->plane[0].data + 100000 <=
		    (uint8_t *)frame + malloc_usable_size(frame)); /* it is the head of its piece */
	frame_unref(frame);
	frame_pool_destroy(pool);
}

static void frames_out_of_a_pool_are_fresh(void **state)
{
	struct frame_pool *pool = frame_pool_create(1);
	struct frame *frame = get(pool, 100);

	(void)state;
	frame->online = frame->keepable = frame->key = true;
	frame->width = 1920;
	frame->encode_end_ns = 1;
	frame_unref(frame);
	frame = get(pool, 100);
	assert_false(frame->online || frame->keepable || frame->key);
	assert_int_equal(frame->width, 0);
	assert_int_equal(frame->encode_end_ns, 0);
	frame_unref(frame);
	frame_pool_destroy(pool);
}

static void two_frames_at_once_have_memory_of_their_own(void **state)
{
	struct frame_pool *pool = frame_pool_create(1);
	struct frame *a = get(pool, 1000), *b = get(pool, 1000);

	(void)state;
	assert_ptr_not_equal(a->plane[0].data, b->plane[0].data);
	frame_unref(a);
	frame_unref(b);
	frame_pool_destroy(pool);
}

static void frames_outlive_their_pool(void **state)
{
	struct frame_pool *pool = frame_pool_create(4);
	struct frame *kept = get(pool, 1000), *spare = get(pool, 1000);

	(void)state;
	frame_unref(spare);
	frame_pool_destroy(pool);
	memset(kept->plane[0].data, 1, kept->plane[0].size); /* a sanitizer would say */
	frame_unref(kept);
}

static void no_pool_can_be_destroyed(void **state)
{
	(void)state;
	frame_pool_destroy(NULL);
}

static void a_frame_too_large_for_memory_is_enomem_and_the_pool_goes_on(void **state)
{
	struct frame_pool *pool = frame_pool_create(1);
	struct frame *frame = NULL;

	(void)state;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they abort instead */
	assert_int_equal(frame_pool_get(pool, SIZE_MAX / 4, &frame), -ENOMEM);
	assert_null(frame);
#endif
	frame = get(pool, 100);
	frame_unref(frame);
	frame_pool_destroy(pool);
}

#define ROUNDS 20000

static void *take_and_give(void *arg)
{
	struct frame_pool *pool = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct frame *frame;

		if (frame_pool_get(pool, 64 + i % 64, &frame) < 0)
			return NULL;
		frame->plane[0].data[i % 64] = (uint8_t)i;
		frame_unref(frame);
	}
	return pool;
}

static void threads_share_a_pool(void **state)
{
	struct frame_pool *pool = frame_pool_create(2);
	pthread_t thread[4];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, pool), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++) {
		void *result;

		pthread_join(thread[i], &result);
		assert_ptr_equal(result, pool);
	}
	frame_pool_destroy(pool);
}

static void *drop_references(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		frame_unref(arg);
	return NULL;
}

static void threads_share_a_frame_and_one_releases_it(void **state)
{
	struct frame frame;
	pthread_t thread[4];

	(void)state;
	frame_init(&frame, count_release, NULL);
	for (unsigned i = 0; i < ROUNDS * ARRAY_SIZE(thread); i++)
		frame_ref(&frame);
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, drop_references, &frame), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(n_released, 0);
	frame_unref(&frame);
	assert_int_equal(n_released, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_frame_has_one_reference_and_no_content, reset),
		cmocka_unit_test_setup(the_last_unref_releases_and_no_other, reset),
		cmocka_unit_test(nothing_can_be_unrefed),
		cmocka_unit_test(unref_keeps_errno),
		cmocka_unit_test(a_copied_origin_is_the_picture_and_not_its_memory),
		cmocka_unit_test(a_pool_gives_the_same_memory_again),
		cmocka_unit_test(a_frame_that_grew_a_little_still_fits),
		cmocka_unit_test(a_frame_is_never_larger_than_its_memory),
		cmocka_unit_test(frames_out_of_a_pool_are_fresh),
		cmocka_unit_test(two_frames_at_once_have_memory_of_their_own),
		cmocka_unit_test(frames_outlive_their_pool),
		cmocka_unit_test(no_pool_can_be_destroyed),
		cmocka_unit_test(a_frame_too_large_for_memory_is_enomem_and_the_pool_goes_on),
		cmocka_unit_test(threads_share_a_pool),
		cmocka_unit_test_setup(threads_share_a_frame_and_one_releases_it, reset),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
