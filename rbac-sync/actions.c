/* Owns the decision what is to be done about each object of one record. */
#include "rbac-sync/actions_owner.h"

#include <stdlib.h>

#include "common/jsonx.h"

struct maker {
	struct arena *arena;
	const struct record *r;
	const struct due *due; /* NULL when one action is settled */
	const struct life *life;
	const struct actions_view *view;
	struct action *actions;
	size_t len;
	const struct record_binding **had; /* sorted by id */
};

/* The label counts where a namespace's admin cannot write, and never beyond an end or an admin's word. */
static bool kept(const struct action *x)
{
	return x->live->keep && !x->had->id.namespace_ && x->removal != REMOVAL_SUSPENDED &&
	    x->removal != REMOVAL_EXPIRED;
}

/* --- is it as it should be --- */

static bool as_left(const struct record_binding *had, const struct observed *live)
{
	char hex[2 * SHA256_LEN + 1];
	hex_encode(live->live, SHA256_LEN, hex);
	return had && text_eq(had->live, hex);
}

static bool labels_fit(const struct desired *want, const struct observed *live)
{
	const json_t *labels = json_object_get(json_object_get(want->body, "metadata"), "labels");
	for (size_t i = 0; want->id.kind == KIND_NAMESPACE && want->labels && want->labels[i]; i++) {
		struct slice w = jsonx_text(json_object_get(labels, want->labels[i]));
		const char *l = observed_label(live, want->labels[i]);
		if (!l || !slice_is(w, l))
			return false;
	}
	return true;
}

/* Just what was asked for, or what the apiserver made of it when we last asked for just that. */
static bool settled(const struct action *x)
{
	uint8_t digest[SHA256_LEN];
	if (!labels_fit(x->want, x->live))
		return false;
	if (as_left(x->had, x->live) && text_eq(x->had->hash, x->want->hash) &&
	    text_eq(x->live->spec_hash, x->want->hash))
		return true;
	object_digest(x->want->body, NULL, digest);
	return memcmp(digest, x->live->live, SHA256_LEN) == 0;
}

/* --- what is due --- */

static void set(struct action *x, enum action_kind kind, const char *why)
{
	x->kind = kind;
	x->why = why;
}

/* What we wrote was just this, and it is no longer there: whoever changed it was not us. */
static void decide_repair(struct action *x, bool changed, const char *why)
{
	x->drift = x->had && x->had->live && changed && text_eq(x->had->hash, x->want->hash);
	if (x->drift && x->want->drift != DRIFT_REPAIR)
		set(x, ACTION_DRIFT, why);
	else
		set(x, ACTION_APPLY, x->drift ? why : NULL);
}

/* READ: LIVE comes from the apiserver, so that NULL means that there is nothing. */
static void decide(struct maker *m, struct action *x, bool read)
{
	if (!x->live) {
		if (read)
			decide_repair(x, true, "it was deleted");
		else
			set(x, ACTION_APPLY, NULL);
		return;
	}
	const struct owner_case who = {m->arena, m->r, m->view};
	const char *why = owner_foreign(&who, x);
	if (why)
		set(x, ACTION_REFUSE, why);
	else if (x->live->terminating)
		set(x, ACTION_WAIT, "it is being deleted");
	else if (settled(x))
		set(x, ACTION_KEEP, NULL);
	else
		decide_repair(x, !as_left(x->had, x->live) || !labels_fit(x->want, x->live), "it was changed");
}

/* What was decided on the namespace WANT stands in; NULL when that is not due itself. */
static const struct action *namespace_action(const struct maker *m, const struct desired *want)
{
	for (size_t i = 0; i < m->len; i++) {
		const struct action *x = &m->actions[i];
		if (x->want && x->want->id.kind == KIND_NAMESPACE &&
		    text_eq(x->want->id.name, want->id.namespace_))
			return x;
	}
	return NULL;
}

