/* The worker as a whole: everything that its configuration asks for, built, run and ended. */
#ifndef RBAC_SYNC_RUNTIME_H
#define RBAC_SYNC_RUNTIME_H

#include "common/cancel.h"
#include "rbac-sync/worker_config.h"

struct runtime_options {
	const struct worker_config *config; /* outlives the runtime */
	bool once;		/* no threads, no election: runtime_once does the work */
	bool dry_run;		/* with once: everything is asked with dryRun=All */
	bool allow_privileged;	/* --allow-privileged-grants */
	const struct cancel *stop; /* ends what the calling thread does, requests too; outlives the runtime */
};

struct runtime;

/* Reads templates and credentials, opens the spool, starts the threads; speaks to nobody in the calling thread. Findings
 * of the templates go to D. ERR_REFUSED: another worker has the spool. */
enum err_code runtime_new(
    const struct runtime_options *o, struct runtime **out, struct diags *d, struct err *e) MUST_CHECK;

/* Stops acting, breaks off what is under way, ends all threads, writes the metrics, gives the Lease back: at once,
 * however others hang; only the Lease's last write gets a second. */
void runtime_stop(struct runtime **r);

/* The main thread's share: events from the spool to records. */
void runtime_run(struct runtime *r);
int64_t runtime_pause(const struct runtime *r); /* ns until there is something to do without a wake-up */
int runtime_fd(const struct runtime *r);	/* for poll(2); -1: none */

/* Reads templates and kubeconfig again and tries at once what waits: an admin repaired something. */
void runtime_reload(struct runtime *r);

/* Moves dead events back to new/. */
enum err_code runtime_revive(struct runtime *r, struct err *e) MUST_CHECK;

/* Gauges, and the metrics file when one is configured. */
void runtime_write_metrics(struct runtime *r);

/* For `once`: the spool's events become records, each record is reconciled until nothing is left to do without
 * waiting for others. True when all is as it should be. */
bool runtime_once(struct runtime *r);

/* Prints what each event of the spool would be due as JSON lines on stdout, and what is refused on the log. Claims
 * nothing, asks nobody: roles are not looked into, selectors of namespaces find nothing. */
enum err_code runtime_print(
    const struct worker_config *config, bool allow_privileged, struct diags *d, struct err *e) MUST_CHECK;

#endif
