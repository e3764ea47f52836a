// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The request parser: see request.h. It reads its own copy of the head and cuts it into strings
 * in place.
 */
#include "http/request.h"

#include <ctype.h>

#include <event2/http.h>

#include "base/util.h"

static const struct {
	const char *name;
	enum request_method method;
} methods[] = {
	{ "GET", METHOD_GET },
	{ "HEAD", METHOD_HEAD },
	{ "OPTIONS", METHOD_OPTIONS },
	{ "POST", METHOD_POST },
	{ "DELETE", METHOD_DELETE },
	{ "PATCH", METHOD_PATCH },
};

/* RFC 9110 calls it tchar: what methods and header names are made of. */
static bool is_token_char(unsigned char byte)
{
	return byte && (isalnum(byte) || strchr("!#$%&'*+-.^_`|~", byte));
}

static bool is_token(const char *text)
{
	if (!*text)
		return false;
	for (; *text; text++) {
		if (!is_token_char(*text))
			return false;
	}
	return true;
}

/* Header values are echoed (CORS), so that a control character in one would be an injection. */
static bool is_printable(const char *text)
{
	for (; *text; text++) {
		unsigned char byte = *text;

		if ((byte < ' ' && byte != '\t') || byte == 0x7f)
			return false;
	}
	return true;
}

ssize_t request_measure(const char *data, size_t size)
{
	bool begun = false;
	size_t at = 0;

	while (at < MIN(size, REQUEST_MAX_HEAD)) {
		const char *line = data + at;
		const char *end = memchr(line, '\n', MIN(size, REQUEST_MAX_HEAD) - at);
		bool empty = end == line || (end == line + 1 && *line == '\r');

		if (!begun && !empty && !is_token_char(*line) && *line != '\r')
			return -EBADMSG;
		if (!end)
			break;
		at = end + 1 - data;
		/* Empty lines before a request are skipped: some clients end a body with one. */
		if (empty && begun)
			return at;
		begun |= !empty;
	}
	return size >= REQUEST_MAX_HEAD ? -EMSGSIZE : 0;
}

/* Cuts the next line off, without its end; NULL after the last. */
static char *next_line(char **rest)
{
	char *line = *rest, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*rest = end + 1;
	if (end > line && end[-1] == '\r')
		end--;
	*end = '\0';
	return line;
}

static enum request_method find_method(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(name, methods[i].name) == 0)
			return methods[i].method;
	}
	return 0;
}

/* "http://host/path", as proxies send it, means "/path". */
static char *skip_authority(char *target)
{
	static char root[] = "/";

	if (strncasecmp(target, "http://", 7) != 0)
		return target;
	target += 7;
	target += strcspn(target, "/");
	return *target ? target : root;
}

static int parse_target(struct request *req, char *target)
{
	size_t size;
	char *mark;

	target[strcspn(target, "#")] = '\0';
	mark = strchr(target, '?');
	if (mark) {
		*mark = '\0';
		req->query = mark + 1;
	}
	target = skip_authority(target);
	if (*target != '/')
		return 400;
	req->path = evhttp_uridecode(target, 0, &size);
	if (!req->path)
		return 500;
	return strlen(req->path) == size ? 0 : 400; /* else "%00" */
}

static int parse_request_line(struct request *req, char *line)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version || !is_printable(line) || strchr(line, '\t'))
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (!is_token(line) || strncmp(version, "HTTP/", 5) != 0 ||
		!isdigit((unsigned char)version[5]) || version[6] != '.' ||
		!isdigit((unsigned char)version[7]) || version[8])
		return 400;
	if (version[5] != '1')
		return 505;
	req->is_1_1 = version[7] != '0';
	req->keep_alive = req->is_1_1;
	req->method = find_method(line);
	return req->method ? parse_target(req, target) : 501;
}

