// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The JPEG sanitiser: see jpegfix.h.
 *
 * It walks the marker segments up to the first scan, which is a few hundred bytes, and looks at
 * the end. The picture itself is read only when its end is not where it should be.
 */
#include "convert/jpegfix.h"

#include "base/util.h"

#define MAX_WIDTH  15360
#define MAX_HEIGHT 8640

enum marker {
	SOF0 = 0xC0,
	SOF2 = 0xC2,
	DHT = 0xC4,
	RST0 = 0xD0,
	RST7 = 0xD7,
	SOI = 0xD8,
	EOI = 0xD9,
	SOS = 0xDA,
	DQT = 0xDB,
	DNL = 0xDC,
	DRI = 0xDD,
	APP0 = 0xE0,
	APP1 = 0xE1,
	APP15 = 0xEF,
	COM = 0xFE,
	TEM = 0x01,
};

/* clang-format off */
/* ITU-T T.81, K.3.3: luminance DC and AC, chrominance DC and AC, in one segment. */
static const uint8_t standard_tables[] = {
	0xFF, DHT, 0x01, 0xA2,
	/* luminance DC: how many codes of each length, then what they mean */
	0x00,
	0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0,
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
	/* luminance AC */
	0x10,
	0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d,
	0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61,
	0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52,
	0xd1, 0xf0, 0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25,
	0x26, 0x27, 0x28, 0x29, 0x2a, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45,
	0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64,
	0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a, 0x83,
	0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
	0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5, 0xb6,
	0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3,
	0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8,
	0xe9, 0xea, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
	/* chrominance DC */
	0x01,
	0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0,
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
	/* chrominance AC */
	0x11,
	0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77,
	0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61,
	0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33,
	0x52, 0xf0, 0x15, 0x62, 0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18,
	0x19, 0x1a, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44,
	0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63,
	0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
	0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97,
	0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4,
	0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca,
	0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7,
	0xe8, 0xe9, 0xea, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
};
/* clang-format on */
_Static_assert(sizeof(standard_tables) == 2 + 0x1A2, "the segment says how long it is");

static const uint8_t end_marker[] = { 0xFF, EOI };

struct segment {
	size_t begin; /* the first 0xFF, which may be one of several */
	size_t body;  /* behind the marker */
	size_t end;
	uint8_t marker;
};

/* What the walk over the headers finds; positions are offsets into data. */
struct walk {
	const uint8_t *data;
	size_t size;
	struct jpegfix *fix;
	size_t kept; /* all before this is in a part, or left out */
	bool has_dht, has_sof;
};

static bool stands_alone(uint8_t marker)
{
	return marker == TEM || (marker >= RST0 && marker <= EOI);
}

/* The marker segment at `at`, whole; false when there is none or it does not end in the data. */
static bool read_segment(const uint8_t *data, size_t size, size_t at, struct segment *out)
{
	size_t pos = at, length;

	if (at >= size || data[at] != 0xFF)
		return false;
	while (pos < size && data[pos] == 0xFF)
		pos++;
	if (pos == size)
		return false;
	out->begin = at;
	out->marker = data[pos];
	out->body = out->end = pos + 1;
	if (stands_alone(out->marker))
		return true;
	if (size - out->body < 2)
		return false;
	length = data[out->body] << 8 | data[out->body + 1];
	if (length < 2 || length > size - out->body)
		return false;
	out->end = out->body + length;
	return true;
}

static bool add_part(struct jpegfix *fix, const uint8_t *data, size_t size)
{
	if (size == 0)
		return true;
	if (fix->n_parts == JPEGFIX_PARTS)
		return false;
	fix->part[fix->n_parts].data = data;
	fix->part[fix->n_parts++].size = size;
	fix->size += size;
	return true;
}

static bool is_avi1(const struct walk *walk, const struct segment *seg)
{
	return seg->end - seg->body >= 6 && memcmp(walk->data + seg->body + 2, "AVI1", 4) == 0;
}

static bool leave_out(struct walk *walk, const struct segment *seg)
{
	size_t from = walk->kept;

	walk->kept = seg->end;
	return add_part(walk->fix, walk->data + from, seg->begin - from);
}

/* length 2, precision 1, height 2, width 2, components 1, then 3 for each */
static bool read_frame_header(struct walk *walk, const struct segment *seg)
{
	const uint8_t *body = walk->data + seg->body;
	size_t length = seg->end - seg->body;

	if (walk->has_sof || length < 11 || length != 8 + 3U * body[7] || body[7] > 4)
		return false;
	walk->has_sof = true;
	walk->fix->height = body[3] << 8 | body[4];
	walk->fix->width = body[5] << 8 | body[6];
	return walk->fix->width && walk->fix->height;
}

/* length 2, components 1, then 2 for each, spectral range and approximation 3 */
static bool scan_header_fits(const struct walk *walk, const struct segment *seg)
{
	size_t length = seg->end - seg->body;

	return length >= 8 && length == 6 + 2U * walk->data[seg->body + 2];
}

