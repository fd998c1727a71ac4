/* Owns the list of what the worker does in the cluster: each call that it makes stands here. */
#include "rbac-sync/needs.h"

#include <stdlib.h>

#include "rbac-sync/events.h"

#define RBAC "rbac.authorization.k8s.io"

/* What the templates make of the worker. */
struct uses {
	bool namespace_grants, cluster_grants;
	bool make_namespaces, remove_namespaces;
	unsigned kinds; /* of objects in namespaces */
	struct slice *names[2]; /* of ClusterRoles, of Roles */
	size_t nnames[2];
};
enum { CLUSTER_ROLES, ROLES };

struct list {
	struct arena *arena;
	struct need *items;
	size_t len, cap;
};

static void add(struct list *l, struct need need)
{
	ARENA_ROOM(l->arena, l->items, l->len, l->cap, 64);
	l->items[l->len++] = need;
}

/* VERBS: words parted by spaces. */
static void add_verbs(struct list *l, const char *verbs, struct need need)
{
	for (struct slice rest = slice_of(verbs); rest.len;) {
		struct slice word = {rest.p, slice_find(rest, ' ')};
		need.verb = arena_strndup(l->arena, word.p, word.len);
		add(l, need);
		rest = slice_skip(rest, word.len + 1);
	}
}

static void add_kind(struct list *l, enum object_kind kind, const char *verbs, const char *why)
{
	const struct object_type *t = &object_types[kind];
	add_verbs(l, verbs, (struct need){.group = t->group, .resource = t->resource, .why = why});
}

/* --- what templates say --- */

static void look_at_grant(struct uses *u, const struct template_grant *g)
{
	int which = g->cluster_role ? CLUSTER_ROLES : ROLES;
	u->names[which][u->nnames[which]++] = slice_of(g->cluster_role ? g->cluster_role : g->role);
	u->cluster_grants |= g->scope == SCOPE_CLUSTER;
	u->namespace_grants |= g->scope == SCOPE_NAMESPACE;
}

static void look_at_template(struct uses *u, const struct template *t)
{
	const struct template_namespace *n = &t->namespace_;
	const struct template_object *o = t->objects.items;
	const struct template_grant *g = t->grants.items;
	u->make_namespaces |= n->present && n->create;
	u->remove_namespaces |= n->present && n->create && n->on_gc == ON_GC_DELETE;
	for (size_t i = 0; i < t->objects.len; i++)
		u->kinds |= 1U << o[i].kind;
	for (size_t i = 0; i < t->grants.len; i++)
		look_at_grant(u, &g[i]);
}

static void look_at(struct uses *u, const struct sync_config *c, struct arena *a)
{
	const struct template *t = c->templates.items;
	size_t grants = 0;
	for (size_t i = 0; i < c->templates.len; i++)
		grants += t[i].grants.len;
	for (int k = 0; k < 2; k++)
		u->names[k] = ARENA_ARRAY(a, struct slice, grants + 1);
	for (size_t i = 0; i < c->templates.len; i++)
		look_at_template(u, &t[i]);
	for (int k = 0; k < 2; k++)
		u->nnames[k] = slice_sort_unique(u->names[k], u->nnames[k]);
}

unsigned needs_kinds(const struct worker_config *w, const struct sync_config *c)
{
	struct arena a;
	struct uses u = {0};
	unsigned kinds = 1U << KIND_USER_RECORD;
	if (w->mode == MODE_INTAKE)
		return kinds;
	arena_init(&a, 0);
	if (c)
		look_at(&u, c, &a);
	arena_done(&a);
	return kinds | u.kinds | 1U << KIND_NAMESPACE | 1U << KIND_ROLE_BINDING | 1U << KIND_CLUSTER_ROLE_BINDING;
}

/* --- the list --- */

static void for_intake(struct list *l)
{
	add_kind(l, KIND_USER_RECORD, "get list watch", "what is known of users is not seen");
	add_kind(l, KIND_USER_RECORD, "create patch", "users do not become records: they wait in the spool");
}

static void for_roles(struct list *l, const struct uses *u)
{
	static const char *const resources[] = {"clusterroles", "roles"};
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < u->nnames[k]; i++) {
			struct need need = {.group = RBAC, .resource = resources[k], .name = u->names[k][i].p};
			need.why = "it is not known what the role gives away: it is not bound";
			add_verbs(l, "get", need);
			need.why = "the apiserver refuses bindings of the role";
			add_verbs(l, "bind", need);
		}
	}
	if (u->nnames[CLUSTER_ROLES])
		add_verbs(l, "list", (struct need){.group = RBAC, .resource = "clusterroles",
		    .why = "it is not known what roles aggregate: those that do are not bound"});
}

