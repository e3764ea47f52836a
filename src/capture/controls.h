/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The image controls of the command line, set on a device. */
#ifndef CAPTURE_CONTROLS_H
#define CAPTURE_CONTROLS_H

#include "options.h"

/* A control that the device lacks or refuses is logged; capture goes on. */
void controls_apply(int fd, const struct options *opt);

#endif
