/* Owns the way from what Keystone says about a token to a Kubernetes identity. */
#include "authn/chain.h"
#include "authn/keystone.h"
#include "authn/limits.h"

/* One mapping under way. */
struct mapping {
	const struct keystone_config *cfg;
	const struct keystone_token *t;
	struct authn_call *call;
	struct arena *arena;
	struct slice *groups;
	size_t ngroups, cap;
	const char **reason;
	struct err *e;
};

/* A check of the name CHECK; false with reason WORD and TEXT when it did not pass. */
static bool must(struct mapping *m, bool passed, const char *check, const char *word, const char *text)
{
	authn_check(m->call, check, passed, passed ? NULL : text);
	if (passed)
		return true;
	*m->reason = word;
	err_set(m->e, ERR_REFUSED, "%s", text);
	return false;
}

static bool in_list(struct slice s, const struct string_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		if (slice_is(s, list->items[i]))
			return true;
	return false;
}

static struct slice join(struct arena *a, struct slice x, char by, struct slice y)
{
	char *p = arena_alloc(a, x.len + y.len + 2);
	memcpy(p, x.p, x.len);
	p[x.len] = by;
	memcpy(p + x.len + 1, y.p, y.len);
	return (struct slice){p, x.len + 1 + y.len};
}

static struct slice prefixed(struct arena *a, const char *prefix, struct slice s)
{
	size_t n = strlen(prefix);
	char *p = arena_alloc(a, n + s.len + 1);
	memcpy(p, prefix, n);
	memcpy(p + n, s.p, s.len);
	return (struct slice){p, n + s.len};
}

static bool has(struct slice s, char c)
{
	return slice_find(s, c) < s.len;
}

/* --- the rules --- */

/* WANT is an id, or DOMAIN/NAME: ids have no slash. A domain whose own name has one matches nothing. */
static bool is_project(const struct keystone_token *t, const char *want)
{
	struct slice w = slice_of(want);
	size_t slash = slice_find(w, '/');
	if (t->scope != KEYSTONE_SCOPE_PROJECT)
		return false;
	if (slash == w.len)
		return slice_eq(w, t->project_id);
	return slice_eq((struct slice){w.p, slash}, t->project_domain_name) &&
	       slice_eq(slice_skip(w, slash + 1), t->project_name);
}

static bool project_allowed(const struct mapping *m)
{
	const struct string_list *l = &m->cfg->projects;
	for (size_t i = 0; i < l->len; i++)
		if (is_project(m->t, l->items[i]))
			return true;
	return l->len == 0;
}

static bool has_role(const struct keystone_token *t, const char *role)
{
	for (size_t i = 0; i < t->nroles; i++)
		if (slice_is(t->roles[i], role))
			return true;
	return false;
}

static bool role_allowed(const struct mapping *m)
{
	const struct string_list *l = &m->cfg->required_roles;
	for (size_t i = 0; i < l->len; i++)
		if (has_role(m->t, l->items[i]))
			return true;
	return l->len == 0;
}

static bool check_rules(struct mapping *m)
{
	const struct keystone_config *cfg = m->cfg;
	const struct keystone_token *t = m->t;
	return must(m, !t->bound, "binding", "boundToken",
		   "the token is bound to a client certificate, which a review does not show") &&
	       must(m, !t->access_rules, "accessRules", "accessRules",
		   "the application credential is for some requests to OpenStack alone") &&
	       must(m, !t->delegated || cfg->delegated, "delegation", "delegated",
		   "the token is of a trust or OAuth: its bearer acts for somebody else") &&
	       must(m, t->scope & cfg->scopes, "scope", "badScope",
		   "the token's scope is none of `scopes`") &&
	       must(m, cfg->domains.len == 0 || in_list(t->domain_name, &cfg->domains), "domain",
		   "foreignDomain", "the person's domain is none of `domains`") &&
	       must(m, project_allowed(m), "project", "foreignProject",
		   "the token is for none of `projects`") &&
	       must(m, role_allowed(m), "role", "requiredRole", "the token has none of `requiredRoles`");
}

/* --- names --- */

/* NAME of DOMAIN as the configuration has names; false when the result could be another's. */
static bool full_name(struct mapping *m, struct slice domain, struct slice name, struct slice *out)
{
	if (m->cfg->names == KEYSTONE_PLAIN) {
		/* The one domain of the people; a project may be of another. */
		*out = name;
		return must(m, in_list(domain, &m->cfg->domains), "name", "ambiguousName",
		    "the project's domain is not the one of `domains`, and names are plain");
	}
	*out = join(m->arena, domain, '/', name);
	return must(m, !has(domain, '/'), "name", "ambiguousName",
	    "a domain's name has a slash: DOMAIN/NAME would have two readings");
}

static bool name_person(struct mapping *m, struct identity *id)
{
	struct slice name = m->t->user_id;
	if (m->cfg->username == KEYSTONE_USER_NAME &&
	    !full_name(m, m->t->domain_name, m->t->user_name, &name))
		return false;
	id->username = prefixed(m->arena, m->cfg->username_prefix, name);
	id->uid = m->t->user_id;
	return true;
}

