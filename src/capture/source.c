// SPDX-License-Identifier: GPL-3.0-or-later
/* The table of sources: a new one is a file and a line here. */
#include "capture/source.h"

static const struct source_ops *const sources[] = {
	&source_v4l2,
	&source_testcard,
};

const struct source_ops *source_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sources); i++) {
		if (!strcmp(sources[i]->name, name))
			return sources[i];
	}
	return NULL;
}
