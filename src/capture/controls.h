/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Controls of a capture device: the image controls that are options are set, all are listed. */
#ifndef CAPTURE_CONTROLS_H
#define CAPTURE_CONTROLS_H

#include "capture/source.h"
#include "settings/options.h"

/* A control that the device lacks or refuses is logged; capture goes on. */
void controls_apply(int fd, const struct options *opt);
/* As source_ops.control. What was set before one is refused is set back. */
int controls_change(int fd, const struct option_control wish[CONTROLS],
	enum option_control_id *which);
/* As source_ops.list; events tell of changes that others make from then on. */
void controls_list(int fd, struct source_controls *out);

#endif
