/* Owns upstream's semantics of RBAC and ABAC for the second evaluator: literal, and nothing compiled. */
#include <stdio.h>

#include "tests/support/naive_import.h"

static bool starts_before_stars(const char *text, struct slice path)
{
	size_t n = strlen(text);
	if (n == 0 || text[n - 1] != '*')
		return false;
	while (n && text[n - 1] == '*')
		n--;
	return slice_starts(path, (struct slice){text, n});
}

static bool url_is(const char *text, struct slice path)
{
	return strcmp(text, "*") == 0 || slice_is(path, text) || starts_before_stars(text, path);
}

/* --- RBAC: rules --- */

static bool in_or_star(const struct naive_list *l, struct slice s)
{
	return naive_in(l, SLICE("*")) || naive_in(l, s);
}

/* The request's resource and subresource, written as one. */
static bool is_combined(const char *text, const struct access_request *r)
{
	char combined[128];
	if (r->subresource.len)
		snprintf(combined, sizeof(combined), SLICE_FMT "/" SLICE_FMT, SLICE_ARG(r->resource),
		    SLICE_ARG(r->subresource));
	else
		snprintf(combined, sizeof(combined), SLICE_FMT, SLICE_ARG(r->resource));
	return strcmp(text, combined) == 0;
}

static bool resource_is(const char *text, const struct access_request *r)
{
	if (strcmp(text, "*") == 0 || is_combined(text, r))
		return true;
	return r->subresource.len && strncmp(text, "*/", 2) == 0 && slice_is(r->subresource, text + 2);
}

static bool rule_allows(const struct naive_grant_rbac *g, const struct access_request *r)
{
	bool hit = false;
	if (!in_or_star(&g->verbs, r->verb))
		return false;
	if (!r->resource_request) {
		for (int i = 0; i < g->urls.n; i++)
			hit |= url_is(g->urls.v[i], r->path);
		return hit;
	}
	if (!in_or_star(&g->groups, r->api_group))
		return false;
	for (int i = 0; i < g->resources.n; i++)
		hit |= resource_is(g->resources.v[i], r);
	return hit && (!g->names.n || naive_in(&g->names, r->name));
}

/* --- RBAC: roles --- */

static const struct naive_role *find_role(
    const struct naive_imports *im, const char *ns, const char *name)
{
	for (int i = 0; i < im->nroles; i++) {
		const struct naive_role *role = &im->roles[i];
		bool same_ns = ns ? role->ns && strcmp(ns, role->ns) == 0 : !role->ns;
		if (same_ns && strcmp(role->name, name) == 0)
			return role;
	}
	return NULL;
}

/* What an aggregated role says itself does not count; SEEN keeps circles from being walked twice. */
static bool role_allows(const struct naive_imports *im, const struct naive_role *role,
    const struct access_request *r, unsigned *seen)
{
	unsigned bit = 1U << (role - im->roles);
	bool hit = false;
	if (*seen & bit)
		return false;
	*seen |= bit;
	for (int i = 0; i < role->n && !role->selects; i++)
		hit |= rule_allows(&role->rules[i], r);
	for (int i = 0; i < im->nroles && role->selects; i++) {
		const struct naive_role *other = &im->roles[i];
		if (!other->ns && other->label && strcmp(other->label, role->selects) == 0)
			hit |= role_allows(im, other, r, seen);
	}
	return hit;
}

/* --- RBAC: bindings --- */

static bool subject_is(
    const struct naive_subject *s, const char *binding_ns, const struct access_request *r)
{
	char name[128];
	if (strcmp(s->kind, "User") == 0)
		return slice_is(r->user, s->name);
	if (strcmp(s->kind, "Group") == 0)
		return naive_has_group(r, s->name);
	const char *ns = s->ns ? s->ns : binding_ns;
	if (!ns)
		return false;
	snprintf(name, sizeof(name), "system:serviceaccount:%s:%s", ns, s->name);
	return slice_is(r->user, name);
}

/* Is B looked at for R, and does it name the subject? */
static bool concerns(const struct naive_binding *b, const struct access_request *r)
{
	bool named = false;
	if (b->ns && (!r->resource_request || !slice_is(r->namespace_, b->ns)))
		return false;
	for (int i = 0; i < b->n; i++)
		named |= subject_is(&b->subjects[i], b->ns, r);
	return named;
}

bool naive_rbac(const struct naive_imports *im, const struct access_request *r, const char **id)
{
	for (int i = 0; i < im->nbindings; i++) {
		const struct naive_binding *b = &im->bindings[i];
		const struct naive_role *role =
		    find_role(im, b->cluster_role ? NULL : b->ns, b->role);
		unsigned seen = 0;
		if (!role || !concerns(b, r) || !role_allows(im, role, r, &seen))
			continue;
		*id = b->id;
		return true;
	}
	return false;
}

void naive_note(const struct naive_imports *im, const struct access_request *r, char out[128])
{
	out[0] = '\0';
	for (int i = 0; i < im->nbindings && !out[0]; i++) {
		const struct naive_binding *b = &im->bindings[i];
		if (concerns(b, r) && !find_role(im, b->cluster_role ? NULL : b->ns, b->role))
			snprintf(out, 128, "RBAC: %s.rbac.authorization.k8s.io \"%s\" not found",
			    b->cluster_role ? "clusterrole" : "role", b->role);
	}
}

/* --- ABAC --- */

static const char *text_of(const char *s)
{
	return s ? s : "";
}

static bool is_star(const char *s)
{
	return strcmp(s, "*") == 0;
}

/* Both, where both are given; nobody, where none is. */
static bool line_names(const char *user, const char *group, const struct access_request *r)
{
	if (!user[0] && !group[0])
		return false;
	return (!user[0] || slice_is(r->user, user)) && (!group[0] || naive_has_group(r, group));
}

static bool line_allows(const struct naive_line *l, const struct access_request *r)
{
	const char *user = text_of(l->user), *group = text_of(l->group), *ns = text_of(l->ns);
	const char *resource = text_of(l->resource), *path = text_of(l->path);
	const char *api = l->v0 ? "*" : text_of(l->api_group);
	bool reading = slice_is(r->verb, "get") || slice_is(r->verb, "list") ||
		       slice_is(r->verb, "watch");
	if (is_star(user) || is_star(group) || (l->v0 && !user[0] && !group[0])) {
		user = "";
		group = "system:authenticated";
	}
	if (l->v0) {
		path = !ns[0] && !resource[0] ? "*" : "";
		ns = ns[0] ? ns : "*";
		resource = resource[0] ? resource : "*";
	}
	if (!line_names(user, group, r) || (l->readonly && !reading))
		return false;
	if (!r->resource_request)
		return url_is(path, r->path);
	return (is_star(ns) || slice_is(r->namespace_, ns)) &&
	       (is_star(resource) || slice_is(r->resource, resource)) &&
	       (is_star(api) || slice_is(r->api_group, api));
}

bool naive_abac(const struct naive_imports *im, const struct access_request *r, const char **id)
{
	for (int i = 0; i < im->nlines; i++) {
		if (!line_allows(&im->lines[i], r))
			continue;
		*id = im->lines[i].id;
		return true;
	}
	return false;
}
