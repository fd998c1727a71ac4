/* Connecting sockets under a deadline. */
#ifndef COMMON_DIAL_H
#define COMMON_DIAL_H

#include <stdint.h>

#include "common/cancel.h"
#include "common/err.h"

/* A blocking TCP socket to the first address of HOST that answers, with keep-alive and without
 * delay. DEADLINE is clock_mono(): ERR_TIMEOUT; each address gets its share of the time left.
 * ERR_UNAVAILABLE, also as soon as CANCEL (or NULL) is asked. The caller closes *FD. */
enum err_code dial_host(const char *host, int port, int64_t deadline, const struct cancel *cancel,
    int *fd, struct err *e) MUST_CHECK;

/* The same to the Unix socket at PATH. */
enum err_code dial_path(
    const char *path, int64_t deadline, const struct cancel *cancel, int *fd, struct err *e) MUST_CHECK;

#endif
