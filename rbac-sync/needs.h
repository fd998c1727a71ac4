/* What the worker must be allowed to do, by mode, configuration and templates: one list from which the ClusterRole is
 * generated and by which the start-up check asks. */
#ifndef RBAC_SYNC_NEEDS_H
#define RBAC_SYNC_NEEDS_H

#include "rbac-sync/kube.h"
#include "rbac-sync/object.h"
#include "rbac-sync/template.h"
#include "rbac-sync/worker_config.h"

struct need {
	const char *verb, *group, *resource;
	const char *subresource, *name, *namespace_; /* NULL: none, any, the whole cluster */
	const char *why; /* what fails without it: "… is not …" */
};

/* Sorted by namespace, group, resource, subresource, name and verb, without duplicates, in ARENA. C may be NULL for a
 * mode without templates (intake). LEASE_NAMESPACE: as lease_namespace tells. The same inputs give the same list. */
size_t needs_make(struct arena *a, const struct worker_config *w, const struct sync_config *c,
    const char *lease_namespace, struct need **out);

/* Kinds that the worker watches, as bits 1 << kind: records, and where it reconciles namespaces, bindings and whatever
 * the templates make beside. Rights are asked for these and no others. */
unsigned needs_kinds(const struct worker_config *w, const struct sync_config *c);

/* ClusterRole, a Role in each namespace that is named, and their bindings to SUBJECT ("User:NAME", "Group:NAME" or
 * "ServiceAccount:NAMESPACE/NAME"), as YAML. All are called NAME. */
enum err_code needs_print_yaml(const struct need *needs, size_t n, const char *name, const char *subject,
    struct buf *out, struct err *e) MUST_CHECK;

/* "patch rolebindings.rbac.authorization.k8s.io", "bind clusterroles.rbac.authorization.k8s.io edit", "get
 * leases.coordination.k8s.io portcullis-rbac-sync in portcullis-system". */
const char *need_text(const struct need *need, struct arena *a);

/* Asks by SelfSubjectAccessReview for each; *DENIED (in ARENA) those that are not allowed. ERR_UNAVAILABLE when
 * nobody could say. One thread, K's. */
enum err_code needs_check(struct kube *k, const struct need *needs, size_t n, struct arena *a, struct need **denied,
    size_t *ndenied, struct err *e) MUST_CHECK;

#endif
