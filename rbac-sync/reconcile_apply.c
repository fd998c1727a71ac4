/* Owns the writing and the removing of one object: whose it is, over which state, and what the answer means. */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/jsonx.h"
#include "common/secret.h"
#include "rbac-sync/reconcile_run.h"

#define CONFLICTS_MAX 3 /* somebody else writes at the same instant; more than that is trouble */
#define NAME_PREFIX "portcullis:"

struct object_id run_id(const struct run *run)
{
	return (struct object_id){KIND_USER_RECORD, NULL, run->key};
}

bool run_may_write(struct run *run)
{
	if (run->r->lease && !lease_leading(run->r->lease))
		run->lost = true;
	return !run->lost;
}

bool run_failed(struct run *run, const struct kube_answer *got)
{
	if (got->verdict == KUBE_CONFLICT)
		run->stale = true;
	else if (got->verdict == KUBE_LATER || got->verdict == KUBE_GONE)
		run->trouble = true;
	else
		return false;
	run->wait = got->wait;
	run->trouble_why = arena_strdup(run->a, got->why.msg);
	return true;
}

void run_refused(struct run *run, const struct kube_answer *got)
{
	run->refused = true;
	run->trouble_why = arena_strdup(run->a, got->why.msg);
}

/* --- what stands there --- */

static const char *meta_text(const json_t *object, const char *part, const char *key)
{
	const json_t *m = json_object_get(object, "metadata");
	if (part)
		m = json_object_get(m, part);
	return json_string_value(json_object_get(m, key));
}

/* What an answer about ID must look like; the caller owns it. */
static json_t *likeness(const struct object_id *id)
{
	const struct object_type *type = &object_types[id->kind];
	json_t *like = json_pack("{s:s,s:s,s:{s:s,s:s*}}", "apiVersion", type->api_version, "kind", type->kind,
	    "metadata", "name", id->name, "namespace", id->namespace_);
	if (!like)
		abort();
	return like;
}

/* What the apiserver says. Zero knows nothing. */
enum word { WORD_UNKNOWN = 0, WORD_NOTHING, WORD_THERE };

/* UNKNOWN is trouble, or WHY says that it may not be read: then it must not be taken for gone. */
static enum word ask(struct run *run, const struct object_id *id, struct observed *out, struct outcome *why)
{
	struct kube_answer live;
	enum word word = WORD_UNKNOWN;
	json_t *like = likeness(id);
	kube_get(run->k, object_path(run->a, id), like, &live);
	json_decref(like);
	*out = (struct observed){0};
	if (live.verdict == KUBE_OK && observed_read(id->kind, live.body, run->a, out)) {
		out->id = *id;
		word = WORD_THERE;
	} else if (live.verdict == KUBE_ABSENT) {
		word = WORD_NOTHING;
	} else if (!run_failed(run, &live)) {
		*why = (struct outcome){.kind = OUTCOME_REFUSED, .why = arena_strdup(run->a, live.why.msg), .status = live.status};
	}
	kube_answer_done(&live);
	return word;
}

void run_reread(struct run *run)
{
	struct object_id id = run_id(run);
	struct kube_answer live;
	json_t *like = likeness(&id);
	kube_get(run->k, object_path(run->a, &id), like, &live);
	json_decref(like);
	if (live.verdict == KUBE_OK)
		store_learn(run->r->store, KIND_USER_RECORD, live.body);
	kube_answer_done(&live);
}

bool reconcile_view(struct run *run, const struct object_id *id, struct observed *out)
{
	struct outcome why;
	if (store_synced(run->r->store, 1U << id->kind))
		return store_object(run->r->store, id, run->a, out);
	return ask(run, id, out, &why) == WORD_THERE;
}

/* --- what is written --- */

struct record_binding reconcile_entry(
    const struct run *run, const struct desired *want, const char *uid, const uint8_t live[SHA256_LEN])
{
	char *hex = arena_alloc(run->a, 2 * SHA256_LEN + 1);
	hex_encode(live, SHA256_LEN, hex);
	return (struct record_binding){
	    .id = want->id,
	    .uid = arena_strdup(run->a, uid),
	    .template_ = want->template_,
	    .hash = want->hash,
	    .live = hex,
	    .expires = want->expires,
	};
}

/* Owned by the record where it shall go with it. */
json_t *reconcile_body(const struct run *run, const struct desired *want)
{
	json_t *body = json_deep_copy(want->body);
	if (!body)
		abort();
	if (!actions_goes_along(&run->due, want))
		return body;
	json_t *owner = json_pack("[{s:s,s:s,s:s,s:s,s:b,s:b}]", "apiVersion", API_VERSION, "kind",
	    object_types[KIND_USER_RECORD].kind, "name", run->key, "uid", run->record.uid, "controller", 1,
	    "blockOwnerDeletion", 0);
	if (!owner || json_object_set_new(json_object_get(body, "metadata"), "ownerReferences", owner) != 0)
		abort();
	return body;
}

