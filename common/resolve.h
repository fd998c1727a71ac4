/* Names of hosts into addresses, in time: the system's resolver has no deadline and cannot be stopped. */
#ifndef COMMON_RESOLVE_H
#define COMMON_RESOLVE_H

#include <netdb.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/cancel.h"
#include "common/err.h"

/* Addresses of one host that are tried. */
#define RESOLVE_ADDRESSES_MAX 16
/* Hosts that are remembered, and threads that may hang in the resolver: one a host at most. */
#define RESOLVE_HOSTS_MAX 64

struct resolved {
	struct sockaddr_storage addrs[RESOLVE_ADDRESSES_MAX]; /* with the port that was asked for */
	socklen_t lens[RESOLVE_ADDRESSES_MAX];
	size_t n;
};

/* The addresses of HOST, a name or a literal, in the resolver's order. Waits until DEADLINE (clock_mono)
 * at most: ERR_TIMEOUT; ERR_UNAVAILABLE when the resolver says no or RESOLVE_HOSTS_MAX others hang, and within
 * 50 ms of CANCEL (or NULL). An answer
 * is fresh for 30 s; then one thread asks again while the old answer serves for up to 10 minutes. A "no" is
 * remembered for a second. Threads are started on demand, after the last fork. Thread-safe. */
enum err_code resolve_host(
    const char *host, int port, int64_t deadline, const struct cancel *cancel, struct resolved *out, struct err *e) MUST_CHECK;

/* Tests only: asks FN instead of getaddrinfo (NULL: that again) and forgets all hosts nobody waits for. */
void resolve_use(int (*fn)(const char *host, struct addrinfo **out));

#endif
