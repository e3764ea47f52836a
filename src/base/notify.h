/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The part of systemd's notification protocol that a service needs (sd_notify(3): the protocol is
 * stable and may be spoken without the library). libsystemd would bring five more libraries into
 * a process that is meant to be small; without systemd all of this does nothing.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

#include "base/util.h"

/* Before anything else: takes the environment's word and removes it for children. */
void notify_init(void);
/* Sends e.g. "READY=1" or "STATUS=…" (printf). Never blocks, never fails loudly. */
void notify_send(const char *format, ...) PRINTF(1, 2);
/* How often "WATCHDOG=1" is expected at least; 0: no watchdog. */
int64_t notify_watchdog_us(void);

#endif