/* Looks at one segment of the headers; false when it does not belong there. */
static bool take_segment(struct walk *walk, const struct segment *seg)
{
	switch (seg->marker) {
	case SOF0 ... SOF2: return read_frame_header(walk, seg);
	case DHT: walk->has_dht = true; return true;
	case SOS: return walk->has_sof && scan_header_fits(walk, seg);
	case TEM:
	case RST0 ... RST7:
	case DQT:
	case DRI:
	case APP1 ... COM: return true;
	case APP0: return !is_avi1(walk, seg) || leave_out(walk, seg);
	default: /* another kind of frame, a second SOI, an early end, or no marker at all */
		return false;
	}
}

/* From SOI to behind the first scan's header; 0 when that is broken. */
static size_t walk_headers(struct walk *walk)
{
	struct segment seg = { .end = 2 };

	if (walk->size < 2 || walk->data[0] != 0xFF || walk->data[1] != SOI)
		return 0;
	do {
		if (!read_segment(walk->data, walk->size, seg.end, &seg) ||
			!take_segment(walk, &seg))
			return 0;
	} while (seg.marker != SOS);
	if (!walk->has_dht) {
		if (!leave_out(walk, &(struct segment){ .begin = seg.begin, .end = seg.begin }) ||
			!add_part(walk->fix, standard_tables, sizeof(standard_tables)))
			return 0;
	}
	return seg.end;
}

/* Walks back over padding; where the picture ends without it. */
static size_t skip_padding(const uint8_t *data, size_t begin, size_t end)
{
	while (end > begin && (data[end - 1] == 0x00 || data[end - 1] == 0xFF))
		end--;
	return end;
}

static bool ends_here(const uint8_t *data, size_t begin, size_t end)
{
	return end >= begin + 2 && data[end - 2] == 0xFF && data[end - 1] == EOI;
}

/*
 * Searches entropy-coded data, and further scans with their tables, for the first end marker.
 * Returns where the picture ends: behind that marker and true in *whole, or where it breaks off,
 * which is at the start of another picture, in an incomplete segment, or at the end of the data.
 */
static size_t search_end(const uint8_t *data, size_t size, size_t pos, bool *whole)
{
	const uint8_t *found;
	struct segment seg;

	*whole = false;
	while ((found = memchr(data + pos, 0xFF, size - pos))) {
		pos = found - data;
		if (size - pos < 2)
			break;
		switch (data[pos + 1]) {
		case 0xFF: /* fill */ pos++; break;
		case EOI: *whole = true; return pos + 2;
		case SOI: return pos;
		case DHT:
		case SOS ... DRI:
		case APP0 ... APP15:
		case COM:
			if (!read_segment(data, size, pos, &seg))
				return pos;
			pos = seg.end;
			break;
		default: /* stuffing, a restart marker, or damage that a decoder skips too */
			pos += 2;
		}
	}
	return size;
}

/* Adds the picture from what was kept last to its end; `scan` is where its data begins. */
static int add_picture(struct walk *walk, size_t scan, bool allow_truncated, enum drop_reason *why)
{
	size_t end = skip_padding(walk->data, scan, walk->size);
	bool whole = ends_here(walk->data, scan, end);

	if (!whole)
		end = search_end(walk->data, walk->size, scan, &whole);
	if (!whole) {
		*why = DROP_TRUNCATED;
		end = skip_padding(walk->data, scan, end);
		if (!allow_truncated)
			return -EBADMSG;
	}
	*why = DROP_MALFORMED;
	if (end <= scan + (whole ? 2 : 0) ||
		!add_part(walk->fix, walk->data + walk->kept, end - walk->kept) ||
		(!whole && !add_part(walk->fix, end_marker, sizeof(end_marker))))
		return -EBADMSG;
	return 0;
}

int jpegfix_parse(struct jpegfix *out, const uint8_t *data, size_t size, bool allow_truncated,
	enum drop_reason *why)
{
	struct jpegfix fix = { 0 };
	struct walk walk = { .data = data, .size = size, .fix = &fix };
	size_t scan;

	*why = size ? DROP_SMALL : DROP_EMPTY;
	if (size < JPEGFIX_MIN_SIZE)
		return -EBADMSG;
	*why = DROP_MALFORMED;
	scan = walk_headers(&walk);
	if (!scan)
		return -EBADMSG;
	*why = DROP_OVERSIZED;
	if (fix.width > MAX_WIDTH || fix.height > MAX_HEIGHT)
		return -EBADMSG;
	if (add_picture(&walk, scan, allow_truncated, why) < 0)
		return -EBADMSG;
	*why = DROP_SMALL;
	if (fix.size < JPEGFIX_MIN_SIZE)
		return -EBADMSG;
	*out = fix;
	return 0;
}

void jpegfix_write(const struct jpegfix *fix, uint8_t *to)
{
	for (unsigned i = 0; i < fix->n_parts; i++) {
		memcpy(to, fix->part[i].data, fix->part[i].size);
		to += fix->part[i].size;
	}
}
