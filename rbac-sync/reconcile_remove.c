/* Owns what goes when: removals that are free, removals that wait for a successor, removals within limits. */
#include <stdlib.h>

#include "common/clock.h"
#include "rbac-sync/reconcile_run.h"

/* What became of the grant that takes the place of GONE. Where the apiserver failed over it (500) that may pass. */
static enum outcome_kind successor(const struct run *run, const struct action *gone)
{
	for (size_t i = 0; i < run->len; i++) {
		const struct outcome *out = &run->outcomes[i];
		if (run->actions[i].want == gone->successor)
			return out->kind == OUTCOME_REFUSED && out->status >= 500 ? OUTCOME_WAITS : out->kind;
	}
	return OUTCOME_OPEN;
}

/* A removal waits for what comes in its place; one whose successor was refused is limited as any other. */
static void judge_replaced(const struct run *run, struct action *act, struct outcome *out)
{
	switch (successor(run, act)) {
	case OUTCOME_STANDS:
	case OUTCOME_WRITTEN:
	case OUTCOME_CREATED:
	case OUTCOME_DRIFTS:
		break;
	case OUTCOME_REFUSED:
	case OUTCOME_FOREIGN:
		act->removal = REMOVAL_UNDUE;
		break;
	default:
		out->kind = OUTCOME_HELD;
		break;
	}
}

static void remove_one(struct run *run, size_t i)
{
	struct action *act = &run->actions[i];
	struct outcome *out = &run->outcomes[i];
	if (run_over(run) || !run_may_write(run)) {
		out->kind = OUTCOME_HELD;
		return;
	}
	reconcile_remove(run, act, out);
	tell_outcome(run, act, out);
}

/* May the LEN limited ones of IDS go now? */
static bool ask(struct run *run, const struct object_id *ids, size_t len)
{
	const struct reconciler *r = run->r;
	if (r->dry_run)
		return true;
	int64_t again = clock_mono() + CLOCK_SECOND;
	enum gc_answer answer = gc_ask(r->gc, run->key, ids, len, store_managed_count(r->store), &again);
	if (answer == GC_GO)
		return true;
	run->held = true;
	run->ask = again;
	run->blocked = answer == GC_BLOCKED;
	return false;
}

/* A removal that counts against the limits, and was not done. */
static bool is_limited(const struct run *run, size_t i)
{
	return run->actions[i].kind == ACTION_DELETE && removal_limited(run->actions[i].removal) &&
	    run->outcomes[i].kind == OUTCOME_OPEN;
}

static size_t limited(struct run *run, struct object_id *ids)
{
	size_t n = 0;
	for (size_t i = 0; i < run->len; i++) {
		if (is_limited(run, i))
			ids[n++] = run->actions[i].had->id;
	}
	if (run->life.state == LIFE_DELETED && !run->gone)
		ids[n++] = run_id(run);
	return n;
}

static void remove_record(struct run *run)
{
	struct kube_answer got;
	struct object_id id = run_id(run);
	if (run_over(run) || !run_may_write(run))
		return;
	kube_delete(run->k, object_path(run->a, &id), run->record.uid, run->record.resource_version, &got);
	if (got.verdict == KUBE_OK || got.verdict == KUBE_ABSENT)
		run->gone = true;
	else if (!run_failed(run, &got))
		run_refused(run, &got);
	kube_answer_done(&got);
}

/* Everything of a record that is to go went. */
static bool nothing_left(const struct run *run)
{
	for (size_t i = 0; i < run->len; i++) {
		if (run->outcomes[i].kind != OUTCOME_REMOVED && run->outcomes[i].kind != OUTCOME_RELEASED)
			return false;
	}
	return true;
}

static void remove_limited(struct run *run, const struct object_id *ids, size_t len)
{
	size_t done = 0;
	bool go = ask(run, ids, len), record = run->life.state == LIFE_DELETED && !run->gone;
	for (size_t i = 0; i < run->len; i++) {
		if (!is_limited(run, i))
			continue;
		if (go)
			remove_one(run, i);
		else
			run->outcomes[i].kind = OUTCOME_HELD;
		done += run->outcomes[i].kind == OUTCOME_REMOVED;
	}
	if (go && record && nothing_left(run))
		remove_record(run);
	if (go && !run->r->dry_run)
		gc_done(run->r->gc, run->key, done + (record && run->gone));
}

/* Decides what is only decided now: whether successors stand, and what stands where the store shows nothing. */
static void judge(struct run *run)
{
	for (size_t i = 0; i < run->len && !run_over(run); i++) {
		struct action *act = &run->actions[i];
		if (act->kind == ACTION_DELETE && !act->live) {
			reconcile_look(run, act, &run->outcomes[i]);
		}
		if (act->kind == ACTION_DELETE && act->successor)
			judge_replaced(run, act, &run->outcomes[i]);
	}
}

void reconcile_removals(struct run *run)
{
	judge(run);
	if (run_over(run))
		return;
	for (size_t i = 0; i < run->len; i++) {
		const struct action *act = &run->actions[i];
		if (act->kind == ACTION_DELETE && !removal_limited(act->removal) && run->outcomes[i].kind == OUTCOME_OPEN)
			remove_one(run, i);
	}
	struct object_id *ids = ARENA_ARRAY(run->a, struct object_id, run->len + 1);
	size_t n = limited(run, ids);
	if (n)
		remove_limited(run, ids, n);
	else if (!run->r->dry_run)
		gc_forget(run->r->gc, run->key);
}
