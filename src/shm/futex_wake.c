// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Readers sleep with the bit of the value that they saw. So who sleeps with another bit than that
 * of the value before this one was not woken in time, and counts on us: see docs/ring.md.
 */
#include "shm/futex_wake.h"

#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/util.h"
#include "shm/hdmicast-ring.h"
#include "shm/shared.h"

/* A reader that fails the others makes one frame of so many late for them. */
#define MISTRUST 1000

/* Who was late is found at the next ring, or looks by itself after 100 ms: then too late for us. */
#define SOON_NS (50 * NS_PER_MS)

/* How many were woken. */
static unsigned wake(uint32_t *word, int at_most, uint32_t bits)
{
	const long woken = syscall(SYS_futex, word, FUTEX_WAKE_BITSET, at_most, NULL, NULL, bits);

	return woken > 0 ? (unsigned)woken : 0;
}

static uint32_t change(uint32_t *word)
{
	const uint32_t before = shared_load(word);

	shared_store_release(word, before + 1);
	return before;
}

/* Whether it may be left to the readers to wake each other. */
static bool trusts(struct futex_wake *waker, int64_t now_ns)
{
	const bool is_soon = now_ns - waker->rung_ns < SOON_NS;

	waker->rung_ns = now_ns;
	if (!waker->n_mistrust)
		return is_soon;
	waker->n_mistrust--;
	return false;
}

unsigned futex_wake_frame(struct futex_wake *waker, int64_t now_ns)
{
	const uint32_t before = change(waker->word), on_time = HDMICAST_RING_BELL_BIT(before);
	unsigned n_late;

	if (!trusts(waker, now_ns))
		return wake(waker->word, INT_MAX, FUTEX_BITSET_MATCH_ANY);
	/* Who sleeps on the new value has seen the frame already. */
	n_late = wake(waker->word, INT_MAX, ~(on_time | HDMICAST_RING_BELL_BIT(before + 1)));
	if (!n_late)
		return wake(waker->word, 1, on_time);
	waker->n_mistrust = MISTRUST;
	return n_late + wake(waker->word, INT_MAX, on_time);
}

void futex_wake_all(uint32_t *word)
{
	change(word);
	wake(word, INT_MAX, FUTEX_BITSET_MATCH_ANY);
}
