/* Owns what a record's status says: the inventory, the phase, the conditions, the dates. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "common/secret.h"
#include "rbac-sync/reconcile_run.h"

#define CONDITIONS 6 /* Ready, Refused, Conflict, Drift, GCBlocked, GroupsLost */
#define BIND_HINT "; compare the worker's rights with `portcullis sync rbac`"

/* --- writing --- */

/* False: not written, and RUN says why. */
static bool write_status(struct run *run, const struct record *now)
{
	struct object_id id = run_id(run);
	struct kube_answer got;
	if (!run_may_write(run))
		return false;
	json_t *patch = record_status(now);
	const char *path = arena_printf(run->a, "%s/status", object_path(run->a, &id));
	kube_merge(run->k, path, patch, &got);
	json_decref(patch);
	bool ok = got.verdict == KUBE_OK;
	if (ok) {
		const json_t *meta = json_object_get(got.body, "metadata");
		const char *version = json_string_value(json_object_get(meta, "resourceVersion"));
		run->was.resource_version = run->record.resource_version = arena_strdup(run->a, version);
		store_learn(run->r->store, KIND_USER_RECORD, got.body);
		run->writes++;
	} else if (!run_failed(run, &got)) {
		run_refused(run, &got); /* nothing is made without an inventory */
	}
	if (run->stale)
		run_reread(run);
	kube_answer_done(&got);
	return ok;
}

static int by_id(const void *a, const void *b)
{
	return object_id_cmp(&((const struct record_binding *)a)->id, &((const struct record_binding *)b)->id);
}

static bool has(const struct record_binding *v, size_t n, const struct object_id *id)
{
	for (size_t i = 0; i < n; i++) {
		if (object_id_eq(&v[i].id, id))
			return true;
	}
	return false;
}

bool reconcile_intend(struct run *run)
{
	struct record *was = &run->was, now = run->was;
	struct record_binding *v = ARENA_ARRAY(run->a, struct record_binding, was->nbindings + run->len + 1);
	size_t n = 0;
	for (; n < was->nbindings; n++)
		v[n] = was->bindings[n];
	for (size_t i = 0; i < run->len; i++) {
		const struct desired *want = run->actions[i].want;
		if (run->actions[i].kind != ACTION_APPLY || run->actions[i].had || has(v, n, &want->id))
			continue;
		v[n++] = (struct record_binding){
		    .id = want->id, .template_ = want->template_, .hash = want->hash, .expires = want->expires};
	}
	if (n == was->nbindings || run->r->dry_run)
		return true;
	qsort(v, n, sizeof(*v), by_id);
	now.bindings = v;
	now.nbindings = n;
	if (!write_status(run, &now))
		return false;
	was->bindings = v;
	was->nbindings = n;
	return true;
}

/* --- the inventory --- */

/* The entry that an object had, or that announced it in this run. It stays where that was refused or is another's: taking
 * it back would change the record, the change would be heard of, and it would be tried again without a pause. */
static const struct record_binding *entry_of(const struct run *run, const struct action *act)
{
	return act->had || !act->want ? act->had : record_binding_of(&run->was, &act->want->id);
}

/* It is another's, and only the apiserver knows, as it bears no label of ours: the next look will announce it again. */
static bool is_hidden(const struct run *run, const struct action *act)
{
	struct observed seen;
	return act->want && act->live && !store_object(run->r->store, &act->want->id, run->a, &seen);
}

static void add_entry(const struct run *run, size_t i, struct record_binding *v, size_t *n)
{
	const struct action *act = &run->actions[i];
	const struct record_binding *had;
	switch (run->outcomes[i].kind) {
	case OUTCOME_STANDS:
	case OUTCOME_WRITTEN:
	case OUTCOME_CREATED:
		v[(*n)++] = run->outcomes[i].entry;
		break;
	case OUTCOME_OPEN:
	case OUTCOME_REFUSED:
	case OUTCOME_WAITS:
	case OUTCOME_DRIFTS:
	case OUTCOME_HELD:
		had = entry_of(run, act);
		if (!had)
			break;
		v[*n] = *had;
		/* What takes its place stands: that it was new is not to be seen any more at the next look. */
		if (act->removal == REMOVAL_REPLACED && act->successor)
			v[*n].successor = act->successor->id.name;
		++*n;
		break;
	case OUTCOME_FOREIGN:
		/* Its namespace became another's: what we made there is ours to remove still. */
		if (act->had && act->had->uid && (!act->live || text_eq(act->live->uid, act->had->uid)))
			v[(*n)++] = *act->had;
		else if (is_hidden(run, act) && (had = entry_of(run, act)))
			v[(*n)++] = *had;
		break;
	case OUTCOME_REMOVED:
	case OUTCOME_RELEASED:
		break;
	}
}

static void set_inventory(const struct run *run, struct record *now)
{
	struct record_binding *v = ARENA_ARRAY(run->a, struct record_binding, run->len + 1);
	size_t n = 0;
	for (size_t i = 0; i < run->len; i++)
		add_entry(run, i, v, &n);
	if (n)
		qsort(v, n, sizeof(*v), by_id);
	now->bindings = v;
	now->nbindings = n;
}

