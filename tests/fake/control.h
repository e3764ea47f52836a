/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands: from the configuration, from the script, from the control socket. */
#ifndef FAKE_CONTROL_H
#define FAKE_CONTROL_H

#include "device.h"

enum { ARGS_MAX = 8, REPLY_MAX = 4096 };

struct command {
	const char *name;
	const char *usage; /* arguments, and what it does */
	/* Under the device lock. argv[0] is the name. 0 or -errno; may write a reply. */
	int (*run)(struct device *dev, int argc, char **argv, char *reply);
};

extern const struct command common_commands[], call_commands[];

/* Runs one line, "[kind.]name arguments", on the device it means, or on dev if that is given.
 * Takes the device lock. Fills reply (REPLY_MAX bytes) with "ok…" or "error …". */
int command_run(struct device *dev, const char *line, char *reply);

/* Starts the clock of the script and the control socket, on one thread. */
void control_start(void);
/* Small parsers. False: not one. */
bool parse_size(const char *text, struct size *size);
bool parse_count(const char *text, unsigned max, unsigned *value);
bool parse_switch(const char *text, bool *on); /* NULL is on */

#endif
