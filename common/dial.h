/* Connecting sockets under a deadline. */
#ifndef COMMON_DIAL_H
#define COMMON_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* Until one of EVENTS (poll(2)) or an error is there; false with errno ETIMEDOUT at DEADLINE, which
 * is clock_mono(). */
bool dial_wait(int fd, short events, int64_t deadline);

/* A blocking TCP socket to the first address of HOST that answers, with keep-alive and without
 * delay. Each address gets its share of the time left. ERR_TIMEOUT, ERR_UNAVAILABLE. The caller
 * closes *FD. */
enum err_code dial_host(
    const char *host, int port, int64_t deadline, int *fd, struct err *e) MUST_CHECK;

/* The same to the Unix socket at PATH. */
enum err_code dial_path(const char *path, int64_t deadline, int *fd, struct err *e) MUST_CHECK;

#endif