/* --- groups --- */

static void add_group(struct mapping *m, struct slice name)
{
	ARENA_ROOM(m->arena, m->groups, m->ngroups, m->cap, 16);
	m->groups[m->ngroups++] = prefixed(m->arena, m->cfg->groups_prefix, name);
}

static void add_roles(struct mapping *m, struct slice project)
{
	for (size_t i = 0; i < m->t->nroles; i++)
		add_group(m, join(m->arena, project, ':', m->t->roles[i]));
}

static bool add_project_groups(struct mapping *m)
{
	const struct keystone_token *t = m->t;
	unsigned from = m->cfg->groups_from;
	struct slice name;
	if (t->scope != KEYSTONE_SCOPE_PROJECT)
		return true;
	if (from & KEYSTONE_PROJECT_ID)
		add_group(m, t->project_id);
	if (from & KEYSTONE_PROJECT_ID_ROLE)
		add_roles(m, t->project_id);
	if (!(from & (KEYSTONE_PROJECT_NAME | KEYSTONE_PROJECT_NAME_ROLE)))
		return true;
	if (!full_name(m, t->project_domain_name, t->project_name, &name))
		return false;
	if (from & KEYSTONE_PROJECT_NAME)
		add_group(m, name);
	if (!(from & KEYSTONE_PROJECT_NAME_ROLE))
		return true;
	add_roles(m, name);
	return must(m, !has(name, ':'), "name", "ambiguousName",
	    "the project's name has a colon: NAME:ROLE would have two readings");
}

static void add_mapped(struct mapping *m)
{
	const struct keystone_role_mapping *r = m->cfg->role_mappings.items;
	for (size_t i = 0; i < m->cfg->role_mappings.len; i++) {
		if (!has_role(m->t, r[i].role) || (r[i].project && !is_project(m->t, r[i].project)))
			continue;
		for (size_t k = 0; k < r[i].groups.len; k++)
			add_group(m, slice_of(r[i].groups.items[k]));
	}
}

static bool add_groups(struct mapping *m, const struct slice *groups, size_t n)
{
	if (!add_project_groups(m))
		return false;
	for (size_t i = 0; (m->cfg->groups_from & KEYSTONE_ROLE) && i < m->t->nroles; i++)
		add_group(m, m->t->roles[i]);
	add_mapped(m);
	for (size_t i = 0; i < n; i++) {
		struct slice name;
		if (!full_name(m, m->t->domain_name, groups[i], &name))
			return false;
		add_group(m, name);
	}
	return true;
}

/* --- extra --- */

#define EXTRA_MAX 8

static void add_extra(
    struct mapping *m, struct identity_extra *list, size_t *n, const char *key, struct slice value)
{
	if (value.len == 0)
		return;
	struct slice *v = ARENA_NEW(m->arena, struct slice);
	*v = value;
	list[(*n)++] = (struct identity_extra){slice_of(key), v, 1};
}

/* The keys of k8s-keystone-auth, so that policies written for it go on to match, and two of ours. */
static void fill_extra(struct mapping *m, struct identity *id)
{
	struct identity_extra *x = ARENA_ARRAY(m->arena, struct identity_extra, EXTRA_MAX);
	const struct keystone_token *t = m->t;
	size_t n = 0;
	if (t->nroles)
		x[n++] = (struct identity_extra){
		    SLICE("alpha.kubernetes.io/identity/roles"), t->roles, t->nroles};
	add_extra(m, x, &n, "alpha.kubernetes.io/identity/project/id", t->project_id);
	add_extra(m, x, &n, "alpha.kubernetes.io/identity/project/name", t->project_name);
	add_extra(m, x, &n, "alpha.kubernetes.io/identity/user/domain/id", t->domain_id);
	add_extra(m, x, &n, "alpha.kubernetes.io/identity/user/domain/name", t->domain_name);
	add_extra(m, x, &n, "portcullis.dev/application-credential", t->application_credential);
	add_extra(m, x, &n, "portcullis.dev/credential-id",
	    prefixed(m->arena, "AUDITID=", t->audit_ids[0]));
	id->extra = x;
	id->nextra = n;
}

enum err_code keystone_identity(const struct keystone_config *cfg, const struct keystone_token *t,
    const struct slice *groups, size_t ngroups, struct authn_call *call, const char **reason,
    struct err *e)
{
	struct mapping m = {
	    .cfg = cfg, .t = t, .call = call, .arena = call->arena, .reason = reason, .e = e};
	struct identity id = {.expires = t->expires};
	if (!check_rules(&m) || !name_person(&m, &id) || !add_groups(&m, groups, ngroups))
		return ERR_REFUSED;
	fill_extra(&m, &id);
	id.groups = m.groups;
	id.ngroups = m.ngroups;
	call->id = id;
	call->credential = (struct credential){
	    .subject = t->user_id, .id = t->audit_ids[0], .issued = t->issued};
	return ERR_OK;
}
