/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * JPEG frames. A set of moving pictures is compressed once, with a restart marker after every row
 * of blocks. So the rows that hold the stamp can be compressed alone, for each frame, and spliced
 * in: true numbers at the price of a strip.
 */
#include "picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

enum { HEAD_MAX = 1024 };

struct bytes {
	uint8_t *data;
	size_t size;
};

struct jpegs {
	struct planes strip; /* the rows of the stamp */
	unsigned frames, quality;
	struct bytes *all;       /* whole files */
	size_t head, *stamp_end; /* where entropy data starts; where row 2 or 3 does */
	struct bytes scratch;
};

static void setup(struct jpeg_compress_struct *cinfo, const struct planes *p, unsigned quality)
{
	cinfo->image_width = p->width;
	cinfo->image_height = p->height;
	cinfo->input_components = 3;
	cinfo->in_color_space = JCS_YCbCr;
	jpeg_set_defaults(cinfo);
	jpeg_set_quality(cinfo, (int)quality, TRUE);
	cinfo->comp_info[0].h_samp_factor = 2;
	cinfo->comp_info[0].v_samp_factor = 1;
	cinfo->raw_data_in = TRUE;
	cinfo->restart_in_rows = 1;
}

static void feed(struct jpeg_compress_struct *cinfo, const struct planes *p)
{
	while (cinfo->next_scanline < cinfo->image_height) {
		JSAMPROW y[DCTSIZE], u[DCTSIZE], v[DCTSIZE];
		JSAMPARRAY planes[3] = { y, u, v };

		for (unsigned i = 0; i < DCTSIZE; i++) {
			size_t row = cinfo->next_scanline + i;

			y[i] = p->y + row * p->stride;
			u[i] = p->u + row * p->stride / 2;
			v[i] = p->v + row * p->stride / 2;
		}
		jpeg_write_raw_data(cinfo, planes, DCTSIZE);
	}
}

/* Reuses out->data; whole file. */
static void compress(const struct planes *p, unsigned quality, struct bytes *out)
{
	struct jpeg_compress_struct cinfo;
	struct jpeg_error_mgr err;
	unsigned long size = (unsigned long)p->width * p->height * 2 + 4096;

	if (!out->data && !(out->data = malloc(size)))
		abort();
	cinfo.err = jpeg_std_error(&err);
	jpeg_create_compress(&cinfo);
	jpeg_mem_dest(&cinfo, &out->data, &size);
	setup(&cinfo, p, quality);
	jpeg_start_compress(&cinfo, TRUE);
	feed(&cinfo, p);
	jpeg_finish_compress(&cinfo);
	jpeg_destroy_compress(&cinfo);
	out->size = size;
}

static unsigned be16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* The first byte after the header of the scan. */
static size_t head_size(const struct bytes *file)
{
	size_t at = 2;

	while (file->data[at + 1] != 0xDA)
		at += 2 + be16(file->data + at + 2);
	return at + 2 + be16(file->data + at + 2);
}

/* The n-th restart marker (from 1) after the header. */
static size_t find_restart(const struct bytes *file, size_t at, unsigned n)
{
	for (; at + 1 < file->size; at++)
		if (file->data[at] == 0xFF && (file->data[at + 1] & 0xF8) == 0xD0 && --n == 0)
			return at;
	return file->size - 2;
}

static void copy_planes(struct planes *to, const struct planes *from)
{
	size_t size = (size_t)from->stride * to->lines;

	memcpy(to->y, from->y, size);
	memcpy(to->u, from->u, size / 2);
	memcpy(to->v, from->v, size / 2);
}

static void make_frame(struct jpegs *set, struct planes *frame, const struct planes *bg, unsigned i,
	char look)
{
	struct bytes *file = &set->all[i];
	uint8_t *fit;

	copy_planes(frame, bg);
	planes_stamp(frame, i);
	if (look == 'm')
		planes_box(frame, i, set->frames);
	if (look == 'n')
		planes_noise(frame, i);
	compress(frame, set->quality, file);
	if ((fit = realloc(file->data, file->size)))
		file->data = fit;
	set->head = head_size(file);
	set->stamp_end[i] = find_restart(file, set->head, stamp_side(bg->width) / DCTSIZE);
}

struct jpegs *jpegs_create(const struct planes *bg, unsigned frames, unsigned quality, char look)
{
	struct jpegs *set = calloc(1, sizeof(*set));
	struct planes frame;

	if (!set)
		abort();
	set->frames = frames;
	set->quality = quality;
	set->all = calloc(frames, sizeof(*set->all));
	set->stamp_end = calloc(frames, sizeof(*set->stamp_end));
	if (!set->all || !set->stamp_end)
		abort();
	planes_init(&set->strip, bg->width, stamp_side(bg->width), 'b');
	copy_planes(&set->strip, bg);
	planes_init(&frame, bg->width, bg->height, 'b');
	for (unsigned i = 0; i < frames; i++)
		make_frame(set, &frame, bg, i, look);
	planes_finish(&frame);
	return set;
}

void jpegs_destroy(struct jpegs *set)
{
	if (!set)
		return;
	for (unsigned i = 0; i < set->frames; i++)
		free(set->all[i].data);
	free(set->all);
	free(set->stamp_end);
	free(set->scratch.data);
	planes_finish(&set->strip);
	free(set);
}

static size_t put(uint8_t *out, size_t at, const void *data, size_t size)
{
	memcpy(out + at, data, size);
	return at + size;
}

/* The header as this camera writes it. */
static size_t compose_head(const struct jpegs *set, const struct bytes *file,
	const struct faults *faults, uint8_t *out)
{
	static const uint8_t avi1[18] = { 0xFF, 0xE0, 0, 16, 'A', 'V', 'I', '1' };
	size_t n = put(out, 0, "\xFF\xD8", 2);

	if (faults->avi1)
		n = put(out, n, avi1, sizeof(avi1));
	for (size_t at = 2, len; at < set->head; at += len) {
		uint8_t marker = file->data[at + 1];

		len = 2 + be16(file->data + at + 2);
		if (marker == 0xE0 && (faults->avi1 || faults->no_jfif))
			continue;
		if (marker == 0xC4 && faults->no_dht)
			continue;
		n = put(out, n, file->data + at, len);
	}
	return n;
}

static size_t compose_stamp(struct jpegs *set, uint8_t *out, size_t n, uint32_t stamp)
{
	size_t head;

	planes_stamp(&set->strip, stamp);
	compress(&set->strip, set->quality, &set->scratch);
	head = head_size(&set->scratch);
	return put(out, n, set->scratch.data + head, set->scratch.size - 2 - head);
}

size_t jpegs_compose(struct jpegs *set, const struct faults *faults, uint8_t *out, size_t size,
	uint32_t stamp, bool cheap)
{
	unsigned i = stamp % set->frames;
	const struct bytes *file = &set->all[i];
	size_t n, from = cheap ? set->head : set->stamp_end[i];

	if (file->size + HEAD_MAX + 64 * 1024 > size)
		return 0;
	n = compose_head(set, file, faults, out);
	if (!cheap)
		n = compose_stamp(set, out, n, stamp);
	return put(out, n, file->data + from, file->size - from);
}