/* Name and marks alone: what never leaves a namespace again, so that no other manager's field is left behind. */
static json_t *bare_namespace(const json_t *body)
{
	static const char *const labels[] = {LABEL_MANAGED_BY, LABEL_RECORD};
	static const char *const notes[] = {ANNOTATION_USER, ANNOTATION_GROUP, ANNOTATION_PROVIDER};
	json_t *l = json_object(), *n = json_object();
	for (size_t i = 0; i < ARRAY_LEN(labels); i++) {
		const char *v = meta_text(body, "labels", labels[i]);
		if (v)
			json_object_set_new(l, labels[i], json_string(v));
	}
	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		const char *v = meta_text(body, "annotations", notes[i]);
		if (v)
			json_object_set_new(n, notes[i], json_string(v));
	}
	return json_pack("{s:s,s:s,s:{s:s,s:o,s:o}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name",
	    meta_text(body, NULL, "name"), "labels", l, "annotations", n);
}

/* --- one attempt --- */

struct attempt {
	struct action *act;
	const char *path;
	json_t *body;
	const char *version; /* of what stands there and is ours; NULL: nothing stands there */
	bool look;	     /* the apiserver is to be asked what stands there */
};

/* What an answer that is no success means for this object. */
static void note_failure(struct run *run, const struct kube_answer *got, struct outcome *out)
{
	out->why = arena_strdup(run->a, got->why.msg);
	out->status = got->status;
	if (run_failed(run, got))
		return;
	/* A namespace that goes or is not there makes its objects wait, not fail: the watch tells when to try again. */
	bool waits = got->status == 404 || (got->status == 403 && strstr(got->why.msg, "being terminated"));
	out->kind = waits ? OUTCOME_WAITS : OUTCOME_REFUSED;
}

/* True when there is something to write now. The apiserver's word decides on the action anew. */
static bool look(struct run *run, struct attempt *t, struct outcome *out)
{
	struct observed *live = ARENA_NEW(run->a, struct observed);
	struct action *act = t->act;
	enum word word = ask(run, &act->want->id, live, out);
	if (word == WORD_UNKNOWN)
		return false;
	action_settle(act, run->a, &run->record, &run->life, &run->view, word == WORD_THERE ? live : NULL);
	t->version = live->resource_version;
	if (act->kind == ACTION_APPLY)
		return true;
	reconcile_note(run, act, out);
	return false;
}

/* May this repair be made now? Else somebody and we undo each other's work. */
static bool drift_allows(struct run *run, const struct action *act, struct outcome *out)
{
	int64_t again = INT64_MAX;
	if (!act->drift || run->r->dry_run)
		return true;
	enum drift_answer answer = drift_ask(run->r->drift, &act->want->id, &again);
	if (answer == DRIFT_GO)
		return true;
	out->kind = OUTCOME_DRIFTS;
	out->why = "it is changed again and again: repairs pause";
	run->ask = again < run->ask ? again : run->ask;
	if (answer == DRIFT_FIGHT)
		tell_fight(run, act);
	return false;
}

/* False: there are as many namespaces of ours as there may be. */
static bool has_room(struct run *run, struct outcome *out)
{
	int64_t max = run->config->limits.max_namespaces;
	if (store_managed_of(run->r->store, KIND_NAMESPACE) < (size_t)max)
		return true;
	out->kind = OUTCOME_REFUSED;
	out->why = "there are limits.maxNamespaces already (" RAIL_TOO_MANY_NAMESPACES ")";
	return false;
}

/* A new namespace is created, not applied: applying merges into whatever somebody else made a moment ago. True when
 * it stands and the rest of it is to be applied over VERSION. */
static bool create_namespace(struct run *run, struct attempt *t, struct outcome *out, bool *conflict)
{
	struct arena *a = run->a;
	struct kube_answer got;
	json_t *bare = bare_namespace(t->body);
	if (!bare)
		abort();
	kube_create(run->k, object_collection(a, KIND_NAMESPACE, NULL), bare, &got);
	json_decref(bare);
	*conflict = got.verdict == KUBE_CONFLICT;
	if (got.verdict == KUBE_OK)
		t->version = arena_strdup(a, meta_text(got.body, NULL, "resourceVersion"));
	else
		note_failure(run, &got, out);
	bool ok = got.verdict == KUBE_OK;
	kube_answer_done(&got);
	return ok;
}

