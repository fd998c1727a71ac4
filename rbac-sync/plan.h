/* Which objects an identity is due: a pure function of the event, the templates and the rails. */
#ifndef RBAC_SYNC_PLAN_H
#define RBAC_SYNC_PLAN_H

#include <jansson.h>

#include "rbac-sync/rails.h"
#include "rbac-sync/template.h"

#define PLAN_OBJECTS_MAX 50 /* default of maxBindingsPerUser */

struct plan_object {
	const char *kind;      /* "RoleBinding" or "ClusterRoleBinding" */
	const char *namespace_; /* NULL: cluster scope */
	const char *name;      /* portcullis:<template>:<hash10> */
	const char *template_;
	json_t *body;	       /* the whole desired object; the arena's */
};

/* Something a template asked for and does not get. */
struct plan_refusal {
	const char *template_;
	const char *reason; /* RAIL_… */
	const char *what;   /* a sentence */
};

struct plan {
	struct plan_object *objects;
	size_t len;
	struct plan_refusal *refusals;
	size_t nrefusals;
};

struct plan_limits {
	struct rails rails;
	size_t max_objects; /* what is over is refused, in the order of templates, grants and groups */
};

/* Everything lives in ARENA. The same event and templates give the same plan, whatever the order of
 * the event's groups. */
void plan_make(struct arena *a, const struct sync_config *c, const struct plan_limits *limits,
    const struct spool_event *ev, struct plan *out);

/* What LIVE, the object of that name in the cluster, is to us. */
enum plan_live {
	PLAN_FOREIGN = 0, /* somebody else's, or another role: never touched */
	PLAN_DIFFERS,	  /* ours, to be written */
	PLAN_SAME	  /* nothing to do */
};
enum plan_live plan_compare(const struct plan_object *want, const json_t *live);

#endif
