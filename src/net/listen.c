// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * The listening socket: see listen.h. TCP_NODELAY is set here once: Linux hands it down to every
 * accepted connection.
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define LOG_TOPIC "http"
#include "base/log.h"
#include "base/util.h"

#define BACKLOG    1024
#define SYSTEMD_FD 3

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage space;
};

/* An address of this machine that others can use, as text; false while there is no network. */
static bool find_own_address(char *host, size_t size)
{
	struct ifaddrs *list, *at;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (at = list; at && !found; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != AF_INET ||
			!(at->ifa_flags & IFF_UP) || at->ifa_flags & IFF_LOOPBACK)
			continue;
		found = getnameinfo(at->ifa_addr, sizeof(struct sockaddr_in), host, size, NULL, 0,
				NI_NUMERICHOST) == 0;
	}
	freeifaddrs(list);
	return found;
}

static bool is_any_address(const union address *address)
{
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&address->in6.sin6_addr);
	return address->in.sin_addr.s_addr == htonl(INADDR_ANY);
}

/* Made from the socket, so that it is right whoever opened it. */
static char *describe_socket(int fd)
{
	char host[NI_MAXHOST] = "127.0.0.1", *url = NULL;
	union address address = { 0 };
	socklen_t size = sizeof(address);
	bool is_ip6;
	int res;

	if (getsockname(fd, &address.any, &size) < 0)
		return NULL;
	if (address.any.sa_family == AF_UNIX) {
		res = asprintf(&url, "unix:%s", address.un.sun_path);
		return res < 0 ? NULL : url;
	}
	is_ip6 = address.any.sa_family == AF_INET6;
	if (is_any_address(&address)) {
		is_ip6 = false;
		if (!find_own_address(host, sizeof(host)))
			strcpy(host, "127.0.0.1");
	} else {
		getnameinfo(&address.any, size, host, sizeof(host), NULL, 0, NI_NUMERICHOST);
	}
	res = asprintf(&url, "http://%s%s%s:%u/", is_ip6 ? "[" : "", host, is_ip6 ? "]" : "",
		ntohs(address.in.sin_port)); /* sin6_port lies at the same place */
	return res < 0 ? NULL : url;
}

static void set_flag(int fd, int level, int option)
{
	int on = 1;

	if (setsockopt(fd, level, option, &on, sizeof(on)) < 0)
		log_debug("socket option %d/%d: %m", level, option);
}

static int explain_unix(const char *path, int error)
{
	if (error == EADDRINUSE)
		log_error("--unix %s: the file exists already; stop the program that uses it, or "
			  "pass --unix-rm to replace it",
			path);
	else
		log_error("--unix %s: %s; give a path in a directory that this user may write to",
			path, strerror(error));
	return -error;
}

/*
 * The mode is set by the umask during bind(), not by chmod() after it: at no moment may somebody
 * connect who is not meant to.
 */
static int bind_unix(int fd, const struct sockaddr_un *address, int mode)
{
	mode_t saved = mode ? umask(~mode & 0777) : 0;
	int res = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	if (mode)
		umask(saved);
	return res;
}

static int remove_old_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		log_error("--unix %s: this is not a socket, so --unix-rm leaves it alone; give "
			  "another path",
			path);
		return -EEXIST;
	}
	return unlink(path) < 0 ? explain_unix(path, errno) : 0;
}

static int open_unix(struct listener *listener, const struct options *opt)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO(auto_close) int fd = -1;
	struct stat st;
	int res;

	if (strlen(opt->unix_path) >= sizeof(address.sun_path)) {
		log_error("--unix %s: a socket path has at most %zu characters; give a shorter one",
			opt->unix_path, sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, opt->unix_path);
	if (opt->unix_rm && (res = remove_old_socket(opt->unix_path)) < 0)
		return res;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return explain_unix(opt->unix_path, errno);
	if ((res = bind_unix(fd, &address, opt->unix_mode)) < 0)
		return explain_unix(opt->unix_path, -res);
	if (lstat(opt->unix_path, &st) == 0) {
		listener->unix_path = xstrdup(opt->unix_path);
		listener->device = st.st_dev;
		listener->inode = st.st_ino;
	}
	if (listen(fd, BACKLOG) < 0)
		return explain_unix(opt->unix_path, errno);
	listener->fd = steal_fd(&fd);
	return 0;
}

