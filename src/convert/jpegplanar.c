// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * JPEGs as planar YUV: see jpegplanar.h.
 *
 * libjpeg takes and returns its memory for each picture. Here it gets it from a piece of fixed size
 * that is started anew with each picture: nothing is allocated for a frame, no header can make it
 * want more, and no table of one picture is left for the next. What it needs for one scan depends
 * on neither width nor height, and about a quarter of the piece is used.
 */
#include "convert/jpegplanar.h"

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "base/util.h"
#include "convert/jpegfix.h"

#define ARENA_SIZE ((size_t)64 * 1024)

/* What libjpeg's vector code wants. */
#define ARENA_ALIGN 64

/* Webcams are known to put a few bytes between picture and end marker. */
#define MAX_LEFT_OVER 64

struct jpegplanar {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_source_mgr source;
	struct jpegfix fix;
	unsigned next_part; /* of fix; those before it are with libjpeg */
	bool allow_truncated;
	bool decoding; /* warnings are about the picture now */

	jmp_buf fail;
	int error; /* what to return after a jump */
	char message[JMSG_LENGTH_MAX];

	size_t used; /* bytes of arena */
	uint8_t arena[ARENA_SIZE + ARENA_ALIGN];
};

static struct jpegplanar *decoder_of(j_common_ptr jpeg)
{
	return jpeg->client_data;
}

/* ---- errors */

static void give_up(struct jpegplanar *decoder, int error, const char *message)
{
	decoder->error = error;
	snprintf(decoder->message, sizeof(decoder->message), "%s", message);
	longjmp(decoder->fail, 1);
}

static void on_error(j_common_ptr jpeg)
{
	struct jpegplanar *decoder = decoder_of(jpeg);

	jpeg->err->format_message(jpeg, decoder->message);
	decoder->error = -EBADMSG;
	longjmp(decoder->fail, 1);
}

/*
 * Warnings about the headers mean nothing. In the picture the first one is the last: all behind it
 * is guessed. Unless it only ends early, and may: then libjpeg stands before the end marker.
 */
static void on_message(j_common_ptr jpeg, int level)
{
	struct jpegplanar *decoder = decoder_of(jpeg);

	if (level >= 0 || !decoder->decoding ||
		(decoder->allow_truncated && decoder->jpeg.unread_marker == JPEG_EOI))
		return;
	on_error(jpeg);
}

/* ---- memory */

