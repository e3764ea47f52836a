/* SPDX-License-Identifier: MIT */
/*
 * How both sides of a ring touch memory that the other touches at the same time: numbers by
 * 32-bit atomics only, which need no lock and no write access anywhere; bytes by plain copies,
 * whose result counts for nothing until the frame's stamp was looked at again.
 */
#ifndef SHM_SHARED_H
#define SHM_SHARED_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t shared_load(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint32_t shared_load_acquire(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* NOLINTBEGIN(readability-non-const-parameter): clang-tidy does not know what the builtin does */
static inline void shared_store(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void shared_store_release(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}
/* NOLINTEND(readability-non-const-parameter) */

#if defined(__SANITIZE_THREAD__)
#define SHARED_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHARED_TSAN 1
#endif
#endif

#ifdef SHARED_TSAN
#if defined(__GNUC__) && !defined(__clang__)
/* TSan does not know fences. Nothing it watches here relies on one. */
#pragma GCC diagnostic ignored "-Wtsan"
#endif

/* The race that the protocol allows, and the only one: TSan is told not to watch the bytes. */
__attribute__((no_sanitize_thread)) static inline void shared_copy(void *to, const void *from,
	size_t size)
{
	volatile uint8_t *out = (volatile uint8_t *)to;
	const volatile uint8_t *in = (const volatile uint8_t *)from;

	while (size--)
		*out++ = *in++;
}
#else
static inline void shared_copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
}
#endif

/* All stores before it are seen before any store after it. */
static inline void shared_fence_stores(void)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* All loads before it are done before any load after it. */
static inline void shared_fence_loads(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

#endif
