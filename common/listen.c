/* Owns listening addresses: how they are written, and the sockets on them. */
#include "common/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool parse_port(const char *text, uint16_t *port)
{
	uint32_t n = 0;
	size_t len = strlen(text);
	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	*port = (uint16_t)n;
	return n <= UINT16_MAX;
}

bool listen_parse(const char *text, char host[LISTEN_HOST_MAX], uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	if (!colon || !parse_port(colon + 1, port))
		return false;
	const char *start = text;
	size_t len = (size_t)(colon - text);
	bool six = len > 0 && text[0] == '[';
	if (six) {
		if (text[len - 1] != ']')
			return false;
		start++;
		len -= 2;
	}
	if (len >= LISTEN_HOST_MAX)
		return false;
	memcpy(host, start, len);
	host[len] = '\0';
	struct in6_addr addr;
	if (six)
		return inet_pton(AF_INET6, host, &addr) == 1;
	return len == 0 || inet_pton(AF_INET, host, &addr) == 1;
}

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void set_address(union address *a, const char *host, uint16_t port)
{
	*a = (union address){0};
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		return;
	}
	a->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	if (host[0])
		inet_pton(AF_INET6, host, &a->in6.sin6_addr);
}

static int open_socket(const union address *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	int on = 1, off = 0;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bool six = a->sa.sa_family == AF_INET6;
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	socklen_t len = six ? sizeof(a->in6) : sizeof(a->in);
	if (bind(fd, &a->sa, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	int code = errno;
	close(fd);
	errno = code;
	return -1;
}

enum err_code listen_open(const char *address, int *out, struct err *e)
{
	char host[LISTEN_HOST_MAX];
	uint16_t port;
	if (!listen_parse(address, host, &port))
		return err_set(e, ERR_INVALID, "%s: not ADDRESS:PORT", address);
	union address a;
	set_address(&a, host, port);
	*out = open_socket(&a);
	if (*out < 0 && errno == EAFNOSUPPORT && host[0] == '\0') {
		/* A host without IPv6: "all addresses" are the IPv4 ones. */
		set_address(&a, "0.0.0.0", port);
		*out = open_socket(&a);
	}
	if (*out < 0)
		return err_set(e, ERR_UNAVAILABLE, "%s: %s", address, strerror(errno));
	return ERR_OK;
}

uint16_t listen_port(int fd)
{
	union address a = {0};
	socklen_t len = sizeof(a);
	if (getsockname(fd, &a.sa, &len) != 0)
		return 0;
	return ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}