static void note_success(struct run *run, const struct attempt *t, const json_t *body, bool created,
    struct outcome *out)
{
	uint8_t live[SHA256_LEN];
	const struct desired *want = t->act->want;
	object_digest(body, NULL, live);
	out->entry = reconcile_entry(run, want, meta_text(body, NULL, "uid"), live);
	out->kind = created ? OUTCOME_CREATED : OUTCOME_WRITTEN;
	run->writes++;
	if (!run->r->dry_run)
		store_learn(run->r->store, want->id.kind, body);
}

/* 500 is the answer, too, to an object that the apiserver cannot make sense of. Where nothing was written and it answers
 * otherwise, the object is at fault, and holds up itself alone. */
static bool choked(struct run *run, const struct attempt *t, const struct kube_answer *got)
{
	struct observed live;
	struct outcome why;
	if (got->status != 500)
		return false;
	enum word word = ask(run, &t->act->want->id, &live, &why);
	return word == WORD_NOTHING ? !t->version
				    : word == WORD_THERE && t->version && strcmp(live.resource_version, t->version) == 0;
}

/* True on a conflict: look and try again. */
static bool attempt(struct run *run, struct attempt *t, struct outcome *out)
{
	bool conflict = false;
	*out = (struct outcome){0};
	if (t->look && !look(run, t, out))
		return false;
	bool created = !t->version, place = created && t->act->want->id.kind == KIND_NAMESPACE;
	if (place && !has_room(run, out))
		return false;
	if (!drift_allows(run, t->act, out) || !run_may_write(run))
		return false;
	if (place && !run->r->dry_run && (!create_namespace(run, t, out, &conflict) || !run_may_write(run)))
		return conflict;
	struct kube_answer got;
	kube_apply(run->k, t->path, t->body, t->version, &got);
	conflict = got.verdict == KUBE_CONFLICT;
	if (got.verdict == KUBE_OK)
		note_success(run, t, got.body, created, out);
	else if (choked(run, t, &got))
		*out = (struct outcome){OUTCOME_REFUSED, .why = arena_strdup(run->a, got.why.msg), .status = got.status};
	else
		note_failure(run, &got, out);
	kube_answer_done(&got);
	return conflict;
}

void reconcile_apply(struct run *run, struct action *act, struct outcome *out)
{
	struct attempt t = {
	    .act = act,
	    .path = object_path(run->a, &act->want->id),
	    .body = reconcile_body(run, act->want),
	    .version = act->live ? act->live->resource_version : NULL,
	    .look = !act->live,
	};
	bool again = true;
	for (int i = 0; i < CONFLICTS_MAX && again; i++) {
		run->stale = false;
		again = attempt(run, &t, out);
		t.look = true;
	}
	/* Whoever changes one object all the time holds up that one alone. */
	if (again) {
		run->stale = false;
		*out = (struct outcome){.kind = OUTCOME_WAITS, .why = "somebody changes it all the time"};
	}
	json_decref(t.body);
}

/* --- removal --- */

bool reconcile_ask(struct run *run, struct action *act)
{
	struct observed *live = ARENA_NEW(run->a, struct observed);
	struct outcome why = {0};
	enum word word = ask(run, act->want ? &act->want->id : &act->had->id, live, &why);
	if (word == WORD_UNKNOWN && !run_over(run))
		run->trouble_why = why.why;
	if (word != WORD_UNKNOWN)
		action_settle(act, run->a, &run->record, &run->life, &run->view, word == WORD_THERE ? live : NULL);
	return word != WORD_UNKNOWN;
}

void reconcile_look(struct run *run, struct action *act, struct outcome *out)
{
	struct observed *live = ARENA_NEW(run->a, struct observed);
	enum word word = ask(run, &act->had->id, live, out);
	if (word == WORD_UNKNOWN)
		return;
	action_settle(act, run->a, &run->record, &run->life, &run->view, word == WORD_THERE ? live : NULL);
	if (act->kind != ACTION_DELETE)
		reconcile_note(run, act, out);
}

static void note_removed(struct run *run, const struct action *act, struct outcome *out)
{
	const struct object_id *id = &act->live->id;
	out->kind = OUTCOME_REMOVED;
	run->writes++;
	if (run->r->dry_run)
		return;
	json_t *was = json_pack("{s:{s:s,s:s*,s:s,s:s}}", "metadata", "name", id->name, "namespace", id->namespace_,
	    "uid", act->live->uid, "resourceVersion", act->live->resource_version);
	/* A namespace only begins to go. */
	if (id->kind != KIND_NAMESPACE)
		store_remove(run->r->store, id->kind, was);
	json_decref(was);
}

