/* What the worker must be allowed to do, by mode, configuration and templates: one list from which the ClusterRole is
 * generated and by which the start-up check asks. */
#ifndef RBAC_SYNC_NEEDS_H
#define RBAC_SYNC_NEEDS_H

#include "rbac-sync/kube.h"
#include "rbac-sync/template.h"

struct worker_config;

struct need {
	const char *verb, *group, *resource, *subresource, *name, *namespace_; /* name, namespace NULL: any */
	const char *why; /* what fails without it */
};

/* Sorted, without duplicates, in ARENA. C may be NULL for a mode without templates (intake). */
size_t needs_make(struct arena *a, const struct worker_config *w, const struct sync_config *c, struct need **out);

/* ClusterRole, Role in the Lease's namespace and their bindings to SUBJECT ("User:NAME" or
 * "ServiceAccount:NAMESPACE/NAME"), as YAML. */
enum err_code needs_print_yaml(const struct need *needs, size_t n, const char *subject, struct buf *out,
    struct err *e) MUST_CHECK;

/* Asks by SelfSubjectAccessReview for each; *DENIED (in ARENA) those that are not allowed. ERR_UNAVAILABLE when
 * nobody could say. */
enum err_code needs_check(struct kube *k, const struct need *needs, size_t n, struct arena *a, struct need **denied,
    size_t *ndenied, struct err *e) MUST_CHECK;

#endif