static void for_bindings(struct list *l, const struct uses *u)
{
	static const char seen[] = "bindings are not seen: nothing is compared, repaired or removed";
	static const char gone[] = "bindings that are no longer due stay";
	static const char made[] = "the bindings are not made";
	add_kind(l, KIND_ROLE_BINDING, "get list watch", seen);
	add_kind(l, KIND_CLUSTER_ROLE_BINDING, "get list watch", seen);
	add_kind(l, KIND_ROLE_BINDING, "delete", gone);
	add_kind(l, KIND_CLUSTER_ROLE_BINDING, "delete", gone);
	if (u->namespace_grants)
		add_kind(l, KIND_ROLE_BINDING, "create patch", made);
	if (u->cluster_grants)
		add_kind(l, KIND_CLUSTER_ROLE_BINDING, "create patch", made);
}

static void for_namespaces(struct list *l, const struct uses *u)
{
	add_kind(l, KIND_NAMESPACE, "get list watch", "namespaces are not seen: nothing is made in them");
	if (u->make_namespaces)
		add_kind(l, KIND_NAMESPACE, "create patch", "namespaces are not made, nor their labels put right");
	if (u->remove_namespaces)
		add_kind(l, KIND_NAMESPACE, "delete", "namespaces of deleted users stay");
	for (int k = 0; k < KIND_COUNT; k++) {
		if (u->kinds & 1U << k)
			add_kind(l, (enum object_kind)k, "get list watch create patch delete",
			    "these objects are not made, put right or removed");
	}
}

static void for_records(struct list *l, const struct worker_config *w)
{
	const struct object_type *t = &object_types[KIND_USER_RECORD];
	add_kind(l, KIND_USER_RECORD, "list watch", "users are not seen");
	add_kind(l, KIND_USER_RECORD, "get", "a record that others write at the same time is settled late");
	add_verbs(l, "patch", (struct need){.group = t->group, .resource = t->resource, .subresource = "status",
	    .why = "it is not noted what was made for users: nothing is made"});
	if (w->gc.life.delete_after > 0)
		add_kind(l, KIND_USER_RECORD, "delete", "records of users who are gone for good stay");
}

static void for_leader(struct list *l, const struct worker_config *w, const char *namespace_)
{
	struct need lease = {.group = "coordination.k8s.io", .resource = "leases", .namespace_ = namespace_,
	    .why = "nobody leads: nothing is done"};
	struct need event = {.group = "events.k8s.io", .resource = "events", .namespace_ = EVENTS_NAMESPACE,
	    .why = "no events about users are shown"};
	add_verbs(l, "create patch", event);
	event.namespace_ = namespace_;
	event.why = "no events about the worker itself are shown";
	add_verbs(l, "create patch", event);
	if (!w->lease.enabled)
		return;
	add_verbs(l, "create", lease);
	lease.name = w->lease.name;
	add_verbs(l, "get update", lease);
}

static int order_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int order(const void *left, const void *right)
{
	const struct need *a = left, *b = right;
	int c = order_text(a->namespace_, b->namespace_);
	c = c ? c : order_text(a->group, b->group);
	c = c ? c : order_text(a->resource, b->resource);
	c = c ? c : order_text(a->subresource, b->subresource);
	c = c ? c : order_text(a->name, b->name);
	return c ? c : strcmp(a->verb, b->verb);
}

size_t needs_make(struct arena *a, const struct worker_config *w, const struct sync_config *c,
    const char *lease_namespace, struct need **out)
{
	struct list l = {.arena = a};
	struct uses u = {0};
	if (w->mode != MODE_RECONCILE)
		for_intake(&l);
	if (w->mode != MODE_INTAKE) {
		if (c)
			look_at(&u, c, a);
		for_records(&l, w);
		for_namespaces(&l, &u);
		for_bindings(&l, &u);
		for_roles(&l, &u);
		for_leader(&l, w, lease_namespace);
	}
	qsort(l.items, l.len, sizeof(*l.items), order);
	size_t n = 0;
	for (size_t i = 0; i < l.len; i++) {
		if (n == 0 || order(&l.items[n - 1], &l.items[i]) != 0)
			l.items[n++] = l.items[i];
	}
	*out = l.items;
	return n;
}

const char *need_text(const struct need *need, struct arena *a)
{
	return arena_printf(a, "%s %s%s%s%s%s%s%s%s%s", need->verb, need->resource, need->subresource ? "/" : "",
	    need->subresource ? need->subresource : "", *need->group ? "." : "", need->group, need->name ? " " : "",
	    need->name ? need->name : "", need->namespace_ ? " in " : "", need->namespace_ ? need->namespace_ : "");
}