/* --- conditions --- */

static const char *place_text(const struct run *run, const struct object_id *id)
{
	return object_id_text(run->a, id);
}

static bool same_but_numbers(const char *a, const char *b)
{
	while (*a && *b) {
		size_t n = strspn(a, "0123456789"), k = strspn(b, "0123456789");
		if ((n > 0) != (k > 0) || (n == 0 && *a != *b))
			return false;
		a += n > 0 ? n : 1;
		b += k > 0 ? k : 1;
	}
	return *a == *b;
}

/* TEXT, or what stands already and says the same of the first HEAD bytes, and of the rest but for numbers: others' ports
 * and times are no news, and each news would bring on the next try at once. */
static const char *as_told(const struct run *run, const char *text, size_t head)
{
	for (size_t i = 0; i < run->record.nconditions && strlen(text) >= head; i++) {
		const char *was = run->record.conditions[i].message;
		if (was && strncmp(was, text, head) == 0 && same_but_numbers(was + head, text + head))
			return was;
	}
	return text;
}

static const char *outcome_text(const struct run *run, size_t i)
{
	const struct action *act = &run->actions[i];
	const struct outcome *o = &run->outcomes[i];
	const char *place = place_text(run, act->want ? &act->want->id : &act->had->id);
	const char *text = arena_printf(run->a, "%s: %s%s", place, o->why ? o->why : "not as it should be",
	    o->status == 403 ? BIND_HINT : "");
	return o->status ? as_told(run, text, strlen(place) + strlen(": HTTP 403")) : text;
}

static void add_condition(const struct run *run, struct record *now, const char *type, bool status,
    const char *reason, const char *message)
{
	struct record_condition *c = (struct record_condition *)(uintptr_t)&now->conditions[now->nconditions++];
	*c = (struct record_condition){type, status, reason, message, clock_unix()};
	for (size_t i = 0; i < run->record.nconditions; i++) {
		const struct record_condition *was = &run->record.conditions[i];
		if (text_eq(was->type, type) && was->status == status)
			c->since = was->since;
	}
}

/* First action that ended as KIND; LEN when none did. */
static size_t first(const struct run *run, enum outcome_kind kind)
{
	size_t i = 0;
	while (i < run->len && run->outcomes[i].kind != kind)
		i++;
	return i;
}

static size_t count(const struct run *run, enum outcome_kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i < run->len; i++)
		n += run->outcomes[i].kind == kind;
	return n;
}

static const struct due_refusal *first_refusal(const struct run *run, bool transient)
{
	for (size_t i = 0; i < run->due.nrefusals; i++) {
		if (run->due.refusals[i].transient == transient)
			return &run->due.refusals[i];
	}
	return NULL;
}

/* "reservedRole" → "ReservedRole". */
static const char *camel(const struct run *run, const char *reason)
{
	char *out = arena_strdup(run->a, reason);
	out[0] = (char)toupper((unsigned char)out[0]);
	return out;
}

static void add_refused(const struct run *run, struct record *now)
{
	size_t i = first(run, OUTCOME_REFUSED);
	const struct due_refusal *r = first_refusal(run, false);
	if (i < run->len)
		add_condition(run, now, "Refused", true, run->outcomes[i].status == 403 ? "Forbidden" : "Rejected",
		    outcome_text(run, i));
	else if (r)
		add_condition(run, now, "Refused", true, camel(run, r->reason),
		    arena_printf(run->a, "template %s: %s", r->template_, r->what));
}

