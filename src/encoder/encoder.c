// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * What all encoders share: see encoder.h. It pairs what comes out with what went in, and makes an
 * access unit that any decoder understands of what an encoder gave out: parameter sets that say
 * what the samples mean, once before each IDR, and nothing in front of the slices that carries no
 * picture (no delimiters, no filler).
 */
#include "encoder/encoder.h"

#include <assert.h>
#include <linux/videodev2.h>

#include "base/util.h"

#define LOG_TOPIC "encoder"
#include "base/log.h"

/* Access units kept for reuse: a few wait for readers, and a key frame needs larger ones. */
#define SPARE_UNITS 4

/* A hardware encoder below it refuses what is fine at it, and no decoder cares. */
#define LEAST_LEVEL 40

#define START_CODE_SIZE 4
#define MAX_PREFIX      8 /* NAL units before the first slice that are no parameter sets */

static const uint8_t start_code[START_CODE_SIZE] = { 0, 0, 0, 1 };

void encoder_init(struct encoder *encoder, const struct encoder_ops *ops,
	const struct encoder_config *config)
{
	encoder->ops = ops;
	encoder->width = config->width;
	encoder->height = config->height;
	encoder->profile = config->profile;
	encoder->tuning = config->tuning;
	encoder->most_fps = config->most_fps;
	encoder->range = config->like.range;
	encoder->matrix = config->like.matrix;
	encoder->fd = -1;
	encoder->pool = frame_pool_create(SPARE_UNITS);
}

void encoder_finish(struct encoder *encoder)
{
	frame_pool_destroy(encoder->pool);
	encoder->pool = NULL;
}

/* ---- pending frames */

/* Encoders that drop frames in a row leave entries behind: then the oldest gives way. */
static struct encoder_pending *free_entry(struct encoder *encoder)
{
	struct encoder_pending *oldest = &encoder->pending[0];

	for (unsigned i = 0; i < ENCODER_IN_FLIGHT; i++) {
		struct encoder_pending *pending = &encoder->pending[i];

		if (!pending->timestamp_us)
			return pending;
		if (pending->timestamp_us < oldest->timestamp_us)
			oldest = pending;
	}
	encoder_lose(encoder, oldest);
	return oldest;
}

int64_t encoder_note(struct encoder *encoder, const struct encoder_submission *in)
{
	struct encoder_pending *pending = free_entry(encoder);
	int64_t captured_us = in->origin->captured_ns / NS_PER_US;

	assert(in->input < (int)encoder->n_inputs && (in->input >= 0 || in->frame));
	/* A source that starts again, and the slate in between, may step back. */
	encoder->last_timestamp_us = MAX(captured_us, encoder->last_timestamp_us + 1);
	pending->timestamp_us = encoder->last_timestamp_us;
	pending->begin_ns = now_ns();
	frame_init(&pending->origin, NULL, NULL);
	frame_copy_origin(&pending->origin, in->origin);
	pending->origin.range = in->origin->range;
	pending->origin.matrix = in->origin->matrix;
	pending->want_key = in->want_key;
	return pending->timestamp_us;
}

struct encoder_pending *encoder_match(struct encoder *encoder, int64_t timestamp_us)
{
	struct encoder_pending *found = NULL;

	for (unsigned i = 0; i < ENCODER_IN_FLIGHT && timestamp_us; i++) {
		if (encoder->pending[i].timestamp_us == timestamp_us)
			found = &encoder->pending[i];
	}
	for (unsigned i = 0; i < ENCODER_IN_FLIGHT && found; i++) {
		struct encoder_pending *pending = &encoder->pending[i];

		if (pending->timestamp_us && pending->timestamp_us < timestamp_us)
			encoder_lose(encoder, pending);
	}
	return found;
}

void encoder_forget(struct encoder *encoder, struct encoder_pending *pending)
{
	assert(pending >= encoder->pending && pending < encoder->pending + ENCODER_IN_FLIGHT);
	*pending = (struct encoder_pending){ 0 };
}

void encoder_lose(struct encoder *encoder, struct encoder_pending *pending)
{
	encoder->lost++;
	encoder->keys_lost += pending->want_key;
	encoder_forget(encoder, pending);
}

unsigned encoder_count_pending(const struct encoder *encoder)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ENCODER_IN_FLIGHT; i++)
		count += encoder->pending[i].timestamp_us != 0;
	return count;
}

/* ---- access units */

/* What an encoder gave out, sorted. */
struct unit {
	struct h264_nal
		prefix[MAX_PREFIX]; /* before the first slice: messages (SEI) and the like */
	unsigned n_prefix;
	bool has_sps, has_pps; /* which were remembered */
	const uint8_t *slices; /* from the header byte of the first one to the end */
	size_t slices_size;
};

