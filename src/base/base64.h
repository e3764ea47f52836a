/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Base64 (RFC 4648), with padding. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

#define BASE64_SIZE(size) (((size_t)(size) + 2) / 3 * 4)

/* Writes BASE64_SIZE(size) characters and no zero; returns where they end. */
char *base64_put(char *to, const uint8_t *from, size_t size);

#endif
