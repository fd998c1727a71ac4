/* What the parts of the runtime share. */
#ifndef RBAC_SYNC_RUNTIME_PARTS_H
#define RBAC_SYNC_RUNTIME_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/file.h"
#include "common/map.h"
#include "rbac-sync/intake.h"
#include "rbac-sync/ops.h"
#include "rbac-sync/queue.h"
#include "rbac-sync/reconcile.h"
#include "rbac-sync/roles.h"
#include "rbac-sync/runtime.h"
#include "rbac-sync/selfcheck.h"
#include "rbac-sync/watch.h"

#define THREADS_MAX 64

/* Names of records, each once; zeroed is empty. The lock is the owner's. */
struct names {
	struct map map; /* name → itself, allocated */
};
void names_add(struct names *n, const char *name);
void names_drop(struct names *n, const char *name);
void names_clear(struct names *n);

struct worker_thread {
	struct runtime *runtime;
	struct kube *kube;
	pthread_t thread;
};

struct runtime {
	struct runtime_options o;
	const struct worker_config *c;
	bool open; /* whole, not only begun */
	bool reconciles, takes; /* by mode: works on records; takes events from the spool */

	struct cancel stopping; /* ends requests and waits of all clients but the Lease's */
	atomic_uint renewals; /* of credentials that were asked for: all clients follow it */
	struct kube_gate *gate;
	struct store *store;
	struct queue *queue;
	struct gc *gc;
	struct shared *shared;
	struct drift *drift;
	struct phases *phases;
	struct roles *roles;
	struct templates *templates;
	struct directories *directories;
	struct events *events;
	struct lease *lease;
	struct ops *ops;
	struct intake *intake;
	struct kube *intake_kube;
	struct watch *_Atomic watches[KIND_WATCHED]; /* the keeper adds some while others look */
	struct reconciler rec;
	char *own_namespace; /* of the credentials; or NULL */

	struct worker_thread threads[THREADS_MAX];
	size_t nthreads;

	/* --- between the threads --- */
	atomic_bool leads;  /* as the lease's thread said last */
	atomic_bool acting; /* leads, knows the cluster, and a pass was begun: records may be worked on */
	atomic_bool reload, moved, polled; /* asked for: templates anew; namespaces changed; directories answered */
	_Atomic int64_t max_users, new_users; /* as the templates in force limit the intake; 0: not told yet */
	atomic_bool full;		   /* a pass has become full */
	_Atomic int64_t quiet_until;	   /* clock_mono: the apiserver is in trouble until then */
	atomic_uint troubles;		   /* in a row */
	pthread_mutex_t lock;		   /* of the two below */
	struct names waiting;		   /* records that wait for a namespace */
	struct names holding;		   /* records that wait for the pass to become full */

	/* --- the keeper's alone (runtime_keeper.c) --- */
	struct kube *keeper_kube;
	pthread_t keeper;
	bool kept; /* its thread runs */
	int wake;  /* eventfd */
	struct file_watch *files;
	struct templates_held *candidate; /* read, and waiting for its kinds to be listed; or NULL */
	int64_t looked, refreshed, resynced; /* clock_mono of the last time */
	int64_t checked;		  /* clock_mono before which there is no self-check */
	struct selfcheck found;		  /* by the last one */
	int64_t clock_offset;		  /* wall clock less monotonic clock */
	uint64_t roles_seen;
	unsigned kinds;			  /* that are watched */
	uint8_t selected[SHA256_LEN];	  /* of what the templates' selectors find */
	char blocked_run[GC_RUN_ID_LEN + 1];
	char window[GC_EXPORT_LEN];
	unsigned config_generation;
	atomic_bool denied; /* the last self-check found something missing */
};

/* --- runtime.c --- */
struct kube_options runtime_client(const struct runtime *r);
void runtime_wake(struct runtime *r);

/* --- runtime_work.c --- */
void work_queue_all(struct runtime *r);
enum err_code work_start(struct runtime *r, struct err *e) MUST_CHECK;
void work_stop_all(struct runtime *r);
/* Every record from the start: what is due to whom is to be learned anew. */
void work_begin_pass(struct runtime *r);
/* Queues what waits for a namespace, or for the pass. */
void work_queue_names(struct runtime *r, struct names *n);

/* --- runtime_keeper.c --- */
enum err_code keeper_start(struct runtime *r, struct err *e) MUST_CHECK;
void keeper_stop(struct runtime *r);

/* --- runtime_ready.c --- */
bool runtime_ready(void *ctx, struct buf *lines);
void runtime_gauges(struct runtime *r);
/* Asks whether the worker may do what it needs when that is due; K's thread. C NULL: intake alone. */
void runtime_check(struct runtime *r, struct kube *k, const struct sync_config *c);

#endif
