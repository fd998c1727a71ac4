/* The worker: events from the spool, through plan and apply, to their end; pauses, retries, reload. */
#ifndef RBAC_SYNC_WORKER_H
#define RBAC_SYNC_WORKER_H

#include "rbac-sync/worker_config.h"
#include "rbac-sync/kube.h"

/* Events that wait for another try; while so many do, no new ones are claimed: they wait in new/. */
#define WORKER_WAITING_MAX 10000

struct worker; /* one thread */

/* Reads templates and credentials and opens the spool. CONFIG must outlive the worker. STOP is asked
 * between objects' events and may be NULL. Findings of the templates go to D. */
enum err_code worker_new(const struct worker_config *config, bool (*stop)(void), struct worker **out,
    struct diags *d, struct err *e) MUST_CHECK;
void worker_free(struct worker **w);

/* Works on whatever is due until nothing is, the apiserver asks for a pause, or STOP says so. */
void worker_run(struct worker *w);

/* As worker_run, once for each event, then gives back what is not done. True when all was done. */
bool worker_drain(struct worker *w);

/* Nanoseconds until there is something to do without a wake-up; at most the scan interval. */
int64_t worker_pause(const struct worker *w);

/* Reads the templates when their content changed. A bad file is logged once, and the last good one
 * stays. With FORCE also reads the kubeconfig and retries at once what waits: an admin repaired
 * something. */
void worker_reload(struct worker *w, bool force);

/* Moves dead events back to new/. */
enum err_code worker_revive(struct worker *w, struct err *e) MUST_CHECK;

/* Descriptors for poll(2), -1 where there is none: spool and templates. Drained by the calls above. */
int worker_spool_fd(const struct worker *w);
int worker_templates_fd(const struct worker *w);

/* Gauges, and the metrics file when one is configured. */
void worker_write_metrics(struct worker *w);

/* Prints what would be applied for each event of the spool as JSON lines on stdout, and what is refused
 * on the log. Claims nothing, asks nobody. */
enum err_code worker_dry_run(const struct worker_config *config, struct diags *d, struct err *e) MUST_CHECK;

#endif
