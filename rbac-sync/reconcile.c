/* Owns the order of work on one record: snapshot, life, what is due, actions, their execution, the status. */
#include "rbac-sync/reconcile.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "rbac-sync/reconcile_run.h"

#define RETRY_REFUSED CLOCK_SECOND /* what was refused stays so for a while; doubles from there */

/* --- what is due --- */

static size_t world_namespaces(void *ctx, const struct selector *sel, struct arena *a, const char ***out)
{
	const struct run *run = ctx;
	return store_namespaces(run->r->store, sel, a, out);
}

static enum role_verdict world_role(void *ctx, const char *namespace_, const char *kind, const char *name,
    bool cluster_wide, struct arena *a, const char **why)
{
	const struct run *run = ctx;
	return roles_look(run->r->roles, namespace_, kind, name, cluster_wide, a, why);
}

/* What is not watched is no grant. */
static bool world_stands(void *ctx, const struct object_id *id)
{
	const struct run *run = ctx;
	struct observed live;
	return !store_synced(run->r->store, 1U << id->kind) || store_object(run->r->store, id, run->a, &live);
}

static bool view_object(void *ctx, const struct object_id *id, struct arena *a, struct observed *out)
{
	(void)a; /* the run's own */
	return reconcile_view(ctx, id, out);
}

static enum elsewhere view_elsewhere(void *ctx, const struct object_id *id, const char *record)
{
	const struct run *run = ctx;
	return shared_elsewhere(run->r->shared, run->pass, id, record);
}

/* A template that is gone says what the defaults say. */
static bool view_prunes(void *ctx, const char *template_)
{
	const struct run *run = ctx;
	const struct template *t = run->config->templates.items;
	for (size_t i = 0; i < run->config->templates.len; i++) {
		if (text_eq(t[i].name, template_))
			return t[i].prune;
	}
	return run->config->defaults.prune;
}

static bool alive(const struct life *life)
{
	return life->state == LIFE_ACTIVE || life->state == LIFE_STALE;
}

/* The directory's word, and what the record remembers of it. */
static void judge_life(struct run *run)
{
	const struct reconciler *r = run->r;
	struct record *rec = &run->record;
	int64_t missing = 0;
	enum directory_word word = DIRECTORY_UNKNOWN;
	if (r->directories)
		word = directories_say(r->directories, rec->identity.provider, rec->identity.username, &missing);
	if (word == DIRECTORY_GONE && !rec->missing_since)
		rec->missing_since = missing ? missing : clock_unix();
	else if (word == DIRECTORY_PRESENT)
		rec->missing_since = 0;
	if (rec->identity.seen_at > rec->last_seen)
		rec->last_seen = rec->identity.seen_at;
	lifecycle(rec, &r->life, word, clock_unix(), &run->life);
}

/* The directories' words on the groups that the record claims, and what it remembers of them. */
static void judge_groups(struct run *run)
{
	const struct reconciler *r = run->r;
	const struct spool_event *ev = &run->record.identity;
	struct directory_claim *claims = ARENA_ARRAY(run->a, struct directory_claim, ev->ngroups + 1);
	for (size_t i = 0; i < ev->ngroups; i++)
		claims[i].directory = directory_configs_judge(r->directory_configs, ev->provider, ev->groups[i]);
	if (r->directories)
		directories_claims(r->directories, ev->provider, ev->username, ev->groups, ev->ngroups, claims);
	lifecycle_groups(run->a, &run->record, claims, clock_unix());
}

static void make_due(struct run *run, const struct templates_held *held)
{
	const struct reconciler *r = run->r;
	const struct due_world w = {
	    .config = held->config,
	    .rails = &r->rails,
	    .max_objects = r->max_objects,
	    .allow_privileged = r->allow_privileged,
	    .now = clock_unix(),
	    .ctx = run,
	    .namespaces = world_namespaces,
	    .role = r->roles ? world_role : NULL,
	    .stands = world_stands,
	};
	due_make(run->a, &run->record, &w, &run->due);
	run->config = held->config;
	run->templates_digest = arena_strdup(run->a, held->config->digest);
}

/* Made for this record, or standing in the cluster as far as that is known: only such a one can be removed. */
static bool may_stand(const struct run *run, const struct object_id *id)
{
	struct observed live;
	return record_binding_of(&run->record, id) || store_object(run->r->store, id, run->a, &live);
}

