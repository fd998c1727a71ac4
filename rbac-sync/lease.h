/* Leader election by a Lease (coordination.k8s.io/v1), as client-go does it: a thread of its own. */
#ifndef RBAC_SYNC_LEASE_H
#define RBAC_SYNC_LEASE_H

#include "common/schema.h"
#include "rbac-sync/kube.h"

#define LEASE_DURATION_MAX (3600 * CLOCK_SECOND) /* no worker is configured to hold it for longer */
#define LEASE_NAME "portcullis-rbac-sync"
#define LEASE_NAMESPACE "portcullis-system" /* where neither the configuration nor the credentials name one */

struct lease_config {
	bool enabled;
	const char *namespace_, *name; /* namespace_ NULL: see lease_namespace */
	const char *identity;	       /* NULL: HOSTNAME_UUID; for tests: two of one name would both lead */
	int64_t duration, renew_deadline, retry; /* ns: 15 s, 10 s, 2 s; duration > renew_deadline > 1.2 * retry */
};
extern const struct schema lease_config_schema;

/* The configured namespace, or that of K's credentials, or LEASE_NAMESPACE. */
const char *lease_namespace(const struct lease_config *c, const struct kube *k);

/* Nanoseconds that one exchange of the lease's client may take, so that a hanging one costs no leadership: half of
 * what is left of the deadline after one pause, and of TIMEOUT at most. */
int64_t lease_timeout(const struct lease_config *c, int64_t timeout);

/* Pure core, for tests: what to do on what was read. Times are clock_boot: a machine that slept has no lease left. */
struct lease_view {
	const char *holder, *version; /* holder "" or NULL: nobody; version: resourceVersion; NULL: there is no Lease */
	int64_t seen_change;	      /* clock_boot at which we saw the content change last */
	int64_t duration;	      /* ns, as the holder wrote it */
};
enum lease_step { LEASE_STEP_WAIT = 0, LEASE_STEP_CREATE, LEASE_STEP_TAKE, LEASE_STEP_RENEW };
/* A free Lease is taken at once, another's when it did not change for its duration; so is one that is missing. */
enum lease_step lease_decide(const struct lease_view *v, const char *me, int64_t now);

struct lease;
/* CHANGED (or NULL) is called in the lease's thread when leadership is won or lost, and must not wait for long: it
 * holds up the renewals. K is the lease's own client from now on, also on an error: no gate, no cancel (the last
 * write gives the Lease back), a timeout of lease_timeout. C must outlive the lease. Not enabled: no thread, K may
 * be NULL; it leads from the start to the end, and CHANGED is called before this returns. */
enum err_code lease_start(const struct lease_config *c, struct kube *k, void (*changed)(void *ctx, bool leading),
    void *ctx, struct lease **out, struct err *e) MUST_CHECK;
/* Gives the Lease back (holder "", duration 1 s) when it is ours, ends the thread; takes two timeouts at most. Whoever
 * writes must have stopped before: others lead at once. */
void lease_stop(struct lease **l);

/* True while our last renewal began less than renew_deadline ago: then nobody else leads. To be asked before each
 * write; false after a SIGSTOP or a sleep until the next renewal. Lock-free. */
bool lease_leading(const struct lease *l);
/* From now on K writes only while L leads, as seen right before a request leaves, and gives up a write under way when
 * others may lead: what waited at the gate or was stopped in the middle does not write afterwards. Before L ends, K
 * must. */
void lease_guard(struct lease *l, struct kube *k);
const char *lease_identity(const struct lease *l);
/* False when the last exchange about the Lease went well; else since when (wall clock, ns) they fail, and why. */
bool lease_trouble(struct lease *l, int64_t *since, struct err *why);
/* Who leads, as last seen; "" for nobody. */
void lease_holder(struct lease *l, char *out, size_t n);

/* Annotations of the Lease: small notes that outlive a leader. Written at the next renewal, by the leader alone: what
 * others note is dropped, and what was not written when leadership is lost. Thread-safe. */
#define LEASE_NOTES_MAX 64
#define LEASE_NOTE_BYTES_MAX 1024 /* of a value; a longer one is dropped */
void lease_note(struct lease *l, const char *key, const char *value); /* NULL removes */
bool lease_noted(struct lease *l, const char *key, char *out, size_t n); /* as last read; false: none, or longer than N */

/* The digest of what this replica works by, one word of at most 127 bytes. The leader notes its own; a standby that
 * works by another notes that (annotation portcullis.dev/dissent), and lease_dissent is true for the leader until
 * it is three durations old. It is also true while that cannot be told: not leading, no digest set, leading, or by
 * this digest, for less than one duration. Without election nobody can dissent. */
void lease_config_hash(struct lease *l, const char *hash);
bool lease_dissent(struct lease *l);

#define NOTE_CONFIG "portcullis.dev/config"
#define NOTE_DISSENT "portcullis.dev/dissent" /* HASH IDENTITY TIME */
#define NOTE_GC_BLOCKED "portcullis.dev/gc-blocked" /* RUN-ID COUNT ALLOWED, set by the leader */
#define NOTE_GC_CONFIRM "portcullis.dev/gc-confirm" /* RUN-ID UNIX-TIME, set by `portcullis sync gc --confirm` */
#define NOTE_DIRECTORY "portcullis.dev/directory."  /* + name: last good count */

#endif
