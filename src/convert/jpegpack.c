// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * Raw pictures to JPEG: see jpegpack.h. In strips, each of which is made planar and compressed while it
 * is in the cache, so that no memory of the picture's size is needed beside input and output.
 */
#include "convert/jpegpack.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "base/util.h"
#include "convert/planar.h"

/* Rows of a strip: one row of MCUs, 16×16 pixels with colour, 8×8 without. */
#define STRIP_ROWS 16

/* The first guess at the size of a JPEG, for sixteen pixels. */
#define GUESS_BYTES 4

/* What the headers need, whatever the size. */
#define MIN_BYTES 1024

struct jpegpack {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_destination_mgr destination;
	jmp_buf fail;
	int error; /* what jpegpack_frame() returns after a jump */
	char message[JMSG_LENGTH_MAX];

	uint8_t *scratch; /* a strip as planar YUV */
	size_t scratch_size;

	struct frame_pool *pool; /* of the call at work, as is the next */
	struct frame *out;
	size_t expected; /* bytes of a JPEG like the last ones of this size, and some more */
};

static struct jpegpack *pack_of(j_common_ptr jpeg)
{
	return jpeg->client_data;
}

static void on_error(j_common_ptr jpeg)
{
	struct jpegpack *pack = pack_of(jpeg);

	jpeg->err->format_message(jpeg, pack->message);
	pack->error = -EIO;
	longjmp(pack->fail, 1);
}

static void on_message(j_common_ptr jpeg)
{
	(void)jpeg; /* warnings: an encoder has none that matter */
}

static void give_up(struct jpegpack *pack, int error)
{
	pack->error = error;
	longjmp(pack->fail, 1);
}

/* Points libjpeg at the output's memory behind what is written already. */
static void continue_at(struct jpegpack *pack, size_t used)
{
	pack->destination.next_output_byte = pack->out->plane[0].data + used;
	pack->destination.free_in_buffer = pack->out->plane[0].size - used;
}

static void on_begin(j_compress_ptr jpeg)
{
	struct jpegpack *pack = pack_of((j_common_ptr)jpeg);
	int res = frame_pool_get(pack->pool, pack->expected, &pack->out);

	if (res < 0)
		give_up(pack, res);
	continue_at(pack, 0);
}

/* The picture is larger than expected: goes on in twice the memory. */
static boolean on_full(j_compress_ptr jpeg)
{
	struct jpegpack *pack = pack_of((j_common_ptr)jpeg);
	size_t used = pack->out->plane[0].size;
	struct frame *larger;
	int res = frame_pool_get(pack->pool, 2 * used, &larger);

	if (res < 0)
		give_up(pack, res);
	memcpy(larger->plane[0].data, pack->out->plane[0].data, used);
	frame_unref(pack->out);
	pack->out = larger;
	continue_at(pack, used);
	return TRUE;
}

static void on_end(j_compress_ptr jpeg)
{
	struct jpegpack *pack = pack_of((j_common_ptr)jpeg);
	size_t used = pack->out->plane[0].size - pack->destination.free_in_buffer;

	pack->out->plane[0].size = used;
	pack->expected = MAX(pack->expected, used + used / 4);
}

int jpegpack_create(struct jpegpack **out)
{
	struct jpegpack *pack = xcalloc(1, sizeof(*pack));

	pack->jpeg.err = jpeg_std_error(&pack->errors);
	pack->errors.error_exit = on_error;
	pack->errors.output_message = on_message;
	pack->jpeg.client_data = pack;
	if (setjmp(pack->fail)) {
		free(pack);
		return -ENOMEM;
	}
	jpeg_create_compress(&pack->jpeg);
	pack->jpeg.dest = &pack->destination;
	pack->destination.init_destination = on_begin;
	pack->destination.empty_output_buffer = on_full;
	pack->destination.term_destination = on_end;
	*out = pack;
	return 0;
}

void jpegpack_destroy(struct jpegpack *pack)
{
	if (!pack)
		return;
	jpeg_destroy_compress(&pack->jpeg);
	free(pack->scratch);
	free(pack);
}