/* The namespace holds the object up: X is decided. */
static bool decide_by_namespace(struct maker *m, struct action *x)
{
	const struct desired *want = x->want;
	if (!want->id.namespace_)
		return false;
	const struct action *made = namespace_action(m, want);
	/* A namespace that a template wanted to make and is another's: nothing of that template goes there, nor of another
	 * that means this one owner's. */
	if (made && made->kind == ACTION_REFUSE &&
	    (want->place_owner || text_eq(made->want->template_, want->template_))) {
		set(x, ACTION_REFUSE, arena_printf(m->arena, "namespace %s: %s", want->id.namespace_, made->why));
		return true;
	}
	const struct object_id id = {KIND_NAMESPACE, NULL, want->id.namespace_};
	struct observed ns;
	bool there = m->view->object(m->view->ctx, &id, m->arena, &ns);
	/* Also one that no template makes for this user: a hash of few letters is found again. */
	if (there && want->place_owner && owner_labelled(&ns) && ns.record && !text_eq(ns.record, want->place_owner)) {
		set(x, ACTION_REFUSE,
		    arena_printf(m->arena, "namespace %s is somebody else's", want->id.namespace_));
		return true;
	}
	if (there ? ns.terminating : !made || made->kind == ACTION_WAIT || made->kind == ACTION_DRIFT) {
		set(x, ACTION_WAIT,
		    arena_printf(m->arena, "namespace %s %s", want->id.namespace_,
			there ? "is being deleted" : "is not there yet"));
		return true;
	}
	return false;
}

static const struct observed *look(struct maker *m, const struct object_id *id)
{
	struct observed *live = ARENA_NEW(m->arena, struct observed);
	return m->view->object(m->view->ctx, id, m->arena, live) ? live : NULL;
}

static int by_had(const void *a, const void *b)
{
	const struct record_binding *const *x = a, *const *y = b;
	return object_id_cmp(&(*x)->id, &(*y)->id);
}