/* Returns false for one that is too long: it stays where it is. */
static bool remember_sps(struct encoder *encoder, const struct h264_nal *nal)
{
	uint8_t ignored[H264_SPS_MAX];

	if (nal->size > H264_SPS_MAX)
		return false;
	if (encoder->sps_size == START_CODE_SIZE + nal->size &&
		!memcmp(encoder->sps + START_CODE_SIZE, nal->data, nal->size))
		return true;
	memcpy(encoder->sps, start_code, START_CODE_SIZE);
	memcpy(encoder->sps + START_CODE_SIZE, nal->data, nal->size);
	encoder->sps_size = START_CODE_SIZE + nal->size;
	encoder->pps_size = 0;
	if (h264_set_colour(ignored, nal, false, false) < 0)
		log_warn("cannot read the encoder's parameter set (%zu bytes): colours may be off",
			nal->size);
	return true;
}

/* There may be several, of different numbers: all that came with the last unit that had any. */
static bool remember_pps(struct encoder *encoder, const struct unit *unit,
	const struct h264_nal *nal)
{
	size_t size = START_CODE_SIZE + nal->size;

	if (!unit->has_pps)
		encoder->pps_size = 0;
	if (size > sizeof(encoder->pps) - encoder->pps_size)
		return false;
	memcpy(encoder->pps + encoder->pps_size, start_code, START_CODE_SIZE);
	memcpy(encoder->pps + encoder->pps_size + START_CODE_SIZE, nal->data, nal->size);
	encoder->pps_size += size;
	return true;
}

static void sort_nal(struct encoder *encoder, struct unit *unit, const struct h264_nal *nal)
{
	if (nal->type == H264_NAL_AUD || nal->type == H264_NAL_FILLER)
		return;
	if (nal->type == H264_NAL_SPS && remember_sps(encoder, nal))
		unit->has_sps = true;
	else if (nal->type == H264_NAL_PPS && remember_pps(encoder, unit, nal))
		unit->has_pps = true;
	else if (unit->n_prefix < MAX_PREFIX)
		unit->prefix[unit->n_prefix++] = *nal;
}

/* Looks no further than the header of the first slice: the rest is copied, never searched. */
static void sort_unit(struct encoder *encoder, struct unit *unit, const uint8_t *data, size_t size)
{
	struct h264_walk walk = { data, data + size };
	struct h264_nal nal;

	*unit = (struct unit){ 0 };
	while ((walk.at = h264_find_nal(walk.at, walk.end))) {
		unsigned type = *walk.at & 0x1F;

		if (type >= H264_NAL_SLICE && type <= H264_NAL_IDR) {
			unit->slices = walk.at;
			unit->slices_size = (size_t)(walk.end - walk.at);
			return;
		}
		if (!*walk.at)
			continue; /* an empty one */
		walk.at -= START_CODE_SIZE - 1;
		if (h264_next_nal(&walk, &nal))
			sort_nal(encoder, unit, &nal);
	}
}

static uint8_t *append(uint8_t *to, const uint8_t *data, size_t size)
{
	memcpy(to, data, size);
	return to + size;
}

static uint8_t *append_nal(uint8_t *to, const uint8_t *data, size_t size)
{
	return append(append(to, start_code, START_CODE_SIZE), data, size);
}

/* The samples' meaning may have changed since the set was remembered, so it is written anew. */
static uint8_t *append_sets(const struct encoder *encoder, uint8_t *to)
{
	struct h264_nal sps = { encoder->sps + START_CODE_SIZE, encoder->sps_size - START_CODE_SIZE,
		H264_NAL_SPS };
	uint8_t coloured[H264_SPS_MAX];
	int size;

	if (!encoder->sps_size)
		return append(to, encoder->pps, encoder->pps_size);
	size = h264_set_colour(coloured, &sps, encoder->range == RANGE_FULL,
		encoder->matrix == MATRIX_709);
	to = size > 0 ? append_nal(to, coloured, (size_t)size)
		      : append(to, encoder->sps, encoder->sps_size);
	return append(to, encoder->pps, encoder->pps_size);
}

static void write_unit(const struct encoder *encoder, const struct unit *unit, struct frame *frame)
{
	uint8_t *to = frame->plane[0].data;

	/* Sets that come with another slice changed something: they stay where they were. */
	if (frame->key || unit->has_sps || unit->has_pps)
		to = append_sets(encoder, to);
	for (unsigned i = 0; i < unit->n_prefix; i++)
		to = append_nal(to, unit->prefix[i].data, unit->prefix[i].size);
	to = append_nal(to, unit->slices, unit->slices_size);
	frame->plane[0].size = (size_t)(to - frame->plane[0].data);
}

