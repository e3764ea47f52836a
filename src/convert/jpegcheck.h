/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a JPEG holds the picture that its header promises: decodes all of it, at an eighth of
 * its size. As costly as a decode, so for doubtful pictures only.
 */
#ifndef CONVERT_JPEGCHECK_H
#define CONVERT_JPEGCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when data is missing, left over or damaged, or more than 64 MiB would be needed. */
bool jpegcheck_is_whole(const uint8_t *data, size_t size);

#endif