/* As a .socket unit does; what it means for another process is not for us. */
static bool systemd_passed_a_socket(void)
{
	const char *pid = getenv("LISTEN_PID");

	return pid && atoi(pid) == getpid() && getenv("LISTEN_FDS");
}

static int explain_systemd(const char *what)
{
	log_error("--systemd: %s; start this by a .socket unit, or leave --systemd out", what);
	return -EINVAL;
}

/* The protocol of sd_listen_fds(3), which is two variables: not worth a library. */
static int open_systemd(struct listener *listener)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	int n = count ? atoi(count) : 0, listens = 0;
	socklen_t size = sizeof(listens);

	if (!pid || atoi(pid) != getpid() || n < 1)
		return explain_systemd("systemd passed no socket");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	for (int fd = SYSTEMD_FD + 1; fd < SYSTEMD_FD + MIN(n, 1024); fd++)
		close(fd);
	if (getsockopt(SYSTEMD_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens)
		return explain_systemd("what systemd passed is not a listening socket");
	fcntl(SYSTEMD_FD, F_SETFD, FD_CLOEXEC);
	fcntl(SYSTEMD_FD, F_SETFL, fcntl(SYSTEMD_FD, F_GETFL) | O_NONBLOCK);
	set_flag(SYSTEMD_FD, IPPROTO_TCP, TCP_NODELAY);
	listener->fd = SYSTEMD_FD;
	return 0;
}

static int explain_tcp(const struct options *opt, int error)
{
	const char *remedy = "give another --host or --port";

	if (error == EADDRINUSE)
		remedy = "stop the program that uses it (ss -ltnp shows which), or give another "
			 "--port";
	else if (error == EACCES)
		remedy = "give a --port above 1023, or grant CAP_NET_BIND_SERVICE";
	log_error("cannot listen on %s port %d: %s; %s", opt->host, opt->port, strerror(error),
		remedy);
	return -error;
}

static int listen_tcp(struct listener *listener, const struct addrinfo *at)
{
	AUTO(auto_close)
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol);
	int off = 0;

	if (fd < 0)
		return -errno;
	set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	/* We may be started before the network has this address. */
	set_flag(fd, IPPROTO_IP, IP_FREEBIND);
	set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	if (at->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, at->ai_addr, at->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	listener->fd = steal_fd(&fd);
	return 0;
}

static int open_tcp(struct listener *listener, const struct options *opt)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *at;
	char port[12];
	int res;

	snprintf(port, sizeof(port), "%d", opt->port);
	res = getaddrinfo(*opt->host ? opt->host : NULL, port, &hints, &list);
	if (res) {
		log_error("--host %s: %s; give an address of this machine, or 0.0.0.0 for all",
			opt->host, gai_strerror(res));
		return -EADDRNOTAVAIL;
	}
	res = -EADDRNOTAVAIL;
	for (at = list; at && res < 0; at = at->ai_next)
		res = listen_tcp(listener, at);
	freeaddrinfo(list);
	return res < 0 ? explain_tcp(opt, -res) : 0;
}

int listener_open(struct listener *listener, const struct options *opt)
{
	int res;

	*listener = (struct listener){ .fd = -1 };
	if (*opt->unix_path)
		res = open_unix(listener, opt);
	else if (opt->systemd || systemd_passed_a_socket())
		res = open_systemd(listener);
	else
		res = open_tcp(listener, opt);
	if (res < 0) {
		listener_close(listener);
		return res;
	}
	listener->url = describe_socket(listener->fd);
	if (!listener->url)
		listener->url = xstrdup("unknown");
	return 0;
}

void listener_close(struct listener *listener)
{
	struct stat st;

	close_fd(&listener->fd);
	if (listener->unix_path && lstat(listener->unix_path, &st) == 0 &&
		st.st_dev == listener->device && st.st_ino == listener->inode)
		unlink(listener->unix_path);
	free(listener->unix_path);
	free(listener->url);
	*listener = (struct listener){ .fd = -1 };
}
