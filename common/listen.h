/* Listening addresses and the sockets on them. */
#ifndef COMMON_LISTEN_H
#define COMMON_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* An "ADDRESS:PORT" of an IPv4 literal, a bracketed IPv6 literal, or nothing (all addresses). HOST gets
 * the literal without brackets, "" for none. */
#define LISTEN_HOST_MAX 46
bool listen_parse(const char *text, char host[LISTEN_HOST_MAX], uint16_t *port);

/* A listening socket (non-blocking, close-on-exec) on ADDRESS, written as above; "" as host is all addresses
 * of both families. ERR_INVALID when it is not written so, ERR_UNAVAILABLE when it cannot be had. The caller
 * closes *OUT. */
enum err_code listen_open(const char *address, int *out, struct err *e) MUST_CHECK;

/* The port that FD listens on; 0 when it cannot be told. */
uint16_t listen_port(int fd);

#endif
