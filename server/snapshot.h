/* Everything a request needs to know, built whole and then published: configuration, authenticators, policy,
 * TLS credentials, the logs it writes to. A request holds one snapshot from its first byte to its last. */
#ifndef SERVER_SNAPSHOT_H
#define SERVER_SNAPSHOT_H

#include <pthread.h>
#include <stdatomic.h>

#include "audit/audit.h"
#include "authn/authn.h"
#include "common/spool.h"
#include "policy/policy.h"
#include "server/config.h"
#include "server/served.h"
#include "server/tls.h"

/* A counted owner of one object that several snapshots share. */
struct shared {
	atomic_uint refs;
	void *obj;
	void (*destroy)(void *obj);
};

/* Takes OBJ over; NULL gives NULL. */
struct shared *shared_new(void *obj, void (*destroy)(void *obj));
struct shared *shared_ref(struct shared *s); /* NULL stays NULL */
void shared_unref(struct shared **s);

enum snapshot_part {
	PART_CONFIG,
	PART_AUTHN,
	PART_POLICY,
	PART_SHADOW, /* the second policy, which decides nothing */
	PART_AUDIT,
	PART_SPOOL,
	PART_COUNT
};
enum snapshot_tls { TLS_WEBHOOK, TLS_LOGIN, TLS_COUNT };

/* The parts as counted owners: what the builder keeps and exchanges one by one. */
struct snapshot_parts {
	struct shared *part[PART_COUNT];
	struct tls_creds *tls[TLS_COUNT];
};

struct snapshot {
	atomic_uint refs;
	struct snapshot_parts parts;
	/* Borrowed from the parts. */
	const struct config *config;
	const struct authn_chain *authn;
	const struct policy *policy; /* NULL: none could be loaded, access reviews get 503 */
	const struct served_policy *served; /* the same with its origin */
	const struct served_policy *shadow; /* NULL: none */
	struct audit_log *audit;     /* NULL: none configured */
	struct spool_writer *spool;  /* NULL: none configured */
};

/* Where the current snapshot hangs. */
struct snapshots {
	pthread_mutex_t lock;
	struct snapshot *current;
};

void snapshots_init(struct snapshots *s);
void snapshots_done(struct snapshots *s); /* nobody may hold one any more */

/* Publishes a snapshot of PARTS (a reference to each is taken) for all that acquire from now on. */
void snapshot_publish(struct snapshots *s, const struct snapshot_parts *parts);

/* The same in two steps: between them all who acquire wait, so that what is said there stands before
 * whatever is done with the new snapshot. Nothing slow may be done meanwhile. */
void snapshots_hold(struct snapshots *s);
void snapshot_publish_held(struct snapshots *s, const struct snapshot_parts *parts);

/* Never NULL after the first publication. Thread-safe; each acquire needs its release. */
struct snapshot *snapshot_acquire(struct snapshots *s);
void snapshot_release(struct snapshot **s);

#endif
