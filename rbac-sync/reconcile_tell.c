/* Owns what is told of one record's work: log lines, metrics, events. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "rbac-sync/reconcile_run.h"

static void count_one(const char *name, const char *help, const char *key, const char *value)
{
	struct buf labels;
	buf_init(&labels, 128);
	metrics_label(&labels, key, slice_of(value));
	metric_inc(metrics_counter(name, help, buf_cstr(&labels)));
	buf_done(&labels);
}

static void count_apply(const char *kind, const char *result)
{
	struct buf labels;
	buf_init(&labels, 128);
	metrics_label(&labels, "kind", slice_of(kind));
	metrics_label(&labels, "result", slice_of(result));
	metric_inc(metrics_counter("portcullis_sync_apply_total",
	    "Objects brought into the cluster, by kind and result.", buf_cstr(&labels)));
	buf_done(&labels);
}

static void event(const struct run *run, bool warning, const char *reason, const char *note)
{
	if (run->r->events && !run->r->dry_run)
		events_emit(run->r->events, run->key, run->record.uid, warning, reason, note);
}

static void log_object(const struct run *run, enum log_level level, const char *msg, const struct object_id *id,
    const char *template_, const char *why)
{
	log_at(level, msg, LOG_SLICE("user", run->record.identity.username),
	    LOG_SLICE("provider", run->record.identity.provider), LOG_STR("kind", object_types[id->kind].kind),
	    LOG_STR("namespace", id->namespace_), LOG_STR("name", id->name), LOG_STR("template", template_),
	    LOG_STR("reason", why));
}

static void print_object(const struct action *act)
{
	char *text = json_dumps(act->want->body, JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		abort();
	puts(text);
	free(text);
}

static void tell_written(struct run *run, const struct action *act, const struct outcome *out)
{
	const struct object_id *id = &act->want->id;
	const char *text = object_id_text(run->a, id);
	if (run->r->dry_run)
		print_object(act);
	log_object(run, LOG_LEVEL_INFO, act->drift ? "drift repaired" : "object applied", id, act->want->template_, NULL);
	if (act->drift) {
		count_one("portcullis_sync_drift_repaired_total", "Objects that others changed and that were put right.",
		    "kind", object_types[id->kind].kind);
		event(run, false, EVENT_DRIFT_REPAIRED, text);
	} else if (id->kind == KIND_NAMESPACE && out->kind == OUTCOME_CREATED) {
		event(run, false, EVENT_NAMESPACE_CREATED, id->name);
	} else {
		event(run, false, EVENT_BINDING_APPLIED, text);
	}
}

static void tell_removed(struct run *run, const struct action *act, const struct outcome *out)
{
	static const char *const words[] = {[REMOVAL_UNDUE] = "no longer due",
	    [REMOVAL_REPLACED] = "replaced by another role", [REMOVAL_EXPIRED] = "its end has come",
	    [REMOVAL_SUSPENDED] = "the user is suspended", [REMOVAL_DISABLED] = "the user is disabled",
	    [REMOVAL_DELETED] = "the user is gone"};
	const char *why = words[act->removal];
	if (out->kind != OUTCOME_REMOVED) {
		log_object(run, LOG_LEVEL_WARN, "object not removed", &act->had->id, act->had->template_, out->why);
		return;
	}
	log_object(run, LOG_LEVEL_INFO, "object removed", &act->had->id, act->had->template_, why);
	if (run->r->dry_run)
		return;
	gc_removed(act->had->id.kind);
	if (act->removal == REMOVAL_EXPIRED)
		metric_inc(metrics_counter(
		    "portcullis_sync_expired_total", "Grants that were removed because their end had come.", ""));
	event(run, false, act->removal == REMOVAL_EXPIRED ? EVENT_GRANT_EXPIRED : EVENT_BINDING_REMOVED,
	    arena_printf(run->a, "%s: %s", object_id_text(run->a, &act->had->id), why));
}

static void tell_failure(struct run *run, const struct action *act, const struct outcome *out)
{
	const struct object_id *id = &act->want->id;
	const char *note = arena_printf(run->a, "%s: %s", object_id_text(run->a, id), out->why);
	if (out->kind == OUTCOME_WAITS) {
		log_object(run, LOG_LEVEL_INFO, "object waits", id, act->want->template_, out->why);
		return;
	}
	log_object(run, LOG_LEVEL_WARN, "object refused", id, act->want->template_, out->why);
	bool collision = out->kind == OUTCOME_FOREIGN && id->kind == KIND_NAMESPACE;
	event(run, true, collision ? EVENT_NAMESPACE_COLLISION : EVENT_REFUSED, note);
}

/* Once, until all is well again: it is looked at often. A fight is told by itself. */
static void tell_drift(struct run *run, const struct action *act, const struct outcome *out)
{
	if (act->kind != ACTION_DRIFT || record_condition_of(&run->record, "Drift", true))
		return;
	log_object(run, LOG_LEVEL_WARN, "object was changed by others and is left", &act->want->id, act->want->template_, out->why);
	event(run, true, EVENT_DRIFT_REPORTED, arena_printf(run->a, "%s: %s", object_id_text(run->a, &act->want->id), out->why));
}