static void configure(struct jpegpack *pack, const struct frame *in, bool grey, int quality)
{
	struct jpeg_compress_struct *jpeg = &pack->jpeg;

	/* Not for good: one absurd size must not make all later pictures want its memory. */
	if (jpeg->image_width != in->width || jpeg->image_height != in->height)
		pack->expected = (size_t)in->width * in->height / GUESS_BYTES + MIN_BYTES;
	jpeg->image_width = in->width;
	jpeg->image_height = in->height;
	jpeg->input_components = grey ? 1 : 3;
	jpeg->in_color_space = grey ? JCS_GRAYSCALE : JCS_YCbCr;
	jpeg_set_defaults(jpeg); /* with colour: 4:2:0 */
	jpeg_set_quality(jpeg, quality, TRUE);
	/* Measured: the accurate DCT costs nothing where it has vector code. */
	jpeg->dct_method = JDCT_ISLOW;
	jpeg->raw_data_in = TRUE;
}

/* libjpeg reads whole blocks: the last column goes on to the right of the picture. */
static void pad_columns(const struct planar *strip)
{
	bool grey = strip->subsampling == PLANAR_GREY;

	for (unsigned p = 0; p < (grey ? 1 : 3); p++) {
		uint32_t width = p ? (strip->width + 1) / 2 : strip->width;
		uint32_t rows = p ? (strip->height + 1) / 2 : strip->height;
		uint32_t block = p || grey ? 8 : 16, whole = (width + block - 1) / block * block;

		for (uint32_t y = 0; whole > width && y < rows; y++) {
			uint8_t *row = strip->plane[p] + (size_t)y * strip->stride[p];

			memset(row + width, row[width - 1], whole - width);
		}
	}
}

/* The last row goes on below the picture. */
static void list_rows(JSAMPROW *list, unsigned count, const struct planar *strip, unsigned p)
{
	uint32_t rows = p ? (strip->height + 1) / 2 : strip->height;

	for (unsigned i = 0; i < count; i++)
		list[i] = strip->plane[p] + (size_t)MIN(i, rows - 1) * strip->stride[p];
}

static void write_strip(struct jpegpack *pack, const struct planar *strip)
{
	JSAMPROW y[STRIP_ROWS], u[STRIP_ROWS / 2], v[STRIP_ROWS / 2];
	JSAMPARRAY planes[] = { y, u, v };
	bool grey = strip->subsampling == PLANAR_GREY;

	if (!strip->borrowed)
		pad_columns(strip);
	list_rows(y, grey ? STRIP_ROWS / 2 : STRIP_ROWS, strip, 0);
	if (!grey) {
		list_rows(u, STRIP_ROWS / 2, strip, 1);
		list_rows(v, STRIP_ROWS / 2, strip, 2);
	}
	jpeg_write_raw_data(&pack->jpeg, planes, grey ? STRIP_ROWS / 2 : STRIP_ROWS);
}

static void compress(struct jpegpack *pack, const struct frame *in, int quality)
{
	bool grey = planar_is_grey(in);
	uint32_t rows = grey ? STRIP_ROWS / 2 : STRIP_ROWS;

	configure(pack, in, grey, quality);
	jpeg_start_compress(&pack->jpeg, TRUE);
	for (uint32_t first = 0; first < in->height; first += rows) {
		struct planar strip;
		int res = planar_rows(&strip, in, first, rows, &pack->scratch, &pack->scratch_size);

		if (res < 0)
			give_up(pack, res);
		write_strip(pack, &strip);
	}
	jpeg_finish_compress(&pack->jpeg);
}

int jpegpack_frame(struct jpegpack *pack, const struct frame *in, int quality,
	struct frame_pool *pool, struct frame **out, const char **why)
{
	pack->pool = pool;
	pack->out = NULL;
	if (setjmp(pack->fail)) {
		jpeg_abort_compress(&pack->jpeg);
		frame_unref(pack->out);
		*why = pack->message;
		return pack->error;
	}
	compress(pack, in, quality);
	*out = pack->out;
	return 0;
}
