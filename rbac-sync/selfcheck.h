/* The check at start whether the worker may do what its configuration and templates need. */
#ifndef RBAC_SYNC_SELFCHECK_H
#define RBAC_SYNC_SELFCHECK_H

#include "rbac-sync/needs.h"

struct selfcheck { /* zeroed: nothing was asked yet */
	bool asked;
	size_t needs, denied;
	char text[1000]; /* one sentence for an event's note: what is missing, cut; empty when nothing is */
};

/* Asks, sets portcullis_sync_self_check_denied, and when the answer is another than STATE has from the last time logs a
 * warning for each need that is denied. What is missing is no reason to end: what works is done. C may be NULL in mode
 * intake. ERR_UNAVAILABLE when the apiserver could not say; STATE and metric then stay. To be run at start, when the
 * templates changed, and while something is missing; one thread, K's. */
enum err_code selfcheck_run(struct kube *k, const struct worker_config *w, const struct sync_config *c,
    struct selfcheck *state, struct err *e) MUST_CHECK;

#endif
