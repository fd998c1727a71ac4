/* Owns what becomes of grants when groups of a record are lost: by a directory's word, or by the memory of it. */
#include <stdlib.h>

#include "rbac-sync/due_internal.h"

/* R as it is without the groups it lost; SURE: without those alone of which a directory says so now. */
static struct record without_lost(struct arena *a, const struct record *r, bool sure)
{
	struct record out = *r;
	const struct spool_event *ev = &r->identity;
	struct slice *groups = ARENA_ARRAY(a, struct slice, ev->ngroups + 1);
	size_t n = 0;
	for (size_t i = 0; i < ev->ngroups; i++) {
		const struct record_lost *l = record_lost(r, ev->groups[i]);
		if (!l || (sure && !l->sure))
			groups[n++] = ev->groups[i];
	}
	out.identity.groups = groups;
	out.identity.ngroups = n;
	return out;
}

static bool any_unsure(const struct record *r)
{
	size_t i = 0;
	while (i < r->nlost && r->lost[i].sure)
		i++;
	return i < r->nlost;
}

/* In the inventory, and in the cluster as far as that is known. */
static bool stands(const struct record *r, const struct due_world *w, const struct object_id *id)
{
	return record_binding_of(r, id) && (!w->stands || w->stands(w->ctx, id));
}

static bool has(const struct due *due, const struct object_id *id)
{
	for (size_t i = 0; i < due->len; i++) {
		if (object_id_eq(&due->objects[i].id, id))
			return true;
	}
	return false;
}

static bool told(const struct due *due, const struct due_refusal *r)
{
	for (size_t i = 0; i < due->nrefusals; i++) {
		const struct due_refusal *o = &due->refusals[i];
		bool same = r->id.name ? o->id.name && object_id_eq(&o->id, &r->id) : !o->id.name;
		if (same && text_eq(o->template_, r->template_) && text_eq(o->what, r->what))
			return true;
	}
	return false;
}

/* Of MORE, which would be due if what is only remembered did not count: what stands stays, and what is not known yet
 * holds back the removal of what stands. */
static void keep_standing(
    struct arena *a, const struct record *r, const struct due_world *w, const struct due *more, struct due *out)
{
	struct desired *objects = ARENA_ARRAY(a, struct desired, out->len + more->len + 1);
	struct due_refusal *refusals = ARENA_ARRAY(a, struct due_refusal, out->nrefusals + more->nrefusals + 1);
	for (size_t i = 0; i < out->len; i++)
		objects[i] = out->objects[i];
	for (size_t i = 0; i < out->nrefusals; i++)
		refusals[i] = out->refusals[i];
	out->objects = objects;
	out->refusals = refusals;
	for (size_t i = 0; i < more->len; i++) {
		const struct object_id *id = &more->objects[i].id;
		if (!has(out, id) && stands(r, w, id))
			objects[out->len++] = more->objects[i];
	}
	for (size_t i = 0; i < more->nrefusals; i++) {
		const struct due_refusal *f = &more->refusals[i];
		if (f->transient && !told(out, f) && (!f->id.name || stands(r, w, &f->id)))
			refusals[out->nrefusals++] = *f;
	}
	if (more->next < out->next)
		out->next = more->next;
	if (out->len)
		qsort(objects, out->len, sizeof(*objects), due_by_id);
}

void due_make(struct arena *a, const struct record *r, const struct due_world *w, struct due *out)
{
	if (r->nlost == 0) {
		due_of(a, r, w, out);
		return;
	}
	struct record now = without_lost(a, r, false);
	due_of(a, &now, w, out);
	if (!any_unsure(r))
		return;
	struct record then = without_lost(a, r, true);
	struct due more;
	due_of(a, &then, w, &more);
	keep_standing(a, r, w, &more, out);
}
