/* Keeps what serves in step with the files: builds snapshots whole, publishes what is good, reports what is
 * not and leaves the old in place. Owned by the main thread. */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H

#include "server/server.h"

/* How often files are compared by content, since events can be lost. */
#define RELOAD_POLL (5 * CLOCK_SECOND)
/* A changed set is looked at once it has been still for this long: editors write in several steps. */
#define RELOAD_QUIET_MS 200

struct reload;

/* Loads everything the first time and publishes it. CFG is taken over. A broken policy is no error: the last
 * good one serves, or none. ERR_INVALID with findings when TLS or authentication cannot be had. */
enum err_code reload_new(struct server *server, struct config **cfg, struct reload **out,
    struct diags *d) MUST_CHECK;

/* Nobody may hold a snapshot any more. */
void reload_free(struct reload **r);

/* Readable when a watched file may have changed. */
int reload_fd(const struct reload *r);

/* Empties the events; true when there were any that concern us. */
bool reload_drain(struct reload *r);

enum reload_cause {
	RELOAD_POLL_DUE, /* nothing told of a change: what is new must stay so for RELOAD_QUIET_MS */
	RELOAD_SETTLED,	 /* events did, and there were none for RELOAD_QUIET_MS */
	RELOAD_ASKED	 /* SIGHUP: at once, and what fails is reported again */
};

/* Compares and, where something is new, loads. A set that fails is given RELOAD_QUIET_MS to settle before it
 * is reported: true when the caller should come back for that. */
bool reload_check(struct reload *r, enum reload_cause cause);

/* The audit log of the current snapshot. */
struct audit_log *reload_audit(const struct reload *r);

#endif
