// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * --static: a directory in place of the built-in page. The kernel keeps requests inside it:
 * openat2() refuses links and ways out, whatever a path looks like.
 */
#include "http/static.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "http/endpoint.h"
#include "http/reply.h"

#define LOG_TOPIC "http"
#include "base/log.h"

/* Never blocks on a FIFO, never takes a terminal. */
#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW)

static const struct {
	const char *extension, *type;
} types[] = {
	{ "html", "text/html; charset=utf-8" },
	{ "htm", "text/html; charset=utf-8" },
	{ "css", "text/css" },
	{ "js", "text/javascript" },
	{ "mjs", "text/javascript" },
	{ "json", "application/json" },
	{ "map", "application/json" },
	{ "txt", "text/plain; charset=utf-8" },
	{ "xml", "application/xml" },
	{ "pdf", "application/pdf" },
	{ "wasm", "application/wasm" },
	{ "ico", "image/x-icon" },
	{ "gif", "image/gif" },
	{ "jpg", "image/jpeg" },
	{ "jpeg", "image/jpeg" },
	{ "png", "image/png" },
	{ "svg", "image/svg+xml" },
	{ "webp", "image/webp" },
	{ "ttf", "font/ttf" },
	{ "woff", "font/woff" },
	{ "woff2", "font/woff2" },
	{ "mp4", "video/mp4" },
	{ "webm", "video/webm" },
};

const char *static_type(const char *path)
{
	const char *name = strrchr(path, '/');
	const char *dot = strrchr(name ? name : path, '.');

	if (name && !name[1])
		return types[0].type;
	for (unsigned i = 0; dot && i < ARRAY_SIZE(types); i++) {
		if (strcasecmp(dot + 1, types[i].extension) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* "/a/../b" would stay inside, but has no business in a request. */
static bool has_dot_dot(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at++) {
		if ((at == path || at[-1] == '/') && (at[2] == '/' || !at[2]))
			return true;
	}
	return false;
}

static int open_beneath(int root, const char *path)
{
	struct open_how how = {
		.flags = FILE_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* One component at a time, each without following a link. */
static int open_walking(int root, const char *path)
{
	AUTO(auto_close) int at = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO(auto_free) char *copy = xstrdup(path);
	char *rest = copy, *name = strsep(&rest, "/");

	for (; at >= 0 && rest; name = strsep(&rest, "/")) {
		int next = openat(at, *name ? name : ".",
			O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		auto_close(&at);
		at = next;
	}
	if (at >= 0) {
		int fd = openat(at, *name ? name : ".", FILE_FLAGS);

		return fd < 0 ? -errno : fd;
	}
	return -errno;
}

/* Goes on to index.html when the file is a directory. Takes fd; returns one or -errno. */
static int open_index(int fd, struct stat *st)
{
	AUTO(auto_close) int guarded = fd;

	if (fstat(guarded, st) < 0)
		return -errno;
	if (S_ISDIR(st->st_mode)) {
		int index = openat(guarded, "index.html", FILE_FLAGS);

		if (index < 0)
			return -errno;
		auto_close(&guarded);
		guarded = index;
		if (fstat(guarded, st) < 0)
			return -errno;
	}
	return S_ISREG(st->st_mode) ? steal_fd(&guarded) : -ENOENT;
}

static int open_below(const char *root, const char *path, off_t *size,
	int (*open_file)(int, const char *))
{
	AUTO(auto_close) int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int fd;

	if (dir < 0)
		return -errno;
	if (has_dot_dot(path))
		return -ENOENT;
	path += strspn(path, "/");
	fd = open_file(dir, *path ? path : ".");
	if (fd >= 0)
		fd = open_index(fd, &st);
	if (fd >= 0)
		*size = st.st_size;
	return fd;
}

int static_open_walking(const char *root, const char *path, off_t *size)
{
	return open_below(root, path, size, open_walking);
}

int static_open(const char *root, const char *path, off_t *size)
{
	int fd = open_below(root, path, size, open_beneath);

	return fd == -ENOSYS || fd == -EPERM ? static_open_walking(root, path, size) : fd;
}

int static_check(const struct options *opt)
{
	AUTO(auto_close) int dir = -1;

	if (!*opt->static_path)
		return 0;
	dir = open(opt->static_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		return 0;
	log_error("--static %s: %m; give a directory that this user may read", opt->static_path);
	return -errno;
}

static void handle(struct server *server, struct exchange *exchange, const struct request *req)
{
	struct evbuffer *out;
	off_t size = 0;
	int fd = static_open(server->opt->static_path, req->path, &size);

	if (fd < 0)
		return reply_text(exchange, 404, "There is no such file.");
	if (req->method == METHOD_HEAD) {
		close(fd);
		return reply_head(exchange);
	}
	out = reply_begin(exchange, 200);
	evbuffer_add_printf(out, "Content-Type: %s\r\nContent-Length: %lld\r\n\r\n",
		static_type(req->path), (long long)size);
	if (size == 0)
		close(fd);
	else if (evbuffer_add_file(out, fd, 0, size) < 0) /* takes fd, also when it fails */
		return connection_close(exchange_connection(exchange), "out of memory");
	exchange_finish(exchange);
}

const struct endpoint endpoint_static = {
	.path = "/",
	.methods = METHOD_GET | METHOD_HEAD,
	.is_page = true,
	.handle = handle,
	.help = "the files of --static",
};
