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

/* Pure: the rules of a Role or ClusterRole, as they stand in it. CLUSTER_WIDE: bound by a ClusterRoleBinding; in a
 * RoleBinding only what reaches beyond the namespace counts. resourceNames lift nothing but "use" of pod security:
 * most of what is refused needs just one name. WHY: the rule and what it gives away, in ARENA; NULL when fine. */
enum role_verdict role_judge(const json_t *role, bool cluster_wide, struct arena *a, const char **why);

#define ROLES_MAX 5000		/* remembered; what is asked about beyond stays unknown */
#define ROLES_STALE 3		/* ages: a verdict that old counts no more when reading fails */
#define ROLES_UNASKED (INT64_C(24) * 3600 * 1000000000) /* ns: what nobody asked about so long is forgotten */
#define ROLES_PACE (INT64_C(250) * 1000000) /* ns that each role adds to the age: thousands leave calls for others */
#define ROLES_DEPTH_MAX 8	/* of roles that aggregate roles that aggregate … */
#define ROLES_SELECTED_MAX 1000 /* by the aggregation of one role */

struct roles; /* thread-safe */
/* Keeps each verdict for MAX_AGE ns. */
struct roles *roles_new(int64_t max_age);
void roles_free(struct roles **r);

/* Reads through K, in the calling thread, what the templates name and what was asked about, when it is older than
 * MAX_AGE or was never read. A role that aggregates is judged with every ClusterRole that it selects, as they are now:
 * before the controller has copied their rules. True when some verdict is other than it was: all records are to be
 * planned again. Trouble of the server leaves verdicts as they are for ROLES_STALE ages, then they are unknown; a
 * refusal (403) makes them unknown at once. */
bool roles_refresh(struct roles *r, struct kube *k, const struct sync_config *c);

/* Reads only what was asked about and never read, such as Roles in namespaces that hang on the user. For a thread that
 * got ROLE_UNKNOWN and would rather know now: to be asked again when roles_version has changed. */
void roles_catch_up(struct roles *r, struct kube *k);

/* All that was read is to be read again at the next refresh; verdicts hold until then. */
void roles_expire(struct roles *r);

/* Grows with each change of a verdict. */
uint64_t roles_version(struct roles *r);

/* Readable when something was asked about that was never read: roles_refresh or roles_catch_up reads it. */
int roles_fd(const struct roles *r);

/* As last read; KIND "ClusterRole" or "Role". What was never read is unknown, and remembered as asked about. */
enum role_verdict roles_look(struct roles *r, const char *namespace_, const char *kind, const char *name,
    bool cluster_wide, struct arena *a, const char **why);

/* Where roles come from: the cluster, or a test. KUBE_OK: *OUT is the caller's. */
struct roles_reader {
	void *ctx;
	/* NAMESPACE NULL: a ClusterRole. */
	enum kube_verdict (*get)(
	    void *ctx, const char *namespace_, const char *name, json_t **out, struct err *why);
	/* ClusterRoles whose labels fit SELECTOR (in the API's words; "" fits all), as an array. */
	enum kube_verdict (*list)(void *ctx, const char *selector, json_t **out, struct err *why);
};
/* As roles_refresh; C NULL: as roles_catch_up. NOW: clock_mono. */
bool roles_read(struct roles *r, const struct roles_reader *from, const struct sync_config *c, int64_t now);

#endif
