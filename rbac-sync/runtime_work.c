/* Owns the reconciling threads: keys from the queue, one record at a time, and when it is looked at again. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "rbac-sync/runtime_parts.h"

#define IDLE_PAUSE CLOCK_SECOND /* leading, but not for sure this moment */
#define QUIET_FIRST (CLOCK_SECOND / 4)
#define QUIET_MAX (30 * CLOCK_SECOND)

/* --- names --- */

void names_add(struct names *n, const char *name)
{
	if (map_get(&n->map, slice_of(name)))
		return;
	char *copy = strdup(name);
	if (!copy)
		abort();
	map_put(&n->map, slice_of(copy), copy);
}

void names_drop(struct names *n, const char *name)
{
	free(map_del(&n->map, slice_of(name)));
}

void names_clear(struct names *n)
{
	size_t it = 0;
	struct slice key;
	void *v;
	while (map_next(&n->map, &it, &key, &v))
		free(v);
	map_done(&n->map);
	n->map = (struct map){0};
}

void work_queue_names(struct runtime *r, struct names *n)
{
	size_t it = 0;
	struct slice key;
	void *v;
	pthread_mutex_lock(&r->lock);
	while (map_next(&n->map, &it, &key, &v))
		queue_add(r->queue, v);
	names_clear(n);
	pthread_mutex_unlock(&r->lock);
}

static void note(struct runtime *r, struct names *n, const char *key, bool in)
{
	pthread_mutex_lock(&r->lock);
	if (in)
		names_add(n, key);
	else
		names_drop(n, key);
	pthread_mutex_unlock(&r->lock);
}

void work_queue_all(struct runtime *r)
{
	struct arena a;
	const char **names;
	arena_init(&a, 0);
	size_t n = store_records(r->store, &a, &names);
	for (size_t i = 0; i < n; i++)
		queue_add(r->queue, names[i]);
	n = store_lasts(r->store, &a, &names);
	for (size_t i = 0; i < n; i++)
		queue_add(r->queue, names[i]);
	arena_done(&a);
}

void work_begin_pass(struct runtime *r)
{
	struct arena a;
	const char **names;
	arena_init(&a, 0);
	size_t n = store_records(r->store, &a, &names);
	shared_begin(r->shared, names, n);
	atomic_store(&r->full, n == 0);
	arena_done(&a);
	work_queue_all(r);
}

/* --- one key --- */

/* The apiserver is in trouble: nobody asks it for a while, and what waits is tried again when it is over. */
static void quiet(struct runtime *r, const char *key, int64_t least)
{
	unsigned n = atomic_fetch_add(&r->troubles, 1);
	int64_t pause = QUIET_FIRST, until;
	for (size_t i = 0; i < n / r->nthreads && pause < QUIET_MAX; i++)
		pause *= 2;
	pause = pause > QUIET_MAX ? QUIET_MAX : pause;
	until = clock_mono() + (pause > least ? pause : least);
	if (until > atomic_load(&r->quiet_until))
		atomic_store(&r->quiet_until, until);
	queue_add_at(r->queue, key, until);
}

static int64_t mono_of(int64_t unix_seconds)
{
	int64_t in = unix_seconds - clock_unix();
	/* Beyond a day it is planned anew before: nobody's sum overflows. */
	if (in > 86400)
		in = 86400;
	return clock_mono() + (in > 0 ? in * CLOCK_SECOND : 0) + CLOCK_MS;
}

static void follow(struct runtime *r, const char *key, const struct reconcile_report *rep)
{
	switch (rep->end) {
	case RECONCILE_DONE:
		queue_forget(r->queue, key);
		atomic_store(&r->troubles, 0);
		break;
	case RECONCILE_AGAIN:
		queue_retry(r->queue, key, 0);
		break;
	case RECONCILE_IDLE:
		if (atomic_load(&r->acting))
			queue_add_at(r->queue, key, clock_mono() + IDLE_PAUSE);
		return;
	case RECONCILE_TROUBLE:
		if (rep->failures) {
			atomic_store(&r->troubles, 0);
			queue_retry(r->queue, key, rep->pause);
		} else {
			quiet(r, key, rep->pause);
		}
		break;
	}
	if (rep->next != INT64_MAX)
		queue_add_at(r->queue, key, mono_of(rep->next));
	if (rep->ask != INT64_MAX)
		queue_add_at(r->queue, key, rep->ask);
	note(r, &r->waiting, key, rep->waits);
	note(r, &r->holding, key, rep->holds);
	if (rep->pass_full) {
		atomic_store(&r->full, true);
		runtime_wake(r);
	}
}

static void *work(void *arg)
{
	struct worker_thread *t = arg;
	struct runtime *r = t->runtime;
	char key[QUEUE_KEY_MAX];
	while (queue_take(r->queue, key)) {
		int64_t until = atomic_load(&r->quiet_until);
		if (atomic_load(&r->acting) && clock_mono() < until) {
			queue_add_at(r->queue, key, until);
		} else if (atomic_load(&r->acting)) {
			struct reconcile_report rep;
			reconcile_record(&r->rec, t->kube, key, &rep);
			follow(r, key, &rep);
		}
		queue_done(r->queue, key);
	}
	return NULL;
}

/* --- the threads --- */

/* Nothing is bound where the worker itself lives. */
static void protect_own(struct runtime *r, const struct kube *k)
{
	const char *own = kube_namespace(k);
	r->own_namespace = own ? strdup(own) : NULL; /* the client's goes with its next reload */
	r->rec.rails.own_namespace = r->own_namespace;
}

enum err_code work_start(struct runtime *r, struct err *e)
{
	struct kube_options o = runtime_client(r);
	for (int64_t i = 0; i < r->c->workers && i < THREADS_MAX; i++) {
		struct worker_thread *t = &r->threads[i];
		t->runtime = r;
		TRY(kube_open(&o, &t->kube, e));
		if (i == 0)
			protect_own(r, t->kube);
		if (r->lease)
			lease_guard(r->lease, t->kube);
		if (r->o.once)
			continue;
		if (pthread_create(&t->thread, NULL, work, t) != 0)
			return err_set(e, ERR_INTERNAL, "no thread for the reconcilers");
		r->nthreads++;
	}
	return ERR_OK;
}

void work_stop_all(struct runtime *r)
{
	if (r->queue)
		queue_close(r->queue);
	for (size_t i = 0; i < r->nthreads; i++)
		pthread_join(r->threads[i].thread, NULL);
	for (size_t i = 0; i < THREADS_MAX; i++)
		kube_free(&r->threads[i].kube);
	r->nthreads = 0;
}
