/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The word that readers of a ring sleep on, as its writer rings it. Waking all of them would cost
 * the writer more with each reader, so they wake each other, and it looks whether they do.
 *
 * One thread at a time may wake with one.
 */
#ifndef SHM_FUTEX_WAKE_H
#define SHM_FUTEX_WAKE_H

#include <stdint.h>

struct futex_wake {
	uint32_t *word;      /* in shared memory */
	unsigned n_mistrust; /* so many times to come, all are woken from here */
	int64_t rung_ns;     /* when it was rung last */
};

/*
 * For a frame: wakes one reader, or all while readers were seen that do not wake the next. How many
 * were woken from here.
 */
unsigned futex_wake_frame(struct futex_wake *waker, int64_t now_ns);
/* For what each reader must know at once, whatever the others do. */
void futex_wake_all(uint32_t *word);

#endif
