/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The word that readers of a ring sleep on, as its writer rings it. Waking all of them would cost
 * the writer more with each reader, so they wake each other, and it looks whether they do.
 *
 * One thread at a time may ring a bell.
 */
#ifndef SHM_BELL_H
#define SHM_BELL_H

#include <stdint.h>

struct bell {
	uint32_t *word;      /* in shared memory */
	unsigned n_mistrust; /* so many times to come, all are woken from here */
	int64_t rung_ns;     /* when it was rung last */
};

/*
 * For a frame: wakes one reader, or all while readers were seen that do not wake the next. How many
 * were woken from here.
 */
unsigned bell_ring(struct bell *bell, int64_t now_ns);
/* For what each reader must know at once, whatever the others do. */
void bell_ring_all(uint32_t *word);

#endif
