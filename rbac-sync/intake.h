/* From the spool to UserRecords, and back: what became of them, for portcullisd's firstLogin.waitMs. */
#ifndef RBAC_SYNC_INTAKE_H
#define RBAC_SYNC_INTAKE_H

#include "rbac-sync/kube.h"
#include "rbac-sync/store.h"
#include "rbac-sync/worker_config.h"

/* Events that wait for another try; while so many do, no new ones are claimed: they wait in new/. */
#define INTAKE_WAITING_MAX 10000
/* Until intake_limit says otherwise, as the templates' defaults. */
#define INTAKE_USERS_MAX 50000
#define INTAKE_NEW_USERS 60 /* a minute */

struct intake; /* one thread drives it; intake_seen and intake_healthy may come from any */

/* Locks and opens the spool. STOP ends it between events and may be NULL. K writes as KUBE_INTAKE_MANAGER and stays the
 * caller's. RECORDS: the store that watches UserRecords, or NULL: each record is asked for, and nothing is acknowledged.
 * C, K and RECORDS must outlive the intake. */
enum err_code intake_new(const struct worker_config *c, struct kube *k, struct store *records, const struct cancel *stop,
    struct intake **out, struct err *e) MUST_CHECK;
void intake_free(struct intake **i);

/* The flood guard: more new users than this wait in the spool. Users who have a record do not count. */
void intake_limit(struct intake *i, int64_t max_users, int64_t new_users_a_minute);

/* Told in the thread of intake_run, for Kubernetes events; members may be NULL. */
struct intake_hooks {
	void *ctx;
	void (*appeared)(void *ctx, const char *key, const char *uid, const char *why); /* a record was made */
	void (*dead)(void *ctx, const char *key, const char *why);			 /* an event was given up */
};
void intake_hook(struct intake *i, const struct intake_hooks *h);

/* Claims and applies what is due until nothing is, 100 ms are over (intake_pause is 0 then), the apiserver asks for a
 * pause, or STOP says so; acknowledges what is settled; shows portcullisd that it is alive. */
void intake_run(struct intake *i);
/* intake_run for each event once, then gives back what is not done; true when all are records now. */
bool intake_drain(struct intake *i);
int64_t intake_pause(const struct intake *i); /* ns until there is something to do without a wake-up */
int intake_fd(const struct intake *i);	      /* readable when the spool or a settled record wants intake_run */
void intake_retry_now(struct intake *i);
/* Moves dead events back to new/. */
enum err_code intake_revive(struct intake *i, struct err *e) MUST_CHECK;
/* Files that wait or are worked on, and the age of the oldest in seconds: for gauges. */
void intake_depth(struct intake *i, size_t *files, int64_t *oldest);

/* The store saw this record change: if it is settled for what was told, it is acknowledged by intake_run. For records
 * alone; what is no key is ignored. */
void intake_seen(struct intake *i, const char *record);

/* For readyz: false and WHY when events cannot become records. */
bool intake_healthy(struct intake *i, struct err *why);

#endif
