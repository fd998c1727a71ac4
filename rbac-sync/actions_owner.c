/* Owns the question whose an object of the cluster is: by inventory, marks, uid and name. */
#include "rbac-sync/actions_owner.h"

#include "common/jsonx.h"

#define NAME_PREFIX "portcullis:"

static bool starts(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool same_uid(const struct record_binding *had, const struct observed *live)
{
	return had && had->uid && had->uid[0] && live->uid && strcmp(had->uid, live->uid) == 0;
}

bool owner_labelled(const struct observed *live)
{
	return text_eq(live->managed_by, MANAGED_BY);
}

struct slice owner_note(const struct desired *d, const char *key)
{
	const json_t *meta = json_object_get(d->body, "metadata");
	return jsonx_text(json_object_get(json_object_get(meta, "annotations"), key));
}

enum owner { OWNER_UNSAID, OWNER_US, OWNER_ANOTHER };

/* What the annotations of LIVE say against those of WANT. One too many, beside all of ours, says nothing: an apply
 * could not take it away again. */
static enum owner owner_of(const struct desired *want, const struct observed *live)
{
	const struct {
		const char *key, *live;
	} notes[] = {
	    {ANNOTATION_USER, live->user},
	    {ANNOTATION_GROUP, live->group},
	    {ANNOTATION_PROVIDER, live->provider},
	};
	bool all = true, another = false;
	for (size_t i = 0; i < ARRAY_LEN(notes); i++) {
		struct slice w = owner_note(want, notes[i].key);
		bool equal = w.p && notes[i].live && slice_is(w, notes[i].live);
		all &= !w.p || equal;
		another |= notes[i].live && !equal;
	}
	/* All that we make names a provider. */
	if (all && live->provider)
		return OWNER_US;
	return another ? OWNER_ANOTHER : OWNER_UNSAID;
}

/* The namespace was made for the same owner: what stands in it under a name of ours took the place of ours. */
static bool own_namespace(const struct owner_case *m, const struct desired *want)
{
	const struct object_id id = {KIND_NAMESPACE, NULL, want->id.namespace_};
	struct observed ns;
	return id.name && m->view->object(m->view->ctx, &id, m->arena, &ns) && owner_labelled(&ns) &&
	    text_eq(ns.record, want->owner);
}

/* A roleRef cannot change: one that differs makes our write fail, whoever made it. */
static bool other_role(const struct desired *want, const struct observed *live)
{
	const json_t *ref = json_object_get(want->body, "roleRef");
	if (!owner_is_binding(want->id.kind))
		return false;
	return !live->role || !slice_is(jsonx_text(json_object_get(ref, "name")), live->role) ||
	    !slice_is(jsonx_text(json_object_get(ref, "kind")), live->role_kind);
}

/* Of a namespace that does not say by its annotations that it is another's. */
static const char *namespace_foreign(const struct desired *want, const struct observed *live, enum owner owner)
{
	if (owner == OWNER_US && owner_labelled(live))
		return NULL;
	if (want->adopt && owner_labelled(live) && live->record && !text_eq(live->record, want->owner))
		return "a label says that the namespace is somebody else's";
	return want->adopt ? NULL : "the namespace was there before and may not be adopted";
}

const char *owner_foreign(const struct owner_case *m, const struct action *x)
{
	const struct desired *want = x->want;
	const struct observed *live = x->live;
	if (other_role(want, live))
		return "an object of that name binds another role";
	if (same_uid(x->had, live))
		return NULL;
	enum owner owner = owner_of(want, live);
	if (owner == OWNER_ANOTHER)
		return "an object of that name says that it belongs to somebody else";
	if (want->id.kind == KIND_NAMESPACE)
		return namespace_foreign(want, live, owner);
	if (owner == OWNER_US || owner_labelled(live))
		return NULL;
	/* Ours was deleted and another put in its place. */
	if (x->had && (starts(want->id.name, NAME_PREFIX) || own_namespace(m, want)))
		return NULL;
	return "an object of that name is there without our marks";
}

/* The name of HAD if we had made it for that subject of the record's provider, with the role that LIVE gives. */
static bool named_for(
    const struct owner_case *m, const struct record_binding *had, const struct observed *live, enum subject_kind kind,
    struct slice subject)
{
	const struct due_name n = {m->r->identity.provider, kind, subject, live->role_kind, live->role, had->id.namespace_};
	return strcmp(due_name(m->arena, had->template_, &n), had->id.name) == 0;
}

bool owner_alone(const struct owner_case *m, const struct record_binding *had, const struct observed *live)
{
	return owner_is_binding(had->id.kind) && had->template_ && live && live->role &&
	    named_for(m, had, live, SUBJECT_USER, m->r->identity.username);
}

/* Name and role of a binding cannot be changed: they tell for whom it was made when its marks were taken off. */
static bool named_by_us(const struct owner_case *m, const struct record_binding *had, const struct observed *live)
{
	const struct spool_event *who = &m->r->identity;
	if (!had->template_ || !live->role)
		return false;
	bool ours = named_for(m, had, live, SUBJECT_USER, who->username);
	for (size_t i = 0; i < who->ngroups && !ours; i++)
		ours = named_for(m, had, live, SUBJECT_GROUP, who->groups[i]);
	return ours;
}

/* Ours was deleted, and made anew by us: what its uid is now was not written down before it ceased to be due. Its name is
 * the one that we give to the very subject that its marks name. */
static bool made_again(const struct owner_case *m, const struct record_binding *had, const struct observed *live)
{
	const struct spool_event *who = &m->r->identity;
	if (!owner_labelled(live) || !live->provider || !slice_is(who->provider, live->provider) || !had->template_ ||
	    !live->role)
		return false;
	if (live->user)
		return slice_is(who->username, live->user) && named_for(m, had, live, SUBJECT_USER, who->username);
	return live->group && named_for(m, had, live, SUBJECT_GROUP, slice_of(live->group));
}

bool owner_proven(const struct owner_case *m, const struct record_binding *had, const struct observed *live)
{
	bool binding = owner_is_binding(had->id.kind);
	if (binding && !starts(had->id.name, NAME_PREFIX))
		return false;
	if (!same_uid(had, live))
		return binding && made_again(m, had, live);
	return owner_labelled(live) || live->provider || (binding && named_by_us(m, had, live));
}
