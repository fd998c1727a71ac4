/* UserRecord (portcullis.dev/v1alpha1, cluster scope): one user as the cluster knows them. SPEC is written by
 * the intake (identity) and by admins (state, expiresAt, keep); STATUS by the reconciler alone. */
#ifndef RBAC_SYNC_RECORD_H
#define RBAC_SYNC_RECORD_H

#include <jansson.h>

#include "common/arena.h"
#include "common/err.h"
#include "common/spool.h"
#include "rbac-sync/object.h"

#define RECORD_KIND "UserRecord"
/* What the provider's name leaves of itself in a label's value: to select by. */
#define LABEL_PROVIDER "portcullis.dev/provider"

/* crd.yaml says the same. What an identity may hold is bounded by SPOOL_EVENT_MAX too. */
#define RECORD_GROUPS_MAX 10000
#define RECORD_EXTRA_MAX 128
#define RECORD_VALUES_MAX 1000	 /* of one extra key */
#define RECORD_BINDINGS_MAX 1000 /* of one inventory */
#define RECORD_NODES_MAX 16
#define RECORD_CONDITIONS_MAX 16

enum record_state { RECORD_STATE_UNSET = 0, RECORD_STATE_ACTIVE, RECORD_STATE_SUSPENDED };

enum record_phase {
	PHASE_PENDING = 0, /* nothing is settled yet */
	PHASE_READY,	   /* has what is due */
	PHASE_DEGRADED,	   /* some of it was refused or failed: see the conditions */
	PHASE_STALE,	   /* not seen for staleAfter; nothing is removed */
	PHASE_DISABLED,	   /* grants removed, record and namespaces kept */
	PHASE_DELETED	   /* about to go */
};
const char *record_phase_name(enum record_phase p); /* "Pending" … */

/* One entry of status.bindings: an object that we made for this record. */
struct record_binding {
	struct object_id id;
	const char *uid;       /* of the object as we last saw it */
	const char *template_;
	const char *hash;      /* of what was applied (annotation spec-hash) */
	const char *live;      /* object_digest, hex, of what the apiserver answered to that: defaults included */
	int64_t expires;       /* unix seconds; 0: none */
	const char *successor; /* name of what came in its place while it could not go yet; or NULL */
};

/* One entry of status.lostGroups: a group that the identity claims and a directory denied. */
struct record_lost {
	struct slice group;
	int64_t since;	       /* unix seconds */
	const char *directory; /* which; or NULL */
	bool sure;	       /* a directory says so now; never written, and false when read */
};

struct record_condition {
	const char *type;   /* Ready, Refused, Conflict, Drift, GCBlocked, GroupsLost */
	bool status;
	const char *reason; /* CamelCase */
	const char *message;
	int64_t since;	    /* lastTransitionTime, unix seconds */
};

/* All text lives in one arena. */
struct record {
	const char *name; /* spool_key of provider and username */
	const char *uid, *resource_version;
	int64_t generation, created; /* created: unix seconds */
	bool deleting, keep_label;
	/* spec: identity.seen_at is observedAt, identity.iat iat, identity.node observedBy, the node that told last */
	struct spool_event identity;
	enum record_state state;
	int64_t expires_at; /* unix seconds; 0: never */
	bool keep;
	/* status */
	enum record_phase phase;
	int64_t first_seen, last_seen, missing_since, disabled_at, disable_after, delete_after; /* 0: unset */
	const struct slice *nodes;
	size_t nnodes;
	const struct record_binding *bindings;
	size_t nbindings;
	const struct record_condition *conditions;
	size_t nconditions;
	const struct record_lost *lost; /* sorted by group */
	size_t nlost;
	int64_t observed_generation;
	const char *observed_digest;	/* hex spool_digest of the identity that the status is about; or NULL */
	const char *templates_digest;	/* of the SyncConfig that the status is about; or NULL */
};

/* Reads OBJECT into ARENA. Strict where a decision hangs on it: name must be the key of the identity, types must
 * fit, limits hold; unknown members are ignored. ERR_INVALID with a sentence. */
enum err_code record_read(
    const json_t *object, struct arena *a, struct record *out, struct err *e) MUST_CHECK;

/* What the inventory of OBJECT names, as far as it can be read, though the rest of OBJECT may not be: what stands there
 * is not to be taken from under it. */
size_t record_claims(const json_t *object, struct arena *a, struct object_id **out);

/* What the intake applies for EV: apiVersion, kind, metadata (name, labels), spec.identity, observedAt, iat,
 * observedBy. No state, expiresAt, keep: those are the admins'. The caller owns the result. */
json_t *record_spec(const struct spool_event *ev);

/* Merge between replicas, pure. */
enum record_merge {
	MERGE_DROP = 0, /* what stands there is newer */
	MERGE_SAME,	/* nothing to write */
	MERGE_WRITE
};
/* By iat (a token issued earlier knows older groups) where both sides know it, then by observedAt. TOUCH: seconds by
 * which observedAt must have moved to be worth a write when nothing else changed. A newer iat always is: else a
 * third token, issued between the two, could come last and win. */
enum record_merge record_merge(const struct record *stored, const struct spool_event *ev, int64_t touch);

/* R's inventory entry for the object ID, and R's condition TYPE when it is STATUS. R's own; NULL: there is none. */
const struct record_binding *record_binding_of(const struct record *r, const struct object_id *id);
const struct record_condition *record_condition_of(const struct record *r, const char *type, bool status);

/* The entry of R's lost groups for GROUP; NULL: it is not lost. */
const struct record_lost *record_lost(const struct record *r, struct slice group);

/* The status of R as JSON for a merge patch of /status, with metadata.resourceVersion when it is set; the caller
 * owns it. Members that are unset are null: the patch removes them. */
json_t *record_status(const struct record *r);

/* The same status, whatever the order of conditions: then no write is needed. */
bool record_status_eq(const struct record *a, const struct record *b);

#endif