/* Tells the index what this record is due; true when that made the pass full. */
static bool tell_shared(struct run *run)
{
	size_t n = 0, max = run->due.len + run->due.nrefusals + 1;
	struct object_id *ids = ARENA_ARRAY(run->a, struct object_id, max);
	const char **owners = ARENA_ARRAY(run->a, const char *, max);
	for (size_t i = 0; i < run->due.len && alive(&run->life); i++) {
		if (!run->due.objects[i].shared)
			continue;
		ids[n] = run->due.objects[i].id;
		owners[n++] = run->due.objects[i].owner;
	}
	/* What may be due once more is known stays for this record too, whoever else leaves it. */
	for (size_t i = 0; i < run->due.nrefusals && alive(&run->life); i++) {
		if (!run->due.refusals[i].owner || !may_stand(run, &run->due.refusals[i].id))
			continue;
		ids[n] = run->due.refusals[i].id;
		owners[n++] = run->due.refusals[i].owner;
	}
	return shared_due(run->r->shared, run->pass, run->key, ids, owners, n);
}

/* --- execution --- */

void reconcile_note(struct run *run, const struct action *act, struct outcome *out)
{
	*out = (struct outcome){.why = act->why};
	switch (act->kind) {
	case ACTION_KEEP:
		out->kind = OUTCOME_STANDS;
		if (!act->want)
			out->entry = *act->had;
		else
			out->entry = reconcile_entry(run, act->want, act->live->uid, act->live->live);
		break;
	case ACTION_REFUSE:
		out->kind = OUTCOME_FOREIGN;
		break;
	case ACTION_WAIT:
		/* What cannot be removed yet is looked at again when it changes, or when a pass is full. */
		out->kind = act->want ? OUTCOME_WAITS : OUTCOME_HELD;
		run->holds |= !act->want;
		break;
	case ACTION_DRIFT:
		out->kind = OUTCOME_DRIFTS;
		break;
	case ACTION_RELEASE:
		out->kind = OUTCOME_RELEASED;
		break;
	case ACTION_APPLY:
	case ACTION_DELETE:
		break;
	}
}

/* The namespace that was to be made did not become ours: nothing of the template goes there, nor of another that means
 * this one owner's. */
static bool has_place(struct run *run, const struct desired *want, struct outcome *out)
{
	for (size_t i = 0; want->id.namespace_ && i < run->len; i++) {
		const struct desired *ns = run->actions[i].want;
		enum outcome_kind kind = run->outcomes[i].kind;
		if (!ns || ns->id.kind != KIND_NAMESPACE || !text_eq(ns->id.name, want->id.namespace_) ||
		    (!want->place_owner && !text_eq(ns->template_, want->template_)))
			continue;
		if (kind != OUTCOME_FOREIGN && kind != OUTCOME_REFUSED && kind != OUTCOME_WAITS)
			break;
		out->kind = kind == OUTCOME_FOREIGN ? OUTCOME_FOREIGN : OUTCOME_WAITS;
		out->why = arena_printf(run->a, "namespace %s: %s", ns->id.name, run->outcomes[i].why);
		return false;
	}
	return true;
}

static void execute_one(struct run *run, size_t i)
{
	struct action *act = &run->actions[i];
	struct outcome *out = &run->outcomes[i];
	if (act->kind == ACTION_DELETE)
		return; /* later: reconcile_removals */
	if (act->kind != ACTION_APPLY)
		reconcile_note(run, act, out);
	else if (has_place(run, act->want, out))
		reconcile_apply(run, act, out);
	if (act->want)
		tell_outcome(run, act, out);
}

static void execute(struct run *run)
{
	for (size_t i = 0; i < run->len && !run_over(run); i++)
		execute_one(run, i);
	if (!run_over(run))
		reconcile_removals(run);
	if (run->blocked)
		tell_blocked(run);
}

static void plan(struct run *run)
{
	run->view = (struct actions_view){.ctx = run,
	    .now = clock_unix(),
	    .object = view_object,
	    .due_elsewhere = view_elsewhere,
	    .prunes = view_prunes};
	run->len = actions_make(run->a, &run->record, &run->due, &run->life, &run->view, &run->actions);
	run->outcomes = ARENA_ARRAY(run->a, struct outcome, run->len + 1);
}

/* --- records that came back after a deletion --- */

/* What a deleted predecessor of the same name had is this one's to remove or to keep. */
static void inherit(struct run *run)
{
	struct record *r = &run->record;
	if (!store_last(run->r->store, run->key, run->a, &run->last))
		return;
	struct record_binding *v =
	    ARENA_ARRAY(run->a, struct record_binding, r->nbindings + run->last.nbindings + 1);
	size_t n = 0;
	for (; n < r->nbindings; n++)
		v[n] = r->bindings[n];
	for (size_t i = 0; i < run->last.nbindings; i++) {
		size_t k = 0;
		while (k < n && !object_id_eq(&v[k].id, &run->last.bindings[i].id))
			k++;
		if (k == n)
			v[n++] = run->last.bindings[i];
	}
	r->bindings = v;
	r->nbindings = n;
}

/* --- the whole --- */

