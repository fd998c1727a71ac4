/* From the spool to UserRecords, and back: what became of them, for portcullisd's firstLogin.waitMs. */
#ifndef RBAC_SYNC_INTAKE_H
#define RBAC_SYNC_INTAKE_H

#include "rbac-sync/kube.h"
#include "rbac-sync/store.h"
#include "rbac-sync/worker_config.h"

struct intake; /* one thread drives it; intake_seen may come from any */

/* Locks and opens the spool. STOP is asked between events and may be NULL. RECORDS: the store that watches
 * UserRecords. */
enum err_code intake_new(const struct worker_config *c, struct kube *k, struct store *records, bool (*stop)(void),
    struct intake **out, struct err *e) MUST_CHECK;
void intake_free(struct intake **i);

/* Claims and applies what is due until nothing is, the apiserver asks for a pause, or STOP says so; acknowledges what
 * is settled; shows portcullisd that it is alive. */
void intake_run(struct intake *i);
/* intake_run for each event once; true when all are records now. */
bool intake_drain(struct intake *i);
int64_t intake_pause(const struct intake *i); /* ns until there is something to do without a wake-up */
int intake_fd(const struct intake *i);	      /* readable when the spool or a settled record wants intake_run */
void intake_retry_now(struct intake *i);
enum err_code intake_revive(struct intake *i, struct err *e) MUST_CHECK;

/* The store saw this record change: if it is settled for what was told, it is acknowledged by intake_run. */
void intake_seen(struct intake *i, const char *record);

/* For readyz: false and WHY when events cannot become records. */
bool intake_healthy(struct intake *i, struct err *why);

#endif
