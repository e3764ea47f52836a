// SPDX-License-Identifier: GPL-3.0-or-later
/* Frames into an encoder's memory: see prepare.h. */
#include "encoder/prepare.h"

#include "base/util.h"

int prepare_init(struct prepare *prepare, struct drops *drops)
{
	prepare->drops = drops;
	return picture_converter_create(&prepare->converter);
}

void prepare_finish(struct prepare *prepare)
{
	picture_converter_destroy(prepare->converter);
}

void prepare_forget(struct prepare *prepare)
{
	atomic_store(&prepare->damaged_ns, 0);
}

static void count_drop(struct prepare *prepare, const struct frame *frame, int error,
	const char *why)
{
	const char *format = (const char *)&frame->format;
	int64_t none = 0;

	if (error == -EBADMSG)
		drops_add(prepare->drops, DROP_CORRUPT, "JPEG of %zu bytes: %s",
			frame->plane[0].size, why);
	else if (error == -ENOMEM)
		drops_add(prepare->drops, DROP_NO_MEMORY, "no memory to convert %ux%u",
			frame->width, frame->height);
	else if (error == -EINVAL)
		drops_add(prepare->drops, DROP_SHORT, "%.4s: %s", format, why);
	else
		drops_add(prepare->drops, DROP_ENCODER, "%.4s: %s", format, why);
	if (error == -EBADMSG)
		atomic_compare_exchange_strong(&prepare->damaged_ns, &none, now_ns());
	else
		atomic_store(&prepare->damaged_ns, 0);
}

int prepare(struct prepare *prepare, const struct frame *frame, struct picture *input,
	struct frame *origin)
{
	int64_t begin_ns = now_ns(), took_ns;
	const char *why;
	int res = picture_convert(prepare->converter, input, frame, prepare->allow_truncated, &why);

	if (res < 0) {
		count_drop(prepare, frame, res, why);
		return res;
	}
	atomic_store(&prepare->damaged_ns, 0);
	took_ns = now_ns() - begin_ns;
	prepare->took_ns += prepare->took_ns ? (took_ns - prepare->took_ns) / 8 : took_ns;
	origin->range = input->range;
	origin->matrix = input->matrix;
	origin->convert_begin_ns = begin_ns;
	return 0;
}