/* Why not all is as it should be; NULL when it is. */
static const char *not_ready(const struct run *run, const char **reason)
{
	static const struct {
		enum outcome_kind kind;
		const char *reason;
	} rows[] = {{OUTCOME_REFUSED, "Refused"}, {OUTCOME_FOREIGN, "Conflict"}, {OUTCOME_WAITS, "Waiting"},
	    {OUTCOME_OPEN, "Unfinished"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t at = first(run, rows[i].kind);
		*reason = rows[i].reason;
		if (at < run->len)
			return outcome_text(run, at);
	}
	const struct due_refusal *r = first_refusal(run, false);
	*reason = "Refused";
	if (!r) {
		r = first_refusal(run, true);
		*reason = "Unknown";
	}
	return r ? arena_printf(run->a, "template %s: %s", r->template_, r->what) : NULL;
}

static void set_conditions(const struct run *run, struct record *now, const char **trouble)
{
	const char *reason;
	size_t standing = count(run, OUTCOME_STANDS) + count(run, OUTCOME_WRITTEN) + count(run, OUTCOME_CREATED);
	now->conditions = ARENA_ARRAY(run->a, struct record_condition, CONDITIONS);
	now->nconditions = 0;
	*trouble = not_ready(run, &reason);
	if (*trouble)
		add_condition(run, now, "Ready", false, reason, *trouble);
	else
		add_condition(run, now, "Ready", true, "Reconciled",
		    run->life.why ? run->life.why : arena_printf(run->a, "%zu objects are as due", standing));
	add_refused(run, now);
	size_t i = first(run, OUTCOME_FOREIGN);
	if (i < run->len)
		add_condition(run, now, "Conflict", true, "ForeignObject", outcome_text(run, i));
	for (i = 0; i < run->len && !run_drift_told(&run->actions[i], &run->outcomes[i]); i++)
		;
	if (i < run->len)
		add_condition(run, now, "Drift", true, "Changed", outcome_text(run, i));
	if (run->blocked)
		add_condition(run, now, "GCBlocked", true, "OverTheLimit",
		    "removals wait: see `portcullis sync gc`");
	if (now->nlost)
		add_condition(run, now, "GroupsLost", true, "NotConfirmed",
		    arena_printf(run->a, "%zu of %zu groups do not count: their directory denies them, see lostGroups",
			now->nlost, now->identity.ngroups));
}

/* --- the rest --- */

static void set_nodes(const struct run *run, struct record *now)
{
	const struct record *was = &run->record;
	struct slice node = was->identity.node;
	struct slice *v = ARENA_ARRAY(run->a, struct slice, was->nnodes + 1);
	size_t n = 0;
	for (size_t i = 0; i < was->nnodes; i++) {
		if (slice_eq(was->nodes[i], node))
			return;
		v[n++] = was->nodes[i];
	}
	if (!node.len)
		return;
	v[n++] = node;
	size_t from = n > RECORD_NODES_MAX ? n - RECORD_NODES_MAX : 0;
	now->nodes = v + from;
	now->nnodes = n - from;
}

static void set_dates(const struct run *run, struct record *now)
{
	const struct record *was = &run->record;
	if (!was->first_seen)
		now->first_seen = was->identity.seen_at ? was->identity.seen_at : was->created;
	now->disable_after = run->life.disable_after;
	now->delete_after = run->life.delete_after;
	if (run->life.state == LIFE_DISABLED)
		now->disabled_at = was->disabled_at ? was->disabled_at : clock_unix();
	else if (run->life.state != LIFE_DELETED)
		now->disabled_at = 0;
}

static enum record_phase phase_of(const struct run *run, bool ready)
{
	switch (run->life.state) {
	case LIFE_DELETED:
		return PHASE_DELETED;
	case LIFE_DISABLED:
	case LIFE_SUSPENDED:
		return PHASE_DISABLED;
	case LIFE_STALE:
		return PHASE_STALE;
	case LIFE_ACTIVE:
		break;
	}
	if (ready)
		return PHASE_READY;
	/* What is not known yet settles nothing: who waits for a first login goes on waiting. */
	bool unknown = first_refusal(run, true) && !first_refusal(run, false) && !count(run, OUTCOME_REFUSED) &&
	    !count(run, OUTCOME_FOREIGN) && !count(run, OUTCOME_WAITS);
	return unknown && run->record.phase == PHASE_PENDING ? PHASE_PENDING : PHASE_DEGRADED;
}

static const char *digest_of(const struct run *run)
{
	uint8_t digest[SHA256_LEN];
	char *hex = arena_alloc(run->a, 2 * SHA256_LEN + 1);
	spool_digest(&run->record.identity, digest);
	hex_encode(digest, SHA256_LEN, hex);
	return hex;
}

/* From the first sight of these groups to the moment at which all that is due for them stands. */
static void observe_delay(const struct record *was, const struct record *now)
{
	static const double bounds[] = {.05, .1, .25, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600};
	if (now->phase != PHASE_READY || !now->identity.seen_at ||
	    text_eq(was->observed_digest, now->observed_digest))
		return;
	double seconds = (double)clock_now() / (double)CLOCK_SECOND - (double)now->identity.seen_at;
	metric_observe(metrics_histogram("portcullis_sync_first_login_to_binding_seconds",
	    "From the answer that told of an identity to the moment all that is due to it stands.", "", bounds,
	    ARRAY_LEN(bounds)), seconds > 0 ? seconds : 0);
}

void reconcile_settle(struct run *run)
{
	const struct record *was = &run->was;
	struct record now = run->record;
	const char *trouble;
	set_inventory(run, &now);
	set_conditions(run, &now, &trouble);
	set_nodes(run, &now);
	set_dates(run, &now);
	now.phase = phase_of(run, !trouble);
	now.observed_generation = was->generation;
	now.observed_digest = digest_of(run);
	now.templates_digest = run->templates_digest;
	if (run->r->dry_run)
		return;
	bool same = record_status_eq(was, &now);
	if (!same && !write_status(run, &now))
		return;
	phases_set(run->r->phases, run->key, now.phase);
	if (!same) {
		observe_delay(was, &now);
		tell_phase(run, &now);
		tell_groups(run, &now);
	}
	if (run->last.name)
		store_bury(run->r->store, run->key);
}
