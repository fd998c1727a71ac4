/* Kubernetes events (events.k8s.io/v1) about records: best effort, never in the way of a grant. Thread-safe. */
#ifndef RBAC_SYNC_EVENTS_H
#define RBAC_SYNC_EVENTS_H

#include "rbac-sync/kube.h"
#include "rbac-sync/record.h"

#define EVENT_USER_APPEARED "UserAppeared"
#define EVENT_BINDING_APPLIED "BindingApplied"
#define EVENT_BINDING_REMOVED "BindingRemoved"
#define EVENT_NAMESPACE_CREATED "NamespaceCreated"
#define EVENT_DRIFT_REPAIRED "DriftRepaired"
#define EVENT_DRIFT_FIGHT "DriftFight"
#define EVENT_REFUSED_ROLE "RefusedPrivilegedRole"
#define EVENT_REFUSED "Refused"
#define EVENT_NAMESPACE_COLLISION "NamespaceCollision"
#define EVENT_GRANT_EXPIRED "GrantExpired"
#define EVENT_USER_STALE "UserStale"
#define EVENT_USER_DISABLED "UserDisabled"
#define EVENT_USER_RESTORED "UserRestored"
#define EVENT_GC_BLOCKED "GCBlocked"
#define EVENT_SELF_CHECK_FAILED "SelfCheckFailed"
#define EVENT_DEAD_LETTER "DeadLetter"

struct events;
/* A thread with its own client K (the events' from now on): queue of 1024, at most 10 a second and 50 at once in all,
 * 25 at once and one each 300 s about one record; the same reason about one record within 600 s becomes a series.
 * NAMESPACE: where events of cluster-scoped objects go ("default"). */
struct events *events_start(struct kube *k, const char *instance);
void events_stop(struct events **e);

/* Never blocks. RECORD: name and uid of the record it regards; NULL name: regards nothing but the worker itself (its
 * Lease). NOTE at most 1024 bytes, cut. Drops are counted. */
void events_emit(struct events *e, const char *record, const char *uid, bool warning, const char *reason,
    const char *note);

#endif
