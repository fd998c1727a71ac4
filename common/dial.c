/* Owns outgoing sockets: connecting to a host's addresses one after the other, in time. */
#include "common/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/resolve.h"

/* A dead peer is noticed by the kernel after at most this, whoever waits. */
#define TCP_USER_TIMEOUT_MS 10000
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_PROBES 3
#define KEEPALIVE_INTERVAL_S 10

static bool connect_in_time(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline,
    const struct cancel *cancel)
{
	if (connect(fd, addr, len) == 0)
		return true;
	if (errno != EINPROGRESS || !cancel_wait(cancel, fd, POLLOUT, deadline))
		return false;
	int error = 0;
	socklen_t size = sizeof(error);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
		return false;
	errno = error;
	return error == 0;
}

static void set_socket(int fd)
{
	const struct {
		int level, option, value;
	} options[] = {
	    {IPPROTO_TCP, TCP_NODELAY, 1},
	    {IPPROTO_TCP, TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS},
	    {SOL_SOCKET, SO_KEEPALIVE, 1},
	    {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
	    {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
	    {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
	};
	/* Comforts: a system that lacks one still has the deadlines. */
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		setsockopt(fd, options[i].level, options[i].option, &options[i].value, sizeof(int));
}

/* A connected, blocking socket in *FD. */
static enum err_code dial(const struct sockaddr *addr, socklen_t len, int64_t deadline,
    const struct cancel *cancel, int *fd, struct err *e)
{
	int s = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return err_set(e, ERR_UNAVAILABLE, "socket: %s", strerror(errno));
	if (!connect_in_time(s, addr, len, deadline, cancel)) {
		int why = errno;
		close(s);
		return err_set(e, why == ETIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, "connect: %s",
		    strerror(why));
	}
	fcntl(s, F_SETFL, fcntl(s, F_GETFL) & ~O_NONBLOCK);
	*fd = s;
	return ERR_OK;
}

enum err_code dial_host(const char *host, int port, int64_t deadline, const struct cancel *cancel,
    int *fd, struct err *e)
{
	struct resolved r;
	TRY(resolve_host(host, port, deadline, cancel, &r, e));
	enum err_code code = err_set(e, ERR_UNAVAILABLE, "no address");
	for (size_t i = 0; i < r.n && code != ERR_OK && !cancel_asked(cancel); i++) {
		int64_t now = clock_mono();
		/* A dead first address must leave time for the next. */
		int64_t until = now + (deadline - now) / (int64_t)(r.n - i);
		code = dial((const struct sockaddr *)&r.addrs[i], r.lens[i], until, cancel, fd, e);
	}
	if (code == ERR_OK)
		set_socket(*fd);
	return code;
}

enum err_code dial_path(
    const char *path, int64_t deadline, const struct cancel *cancel, int *fd, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	if (len == 0 || len >= sizeof(addr.sun_path))
		return err_set(e, ERR_INVALID, "no socket path, or one too long");
	memcpy(addr.sun_path, path, len);
	return dial((const struct sockaddr *)&addr, sizeof(addr), deadline, cancel, fd, e);
}
