// SPDX-License-Identifier: GPL-3.0-or-later
/* See window.h. Adding is cheap, looking sorts. */
#include "base/window.h"

#include "base/util.h"

void window_add(struct window *window, int64_t at_ns, int64_t value)
{
	window->sample[window->count++ % WINDOW_SAMPLES] = (struct window_sample){ at_ns, value };
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return (a > b) - (a < b);
}

/* The value that `percent` of all do not exceed. */
static int64_t percentile(const int64_t *sorted, unsigned count, unsigned percent)
{
	return sorted[(count * percent + 99) / 100 - 1];
}

void window_get(const struct window *window, int64_t now_ns, struct window_view *out)
{
	const unsigned most = MIN(window->count, WINDOW_SAMPLES);
	int64_t value[WINDOW_SAMPLES];
	unsigned count;

	*out = (struct window_view){ 0 };
	for (count = 0; count < most; count++) {
		const struct window_sample
			*sample = &window->sample[(window->count - 1 - count) % WINDOW_SAMPLES];

		if (sample->at_ns <= now_ns - WINDOW_NS)
			break;
		value[count] = sample->value;
		out->sum += sample->value;
	}
	if (!count)
		return;
	/* cppcheck-suppress uninitvar ; the first `count` of them are set */
	qsort(value, count, sizeof(value[0]), compare);
	out->count = count;
	out->p50 = percentile(value, count, 50);
	out->p95 = percentile(value, count, 95);
	out->p99 = percentile(value, count, 99);
}
