/* One record from what it is to what it has: plan, write, remove, tell. */
#ifndef RBAC_SYNC_RECONCILE_H
#define RBAC_SYNC_RECONCILE_H

#include "rbac-sync/directory.h"
#include "rbac-sync/drift.h"
#include "rbac-sync/events.h"
#include "rbac-sync/gc.h"
#include "rbac-sync/lease.h"
#include "rbac-sync/phases.h"
#include "rbac-sync/shared.h"
#include "rbac-sync/templates.h"

/* What all reconciling threads share; does not change while they run. */
struct reconciler {
	struct store *store;
	struct templates *templates;
	struct shared *shared;
	struct gc *gc;
	struct drift *drift;
	struct phases *phases;
	struct roles *roles;		 /* NULL: roles are not looked into */
	struct directories *directories; /* NULL: nobody asks them here */
	const struct object_list *directory_configs; /* struct directory_config; NULL: there are none */
	struct events *events;		 /* or NULL */
	struct lease *lease;		 /* NULL: nobody else works here (--once) */
	struct rails rails;
	struct lifecycle_config life;
	size_t max_objects;
	bool allow_privileged;
	bool dry_run; /* the clients ask with dryRun=All: no status, no events, objects are printed */
};

enum reconcile_end {
	RECONCILE_TROUBLE = 0, /* refused, or the apiserver is in trouble: again, with growing pauses */
	RECONCILE_AGAIN,       /* at once: what was known of the record was old */
	RECONCILE_IDLE,	       /* not the leader: nothing was done, or no more */
	RECONCILE_DONE
};

struct reconcile_report {
	enum reconcile_end end;
	int64_t pause;	/* ns to wait at least before it is tried again */
	int64_t next;	/* unix seconds at which time alone changes something; INT64_MAX: never */
	int64_t ask;	/* clock_mono at which to ask again for removals; INT64_MAX: not to be asked */
	bool waits;	/* for a namespace: to be tried when namespaces change */
	bool blocked;	/* removals are over the limit */
	bool holds;	/* something shared until a pass is full */
	bool pass_full; /* the last record of a pass was heard of: what was held back may go */
	size_t failures; /* objects that are not as they should be, rails and drift apart */
};

/* Works on the record KEY through K; any number of threads at once, each on another key and with its own K. Asks
 * lease_leading before each write.
 *
 * No crash orphans an object: what is about to be created is written to status.bindings first, without a uid, over
 * the resourceVersion that was read. Wherever death comes, the next pass finds each object either in the inventory
 * with its uid, or named there without one; then the object at that place, when it bears the marks of this very
 * owner, is taken into the inventory, and goes by the same rules as all others. Recovering by marks alone, without
 * the intent, would cost one write less for each new user; but an object that ceased to be due before the restart
 * would then be in no inventory, and what is in none is never removed. */
void reconcile_record(
    const struct reconciler *r, struct kube *k, const char *key, struct reconcile_report *out);

#endif
