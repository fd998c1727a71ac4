/* Owns the wish to end: asking, looking, and waits that it cuts short. */
#include "common/cancel.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/str.h"

/* A wish without descriptor has no voice, and a clock may be moved: a waiter looks at both so often. */
#define LOOK_EVERY (250 * CLOCK_MS)

void cancel_init(struct cancel *c)
{
	atomic_init(&c->asked, false);
	c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void cancel_done(struct cancel *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void cancel_ask(struct cancel *c)
{
	int saved = errno;
	atomic_store(&c->asked, true);
	if (c->fd >= 0)
		(void)eventfd_write(c->fd, 1); /* full: it is readable */
	errno = saved;
}

bool cancel_asked(const struct cancel *c)
{
	return c && atomic_load(&c->asked);
}

int cancel_fd(const struct cancel *c)
{
	return c ? c->fd : -1;
}

bool cancel_wait(const struct cancel *c, int fd, short events, int64_t until)
{
	struct pollfd fds[] = {{.fd = fd, .events = events}, {.fd = cancel_fd(c), .events = POLLIN}};
	for (;;) {
		int64_t left = until - clock_mono();
		if (cancel_asked(c)) {
			errno = ECANCELED;
			return false;
		}
		if (left <= 0) {
			errno = ETIMEDOUT;
			return false;
		}
		left = left < LOOK_EVERY ? left : LOOK_EVERY;
		const struct timespec t = {.tv_nsec = (long)left};
		int n = ppoll(fds, ARRAY_LEN(fds), &t, NULL);
		if (n > 0 && fds[0].revents && !cancel_asked(c))
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
}
