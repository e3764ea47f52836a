/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Makes and reads JPEGs for the tests, by libjpeg alone. Include after cmocka.h. */
#ifndef TESTS_JPEGS_H
#define TESTS_JPEGS_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

struct jpegs_make {
	const uint8_t *pixels; /* grey or R, G, B; no padding between rows */
	int width, height;
	int components; /* 1 or 3 */
	bool progressive;
	int restart_rows; /* 0: no restart markers */
	int across, down; /* pixels for one sample of chroma; 0: both 2 */
	int quality;      /* 0: 80 */
	bool no_tables;   /* without Huffman tables, as MJPEG is */
	bool separate;    /* each component in a scan of its own */
	bool arithmetic;
};

struct jpegs_picture {
	uint8_t *pixels; /* grey or Y, U, V, interleaved; to be freed */
	int width, height, components;
	bool is_420;
};

static inline void jpegs_separate(struct jpeg_compress_struct *jpeg)
{
	static const jpeg_scan_info scans[] = { { 1, { 0 }, 0, 63, 0, 0 },
		{ 1, { 1 }, 0, 63, 0, 0 }, { 1, { 2 }, 0, 63, 0, 0 } };

	jpeg->scan_info = scans;
	jpeg->num_scans = jpeg->num_components;
}

static inline void jpegs_configure(struct jpeg_compress_struct *jpeg, const struct jpegs_make *make)
{
	jpeg_set_quality(jpeg, make->quality ? make->quality : 80, TRUE);
	jpeg->restart_in_rows = make->restart_rows;
	jpeg->arith_code = make->arithmetic;
	if (make->across) {
		jpeg->comp_info[0].h_samp_factor = make->across;
		jpeg->comp_info[0].v_samp_factor = make->down;
	}
	if (make->progressive)
		jpeg_simple_progression(jpeg);
	if (make->separate)
		jpegs_separate(jpeg);
	if (make->no_tables)
		for (int i = 0; i < 2; i++)
			jpeg->dc_huff_tbl_ptrs[i]->sent_table = jpeg->ac_huff_tbl_ptrs[i]
									->sent_table = TRUE;
}

static inline uint8_t *jpegs_encode(const struct jpegs_make *make, size_t *size)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	unsigned char *out = NULL;
	unsigned long out_size = 0;

	jpeg.err = jpeg_std_error(&errors); /* an error ends the test */
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &out, &out_size);
	jpeg.image_width = make->width;
	jpeg.image_height = make->height;
	jpeg.input_components = make->components;
	jpeg.in_color_space = make->components == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpegs_configure(&jpeg, make);
	jpeg_start_compress(&jpeg, !make->no_tables);
	while (jpeg.next_scanline < jpeg.image_height) {
		size_t at = (size_t)jpeg.next_scanline * make->width * make->components;
		JSAMPROW row = (JSAMPROW)make->pixels + at;

		jpeg_write_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_compress(&jpeg);
	jpeg_destroy_compress(&jpeg);
	*size = out_size;
	return out;
}

static inline void jpegs_jump(j_common_ptr jpeg)
{
	longjmp(*(jmp_buf *)jpeg->client_data, 1);
}

static inline void jpegs_say_nothing(j_common_ptr jpeg)
{
	(void)jpeg;
}

/* False when it does not decode, or only with a warning. */
static inline bool jpegs_decode(const uint8_t *data, size_t size, struct jpegs_picture *out)
{
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf fail;

	*out = (struct jpegs_picture){ 0 };
	jpeg.err = jpeg_std_error(&errors);
	errors.error_exit = jpegs_jump;
	errors.output_message = jpegs_say_nothing;
	jpeg.client_data = &fail;
	jpeg_create_decompress(&jpeg);
	if (setjmp(fail)) {
		jpeg_destroy_decompress(&jpeg);
		return false;
	}
	jpeg_mem_src(&jpeg, data, size);
	jpeg_read_header(&jpeg, TRUE);
	jpeg.out_color_space = jpeg.jpeg_color_space;
	jpeg_start_decompress(&jpeg);
	out->width = jpeg.output_width;
	out->height = jpeg.output_height;
	out->components = jpeg.output_components;
	out->is_420 = jpeg.max_h_samp_factor == 2 && jpeg.max_v_samp_factor == 2;
	out->pixels = malloc((size_t)out->width * out->height * out->components);
	while (jpeg.output_scanline < jpeg.output_height) {
		JSAMPROW row = out->pixels +
			       (size_t)jpeg.output_scanline * out->width * out->components;

		jpeg_read_scanlines(&jpeg, &row, 1);
	}
	jpeg_finish_decompress(&jpeg);
	jpeg_destroy_decompress(&jpeg);
	return errors.num_warnings == 0;
}

#endif