static const struct record_binding *find_had(const struct maker *m, const struct object_id *id)
{
	size_t lo = 0, hi = m->r->nbindings;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int by = object_id_cmp(&m->had[mid]->id, id);
		if (by == 0)
			return m->had[mid];
		if (by < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* Grants count for those alone that are active; the rest of what was made is kept in order for all but the deleted. */
static bool is_due(const struct maker *m, const struct desired *d, const struct record_binding *had)
{
	switch (m->life->state) {
	case LIFE_ACTIVE:
	case LIFE_STALE:
		return true;
	case LIFE_DISABLED:
	case LIFE_SUSPENDED:
		return !owner_is_binding(d->id.kind) && had;
	case LIFE_DELETED:
		break;
	}
	return false;
}

static void add_due(struct maker *m)
{
	for (size_t i = 0; i < m->due->len; i++) {
		const struct desired *d = &m->due->objects[i];
		struct action x = {.want = d, .had = find_had(m, &d->id)};
		if (!is_due(m, d, x.had))
			continue;
		x.live = look(m, &d->id);
		if (!decide_by_namespace(m, &x))
			decide(m, &x, false);
		m->actions[m->len++] = x;
	}
}

/* --- what is due no more --- */

static const struct desired *find_due(const struct maker *m, const struct object_id *id)
{
	for (size_t i = 0; i < m->due->len; i++) {
		if (object_id_eq(&m->due->objects[i].id, id))
			return &m->due->objects[i];
	}
	return NULL;
}

static const struct action *find_action(const struct maker *m, size_t n, const struct object_id *id)
{
	for (size_t i = 0; i < n; i++) {
		if (object_id_eq(&m->actions[i].want->id, id))
			return &m->actions[i];
	}
	return NULL;
}

/* The name of WANT's grant if it gave the role that LIVE gives. */
static const char *with_role_of(const struct maker *m, const struct desired *want, const struct observed *live)
{
	const json_t *subject = json_array_get(json_object_get(want->body, "subjects"), 0);
	struct slice kind = jsonx_text(json_object_get(subject, "kind"));
	const struct due_name n = {owner_note(want, ANNOTATION_PROVIDER),
	    slice_is(kind, "Group") ? SUBJECT_GROUP : SUBJECT_USER, jsonx_text(json_object_get(subject, "name")),
	    live->role_kind, live->role, want->id.namespace_};
	return due_name(m->arena, want->template_, &n);
}

/* X is a grant that was not there before HAD was to go: not settled yet, or noted as what came in HAD's place. */
static bool is_new(const struct action *x, const struct record_binding *had)
{
	return !x->had || !x->had->live || text_eq(had->successor, x->want->id.name);
}

/* X is a grant of HAD's template in HAD's place, and nothing speaks against it. */
static bool beside(const struct action *x, const struct record_binding *had)
{
	bool stays = x->kind == ACTION_APPLY || x->kind == ACTION_KEEP || x->kind == ACTION_DRIFT;
	return stays && x->want->id.kind == had->id.kind && text_eq(x->want->id.namespace_, had->id.namespace_) &&
	    text_eq(x->want->template_, had->template_);
}

/* The grant that HAD waits for, if any: of the same template in the same place, and to the same subject if there is one,
 * which is told by what nobody can change, the old one's name and role. *EXACT: it is that subject's, and new. One that
 * stood beside HAD all along takes nobody's place: then HAD goes as any other. */
static const struct desired *successor(const struct maker *m, size_t n, const struct record_binding *had,
    const struct observed *live, bool *exact)
{
	const struct desired *found = NULL;
	*exact = false;
	for (size_t i = 0; owner_is_binding(had->id.kind) && i < n && !*exact; i++) {
		const struct action *x = &m->actions[i];
		if (!beside(x, had))
			continue;
		bool same = live && live->role && strcmp(with_role_of(m, x->want, live), had->id.name) == 0;
		*exact = same && is_new(x, had);
		if (same || (!found && !x->had))
			found = x->want;
	}
	return found;
}

static bool expired(const struct maker *m, const struct record_binding *had)
{
	int64_t now = m->view->now;
	return (had->expires && had->expires <= now) || (m->r->expires_at && m->r->expires_at <= now);
}

/* Which removal it is; *AFTER: the grant that comes in its place. */
static enum removal removal_of(const struct maker *m, size_t n, const struct action *x,
    const struct desired **after)
{
	if (m->life->state == LIFE_SUSPENDED)
		return REMOVAL_SUSPENDED;
	if (owner_is_binding(x->had->id.kind) && expired(m, x->had))
		return REMOVAL_EXPIRED;
	if (m->life->state == LIFE_DISABLED)
		return REMOVAL_DISABLED;
	if (m->life->state == LIFE_DELETED)
		return REMOVAL_DELETED;
	bool exact;
	*after = successor(m, n, x->had, x->live, &exact);
	return exact ? REMOVAL_REPLACED : REMOVAL_UNDUE;
}

/* The template cannot say yet what it gives: what it gave stays, this or what would come in its place. Where it is
 * known which object that is, the others go: a role that is missing in one namespace, whose admins may remove it, says
 * nothing of the next, nor of what was granted beside it. */
static bool uncertain(const struct maker *m, const struct record_binding *had)
{
	for (size_t i = 0; i < m->due->nrefusals; i++) {
		const struct due_refusal *f = &m->due->refusals[i];
		bool here = !f->id.name || object_id_eq(&f->id, &had->id) ||
		    (f->id.kind == had->id.kind && text_eq(f->id.namespace_, had->id.namespace_) &&
			!find_had(m, &f->id));
		if (f->transient && here && text_eq(f->template_, had->template_))
			return true;
	}
	return false;
}

/* What holds a removal back whatever stands there. */
static bool held(struct maker *m, struct action *x)
{
	bool undue = x->removal == REMOVAL_UNDUE || x->removal == REMOVAL_REPLACED;
	/* Who is kept is deleted by nothing but the deletion of the record itself: then nobody would remove it later. */
	bool ends = x->removal == REMOVAL_SUSPENDED || x->removal == REMOVAL_EXPIRED || x->removal == REMOVAL_DELETED;
	if (undue && uncertain(m, x->had)) {
		set(x, ACTION_KEEP, "what its template gives is not known at the moment");
	} else if (undue && m->view->prunes && !m->view->prunes(m->view->ctx, x->had->template_)) {
		set(x, ACTION_KEEP, "its template removes nothing");
	} else if ((m->r->keep || m->r->keep_label) && !ends) {
		set(x, ACTION_KEEP, "the record is kept");
	} else {
		return false;
	}
	return true;
}

/* A namespace goes with its user alone, and only if the template says so still. */
static bool namespace_goes(const struct maker *m, const struct record_binding *had)
{
	const struct desired *d = m->life->state == LIFE_DELETED ? find_due(m, &had->id) : NULL;
	return d && !d->orphan && !d->adopt;
}

/* HAD limits what runs in a namespace that was made for this record and is left, or goes as a whole. */
static bool stays_in_namespace(const struct maker *m, const struct record_binding *had)
{
	const struct object_id ns = {KIND_NAMESPACE, NULL, had->id.namespace_};
	return !owner_is_binding(had->id.kind) && find_had(m, &ns) &&
	    (m->life->state == LIFE_DELETED || !find_due(m, &ns));
}

static bool grants_alone(const struct maker *m)
{
	return m->life->state == LIFE_DISABLED || m->life->state == LIFE_SUSPENDED;
}

static void decide_undue(struct maker *m, struct action *x)
{
	const struct record_binding *had = x->had;
	if (!owner_is_binding(had->id.kind) && grants_alone(m)) {
		set(x, ACTION_KEEP, "only grants are taken away");
		return;
	}
	if (had->id.kind == KIND_NAMESPACE ? !namespace_goes(m, had) : stays_in_namespace(m, had)) {
		set(x, ACTION_RELEASE,
		    had->id.kind == KIND_NAMESPACE ? "the namespace is left" : "it is left with its namespace");
		return;
	}
	const struct owner_case who = {m->arena, m->r, m->view};
	/* Suspension and ends of a user's own wait for no look at the others. */
	switch (owner_alone(&who, had, x->live) ? ELSEWHERE_NOT
						: m->view->due_elsewhere(m->view->ctx, &had->id, m->r->name)) {
	case ELSEWHERE_NOT:
		set(x, ACTION_DELETE, NULL);
		return;
	case ELSEWHERE_DUE:
		set(x, ACTION_RELEASE, "another record is due it");
		return;
	case ELSEWHERE_UNKNOWN:
		break;
	}
	set(x, ACTION_WAIT, "it is not known yet whether another record is due it");
}

/* A DELETE in the light of LIVE. */
static void decide_removal(struct maker *m, struct action *x, bool read)
{
	const struct owner_case who = {m->arena, m->r, m->view};
	const struct object_id ns = {KIND_NAMESPACE, NULL, x->had->id.namespace_};
	if (!x->live) {
		/* The store has all namespaces, but of other kinds those alone that bear our label. */
		if (read || x->had->id.kind == KIND_NAMESPACE || (ns.name && !look(m, &ns)))
			set(x, ACTION_RELEASE, "it is gone");
	} else if (!owner_proven(&who, x->had, x->live)) {
		set(x, ACTION_RELEASE, "what stands there is not what we made");
	} else if (kept(x)) {
		set(x, m->life->state == LIFE_DELETED ? ACTION_RELEASE : ACTION_KEEP, "it is kept");
	} else if (x->live->terminating && !owner_is_binding(x->had->id.kind)) {
		/* A binding grants until it is gone: it is not left to whoever holds it. */
		set(x, ACTION_WAIT, "it is being deleted");
	}
}

static void add_undue(struct maker *m)
{
	size_t n = m->len;
	/* Backwards: bindings first, namespaces last. */
	for (size_t i = m->r->nbindings; i-- > 0;) {
		struct action x = {.had = m->had[i]};
		if (find_action(m, n, &x.had->id) || (i && object_id_eq(&m->had[i - 1]->id, &x.had->id)))
			continue;
		x.live = look(m, &x.had->id);
		x.removal = removal_of(m, n, &x, &x.successor);
		if (!held(m, &x)) {
			decide_undue(m, &x);
			if (x.kind == ACTION_DELETE)
				decide_removal(m, &x, false);
		}
		m->actions[m->len++] = x;
	}
}

size_t actions_make(struct arena *a, const struct record *r, const struct due *due, const struct life *life,
    const struct actions_view *view, struct action **out)
{
	struct maker m = {.arena = a, .r = r, .due = due, .life = life, .view = view};
	m.actions = ARENA_ARRAY(a, struct action, due->len + r->nbindings + 1);
	m.had = ARENA_ARRAY(a, const struct record_binding *, r->nbindings + 1);
	for (size_t i = 0; i < r->nbindings; i++)
		m.had[i] = &r->bindings[i];
	if (r->nbindings)
		qsort(m.had, r->nbindings, sizeof(*m.had), by_had);
	add_due(&m);
	add_undue(&m);
	*out = m.actions;
	return m.len;
}

void action_settle(struct action *x, struct arena *a, const struct record *r, const struct life *life,
    const struct actions_view *view, const struct observed *live)
{
	struct maker m = {.arena = a, .r = r, .life = life, .view = view};
	x->live = live;
	if (x->want)
		decide(&m, x, true);
	else
		decide_removal(&m, x, true);
}

bool actions_goes_along(const struct due *due, const struct desired *want)
{
	const struct object_id ns = {KIND_NAMESPACE, NULL, want->id.namespace_};
	const struct maker m = {.due = due};
	if (want->shared)
		return false;
	if (owner_is_binding(want->id.kind))
		return true;
	const struct desired *place = want->id.namespace_ ? find_due(&m, &ns) : want;
	return !place || (!place->orphan && !place->adopt);
}

const char *action_name(enum action_kind kind)
{
	static const char *const names[] = {"keep", "apply", "refuse", "wait", "drift", "delete", "release"};
	return names[kind];
}

const char *removal_name(enum removal removal)
{
	static const char *const names[] = {
	    "undue", "replaced", "expired", "suspended", "disabled", "deleted"};
	return names[removal];
}
