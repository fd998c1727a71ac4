/* What a user is due: a pure function of record, templates, roles, namespaces and time. */
#ifndef RBAC_SYNC_DUE_H
#define RBAC_SYNC_DUE_H

#include "rbac-sync/rails.h"
#include "rbac-sync/record.h"
#include "rbac-sync/roles.h"
#include "rbac-sync/selector.h"
#include "rbac-sync/template.h"

#define DUE_OBJECTS_MAX 50 /* default of maxBindingsPerUser */
#define DUE_UNKNOWN_MAX ROLES_MAX /* objects that hang on a role of which nothing is known: more are not looked for */
#define DUE_REFUSALS_MAX 50 /* told of one user; what is over is left out, unless it is transient */

/* One object that should be. Everything lives in one arena. */
struct desired {
	struct object_id id;
	const char *template_;
	json_t *body;		/* whole, as it is applied; ownerReferences are added by the executor */
	char hash[17];		/* of the body: annotation spec-hash */
	const char *owner;	/* key of the user's record, or of the group (pattern_group_key) */
	/* Key of whose namespace it must be in, when a hash in its name or the template that makes it says so; or NULL. */
	const char *place_owner;
	bool shared;		/* a Group's: due to every member, goes with the last */
	bool adopt;		/* a namespace that may have been there before */
	bool orphan;		/* a namespace that is left when its user goes */
	bool prune;		/* may be removed when it is no longer due */
	enum drift_mode drift;
	int64_t expires;	/* unix seconds; 0: none */
	const char *const *labels; /* further label keys that count in object_digest, NULL-ended; or NULL */
};

/* Something a template asked for and does not get. */
struct due_refusal {
	const char *template_;
	const char *reason; /* RAIL_… */
	const char *what;   /* a sentence */
	bool transient;	    /* not known yet (a role that could not be read): what exists stays as it is */
	struct object_id id;	/* of the object, when it is known; name NULL otherwise */
	const char *owner;	/* of a transient one that is shared: key of its group; or NULL */
};

struct due {
	struct desired *objects; /* sorted by id */
	size_t len;
	struct due_refusal *refusals;
	size_t nrefusals;
	int64_t next; /* unix seconds at which time alone changes it; INT64_MAX: never */
};

/* What it reads beside the record. All functions are pure for the caller: same answers during one call. */
struct due_world {
	const struct sync_config *config;
	const struct rails *rails;
	size_t max_objects; /* what is over is refused, in the order of templates, grants and groups */
	bool allow_privileged; /* --allow-privileged-grants */
	int64_t now; /* unix seconds */
	void *ctx;
	/* Names of namespaces that fit; sorted. NULL function: none known. */
	size_t (*namespaces)(void *ctx, const struct selector *sel, struct arena *a, const char ***out);
	/* Verdict on a role; NULL function: all are fine. WHY: a sentence for a refusal, in ARENA. */
	enum role_verdict (*role)(void *ctx, const char *namespace_, const char *kind, const char *name,
	    bool cluster_wide, struct arena *a, const char **why);
	/* Is what stands in the inventory there? Asked for groups that are remembered as lost. NULL: all is. */
	bool (*stands)(void *ctx, const struct object_id *id);
};

/* In place of a provider's name on what belongs to a template: no provider is called that. */
#define DUE_PROVIDER_ANY "*"
/* The key of a template, whose are the objects that all share. */
void due_template_key(const char *template_, char out[SPOOL_KEY_LEN + 1]);

/* What a binding's name is made of. */
struct due_name {
	struct slice provider;
	enum subject_kind kind;
	struct slice subject;
	const char *role_kind, *role; /* "ClusterRole" or "Role" */
	const char *namespace_;	      /* NULL: cluster scope */
};

/* portcullis:<template>:<hash10>: 50 bits over whom, which role and where: another role gives another name, so that a
 * roleRef, which is immutable, never needs to change. In ARENA. */
const char *due_name(struct arena *a, const char *template_, const struct due_name *n);

/* Everything lives in ARENA. The order of the record's groups does not matter. Those that it lost (record.lost) count for
 * nothing; where that is not SURE, what they gave and what stands is due still: a memory gives nothing back, and takes
 * nothing away. Grants that have ended or not begun
 * (startTime, endTime, ttl, schedule; record.expires_at ends all) are not in it; NEXT says when to ask again. A
 * grant ends 60 seconds late and begins on time, so that clocks may differ. Phase and state are the caller's affair
 * (lifecycle.h): this is asked for users that should have something. */
void due_make(struct arena *a, const struct record *r, const struct due_world *w, struct due *out);

#endif