/* A binding that a finalizer holds grants still; whoever may write it could hold it for ever. */
static void let_go(struct run *run, const struct action *act, const char *path, const json_t *left, struct outcome *out)
{
	struct kube_answer got;
	json_t *meta = json_object_get(left, "metadata");
	if (!json_array_size(json_object_get(meta, "finalizers")) || !json_object_get(meta, "deletionTimestamp"))
		return;
	*out = (struct outcome){.kind = OUTCOME_HELD, .why = "a finalizer holds it"};
	if (!run_may_write(run))
		return;
	json_t *patch = json_pack("{s:{s:s,s:n}}", "metadata", "uid", act->live->uid, "finalizers");
	kube_merge(run->k, path, patch, &got);
	json_decref(patch);
	if (got.verdict == KUBE_OK || got.verdict == KUBE_ABSENT)
		*out = (struct outcome){0};
	else
		note_failure(run, &got, out);
	kube_answer_done(&got);
}

/* One attempt in the state VERSION, or in any. True on a conflict. */
static bool delete_once(struct run *run, const struct action *act, const char *version, struct outcome *out)
{
	const char *path = object_path(run->a, &act->had->id);
	bool binding = act->had->id.kind == KIND_ROLE_BINDING || act->had->id.kind == KIND_CLUSTER_ROLE_BINDING;
	struct kube_answer got;
	*out = (struct outcome){0};
	run->stale = false;
	kube_delete(run->k, path, act->live->uid, version, &got);
	bool done = got.verdict == KUBE_OK || got.verdict == KUBE_ABSENT, conflict = got.verdict == KUBE_CONFLICT;
	if (!done)
		note_failure(run, &got, out);
	else if (binding && got.body)
		let_go(run, act, path, got.body, out);
	if (done && out->kind == OUTCOME_OPEN && !run_over(run))
		note_removed(run, act, out);
	kube_answer_done(&got);
	return conflict;
}

void reconcile_remove(struct run *run, struct action *act, struct outcome *out)
{
	for (int i = 0; i < CONFLICTS_MAX && run_may_write(run); i++) {
		/* Name and role of a binding never change, so that its state matters no more where a namespace's admin
		 * could change it as fast as we look. */
		bool any = i == CONFLICTS_MAX - 1 && act->had->id.kind == KIND_ROLE_BINDING;
		if (!delete_once(run, act, any ? NULL : act->live->resource_version, out))
			return;
		/* It was changed since, or is another one. */
		run->stale = false;
		reconcile_look(run, act, out);
		if (run->trouble || out->kind != OUTCOME_OPEN)
			return;
	}
	run->stale |= !run->lost; /* changed under our hands each time */
}

/* --- intents of a run that did not end --- */

/* It is the own of the template that B was announced for: no user's, no group's, no provider's. */
static bool of_template(const struct record_binding *b, const struct observed *o)
{
	char key[SPOOL_KEY_LEN + 1];
	if (!b->template_ || o->user || o->group || !text_eq(o->provider, DUE_PROVIDER_ANY))
		return false;
	due_template_key(b->template_, key);
	return text_eq(o->record, key);
}

/* Marks of this record's owner, of a group of its provider or of the template, on what stands at an announced place. */
static bool announced(const struct run *run, const struct record_binding *b, const struct observed *o)
{
	const struct spool_event *who = &run->record.identity;
	bool binding = o->id.kind == KIND_ROLE_BINDING || o->id.kind == KIND_CLUSTER_ROLE_BINDING;
	if (!text_eq(o->managed_by, MANAGED_BY) || !o->uid || !o->provider)
		return false;
	if (!binding && of_template(b, o))
		return true;
	if (!slice_is(who->provider, o->provider))
		return false;
	if (binding && strncmp(o->id.name, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
		return false;
	return o->user ? slice_is(who->username, o->user) : o->group != NULL;
}

/* The same, but asks also about what the store does not show: it may be late, or a label may be lost. */
static enum word find(struct run *run, const struct object_id *id, struct observed *out)
{
	struct outcome why;
	return store_object(run->r->store, id, run->a, out) ? WORD_THERE : ask(run, id, out, &why);
}

bool reconcile_resolve(struct run *run)
{
	struct record *r = &run->record;
	struct record_binding *kept = ARENA_ARRAY(run->a, struct record_binding, r->nbindings + 1);
	size_t n = 0;
	for (size_t i = 0; i < r->nbindings; i++) {
		struct record_binding b = r->bindings[i];
		struct observed o;
		if (!b.uid || !*b.uid) {
			enum word word = find(run, &b.id, &o);
			if (word == WORD_UNKNOWN && run_over(run))
				return false;
			if (word == WORD_NOTHING || (word == WORD_THERE && !announced(run, &b, &o)))
				continue;
			b.uid = word == WORD_THERE ? o.uid : NULL;
		}
		kept[n++] = b;
	}
	r->bindings = kept;
	r->nbindings = n;
	return true;
}
