/* Leader election by a Lease (coordination.k8s.io/v1), as client-go does it: a thread of its own. */
#ifndef RBAC_SYNC_LEASE_H
#define RBAC_SYNC_LEASE_H

#include "common/schema.h"
#include "rbac-sync/kube.h"

struct lease_config {
	bool enabled;
	const char *namespace_, *name, *identity; /* identity NULL: HOSTNAME_UUID */
	int64_t duration, renew_deadline, retry;  /* ns: 15 s, 10 s, 2 s; duration > renew_deadline > 1.2 * retry */
};
extern const struct schema lease_config_schema;

/* Pure core, for tests: what to do on what was read. */
struct lease_view {
	const char *holder, *version; /* holder "": free; version: resourceVersion; NULL: there is no Lease */
	int64_t seen_change;	      /* clock_mono at which we saw the content change last */
	int64_t duration;	      /* ns, as the holder wrote it */
};
enum lease_step { LEASE_STEP_WAIT = 0, LEASE_STEP_CREATE, LEASE_STEP_TAKE, LEASE_STEP_RENEW };
enum lease_step lease_decide(const struct lease_view *v, const char *me, int64_t now);

struct lease;
/* CHANGED is called in the lease's thread when leadership is won or lost. K is the lease's own client (no rate limit). */
enum err_code lease_start(const struct lease_config *c, struct kube *k, void (*changed)(void *ctx, bool leading),
    void *ctx, struct lease **out, struct err *e) MUST_CHECK;
/* Gives the Lease back (holder "", duration 1 s) when it is ours, ends the thread. */
void lease_stop(struct lease **l);

/* True while our last renewal began less than renew_deadline ago on the monotonic clock: then nobody else leads. To be
 * asked before each write; false after a SIGSTOP until the next renewal. Lock-free. */
bool lease_leading(const struct lease *l);
const char *lease_identity(const struct lease *l);
void lease_holder(struct lease *l, char *out, size_t n);

/* Annotations of the Lease: small notes that outlive a leader. Written at the next renewal, by the leader alone. */
#define LEASE_NOTES_MAX 64
void lease_note(struct lease *l, const char *key, const char *value); /* NULL removes */
bool lease_noted(struct lease *l, const char *key, char *out, size_t n); /* as last read */

/* The digest of what this replica works by. The leader notes its own; a standby that works by another notes that
 * (annotation portcullis.dev/dissent), and lease_dissent is true for the leader until it is three durations old. */
void lease_config_hash(struct lease *l, const char *hash);
bool lease_dissent(struct lease *l);

#define NOTE_CONFIG "portcullis.dev/config"
#define NOTE_DISSENT "portcullis.dev/dissent"
#define NOTE_GC_BLOCKED "portcullis.dev/gc-blocked" /* RUN-ID COUNT ALLOWED, set by the leader */
#define NOTE_GC_CONFIRM "portcullis.dev/gc-confirm" /* RUN-ID UNIX-TIME, set by `portcullis sync gc --confirm` */
#define NOTE_DIRECTORY "portcullis.dev/directory."  /* + name: last good count */

#endif
