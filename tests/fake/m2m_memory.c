/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The memory behind buffers: CMA, imports, and what mmap() sees. B3, B4, B7, B12, B13. */
#include "m2m.h"
#include "real.h"
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CAPTURE_OFFSET = 1 << 30, SAMPLE_STEP = 509, IMPORTS_MAX = 16 };

static size_t page_round(size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) / page * page;
}

static size_t bytes_of(const struct m2m_queue *q)
{
	size_t bytes = 0;

	for (unsigned i = 0; q->memory == V4L2_MEMORY_MMAP && i < q->n_planes; i++)
		bytes += page_round(q->sizes[i]);
	return bytes * q->count;
}

size_t m2m_cma_free(struct m2m *m2m, struct device *dev)
{
	size_t used = mapping_orphan_bytes(dev->path);

	for (struct handle *h = dev->handles; h; h = h->next)
		used += bytes_of(&ctx_of(h)->out) + bytes_of(&ctx_of(h)->cap);
	return used < m2m->cma_bytes ? m2m->cma_bytes - used : 0;
}

static void drop_import(struct m2m_plane *plane)
{
	if (plane->import)
		real()->munmap(plane->import, plane->size);
	plane->import = NULL;
	plane->inode = 0;
}

void m2m_buffer_destroy(struct m2m_buffer *buf)
{
	if (!buf)
		return;
	for (unsigned i = 0; i < PLANES_MAX; i++) {
		drop_import(&buf->plane[i]);
		if (buf->plane[i].mem)
			buffer_destroy(buf->plane[i].mem);
	}
	free(buf);
}

struct m2m_buffer *m2m_buffer_create(const struct m2m_queue *q, unsigned index)
{
	struct m2m_buffer *buf = calloc(1, sizeof(*buf));

	if (!buf)
		abort();
	buf->index = index;
	for (unsigned i = 0; i < q->n_planes; i++) {
		struct m2m_plane *plane = &buf->plane[i];

		plane->length = q->sizes[i];
		plane->fd = -1;
		if (q->memory != V4L2_MEMORY_MMAP)
			continue;
		plane->mem = buffer_create(index, q->sizes[i], true);
		if (!plane->mem) {
			m2m_buffer_destroy(buf);
			return NULL;
		}
	}
	return buf;
}

int64_t m2m_offset(const struct m2m_queue *q, unsigned index, unsigned plane)
{
	int64_t offset = q->output ? 0 : CAPTURE_OFFSET;
	size_t each = 0;

	for (unsigned i = 0; i < q->n_planes; i++)
		each += page_round(q->sizes[i]);
	for (unsigned i = 0; i < plane; i++)
		offset += (int64_t)page_round(q->sizes[i]);
	return offset + (int64_t)(index * each);
}

struct buffer *m2m_buffer_at(struct handle *h, int64_t offset, const void **queue)
{
	struct m2m_ctx *ctx = ctx_of(h);
	struct m2m_queue *q = offset < CAPTURE_OFFSET ? &ctx->out : &ctx->cap;

	*queue = q;
	for (unsigned i = 0; i < q->count; i++)
		for (unsigned p = 0; p < q->n_planes; p++)
			if (m2m_offset(q, i, p) == offset)
				return q->buffers[i]->plane[p].mem;
	return NULL;
}

uint8_t *m2m_memory(const struct m2m_buffer *buf, unsigned i)
{
	const struct m2m_plane *plane = &buf->plane[i];

	return plane->mem ? plane->mem->mem : plane->import;
}

/* Samples of the picture: two of the same are the same, for all that a test can do to them. */
uint64_t m2m_hash(const struct m2m_queue *q, const struct m2m_buffer *buf)
{
	uint64_t hash = 0xcbf29ce484222325, word;

	for (unsigned i = 0; i < q->n_planes; i++) {
		const uint8_t *mem = m2m_memory(buf, i);

		for (size_t at = 0; mem && at + sizeof(word) <= q->sizes[i];
			at += at < 1024 ? sizeof(word) : SAMPLE_STEP) {
			memcpy(&word, mem + at, sizeof(word));
			hash = (hash ^ word) * 0x100000001b3;
		}
	}
	return hash;
}

/* 1: contiguous; 0: not; -EINVAL: not a dmabuf. The name of a memfd says it. */
static int contiguity_of(int fd)
{
	char path[64], name[128];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = real()->readlink(path, name, sizeof(name) - 1);
	if (n < 0)
		return -EINVAL;
	name[n] = '\0';
	if (strstr(name, "memfd:" FAKE_CONTIGUOUS))
		return 1;
	return strstr(name, "memfd:" FAKE_SCATTERED) ? 0 : -EINVAL;
}

/* B12: what is attached already is cheap; another dmabuf on the same index is not. */
static void count_import(struct m2m_ctx *ctx, const struct m2m_plane *plane)
{
	struct m2m_counters *count = &ctx->m2m->count;

	if (!plane->inode)
		return;
	count->reimports++;
	if (++ctx->imports > IMPORTS_MAX && ctx->imports > count->dmabuf / 4 &&
		ctx->imports % IMPORTS_MAX == 1)
		m2m_refuse(ctx, "B12", 0,
			"another dmabuf on an index that had one, again and again: it leaks");
}

static int attach(struct m2m_ctx *ctx, struct m2m_plane *plane, int fd, const struct stat *st)
{
	void *mem = real()->mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		return -errno;
	count_import(ctx, plane);
	drop_import(plane);
	plane->import = mem;
	plane->size = (size_t)st->st_size;
	plane->inode = st->st_ino;
	return 0;
}

static int import_plane(struct m2m_ctx *ctx, struct m2m_plane *plane, uint32_t least,
	const struct v4l2_plane *from)
{
	int contiguous = contiguity_of(from->m.fd);
	struct stat st;

	if (contiguous < 0 || real()->fstat(from->m.fd, &st) < 0)
		return -EINVAL;
	if ((from->length ? from->length : (uint64_t)st.st_size) < least)
		return -EINVAL;
	if (st.st_size < from->length || !contiguous || ctx->m2m->scattered)
		return -EFAULT;
	plane->length = from->length ? from->length : (uint32_t)st.st_size;
	plane->fd = from->m.fd;
	return plane->inode == st.st_ino ? 0 : attach(ctx, plane, from->m.fd, &st);
}

/* The firmware has no room for it: QBUF says so, or the picture comes to grief when its turn comes. */
static int spoil_import(struct m2m *m2m, struct m2m_buffer *buf)
{
	buf->fails = 0;
	if (!m2m->import_errors)
		return 0;
	m2m->import_errors--;
	if (m2m->import_failure == 'q')
		return -ENOMEM;
	buf->fails = m2m->import_failure;
	return 0;
}

int m2m_import(struct m2m_ctx *ctx, struct m2m_queue *q, struct m2m_buffer *buf,
	const struct v4l2_plane *planes)
{
	int res = 0;

	/* Only what is read: a coded buffer of the client's is nothing that anybody needs. */
	if (!q->output)
		return -EINVAL;
	for (unsigned i = 0; i < q->n_planes && res == 0; i++)
		res = import_plane(ctx, &buf->plane[i], q->sizes[i], &planes[i]);
	return res < 0 ? res : spoil_import(ctx->m2m, buf);
}
