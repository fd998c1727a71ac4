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
#define EVENT_DRIFT_REPORTED "DriftReported"
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

#define EVENTS_CONTROLLER API_GROUP "/rbac-sync" /* reportingController */
/* Of events about objects of cluster scope: all apiservers take them there, those before 1.22 nowhere else. */
#define EVENTS_NAMESPACE "kube-system"
#define EVENTS_MAX 1024				  /* that wait, or that go on as a series */
#define EVENTS_NOTE_MAX 1024			  /* bytes; the apiserver takes no more */

struct events;
/* A thread with its own client K (the events' from now on; no gate): EVENTS_MAX that wait, at most 10 a second and
 * 50 at once in all, 25 at once and one each 300 s about one record; the same reason about one record within 600 s
 * becomes a series, whose note is the first one's. INSTANCE (lease_identity) is copied. Events about records go to
 * EVENTS_NAMESPACE, those about the worker to the namespace of its Lease. Needs create and patch of events in the
 * group events.k8s.io. */
struct events *events_start(struct kube *k, const char *instance);
/* Sends what may be sent at once, unless the apiserver is in trouble; ends the thread. */
void events_stop(struct events **e);

/* Which Lease is the worker's, before the first event; without this LEASE_NAME where K is at home. Copied. */
void events_lease(struct events *e, const char *namespace_, const char *name);

/* Never waits for the network; drops are counted (portcullis_sync_kube_events_total). RECORD: name and uid (or NULL)
 * of the record it regards; NULL name: regards nothing but the worker itself (its Lease). REASON: one of the constants
 * above. NOTE is cut at EVENTS_NOTE_MAX, its unprintable bytes become `?`. E NULL: nothing happens. */
void events_emit(struct events *e, const char *record, const char *uid, bool warning, const char *reason,
    const char *note);

#endif