void tell_outcome(struct run *run, const struct action *act, const struct outcome *out)
{
	static const char *const words[] = {[OUTCOME_OPEN] = "later", [OUTCOME_STANDS] = "same",
	    [OUTCOME_WRITTEN] = "written", [OUTCOME_CREATED] = "written", [OUTCOME_FOREIGN] = "refused",
	    [OUTCOME_REFUSED] = "refused", [OUTCOME_WAITS] = "waits", [OUTCOME_DRIFTS] = "drifts"};
	if (!act->want) {
		tell_removed(run, act, out);
		return;
	}
	count_apply(object_types[act->want->id.kind].kind, words[out->kind]);
	if (out->kind == OUTCOME_WRITTEN || out->kind == OUTCOME_CREATED)
		tell_written(run, act, out);
	else if (out->kind == OUTCOME_FOREIGN || out->kind == OUTCOME_REFUSED || out->kind == OUTCOME_WAITS)
		tell_failure(run, act, out);
	else if (run_drift_told(act, out))
		tell_drift(run, act, out);
}

void tell_refusals(struct run *run)
{
	const struct record *r = &run->record;
	uint8_t digest[SHA256_LEN];
	char hex[2 * SHA256_LEN + 1];
	spool_digest(&r->identity, digest);
	hex_encode(digest, SHA256_LEN, hex);
	/* Once for each identity and templates, not at each look; and where there was no refusal until now, as of a role that
	 * became dangerous. */
	if (text_eq(r->observed_digest, hex) && text_eq(r->templates_digest, run->templates_digest) && record_condition_of(r, "Refused", true))
		return;
	for (size_t i = 0; i < run->due.nrefusals; i++) {
		const struct due_refusal *f = &run->due.refusals[i];
		if (f->transient)
			continue;
		count_one("portcullis_sync_refused_total", "Grants that a template asked for and a rail refused, by reason.",
		    "reason", f->reason);
		log_warn("grant refused", LOG_SLICE("user", r->identity.username),
		    LOG_SLICE("provider", r->identity.provider), LOG_STR("template", f->template_),
		    LOG_STR("rail", f->reason), LOG_STR("reason", f->what));
		event(run, true, text_eq(f->reason, RAIL_DANGEROUS_ROLE) ? EVENT_REFUSED_ROLE : EVENT_REFUSED,
		    arena_printf(run->a, "template %s: %s", f->template_, f->what));
	}
}

/* What the phase does not say by itself; or NULL. */
static const char *why_so(const struct run *run, const struct record *now)
{
	const struct record_condition *not_ready = run->life.why ? NULL : record_condition_of(now, "Ready", false);
	return not_ready ? not_ready->message : run->life.why;
}

void tell_phase(struct run *run, const struct record *now)
{
	enum record_phase was = run->record.phase, is = now->phase;
	if (!run->record.first_seen)
		event(run, false, EVENT_USER_APPEARED, "first seen");
	if (was == is)
		return;
	log_info("phase", LOG_SLICE("user", now->identity.username), LOG_STR("was", record_phase_name(was)),
	    LOG_STR("is", record_phase_name(is)), LOG_STR("reason", why_so(run, now)));
	const char *why = run->life.why ? run->life.why : "seen again";
	if (is == PHASE_STALE)
		event(run, false, EVENT_USER_STALE, why);
	else if (is == PHASE_DISABLED)
		event(run, true, EVENT_USER_DISABLED, why);
	else if (was == PHASE_DISABLED || was == PHASE_STALE)
		event(run, false, EVENT_USER_RESTORED, why);
}

void tell_blocked(struct run *run)
{
	if (record_condition_of(&run->record, "GCBlocked", true))
		return;
	event(run, true, EVENT_GC_BLOCKED, "removals are over the limit: see `portcullis sync gc`");
}

void tell_fight(struct run *run, const struct action *act)
{
	const char *text = object_id_text(run->a, &act->want->id);
	metric_inc(metrics_counter("portcullis_sync_drift_fights_total",
	    "Objects that somebody changed again and again, so that repairs pause.", ""));
	log_warn("somebody undoes our repairs", LOG_STR("object", text), LOG_STR("template", act->want->template_));
	event(run, true, EVENT_DRIFT_FIGHT, text);
}

static void log_group(const struct run *run, const char *msg, const struct record_lost *l)
{
	log_info(msg, LOG_SLICE("user", run->record.identity.username), LOG_SLICE("provider", run->record.identity.provider),
	    LOG_SLICE("group", l->group), LOG_STR("directory", l->directory));
}

void tell_groups(struct run *run, const struct record *now)
{
	for (size_t i = 0; i < now->nlost; i++) {
		if (record_lost(&run->was, now->lost[i].group))
			continue;
		log_group(run, "a directory denies a group: it counts for nothing", &now->lost[i]);
		metric_inc(metrics_counter("portcullis_sync_groups_lost_total",
		    "Groups of records that a directory denied, each time anew.", ""));
	}
	for (size_t i = 0; i < run->was.nlost; i++) {
		if (!record_lost(now, run->was.lost[i].group))
			log_group(run, "a group that was denied counts again, or is no longer claimed", &run->was.lost[i]);
	}
}