static void describe(const struct encoder *encoder, const struct encoder_pending *pending,
	struct frame *frame)
{
	frame->format = V4L2_PIX_FMT_H264;
	frame->width = encoder->width;
	frame->height = encoder->height;
	frame->range = encoder->range;
	frame->matrix = encoder->matrix;
	frame_copy_origin(frame, &pending->origin);
	frame->keepable = false; /* nobody may begin with an old access unit */
	frame->fps = encoder->tuning.fps;
	frame->encode_begin_ns = pending->begin_ns;
	frame->encode_end_ns = now_ns();
}

int encoder_make_unit(struct encoder *encoder, struct encoder_pending *pending, const uint8_t *data,
	size_t size, struct frame **out)
{
	struct frame *frame;
	struct unit unit;
	size_t most;
	int res;

	if (pending) {
		encoder->range = pending->origin.range;
		encoder->matrix = pending->origin.matrix;
	}
	sort_unit(encoder, &unit, data, size);
	if (!unit.slices || !pending)
		return -EBADMSG;
	most = H264_SPS_MAX + START_CODE_SIZE + encoder->pps_size + START_CODE_SIZE +
	       unit.slices_size;
	for (unsigned i = 0; i < unit.n_prefix; i++)
		most += START_CODE_SIZE + unit.prefix[i].size;
	res = frame_pool_get(encoder->pool, most, &frame);
	if (res < 0) {
		encoder_lose(encoder, pending);
		return res;
	}
	describe(encoder, pending, frame);
	frame->key = (*unit.slices & 0x1F) == H264_NAL_IDR;
	encoder->keys_lost += pending->want_key && !frame->key;
	write_unit(encoder, &unit, frame);
	encoder_forget(encoder, pending);
	*out = frame;
	return 0;
}

/* ---- levels */

/* The level with room for the size that comes closest to the rate; NULL: none up to `most`. */
static const struct h264_level *pick_level(const struct encoder *encoder, unsigned fps,
	unsigned least, unsigned most)
{
	const struct h264_level *level = h264_level_for(encoder->width, encoder->height, fps,
		least);
	const struct h264_level *best = NULL;

	if (level && level->level <= most)
		return level;
	while ((level = h264_level_for(encoder->width, encoder->height, 1, least)) &&
		level->level <= most) {
		best = level;
		least = level->level + 1;
	}
	return best;
}

bool encoder_is_outgrown(const struct encoder *encoder, unsigned most_fps)
{
	const struct h264_level *level = pick_level(encoder, most_fps, encoder->level,
		encoder->most_level);

	return level && level->level > encoder->level;
}

int encoder_fit(struct encoder *encoder, struct encoder_tuning *tuning, unsigned most)
{
	bool is_first = !encoder->level;
	const struct h264_level *level = is_first ? pick_level(encoder,
							    MAX(tuning->fps, encoder->most_fps),
							    LEAST_LEVEL, most)
						  : pick_level(encoder, tuning->fps, encoder->level,
							    encoder->level);
	struct encoder_tuning asked = *tuning;
	uint32_t macroblocks = ((encoder->width + 15) / 16) * ((encoder->height + 15) / 16);

	if (!level || !macroblocks)
		return -ERANGE;
	tuning->fps = CLAMP(tuning->fps, 1U, level->per_second / macroblocks);
	tuning->bitrate_kbps = MIN(tuning->bitrate_kbps, h264_max_kbps(level, encoder->profile));
	if (is_first) { /* other threads read it from then on */
		encoder->level = level->level;
		encoder->most_level = most;
	}
	/* Once: when it is opened, and when something else is clamped than what is in force. */
	if (asked.bitrate_kbps != tuning->bitrate_kbps &&
		(is_first || encoder->tuning.bitrate_kbps != tuning->bitrate_kbps))
		log_warn("%u kbit/s are more than level %u.%u in profile %s allows: %u it is",
			asked.bitrate_kbps, level->level / 10, level->level % 10,
			h264_profile_name(encoder->profile), tuning->bitrate_kbps);
	if (asked.fps > tuning->fps && (is_first || encoder->tuning.fps != tuning->fps))
		log_warn("%u fps of %ux%u are more than level %u.%u allows: %u are declared",
			asked.fps, encoder->width, encoder->height, level->level / 10,
			level->level % 10, tuning->fps);
	return 0;
}