static void *take(j_common_ptr jpeg, int pool, size_t size)
{
	struct jpegplanar *decoder = decoder_of(jpeg);
	size_t begin = ARENA_ALIGN - (uintptr_t)decoder->arena % ARENA_ALIGN + decoder->used;
	size_t room = ARENA_SIZE - decoder->used;

	(void)pool;
	if (size > room)
		give_up(decoder, -ENOMEM, "The JPEG needs more memory than is right");
	decoder->used += MIN((size + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN, room);
	return decoder->arena + begin;
}

/* Arrays are for what we never ask for: colour conversion, several scans. */
static JSAMPARRAY refuse_samples(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
	(void)pool, (void)width, (void)rows;
	give_up(decoder_of(jpeg), -ENOTSUP, "The JPEG needs to be decoded as a whole");
	return NULL;
}

static JBLOCKARRAY refuse_blocks(j_common_ptr jpeg, int pool, JDIMENSION width, JDIMENSION rows)
{
	refuse_samples(jpeg, pool, width, rows);
	return NULL;
}

static void free_nothing(j_common_ptr jpeg, int pool)
{
	(void)jpeg, (void)pool;
}

/* What jpeg_create_decompress() took is libjpeg's own and stays; all that comes goes to the arena. */
static void take_over_memory(struct jpegplanar *decoder)
{
	struct jpeg_memory_mgr *memory = decoder->jpeg.mem;

	memory->alloc_small = take;
	memory->alloc_large = take;
	memory->alloc_sarray = refuse_samples;
	memory->alloc_barray = refuse_blocks;
	memory->free_pool = free_nothing;
}

/* Tables outlive a picture in libjpeg, for streams that send them once; ours do not. */
static void forget_picture(struct jpegplanar *decoder)
{
	decoder->used = 0;
	memset(decoder->jpeg.quant_tbl_ptrs, 0, sizeof(decoder->jpeg.quant_tbl_ptrs));
	memset(decoder->jpeg.dc_huff_tbl_ptrs, 0, sizeof(decoder->jpeg.dc_huff_tbl_ptrs));
	memset(decoder->jpeg.ac_huff_tbl_ptrs, 0, sizeof(decoder->jpeg.ac_huff_tbl_ptrs));
}

/* ---- source: the parts of a jpegfix, one after the other */

static void ignore(j_decompress_ptr jpeg)
{
	(void)jpeg;
}

static boolean next_part(j_decompress_ptr jpeg)
{
	static const JOCTET end[] = { 0xFF, JPEG_EOI };
	struct jpegplanar *decoder = decoder_of((j_common_ptr)jpeg);

	/* Behind the last part only the end is left, again and again. */
	decoder->source.next_input_byte = end;
	decoder->source.bytes_in_buffer = sizeof(end);
	if (decoder->next_part < decoder->fix.n_parts) {
		decoder->source.next_input_byte = decoder->fix.part[decoder->next_part].data;
		decoder->source.bytes_in_buffer = decoder->fix.part[decoder->next_part].size;
		decoder->next_part++;
	}
	return TRUE;
}

static void skip(j_decompress_ptr jpeg, long count)
{
	struct jpegplanar *decoder = decoder_of((j_common_ptr)jpeg);
	size_t left = MAX(count, 0);

	while (left > decoder->source.bytes_in_buffer) {
		left -= decoder->source.bytes_in_buffer;
		if (decoder->next_part == decoder->fix.n_parts)
			give_up(decoder, -EBADMSG, "A JPEG segment is longer than the picture");
		next_part(jpeg);
	}
	decoder->source.next_input_byte += left;
	decoder->source.bytes_in_buffer -= left;
}

/* ---- life */

int jpegplanar_create(struct jpegplanar **out)
{
	struct jpegplanar *decoder = xcalloc(1, sizeof(*decoder));

	decoder->jpeg.err = jpeg_std_error(&decoder->errors);
	decoder->errors.error_exit = on_error;
	decoder->errors.emit_message = on_message;
	decoder->jpeg.client_data = decoder;
	if (setjmp(decoder->fail)) {
		jpeg_destroy_decompress(&decoder->jpeg);
		free(decoder);
		return -ENOMEM;
	}
	jpeg_create_decompress(&decoder->jpeg);
	take_over_memory(decoder);
	decoder->jpeg.src = &decoder->source;
	decoder->source.init_source = ignore;
	decoder->source.fill_input_buffer = next_part;
	decoder->source.skip_input_data = skip;
	decoder->source.resync_to_restart = jpeg_resync_to_restart;
	decoder->source.term_source = ignore;
	*out = decoder;
	return 0;
}

void jpegplanar_destroy(struct jpegplanar *decoder)
{
	if (!decoder)
		return;
	jpeg_destroy_decompress(&decoder->jpeg);
	free(decoder);
}

const char *jpegplanar_why(const struct jpegplanar *decoder)
{
	return decoder->message;
}

/* ---- pictures */

/* Whether U and V have samples in step with those of Y, of which there is one for each pixel. */
static bool read_layout(const struct jpeg_decompress_struct *jpeg, struct jpegplanar_layout *out)
{
	const jpeg_component_info *y = &jpeg->comp_info[0], *u = &jpeg->comp_info[1], *v = u + 1;

	*out = (struct jpegplanar_layout){
		.grey = jpeg->num_components == 1,
		.rows = jpeg->max_v_samp_factor * DCTSIZE,
		.luma_bytes = (size_t)y->width_in_blocks * DCTSIZE,
	};
	if (out->rows > JPEGPLANAR_ROWS)
		return false;
	if (out->grey)
		return true;
	if (jpeg->num_components != 3 || jpeg->jpeg_color_space != JCS_YCbCr ||
		y->h_samp_factor != jpeg->max_h_samp_factor ||
		y->v_samp_factor != jpeg->max_v_samp_factor ||
		u->h_samp_factor != v->h_samp_factor || u->v_samp_factor != v->v_samp_factor)
		return false;
	out->chroma_bytes = (size_t)u->width_in_blocks * DCTSIZE;
	out->across = y->h_samp_factor / u->h_samp_factor;
	out->down = y->v_samp_factor / u->v_samp_factor;
	return y->h_samp_factor % u->h_samp_factor == 0 && out->across != 3 &&
	       y->v_samp_factor % u->v_samp_factor == 0;
}

static void read_header(struct jpegplanar *decoder, struct jpegplanar_layout *out)
{
	struct jpeg_decompress_struct *jpeg = &decoder->jpeg;

	decoder->source.bytes_in_buffer = 0;
	jpeg_read_header(jpeg, TRUE);
	if (jpeg->progressive_mode || jpeg->arith_code || jpeg_has_multiple_scans(jpeg))
		give_up(decoder, -ENOTSUP,
			"The JPEG is progressive, arithmetic or in several scans");
	if (!read_layout(jpeg, out))
		give_up(decoder, -ENOTSUP, "The JPEG is not YUV with a common subsampling");
	jpeg->raw_data_out = TRUE;
	jpeg->out_color_space = jpeg->jpeg_color_space;
	jpeg->dct_method = JDCT_ISLOW;
	jpeg->do_fancy_upsampling = FALSE;
	jpeg_start_decompress(jpeg);
}

int jpegplanar_begin(struct jpegplanar *decoder, const uint8_t *data, size_t size, uint32_t width,
	uint32_t height, bool allow_truncated, struct jpegplanar_layout *out)
{
	enum drop_reason reason;

	jpeg_abort_decompress(&decoder->jpeg);
	forget_picture(decoder);
	decoder->decoding = false;
	decoder->next_part = 0;
	decoder->allow_truncated = allow_truncated;
	if (setjmp(decoder->fail))
		return decoder->error;
	if (jpegfix_parse(&decoder->fix, data, size, allow_truncated, &reason) < 0)
		give_up(decoder, -EBADMSG, drops_name(reason));
	if (decoder->fix.width != width || decoder->fix.height != height)
		give_up(decoder, -EINVAL, "The JPEG has another size");
	read_header(decoder, out);
	decoder->decoding = true;
	return 0;
}

int jpegplanar_read(struct jpegplanar *decoder, const struct jpegplanar_rows *rows)
{
	JSAMPARRAY planes[3];

	for (int i = 0; i < 3; i++)
		planes[i] = (JSAMPARRAY)rows->row[i];
	if (setjmp(decoder->fail))
		return decoder->error;
	jpeg_read_raw_data(&decoder->jpeg, planes, JPEGPLANAR_ROWS);
	return 0;
}

/* Bytes from here to the end marker that are neither padding nor restart markers. */
static unsigned count_left_over(struct jpegplanar *decoder)
{
	unsigned count = 0;
	uint8_t before = 0;

	while (count <= MAX_LEFT_OVER) {
		uint8_t byte;

		if (decoder->source.bytes_in_buffer == 0)
			next_part(&decoder->jpeg);
		byte = *decoder->source.next_input_byte++;
		decoder->source.bytes_in_buffer--;
		if (before == 0xFF && byte == JPEG_EOI)
			break;
		if (byte != 0x00 && byte != 0xFF &&
			!(before == 0xFF && byte >= JPEG_RST0 && byte <= JPEG_RST0 + 7))
			count++;
		before = byte;
	}
	return count;
}

int jpegplanar_end(struct jpegplanar *decoder)
{
	if (decoder->jpeg.unread_marker == JPEG_EOI || count_left_over(decoder) <= MAX_LEFT_OVER)
		return 0;
	snprintf(decoder->message, sizeof(decoder->message),
		"There is more in the JPEG than its size");
	return -EBADMSG;
}
