/* SPDX-License-Identifier: GPL-3.0-or-later */
/* JPEG as bad cameras make it (U7). Faults count down; each touches one frame. */
#include "picture.h"
#include "report.h"
#include "vb2.h"

#include <stdlib.h>
#include <string.h>

static bool take(unsigned *count)
{
	if (!*count)
		return false;
	--*count;
	counters.injected++;
	return true;
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* SOF0 claims another size; the data stay. */
static void claim_size(uint8_t *jpeg, size_t size, unsigned width, unsigned height)
{
	for (size_t at = 2; at + 9 < size && jpeg[at] == 0xFF;) {
		if (jpeg[at + 1] == 0xC0) {
			put16(jpeg + at + 5, height);
			put16(jpeg + at + 7, width);
			return;
		}
		at += 2u + ((unsigned)jpeg[at + 2] << 8 | jpeg[at + 3]);
	}
}

static void randomize(uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		at[i] = (uint8_t)rand();
}

static void flip_some(uint8_t *jpeg, size_t size)
{
	for (unsigned i = 0; i < 20; i++)
		jpeg[size / 4 + (size_t)rand() % (size / 2)] ^= (uint8_t)(1u << (rand() & 7));
}

static size_t trail(const struct device *dev, struct buffer *buf, size_t size)
{
	size_t n = dev->faults.trailing;

	if (n > buf->length - size)
		n = buf->length - size;
	if (dev->faults.trailing_kind != 's')
		memset(buf->mem + size, dev->faults.trailing_kind == 'f' ? 0xFF : 0, n);
	return size + n;
}

static size_t spoil(struct device *dev, struct buffer *buf, size_t size)
{
	struct faults *f = &dev->faults;

	if (take(&f->bomb))
		claim_size(buf->mem, size, 65535, 65535);
	if (take(&f->false_sof))
		claim_size(buf->mem, size, dev->pix.width * 2, dev->pix.height * 2);
	if (take(&f->flip))
		flip_some(buf->mem, size);
	if (take(&f->garbage))
		randomize(buf->mem, size);
	if (take(&f->tiny)) {
		memcpy(buf->mem, "\xFF\xD8\xFF\xD9", 4);
		return 4;
	}
	if (take(&f->truncate))
		return size * 6 / 10;
	return f->trailing ? trail(dev, buf, size) : size;
}

/* A file of the test's instead of a picture. */
static void take_file(const struct device *dev, struct buffer *buf)
{
	size_t size = dev->jpeg_size < buf->length ? dev->jpeg_size : buf->length;

	memcpy(buf->mem, dev->jpeg, size);
	buf->bytesused = (uint32_t)size;
}

void spoil_jpeg(struct device *dev, struct buffer *buf, uint32_t stamp)
{
	size_t size;

	if (dev->jpeg) {
		take_file(dev, buf);
		return;
	}
	size = picture_jpeg(dev->picture, &dev->faults, buf->mem, buf->length, stamp,
		dev->cheap || dev->frozen);
	buf->bytesused = size ? (uint32_t)spoil(dev, buf, size) : 0;
}
