// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The JPEG sanitiser against any bytes. It must never read outside them (libFuzzer hands over a
 * piece of exactly that size), must give its reason when it refuses, and must find nothing left to
 * mend in what it made.
 */
#include "base/util.h"
#include "convert/jpegfix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check(const uint8_t *data, size_t size, bool allow_truncated)
{
	enum drop_reason why = DROP_REASONS;
	struct jpegfix fix, again;
	uint8_t *out;

	if (jpegfix_parse(&fix, data, size, allow_truncated, &why) < 0) {
		expect(why < DROP_REASONS);
		return;
	}
	out = malloc(fix.size);
	expect(out);
	jpegfix_write(&fix, out);
	expect(fix.size >= 4 && fix.width && fix.height);
	expect(out[0] == 0xFF && out[1] == 0xD8);
	expect(out[fix.size - 2] == 0xFF && out[fix.size - 1] == 0xD9);
	expect(jpegfix_parse(&again, out, fix.size, false, &why) == 0);
	expect(again.size == fix.size && again.n_parts == 1);
	expect(again.width == fix.width && again.height == fix.height);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check(data, size, false);
	check(data, size, true);
	return 0;
}
