/* Owns the worker's parts: opens them in the order in which they need each other, and ends them in the other one. */
#include "rbac-sync/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/runtime_parts.h"

#define ROLE_AGE (60 * CLOCK_SECOND)
#define CHECK_AGAIN (30 * CLOCK_SECOND) /* while rights are missing, or nobody could say */
#define RETRY_MAX (1000 * CLOCK_SECOND) /* as client-go's queues have it */
#define RETRY_FIRST (5 * CLOCK_MS)

struct kube_options runtime_client(const struct runtime *r)
{
	return (struct kube_options){
	    .path = r->c->kubeconfig,
	    .context = r->c->context,
	    .timeout_ms = r->c->request_timeout / CLOCK_MS,
	    .gate = r->gate,
	    /* Of --once it is the calling thread that asks. */
	    .cancel = r->o.once && r->o.stop ? r->o.stop : &r->stopping,
	    .renewals = &r->renewals,
	    .dry_run = r->o.dry_run,
	};
}

void runtime_wake(struct runtime *r)
{
	uint64_t one = 1;
	if (r->wake >= 0 && write(r->wake, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

/* --- what others tell --- */

static void queue_group(struct runtime *r, const char *owner)
{
	struct arena a;
	const char **names;
	arena_init(&a, 0);
	size_t n = shared_members(r->shared, owner, &a, &names);
	for (size_t i = 0; i < n; i++)
		queue_add(r->queue, names[i]);
	arena_done(&a);
}

/* From the threads of the watches. A label may hold anything: only what we know is looked at. */
static void store_moved(void *ctx, enum object_kind kind, const char *record)
{
	struct runtime *r = ctx;
	if (kind == KIND_USER_RECORD && r->intake)
		intake_seen(r->intake, record);
	if (!r->reconciles || r->o.once)
		return;
	if (!record) {
		atomic_store(&r->moved, true);
		runtime_wake(r);
	} else if (kind == KIND_USER_RECORD || store_knows(r->store, record)) {
		queue_add(r->queue, record);
	} else {
		queue_group(r, record);
	}
}

static void leadership(void *ctx, bool leading)
{
	struct runtime *r = ctx;
	atomic_store(&r->leads, leading);
	if (!leading)
		atomic_store(&r->acting, false); /* at once; the keeper tidies up */
	runtime_wake(r);
}

static void directories_moved(void *ctx)
{
	struct runtime *r = ctx;
	atomic_store(&r->polled, true);
	runtime_wake(r);
}

static void event_died(void *ctx, const char *key, const char *why)
{
	const struct runtime *r = ctx;
	events_emit(r->events, key, NULL, true, EVENT_DEAD_LETTER, why);
}

/* --- opening --- */

static enum err_code open_reconciler(struct runtime *r, struct diags *d, struct err *e)
{
	const struct worker_config *c = r->c;
	if (templates_new(c->templates, &r->templates, d) != ERR_OK)
		return diags_to_err(d, e);
	r->queue = queue_new(RETRY_FIRST, RETRY_MAX);
	r->gc = gc_new(&c->gc.limits);
	r->shared = shared_open();
	r->drift = drift_new(DRIFT_PER_MINUTE, DRIFT_COOL_DOWN);
	r->phases = phases_new();
	r->roles = roles_new(ROLE_AGE);
	gc_hold(r->gc, "not the leader");
	store_keep_last(r->store);
	r->rec = (struct reconciler){
	    .store = r->store,
	    .templates = r->templates,
	    .shared = r->shared,
	    .gc = r->gc,
	    .drift = r->drift,
	    .phases = r->phases,
	    .roles = r->roles,
	    .rails = {NULL, c->protected_namespaces.items, c->protected_namespaces.len},
	    .life = c->gc.life,
	    .directory_configs = &c->directories,
	    .max_objects = (size_t)c->max_bindings,
	    .allow_privileged = r->o.allow_privileged,
	    .dry_run = r->o.dry_run,
	};
	return ERR_OK;
}

static enum err_code open_intake(struct runtime *r, struct err *e)
{
	struct kube_options o = runtime_client(r);
	o.manager = KUBE_INTAKE_MANAGER;
	if (r->o.stop)
		o.cancel = r->o.stop; /* in the main thread, which stops the others only after it */
	TRY(kube_open(&o, &r->intake_kube, e));
	TRY(intake_new(r->c, r->intake_kube, r->store, r->o.stop, &r->intake, e));
	const struct intake_hooks hooks = {.ctx = r, .dead = event_died};
	intake_hook(r->intake, &hooks);
	return ERR_OK;
}

/* Intake alone: the records are watched to see what became of them. */
static enum err_code watch_records(struct runtime *r, struct err *e)
{
	struct kube_options o = runtime_client(r);
	struct kube *k;
	TRY(kube_open(&o, &k, e));
	r->watches[KIND_USER_RECORD] = watch_start(k, r->store, KIND_USER_RECORD, NULL);
	return ERR_OK;
}

/* The Lease has a client of its own: no gate holds it up, and the end of the others does not cancel its last write. */
static enum err_code start_lease(struct runtime *r, struct err *e)
{
	struct kube_options o = runtime_client(r);
	struct kube *k = NULL;
	o.gate = NULL;
	o.cancel = NULL;
	o.timeout_ms = lease_timeout(&r->c->lease, r->c->request_timeout) / CLOCK_MS;
	if (r->c->lease.enabled)
		TRY(kube_open(&o, &k, e));
	TRY(lease_start(&r->c->lease, k, leadership, r, &r->lease, e));
	r->rec.lease = r->lease;
	return ERR_OK;
}

static enum err_code start_events(struct runtime *r, struct err *e)
{
	struct kube_options o = runtime_client(r);
	struct kube *k;
	o.gate = NULL;
	TRY(kube_open(&o, &k, e));
	r->events = events_start(k, lease_identity(r->lease));
	if (r->c->lease.enabled)
		events_lease(r->events, lease_namespace(&r->c->lease, k), r->c->lease.name);
	r->rec.events = r->events;
	return ERR_OK;
}

static enum err_code start_threads(struct runtime *r, struct err *e)
{
	if (r->reconciles) {
		TRY(start_lease(r, e));
		TRY(start_events(r, e));
		if (r->c->directories.len)
			r->directories = directories_start(&r->c->directories, directories_moved, r);
		r->rec.directories = r->directories;
		TRY(work_start(r, e));
		TRY(keeper_start(r, e));
	} else {
		TRY(watch_records(r, e));
	}
	return r->c->ops.present ? ops_start(&r->c->ops, runtime_ready, r, &r->ops, e) : ERR_OK;
}

static enum err_code open_all(struct runtime *r, struct diags *d, struct err *e)
{
	const struct worker_config *c = r->c;
	pthread_mutex_init(&r->lock, NULL);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->takes = c->mode != MODE_RECONCILE && !r->o.dry_run;
	r->reconciles = c->mode != MODE_INTAKE;
	r->gate = kube_gate_new((double)c->requests.qps, (unsigned)c->requests.burst);
	r->store = store_new(store_moved, r);
	if (r->reconciles)
		TRY(open_reconciler(r, d, e));
	if (r->takes)
		TRY(open_intake(r, e));
	if (r->o.once)
		return r->reconciles ? work_start(r, e) : ERR_OK;
	return start_threads(r, e);
}

enum err_code runtime_new(
    const struct runtime_options *o, struct runtime **out, struct diags *d, struct err *e)
{
	struct runtime *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->o = *o;
	r->c = o->config;
	r->wake = -1;
	cancel_init(&r->stopping);
	enum err_code rc = open_all(r, d, e);
	r->open = rc == ERR_OK;
	if (rc != ERR_OK)
		runtime_stop(&r);
	*out = r;
	return rc;
}

/* --- the end --- */

static void free_parts(struct runtime *r)
{
	intake_free(&r->intake);
	kube_free(&r->intake_kube);
	roles_free(&r->roles);
	phases_free(&r->phases);
	drift_free(&r->drift);
	shared_close(&r->shared);
	gc_free(&r->gc);
	queue_free(&r->queue);
	templates_free(&r->templates);
	store_free(&r->store);
	kube_gate_free(&r->gate);
	free(r->own_namespace);
	names_clear(&r->waiting);
	names_clear(&r->holding);
	pthread_mutex_destroy(&r->lock);
	cancel_done(&r->stopping);
	if (r->wake >= 0)
		close(r->wake);
	free(r);
}

void runtime_stop(struct runtime **rp)
{
	struct runtime *r = TAKE(*rp);
	if (!r)
		return;
	atomic_store(&r->acting, false);
	cancel_ask(&r->stopping);
	for (size_t k = 0; k < KIND_WATCHED; k++)
		watch_quit(r->watches[k]);
	ops_stop(&r->ops);
	work_stop_all(r);
	keeper_stop(r);
	for (size_t k = 0; k < KIND_WATCHED; k++) {
		struct watch *w = atomic_exchange(&r->watches[k], NULL);
		watch_stop(&w);
	}
	directories_stop(&r->directories);
	events_stop(&r->events);
	if (r->open)
		runtime_write_metrics(r); /* all is counted */
	lease_stop(&r->lease); /* last: nobody else may lead while we might still write */
	free_parts(r);
}

/* --- the main thread's share --- */

void runtime_check(struct runtime *r, struct kube *k, const struct sync_config *c)
{
	struct err e;
	if (clock_mono() < r->checked)
		return;
	r->checked = clock_mono() + CHECK_AGAIN;
	if (selfcheck_run(k, r->c, c, &r->found, &e) != ERR_OK)
		return;
	atomic_store(&r->denied, r->found.denied > 0);
	if (r->found.denied)
		events_emit(r->events, NULL, NULL, true, EVENT_SELF_CHECK_FAILED, r->found.text);
	else
		r->checked = INT64_MAX;
}

void runtime_run(struct runtime *r)
{
	int64_t max_users = atomic_load(&r->max_users);
	if (!r->intake)
		return;
	if (!r->reconciles && !r->o.once)
		runtime_check(r, r->intake_kube, NULL); /* else the keeper asks for both halves */
	if (max_users)
		intake_limit(r->intake, max_users, atomic_load(&r->new_users));
	intake_run(r->intake);
}

int64_t runtime_pause(const struct runtime *r)
{
	return r->intake ? intake_pause(r->intake) : 60 * CLOCK_SECOND;
}

int runtime_fd(const struct runtime *r)
{
	return r->intake ? intake_fd(r->intake) : -1;
}

void runtime_reload(struct runtime *r)
{
	struct err e;
	atomic_fetch_add(&r->renewals, 1);
	if (r->intake) {
		if (kube_reload(r->intake_kube, &e) != ERR_OK)
			log_error("kubeconfig rejected, the last good one stays", LOG_STR("reason", e.msg));
		if (!r->reconciles)
			r->checked = 0;
		intake_retry_now(r->intake);
	}
	atomic_store(&r->reload, true);
	runtime_wake(r);
}

enum err_code runtime_revive(struct runtime *r, struct err *e)
{
	return r->intake ? intake_revive(r->intake, e) : ERR_OK;
}

void runtime_write_metrics(struct runtime *r)
{
	runtime_gauges(r);
	if (!r->c->metrics_file || r->o.dry_run)
		return; /* of a dry run nobody wants to take them for the worker's */
	struct buf text;
	struct err e;
	buf_init(&text, (size_t)4 << 20);
	metrics_write(&text);
	if (file_write_atomic(r->c->metrics_file, text.p, text.len, 0644, &e) != ERR_OK)
		log_warn("metrics file not written", LOG_STR("reason", e.msg));
	buf_done(&text);
}
