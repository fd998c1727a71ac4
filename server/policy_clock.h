/* What the clock does to the policy that decides: tells when rules begin and cease to hold, and counts what
 * is used in emergencies. The answers themselves need none of this: they look at the time by themselves. */
#ifndef SERVER_POLICY_CLOCK_H
#define SERVER_POLICY_CLOCK_H

#include "server/server.h"

/* The main thread's. Zeroed: nothing seen yet. */
struct policy_clock {
	char sha256[2 * SHA256_LEN + 1]; /* of the policy last seen, "" none */
	const void *policy; /* the same as a mark, never read */
	int64_t seen; /* up to this moment all changes were told; wall clock, nanoseconds */
	int64_t next; /* the first change after it, INT64_MAX: none */
};

/* Tells of what changed since the last call, in the audit log and the log, once for each change: also when
 * the clock was put forward or back. A policy that is new is looked at, nothing is told. */
void policy_clock_tick(struct policy_clock *c, struct server *s);

/* The same for the policy P (NULL: none), the moment NOW and the log AUDIT (may be NULL). */
void policy_clock_move(
    struct policy_clock *c, const struct policy *p, int64_t now, struct audit_log *audit);

/* Milliseconds until the next change, rounded up; 0 when it is due, INT64_MAX when there is none. */
int64_t policy_clock_left(const struct policy_clock *c);

/* portcullis_breakglass_uses_total of RULE. Thread-safe. */
struct metric *policy_clock_uses(const char *rule);

#endif
