/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What libjpeg itself makes of a JPEG's luma and chroma: stdin to planar 4:2:0 on stdout, without
 * any line of the daemon's. Of 4:2:2 each two rows of chroma are averaged, (a + b + 1) / 2, which
 * is how the daemon says that it does it. Even sizes, 4:2:0 and 4:2:2 only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#define MOST_BYTES (16 << 20)
#define MCU_ROWS   16 /* the most luma rows of a row of macroblocks */

struct plane {
	unsigned char *data;
	size_t stride; /* as libjpeg pads it */
	unsigned width, height;
};

static void die(const char *why)
{
	fprintf(stderr, "jpeg-planes: %s\n", why);
	exit(1);
}

static void *allocate(size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		die("no memory");
	return memory;
}

static void make_plane(struct plane *plane, const jpeg_component_info *info, unsigned width,
	unsigned height)
{
	plane->stride = (size_t)info->width_in_blocks * DCTSIZE + MCU_ROWS * DCTSIZE;
	plane->width = width;
	plane->height = height;
	plane->data = allocate(plane->stride * (height + 2 * MCU_ROWS));
}

/* The samples as they are in the file: no upsampling, no colours. */
static void read_planes(struct jpeg_decompress_struct *jpeg, struct plane plane[3])
{
	unsigned step = (unsigned)jpeg->max_v_samp_factor * DCTSIZE;
	JSAMPROW row[3][MCU_ROWS];
	JSAMPARRAY rows[3] = { row[0], row[1], row[2] };

	while (jpeg->output_scanline < jpeg->output_height) {
		for (int c = 0; c < 3; c++) {
			unsigned of_step = (unsigned)jpeg->comp_info[c].v_samp_factor * DCTSIZE;
			size_t first = (size_t)jpeg->output_scanline / step * of_step;

			for (unsigned y = 0; y < of_step; y++)
				row[c][y] = plane[c].data + (first + y) * plane[c].stride;
		}
		if (!jpeg_read_raw_data(jpeg, rows, step))
			die("it ends early");
	}
}

static void write_plane(const struct plane *plane)
{
	for (unsigned y = 0; y < plane->height; y++)
		fwrite(plane->data + y * plane->stride, 1, plane->width, stdout);
}

/* Of a plane with twice the rows that are wanted. */
static void write_averaged(const struct plane *plane)
{
	for (unsigned y = 0; y < plane->height; y += 2) {
		const unsigned char *above = plane->data + y * plane->stride;

		for (unsigned x = 0; x < plane->width; x++)
			putchar((above[x] + above[x + plane->stride] + 1) >> 1);
	}
}

int main(void)
{
	unsigned char *data = allocate(MOST_BYTES);
	size_t size = fread(data, 1, MOST_BYTES, stdin);
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct plane plane[3];
	int rows_per_chroma;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_decompress(&jpeg);
	jpeg_mem_src(&jpeg, data, size);
	jpeg_read_header(&jpeg, TRUE);
	jpeg.raw_data_out = TRUE;
	jpeg_start_decompress(&jpeg);
	/* 4:2:2 may be 2x1 and 1x1, or as ffmpeg has it, 2x2 and 1x2. */
	rows_per_chroma = jpeg.comp_info[0].v_samp_factor / jpeg.comp_info[1].v_samp_factor;
	if (jpeg.num_components != 3 || rows_per_chroma > 2 ||
		jpeg.comp_info[0].h_samp_factor != 2 * jpeg.comp_info[1].h_samp_factor)
		die("neither 4:2:0 nor 4:2:2");
	make_plane(&plane[0], &jpeg.comp_info[0], jpeg.output_width, jpeg.output_height);
	for (int c = 1; c < 3; c++)
		make_plane(&plane[c], &jpeg.comp_info[c], jpeg.output_width / 2,
			jpeg.output_height / (unsigned)rows_per_chroma);
	read_planes(&jpeg, plane);
	write_plane(&plane[0]);
	for (int c = 1; c < 3; c++)
		rows_per_chroma == 2 ? write_plane(&plane[c]) : write_averaged(&plane[c]);
	jpeg_destroy_decompress(&jpeg);
	return fflush(stdout) ? 1 : 0;
}
