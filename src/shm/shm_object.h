/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two shared memory objects of a ring, as their writer makes, takes over and removes them.
 */
#ifndef SHM_SHM_OBJECT_H
#define SHM_SHM_OBJECT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/hdmicast-ring.h"

struct shm_object_names {
	char data[NAME_MAX + 2]; /* "/NAME" */
	char control[NAME_MAX + 2];
};

/* Whether a name ("/NAME") is still that of this object: another instance may have taken it over. */
bool shm_object_is_named(const char *name, int fd);

/* -EINVAL, -ENAMETOOLONG when it is no name. */
int shm_object_set_names(struct shm_object_names *names, const char *name);

/*
 * Finds what an earlier writer left under the name and takes it off the name. *old: its header,
 * mapped, for shm_object_retire(); NULL when there is none. Errors as ring_create().
 */
int shm_object_take_over(const struct shm_object_names *names, struct hdmicast_ring_header **old);
/* Tells the readers of a ring that it is over, wakes them, and unmaps the header. NULL is fine. */
void shm_object_retire(struct hdmicast_ring_header *header);

/*
 * Makes the data object, locked, with all its memory allocated; *like is written to its beginning.
 * Others may read it from then on, so like->state is NEW.
 */
int shm_object_create_data(const struct shm_object_names *names,
	const struct hdmicast_ring_header *like, mode_t mode, gid_t group);
/* What a control object begins with. */
struct hdmicast_ring_control shm_object_describe_control(uint64_t epoch);
/* Makes the control object. Both return a descriptor or -errno. */
int shm_object_create_control(const struct shm_object_names *names, uint64_t epoch, mode_t mode,
	gid_t group);

/* Takes the name off the object of this descriptor, if it still has it. -1 is fine. */
void shm_object_remove(const char *name, int fd);

#endif
