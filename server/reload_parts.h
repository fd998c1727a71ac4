/* What reload.c and reload_tell.c share: the state of each set of files, and how its changes are told. One
 * thread at a time, as reload.h says. Internal to these two. */
#ifndef SERVER_RELOAD_PARTS_H
#define SERVER_RELOAD_PARTS_H

#include "common/clock.h"
#include "common/diag.h"
#include "common/file.h"
#include "server/reload.h"
#include "server/units.h"

enum unit { UNIT_CONFIG, UNIT_POLICY, UNIT_SHADOW, UNIT_TLS, UNIT_COUNT };

struct unit_state {
	uint8_t done[SHA256_LEN];    /* what was last loaded or reported */
	uint8_t suspect[SHA256_LEN]; /* what failed once and may still be half-written */
	uint8_t seen[SHA256_LEN];    /* what a comparison found that no event told of */
	bool suspected, failing;
	const char *stage; /* policies: of the last attempt */
	char error[sizeof(((struct err *)0)->msg)];
	char since[CLOCK_RFC3339_LEN];
};

struct reload {
	struct server *server;
	struct snapshot_parts parts;
	struct file_watch *watch;
	struct unit_state units[UNIT_COUNT];
	struct err status_fault; /* of writing the policies' status that was last told of */
};

static inline const struct config *reload_config(const struct reload *r)
{
	return r->parts.part[PART_CONFIG]->obj;
}

/* What serves of UNIT_POLICY or UNIT_SHADOW; NULL: nothing. */
static inline const struct served_policy *reload_served(const struct reload *r, enum unit u)
{
	struct shared *p = r->parts.part[u == UNIT_SHADOW ? PART_SHADOW : PART_POLICY];
	return p ? p->obj : NULL;
}

static inline bool reload_is_policy(enum unit u)
{
	return u == UNIT_POLICY || u == UNIT_SHADOW;
}

static inline bool reload_configured(const struct reload *r, enum unit u)
{
	const struct authorization_config *z = &reload_config(r)->authorization;
	return u == UNIT_SHADOW ? z->present && z->shadow_policy : z->present;
}

/* --- reload_tell.c --- */

void reload_tell_findings(const struct diags *d, const char *msg); /* to the log, one line each */

/* U shows the state it is in: on the board of readiness, in the policies' gauges and status. */
void reload_show(struct reload *r, enum unit u);

/* U was rejected with the findings D; its state says so already. Log, metrics, status, audit record. */
void reload_tell_failed(struct reload *r, enum unit u, const struct diags *d);

/* U is loaded, in three steps: what takes time, before anybody is asked to wait; readiness and the audit
 * record (BEFORE: the policy that U replaces, or NULL); the log line. */
void reload_tell_prepare(struct reload *r, enum unit u);
void reload_tell_loaded(struct reload *r, enum unit u, const struct shared *before);
void reload_log_loaded(const struct reload *r, enum unit u);

/* All three at the start, when nobody is answered yet. */
void reload_tell_first(struct reload *r, enum unit u, const struct diags *d);

#endif
