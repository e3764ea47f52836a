// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Whether a JPEG is whole: see jpegcheck.h. libjpeg only warns of what makes a picture doubtful.
 *
 * Grabbers change their mode without a word, and broken ones lie: a size that is not the device's mode is
 * believed after one picture of it was decoded without a complaint, at an eighth of its size.
 */
#include "convert/jpegcheck.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "base/util.h"

#define MAX_MEMORY (64L * 1024 * 1024)

struct check {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf fail;
};

static void on_error(j_common_ptr jpeg)
{
	struct check *check = jpeg->client_data;

	longjmp(check->fail, 1);
}

static void on_message(j_common_ptr jpeg)
{
	(void)jpeg; /* counted in num_warnings already */
}

static void decode(struct check *check, const uint8_t *data, size_t size)
{
	struct jpeg_decompress_struct *jpeg = &check->jpeg;
	JSAMPARRAY row;

	jpeg_mem_src(jpeg, data, size);
	jpeg_read_header(jpeg, TRUE);
	jpeg->mem->max_memory_to_use = MAX_MEMORY; /* progressive pictures are kept whole */
	jpeg->scale_num = 1;
	jpeg->scale_denom = 8;
	jpeg->out_color_space = jpeg->jpeg_color_space;
	jpeg->do_fancy_upsampling = FALSE;
	jpeg_start_decompress(jpeg);
	row = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE,
		jpeg->output_width * (JDIMENSION)jpeg->output_components, 1);
	/* One complaint is enough: a lie may claim a size that takes long to fill with grey. */
	while (jpeg->output_scanline < jpeg->output_height && !check->errors.num_warnings)
		jpeg_read_scanlines(jpeg, row, 1);
	if (!check->errors.num_warnings)
		jpeg_finish_decompress(jpeg);
}

bool jpegcheck_is_whole(const uint8_t *data, size_t size)
{
	struct check check;
	bool whole;

	check.jpeg.err = jpeg_std_error(&check.errors);
	check.errors.error_exit = on_error;
	check.errors.output_message = on_message;
	check.jpeg.client_data = &check;
	jpeg_create_decompress(&check.jpeg);
	if (setjmp(check.fail)) {
		jpeg_destroy_decompress(&check.jpeg);
		return false;
	}
	decode(&check, data, size);
	whole = check.errors.num_warnings == 0;
	jpeg_destroy_decompress(&check.jpeg);
	return whole;
}
