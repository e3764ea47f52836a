// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Frames and the pool their memory comes from. The pool is counted too: each frame out of it
 * holds a reference, so the last frame may return after frame_pool_destroy().
 */
#include "media/frame.h"

#include <pthread.h>

#include "base/util.h"

/* A frame and its memory in one: getting one from the pool allocates nothing. */
struct pooled {
	struct frame frame; /* first: a pointer to it is a pointer to the piece */
	struct pooled *next;
	size_t capacity;
	uint8_t data[] __attribute__((aligned(64)));
};

struct frame_pool {
	pthread_mutex_t lock;
	struct pooled *spare; /* under lock */
	unsigned n_spare;     /* under lock */
	unsigned max_spare;   /* set at creation; 0 once destroyed: under lock */
	unsigned refs;        /* under lock: the owner and every frame that is out */
};

void frame_init(struct frame *frame, void (*release)(struct frame *frame), void *owner)
{
	*frame = (struct frame){ .release = release, .owner = owner };
	atomic_init(&frame->refs, 1);
}

struct frame *frame_ref(struct frame *frame)
{
	atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
	return frame;
}

void frame_unref(struct frame *frame)
{
	int saved = errno;

	if (frame && atomic_fetch_sub_explicit(&frame->refs, 1, memory_order_acq_rel) == 1)
		frame->release(frame);
	errno = saved;
}

void frame_unref_auto(struct frame **frame)
{
	frame_unref(*frame);
}

size_t frame_size(const struct frame *frame)
{
	size_t size = 0;

	for (unsigned i = 0; i < FRAME_PLANES && frame->plane[i].data; i++)
		size += frame->plane[i].size;
	return size;
}

const char *medium_name(enum medium medium)
{
	static const char *const names[MEDIA] = { "jpeg", "raw", "h264" };

	return names[medium];
}

void frame_copy_shape(struct frame *to, const struct frame *from)
{
	to->format = from->format;
	to->width = from->width;
	to->height = from->height;
	to->range = from->range;
	to->matrix = from->matrix;
	to->dmabuf = (struct frame_dmabuf){
		.id = from->dmabuf.id, .set = from->dmabuf.set, .fd = -1, .size = from->dmabuf.size
	};
	for (unsigned i = 0; i < FRAME_PLANES; i++)
		to->plane[i] = (struct frame_plane){ NULL, from->plane[i].stride,
			from->plane[i].size };
}

void frame_copy_origin(struct frame *to, const struct frame *from)
{
	to->online = from->online;
	to->keepable = from->keepable;
	to->sequence = from->sequence;
	to->captured_ns = from->captured_ns;
	to->grabbed_ns = from->grabbed_ns;
	to->convert_begin_ns = from->convert_begin_ns;
}

struct frame_pool *frame_pool_create(unsigned spare)
{
	struct frame_pool *pool = xcalloc(1, sizeof(*pool));

	pthread_mutex_init(&pool->lock, NULL);
	pool->max_spare = spare;
	pool->refs = 1;
	return pool;
}

/* Gives back one reference on the pool and frees what nobody will ask for again. */
static void pool_unref_locked(struct frame_pool *pool)
{
	bool last = --pool->refs == 0;

	while (pool->n_spare > pool->max_spare) {
		struct pooled *piece = pool->spare;

		pool->spare = piece->next;
		pool->n_spare--;
		free(piece);
	}
	pthread_mutex_unlock(&pool->lock);
	if (last) {
		pthread_mutex_destroy(&pool->lock);
		free(pool);
	}
}

void frame_pool_destroy(struct frame_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->max_spare = 0;
	pool_unref_locked(pool);
}

static void pool_release(struct frame *frame)
{
	struct frame_pool *pool = frame->owner;
	struct pooled *piece = (struct pooled *)frame;

	pthread_mutex_lock(&pool->lock);
	piece->next = pool->spare;
	pool->spare = piece;
	pool->n_spare++;
	pool_unref_locked(pool);
}

/* The first spare piece that is large enough; smaller ones on the way are out of date: freed. */
static struct pooled *take_spare(struct frame_pool *pool, size_t size)
{
	struct pooled *piece;

	while ((piece = pool->spare)) {
		pool->spare = piece->next;
		pool->n_spare--;
		if (piece->capacity >= size)
			break;
		free(piece);
	}
	return piece;
}

int frame_pool_get(struct frame_pool *pool, size_t size, struct frame **out)
{
	struct pooled *piece;

	pthread_mutex_lock(&pool->lock);
	piece = take_spare(pool, size);
	pool->refs++;
	pthread_mutex_unlock(&pool->lock);

	if (!piece) {
		/* An eighth on top: compressed frames differ in size, and a piece should last. */
		size_t capacity = size + size / 8;

		piece = malloc(sizeof(*piece) + capacity);
		if (!piece) {
			pthread_mutex_lock(&pool->lock);
			pool_unref_locked(pool);
			return -ENOMEM;
		}
		piece->capacity = capacity;
	}
	*out = &piece->frame;
	frame_init(*out, pool_release, pool);
	(*out)->plane[0].data = piece->data;
	(*out)->plane[0].size = size;
	return 0;
}
