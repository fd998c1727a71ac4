/* The check at start whether the worker may do what its configuration and templates need. */
#ifndef RBAC_SYNC_SELFCHECK_H
#define RBAC_SYNC_SELFCHECK_H

#include "rbac-sync/needs.h"

struct selfcheck {
	size_t needs, denied;
	char text[1000]; /* one sentence for an event's note: what is missing, cut; empty when nothing is */
};

/* Asks, logs a warning for each need that is denied, sets portcullis_sync_self_check_denied. What is missing is no
 * reason to end: what works is done. C may be NULL in mode intake. ERR_UNAVAILABLE when the apiserver could not
 * say; the metric then stays. To be run at start and when the templates changed; one thread, K's. */
enum err_code selfcheck_run(struct kube *k, const struct worker_config *w, const struct sync_config *c,
    struct selfcheck *out, struct err *e) MUST_CHECK;

#endif
