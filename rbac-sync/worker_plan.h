/* What the worker and its dry run share around a plan. */
#ifndef RBAC_SYNC_WORKER_PLAN_H
#define RBAC_SYNC_WORKER_PLAN_H

#include "rbac-sync/plan.h"
#include "rbac-sync/worker_config.h"

/* The limits that C sets. Borrows from C and OWN_NAMESPACE, which may be NULL. */
struct plan_limits worker_limits(const struct worker_config *c, const char *own_namespace);

/* Logs and counts what PLAN refuses to EV. */
void worker_report(const struct plan *plan, const struct spool_event *ev);

#endif