static void report(const struct run *run, struct reconcile_report *out)
{
	out->next = run->due.next < run->life.next ? run->due.next : run->life.next;
	out->ask = run->ask;
	out->holds = run->holds;
	out->blocked = run->blocked;
	for (size_t i = 0; i < run->len; i++) {
		enum outcome_kind k = run->outcomes[i].kind;
		out->waits |= k == OUTCOME_WAITS;
		out->failures += k == OUTCOME_FOREIGN || k == OUTCOME_REFUSED || k == OUTCOME_WAITS;
	}
	out->failures += run->refused;
	if (run->lost) {
		out->end = RECONCILE_IDLE;
	} else if (run->stale) {
		out->end = RECONCILE_AGAIN;
	} else if (run->trouble) {
		out->end = RECONCILE_TROUBLE;
		out->pause = run->wait > 0 ? run->wait * CLOCK_SECOND : 0;
	} else if (out->failures) {
		out->end = RECONCILE_TROUBLE;
		out->pause = RETRY_REFUSED;
	} else {
		out->end = RECONCILE_DONE;
	}
	if (run->trouble || run->refused)
		log_warn(run->trouble ? "the apiserver is in trouble" : "the record may not be written", LOG_STR("record", run->key),
		    LOG_STR("reason", run->trouble_why));
}

bool reconcile_expect(struct run *run, const struct templates_held *held)
{
	run->was = run->record;
	inherit(run);
	judge_life(run);
	judge_groups(run);
	make_due(run, held);
	return tell_shared(run);
}

bool reconcile_plan(struct run *run)
{
	if (!reconcile_resolve(run))
		return false;
	plan(run);
	return true;
}

static void reconcile_living(struct run *run, struct reconcile_report *out)
{
	struct templates_held *held = templates_hold(run->r->templates);
	out->pass_full = reconcile_expect(run, held);
	if (reconcile_plan(run)) {
		tell_refusals(run);
		if (!run_over(run) && reconcile_intend(run))
			execute(run);
		if (!run_over(run) && !run->gone)
			reconcile_settle(run);
	}
	templates_let(run->r->templates, &held);
}

/* Something of a deleted record is there still that has to go. */
static bool unfinished(const struct run *run)
{
	for (size_t i = 0; i < run->len; i++) {
		enum outcome_kind k = run->outcomes[i].kind;
		if (k == OUTCOME_OPEN || k == OUTCOME_REFUSED || k == OUTCOME_WAITS || k == OUTCOME_HELD)
			return true;
	}
	return false;
}

/* A record that was deleted in the cluster: what its last inventory says goes with it. */
static void reconcile_gone(struct run *run, struct reconcile_report *out)
{
	const struct reconciler *r = run->r;
	out->pass_full = shared_forget(r->shared, run->pass, run->key);
	phases_forget(r->phases, run->key);
	run->gone = true;
	run->life = (struct life){.state = LIFE_DELETED, .why = "the record was deleted", .next = INT64_MAX};
	if (!store_last(r->store, run->key, run->a, &run->record)) {
		gc_forget(r->gc, run->key);
		return;
	}
	struct templates_held *held = templates_hold(r->templates);
	make_due(run, held);
	run->due.next = INT64_MAX;
	if (reconcile_resolve(run)) {
		plan(run);
		if (!run_over(run))
			execute(run);
	}
	if (!run_over(run) && !run->held && !run->holds && !unfinished(run)) {
		gc_forget(r->gc, run->key);
		store_bury(r->store, run->key);
	}
	templates_let(r->templates, &held);
}

/* A record that cannot be read is left alone, with all that its inventory names; nobody waits for it. */
static void reconcile_unreadable(struct run *run, struct reconcile_report *out)
{
	struct object_id *ids;
	size_t n = store_claims(run->r->store, run->key, run->a, &ids);
	const char **owners = ARENA_ARRAY(run->a, const char *, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct observed live;
		bool there = store_object(run->r->store, &ids[i], run->a, &live);
		owners[i] = there && live.record ? live.record : "";
	}
	out->pass_full = shared_due(run->r->shared, run->pass, run->key, ids, owners, n);
	gc_forget(run->r->gc, run->key);
	log_error("a record that cannot be read is left alone", LOG_STR("record", run->key), LOG_INT("objects", n));
}

void reconcile_record(
    const struct reconciler *r, struct kube *k, const char *key, struct reconcile_report *out)
{
	struct arena a;
	arena_init(&a, 0);
	struct run run = {.r = r, .k = k, .a = &a, .key = key, .wait = -1, .ask = INT64_MAX};
	*out = (struct reconcile_report){.next = INT64_MAX, .ask = INT64_MAX, .end = RECONCILE_IDLE};
	if (run_may_write(&run)) {
		run.pass = shared_pass(r->shared);
		if (store_record(r->store, key, &a, &run.record))
			reconcile_living(&run, out);
		else if (!store_knows(r->store, key))
			reconcile_gone(&run, out);
		else
			reconcile_unreadable(&run, out);
		report(&run, out);
	}
	arena_done(&a);
}
