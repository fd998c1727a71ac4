/* Owns the worker without threads: one pass to its end, dry runs, and the printing of what would be due. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "rbac-sync/needs.h"
#include "rbac-sync/runtime_parts.h"

#define ROUNDS_MAX 8 /* of what is to be asked again: the limits on removals, a full pass, a conflict */
#define ASK_MAX (10 * CLOCK_SECOND)

static bool stopped(const struct runtime *r)
{
	return cancel_asked(r->o.stop);
}

static enum err_code list_kinds(struct runtime *r, unsigned kinds, struct err *e)
{
	for (enum object_kind k = 0; k < KIND_WATCHED; k++) {
		bool ours = k != KIND_USER_RECORD && k != KIND_NAMESPACE;
		if (kinds & 1U << k)
			TRY(watch_list_once(r->threads[0].kube, r->store, k,
			    ours ? LABEL_MANAGED_BY "=" MANAGED_BY : NULL, e));
	}
	return ERR_OK;
}

/* --- events of the spool in a dry run: nothing is claimed --- */

struct dry {
	struct runtime *r;
	size_t refused;
};

/* The record as it would be: from the apiserver, which writes nothing. */
static void pretend(void *ctx, const char *key, const struct spool_event *ev)
{
	struct dry *dry = ctx;
	struct runtime *r = dry->r;
	struct arena a;
	struct kube_answer got;
	const struct object_id id = {KIND_USER_RECORD, NULL, key};
	json_t *record = record_spec(ev);
	arena_init(&a, 0);
	kube_apply(r->threads[0].kube, object_path(&a, &id), record, NULL, &got);
	if (got.verdict == KUBE_OK) {
		store_put(r->store, KIND_USER_RECORD, got.body);
	} else {
		dry->refused++;
		log_warn("no record would be made", LOG_SLICE("user", ev->username), LOG_STR("reason", got.why.msg));
	}
	kube_answer_done(&got);
	json_decref(record);
	arena_done(&a);
}

static bool take_events(struct runtime *r, struct err *e)
{
	if (r->intake) {
		struct templates_held *held = templates_hold(r->templates);
		intake_limit(r->intake, held->config->limits.max_users, held->config->limits.max_new_users);
		templates_let(r->templates, &held);
		bool all = intake_drain(r->intake);
		/* What the drain wrote, as the apiserver has it. */
		return list_kinds(r, 1U << KIND_USER_RECORD, e) == ERR_OK && all;
	}
	if (!r->o.dry_run || r->c->mode == MODE_RECONCILE)
		return true;
	struct dry dry = {r, 0};
	size_t invalid;
	return spool_each(r->c->spool_dir, pretend, &dry, &invalid, e) == ERR_OK && !dry.refused;
}

/* --- one pass --- */

struct pass {
	struct runtime *r;
	struct names again; /* to be looked at in the next round */
	int64_t until;	    /* clock_mono of the earliest of those that wait for limits */
	size_t failures;
	bool trouble;
};

static void one(struct pass *p, const char *key)
{
	struct reconcile_report rep;
	reconcile_record(&p->r->rec, p->r->threads[0].kube, key, &rep);
	bool ask = rep.ask != INT64_MAX && !rep.blocked; /* no admin will confirm it here */
	if (rep.end == RECONCILE_AGAIN || rep.holds || ask)
		names_add(&p->again, key);
	if (ask && rep.ask < p->until)
		p->until = rep.ask;
	p->failures += rep.failures + rep.blocked;
	if (rep.end == RECONCILE_TROUBLE && !rep.failures)
		p->trouble = true;
	if (rep.pass_full)
		gc_hold(p->r->gc, NULL);
	if (p->r->intake)
		intake_seen(p->r->intake, key);
}

static void wait_until(const struct runtime *r, int64_t when)
{
	(void)cancel_wait(r->o.stop, -1, 0, when);
}

static void round_of(struct pass *p, const char *const *names, size_t n)
{
	p->until = INT64_MAX;
	for (size_t i = 0; i < n && !p->trouble && !stopped(p->r); i++)
		one(p, names[i]);
}

static bool run_pass(struct runtime *r)
{
	struct pass p = {.r = r};
	struct arena a;
	const char **names, **lasts;
	arena_init(&a, 0);
	size_t n = store_records(r->store, &a, &names);
	shared_begin(r->shared, names, n);
	if (!n)
		gc_hold(r->gc, NULL);
	round_of(&p, names, n);
	if (!p.trouble)
		round_of(&p, lasts, store_lasts(r->store, &a, &lasts));
	for (int i = 0; i < ROUNDS_MAX && p.again.map.len && !p.trouble && !stopped(r); i++) {
		size_t it = 0, len = 0;
		struct slice key;
		void *v;
		names = ARENA_ARRAY(&a, const char *, p.again.map.len);
		while (map_next(&p.again.map, &it, &key, &v))
			names[len++] = arena_strdup(&a, v);
		names_clear(&p.again);
		if (p.until != INT64_MAX)
			wait_until(r, p.until < clock_mono() + ASK_MAX ? p.until : clock_mono() + ASK_MAX);
		p.failures = 0;
		round_of(&p, names, len);
	}
	bool all = !p.failures && !p.trouble && !p.again.map.len && !stopped(r);
	names_clear(&p.again);
	arena_done(&a);
	return all;
}

bool runtime_once(struct runtime *r)
{
	struct err e = {0};
	if (!r->reconciles)
		return intake_drain(r->intake);
	struct templates_held *held = templates_hold(r->templates);
	unsigned kinds = needs_kinds(r->c, held->config);
	bool known = list_kinds(r, kinds, &e) == ERR_OK;
	if (known)
		roles_refresh(r->roles, r->threads[0].kube, held->config);
	templates_let(r->templates, &held);
	bool all = known && take_events(r, &e);
	if (known && !*e.msg) {
		gc_import(r->gc, NULL);
		all &= run_pass(r);
	}
	if (r->intake)
		intake_run(r->intake); /* tells who waits for a first login */
	if (*e.msg)
		log_error("not all was done", LOG_STR("reason", e.msg));
	return all;
}
