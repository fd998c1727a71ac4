/* What binding a role would give away: analysis of its rules, and the cluster's roles as last read. */
#ifndef RBAC_SYNC_ROLES_H
#define RBAC_SYNC_ROLES_H

#include <jansson.h>

#include "common/arena.h"
#include "rbac-sync/kube.h"
#include "rbac-sync/template.h"

/* Zero is no permission. */
enum role_verdict {
	ROLE_UNKNOWN = 0, /* could not be read: nothing new is bound, nothing is taken away */
	ROLE_DANGEROUS,
	ROLE_ABSENT,	  /* does not exist: binding it would bind whatever is made under its name later */
	ROLE_FINE
};

/* Pure: the rules of a Role or ClusterRole (aggregation already worked in by the apiserver). CLUSTER_WIDE: bound by a
 * ClusterRoleBinding. WHY: the rule and what it gives away, in ARENA. */
enum role_verdict role_judge(const json_t *role, bool cluster_wide, struct arena *a, const char **why);

struct roles; /* thread-safe */
/* Reads through K on demand, keeps each verdict for MAX_AGE ns. */
struct roles *roles_new(int64_t max_age);
void roles_free(struct roles **r);
/* The roles that templates name are read here, in the calling thread; due_world.role only looks at what was read.
 * True when some verdict is other than it was: all records are to be planned again. */
bool roles_refresh(struct roles *r, struct kube *k, const struct sync_config *c);
enum role_verdict roles_look(struct roles *r, const char *namespace_, const char *kind, const char *name,
    bool cluster_wide, struct arena *a, const char **why);

#endif