static int add_header(struct request *req, char *line)
{
	char *value = strchr(line, ':'), *end;

	if (!value || !is_printable(line))
		return 400;
	*value++ = '\0';
	/* Also refuses a folded line and a space before the colon, which proxies read differently. */
	if (!is_token(line))
		return 400;
	if (req->n_headers == REQUEST_MAX_HEADERS)
		return 431;
	value += strspn(value, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	req->header[req->n_headers].name = line;
	req->header[req->n_headers++].value = value;
	return 0;
}

/* Whether a comma-separated list holds a word. */
static bool list_has(const char *list, const char *word)
{
	size_t length = strlen(word);

	while (*list) {
		size_t item;

		list += strspn(list, ", \t");
		item = strcspn(list, ", \t");
		if (item == length && strncasecmp(list, word, length) == 0)
			return true;
		list += item;
	}
	return false;
}

static int parse_length(struct request *req, const char *text, bool again)
{
	uint64_t length = 0;

	if (!*text || strlen(text) > 18) /* 18 digits always fit */
		return 400;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return 400;
		length = length * 10 + (*text - '0');
	}
	if (again && length != req->content_length)
		return 400;
	req->content_length = length;
	return 0;
}

/* Looks at the headers that decide where this request ends and whether another follows. */
static int judge_headers(struct request *req)
{
	unsigned hosts = 0, lengths = 0, codings = 0;
	bool has_body_method = req->method & (METHOD_POST | METHOD_DELETE | METHOD_PATCH);
	int status;

	for (unsigned i = 0; i < req->n_headers; i++) {
		const char *name = req->header[i].name, *value = req->header[i].value;

		if (strcasecmp(name, "Host") == 0) {
			hosts++;
		} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
			codings++;
		} else if (strcasecmp(name, "Content-Length") == 0) {
			if ((status = parse_length(req, value, lengths++ > 0)))
				return status;
		} else if (strcasecmp(name, "Expect") == 0) {
			req->expects_continue = req->is_1_1 &&
						strcasecmp(value, "100-continue") == 0;
		} else if (strcasecmp(name, "Connection") == 0) {
			if (list_has(value, "close"))
				req->keep_alive = false;
			else if (list_has(value, "keep-alive"))
				req->keep_alive = true;
		}
	}
	if (hosts > 1 || (codings && lengths))
		return 400;
	if (codings)
		return has_body_method ? 411
				       : 400; /* its length has to be known before it is read */
	return req->content_length && !has_body_method ? 413 : 0;
}

int request_parse(struct request *req, const char *data, size_t size)
{
	char *rest = req->head, *line;
	int status;

	memset(req, 0, offsetof(struct request, header));
	req->query = "";
	if (size > REQUEST_MAX_HEAD)
		return 431;
	if (memchr(data, '\0', size))
		return 400;
	memcpy(req->head, data, size);
	req->head[size] = '\0';

	do {
		line = next_line(&rest);
	} while (line && !*line);
	if (!line)
		return 400;
	if ((status = parse_request_line(req, line)))
		return status;
	while ((line = next_line(&rest)) && *line) {
		if ((status = add_header(req, line)))
			return status;
	}
	return judge_headers(req);
}

void request_finish(struct request *req)
{
	free(req->path);
	req->path = NULL;
}

const char *request_header(const struct request *req, const char *name)
{
	for (unsigned i = 0; i < req->n_headers; i++) {
		if (strcasecmp(req->header[i].name, name) == 0)
			return req->header[i].value;
	}
	return NULL;
}

/*
 * By hand, for evhttp_parse_query_str() refuses the whole query for one word without '=', and
 * "/snapshot?1700000000" is how pages get round a cache.
 */
char *request_param(const struct request *req, const char *name)
{
	size_t length = strlen(name);
	const char *at = req->query;

	while (*at) {
		size_t size = strcspn(at, "&");
		size_t key = MIN(strcspn(at, "="), size);

		if (key == length && memcmp(at, name, length) == 0) {
			size_t skip = MIN(key + 1, size);
			AUTO(auto_free) char *value = strndup(at + skip, size - skip);

			return value ? evhttp_uridecode(value, 1, NULL) : NULL;
		}
		at += size;
		at += *at == '&';
	}
	return NULL;
}

bool request_flag(const struct request *req, const char *name)
{
	AUTO(auto_free) char *value = request_param(req, name);

	return value &&
	       (value[0] == '1' || strcasecmp(value, "true") == 0 || strcasecmp(value, "yes") == 0);
}
