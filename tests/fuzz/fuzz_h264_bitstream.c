// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * H.264 as an encoder's driver might give it out, or anything else. NAL units must lie within what
 * was given, a parameter set that was rewritten must say what it was told to and else the same, and
 * an access unit must never be larger than its memory.
 */
#include "base/util.h"
#include "encoder/encoder.h"

#define LOG_TOPIC "fuzz"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct encoder_ops no_ops;

/* Each new parameter set that cannot be read is worth a warning; here they all are. */
__attribute__((constructor)) static void be_quiet(void)
{
	log_init(LOG_LEVEL_ERROR, LOG_COLOUR_NEVER);
}

static void expect(bool holds)
{
	if (!holds)
		abort();
}

static void check_sps(const struct h264_nal *nal)
{
	uint8_t first[H264_SPS_MAX], second[H264_SPS_MAX];
	struct h264_sps before, after;
	struct h264_nal rewritten = { first, 0, H264_NAL_SPS };
	int size;

	if (h264_read_sps(&before, nal) < 0)
		return;
	size = h264_set_colour(first, nal, true, true);
	if (size < 0)
		return; /* it has no room for more */
	rewritten.size = (size_t)size;
	expect(h264_read_sps(&after, &rewritten) == 0);
	expect(after.full_range && after.has_colour && after.matrix == 1);
	expect(after.width == before.width && after.height == before.height);
	expect(after.profile_idc == before.profile_idc && after.level_idc == before.level_idc);
	expect(h264_set_colour(second, &rewritten, true, true) == size);
	expect(!memcmp(first, second, rewritten.size));
}

static void check_walk(const uint8_t *data, size_t size)
{
	struct h264_walk walk = { data, data + size };
	const uint8_t *last = data;
	struct h264_nal nal;

	while (h264_next_nal(&walk, &nal)) {
		expect(nal.data >= last + 3 && nal.size && nal.data + nal.size <= data + size);
		expect(nal.data[nal.size - 1] && nal.type <= 31);
		last = nal.data + nal.size;
		check_sps(&nal);
	}
}

static struct encoder_pending *remember(struct encoder *encoder)
{
	const struct frame origin = { .range = RANGE_FULL };
	const struct encoder_submission in = { .origin = &origin };

	return encoder_match(encoder, encoder_note(encoder, &in));
}

/* Twice, for parameter sets are remembered. */
static void check_unit(const uint8_t *data, size_t size)
{
	const struct encoder_config config = { .width = 64, .height = 64, .device = "" };
	struct encoder encoder = { 0 };

	encoder_init(&encoder, &no_ops, &config);
	encoder.n_inputs = 1;
	for (int i = 0; i < 2; i++) {
		struct frame *frame;

		if (encoder_make_unit(&encoder, remember(&encoder), data, size, &frame) == 0) {
			check_walk(frame->plane[0].data, frame->plane[0].size);
			frame_unref(frame);
		}
	}
	encoder_finish(&encoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct h264_nal whole = { data, size, H264_NAL_SPS };

	check_sps(&whole);
	check_walk(data, size);
	check_unit(data, size);
	return 0;
}
