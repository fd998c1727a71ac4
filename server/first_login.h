/* newUsers.firstLogin.waitMs: the first answer about a person waits a little for their grants, so that their first
 * command already works. Never changes an answer, only its moment. */
#ifndef SERVER_FIRST_LOGIN_H
#define SERVER_FIRST_LOGIN_H

#include <stdatomic.h>

#include "common/metrics.h"
#include "common/spool.h"
#include "server/config.h"

/* Who waits holds a thread that others may need: at most half of each pool that answers people (see main.c). More
 * are answered at once. */
#define FIRST_LOGIN_WAITERS_MAX 4
/* So many vain waits in a row, and nobody waits for a while: a worker that lives but settles nothing. */
#define FIRST_LOGIN_VAIN_MAX 3
#define FIRST_LOGIN_PAUSE (30 * CLOCK_SECOND)

struct first_login {
	atomic_uint waiting, vain; /* vain: waits in a row that ended without an acknowledgement */
	_Atomic int64_t again;	   /* clock_mono() until which nobody waits; 0: one may */
	struct metric *ready, *timeout, *skipped, *seconds;
};

/* Looks up the metrics. */
void first_login_init(struct first_login *f);

/* Whether an answer that tells of somebody is to wait: C says so. */
static inline bool first_login_waits(const struct new_users_config *c)
{
	return c->first_login.wait_ms > 0 && c->durability == SPOOL_DURABILITY_SYNC;
}

/* EV is in the spool: sleeps until the worker says that its grants are settled, at most as long as C says and until
 * DEADLINE (clock_mono). On a worker thread. Returns at once when they are already, when no worker lives, when too
 * many wait, and for a while after vain waits. Thread-safe. */
void first_login_wait(struct first_login *f, const struct new_users_config *c, const struct spool_event *ev,
    int64_t deadline);

#endif
