/* Owns the comparison of one rule with one request, all dimensions but the subjects. */
#include "authz/engine.h"

/* --- actions --- */

static bool form_matches(
    const struct resource_form *f, uint32_t resource, uint32_t sub, uint32_t empty)
{
	if (f->resource != ATOM_ANY && f->resource != resource)
		return false;
	return f->sub == ATOM_ANY || (f->sub == ATOM_SOME ? sub != empty : f->sub == sub);
}

/* Resource and subresource came as one text. What takes away reads it as what is meant; an allow, as upstream
 * does, where the rule is the very same text. */
static bool divided_matches(const struct engine *e, const struct rule *rule, const struct resource_form *f)
{
	const struct engine_divided *d = &e->divided;
	if (rule->effect != POLICY_ALLOW)
		return form_matches(f, d->resource, d->sub, e->p->empty);
	return f->sub == d->sub && d->sub != e->p->empty &&
	       (f->resource == ATOM_ANY ? d->star : f->resource == d->resource);
}

static bool resource_matches(
    const struct engine *e, const struct rule *rule, const struct action *a)
{
	for (uint32_t i = 0; i < a->nforms; i++)
		if (form_matches(&a->forms[i], e->resource, e->sub, e->p->empty) ||
		    (e->divided.is && divided_matches(e, rule, &a->forms[i])))
			return true;
	return false;
}

static bool path_matches(const struct engine *e, const struct action *a)
{
	struct slice path = e->r->path;
	for (uint32_t i = 0; i < a->nurls; i++) {
		const struct url_form *u = &a->urls[i];
		if (u->prefix ? slice_starts(path, u->text) : slice_eq(path, u->text))
			return true;
	}
	return false;
}

/* Does RULE take away, and so hits what it may concern and not only what it surely concerns? A
 * request without a name is about all names, one without a namespace about all namespaces (`get
 * secrets -A`): compared for equality, a deny on one of them would be walked around. */
static bool overlaps(const struct rule *rule)
{
	return rule->effect != POLICY_ALLOW && !rule->exact;
}

static bool name_matches(const struct engine *e, const struct rule *rule, const struct action *a)
{
	if (a->names.any || atom_set_has(&a->names, e->name) ||
	    glob_list_has(&a->name_globs, e->r->name))
		return true;
	return e->r->name.len == 0 && overlaps(rule);
}

enum dimension engine_grant(
    const struct engine *e, const struct rule *rule, const struct action *a)
{
	if (a->resource != e->r->resource_request)
		return DIM_KIND;
	if (!atom_set_has(&a->verbs, e->verb))
		return DIM_VERB;
	if (!a->resource)
		return path_matches(e, a) ? DIM_NONE : DIM_PATH;
	if (!atom_set_has(&a->groups, e->api_group))
		return DIM_API_GROUP;
	if (!resource_matches(e, rule, a))
		return DIM_RESOURCE;
	if (!name_matches(e, rule, a))
		return DIM_NAME;
	if (a->fields.n && !engine_selects(&e->selectors.fields, &a->fields, overlaps(rule)))
		return DIM_FIELD_SELECTOR;
	if (a->labels.n && !engine_selects(&e->selectors.labels, &a->labels, overlaps(rule)))
		return DIM_LABEL_SELECTOR;
	return DIM_NONE;
}

static bool ns_listed(const struct engine *e, const struct ns_set *n)
{
	struct slice ns = e->r->namespace_;
	if (!atom_set_has(&n->include, e->namespace_) && !glob_list_has(&n->include_globs, ns))
		return false;
	return !atom_set_has(&n->exclude, e->namespace_) && !glob_list_has(&n->exclude_globs, ns);
}

static bool namespace_matches(const struct engine *e, const struct rule *rule)
{
	bool none = e->r->namespace_.len == 0;
	if (rule->scope == SCOPE_ALL)
		return true;
	/* GET /api/v1/namespaces/x arrives with namespace x: still a request about the cluster. */
	if (rule->scope == SCOPE_CLUSTER)
		return none ||
		       (overlaps(rule) && policy_cluster_scoped(e->p, e->api_group, e->divided.resource));
	if (none)
		return overlaps(rule) && !policy_cluster_scoped(e->p, e->api_group, e->divided.resource);
	return ns_listed(e, rule->namespaces);
}

/* An allow must hold for as long as the asker will remember it, a deny counts from its first moment
 * within that time. */
static bool in_force(const struct engine *e, const struct rule *rule)
{
	int64_t from = e->r->now, to;
	if (!rule->valid)
		return true;
	if (from <= AUTHZ_WHILE_TAKEN)
		return from == (rule->effect == POLICY_ALLOW ? AUTHZ_WHILE_GIVEN : AUTHZ_WHILE_TAKEN);
	if (__builtin_add_overflow(from, e->r->hold, &to))
		to = INT64_MAX;
	return rule->effect == POLICY_ALLOW ? window_covers(rule->valid, from, to)
					    : window_meets(rule->valid, from, to);
}

enum dimension engine_action(const struct engine *e, const struct rule *rule)
{
	enum dimension got = DIM_KIND;
	for (uint32_t i = 0; i < rule->nroles && got != DIM_NONE; i++) {
		const struct action_list *l = &rule->roles[i];
		for (uint32_t k = 0; k < l->n && got != DIM_NONE; k++) {
			enum dimension one = engine_grant(e, rule, l->v[k]);
			if (one == DIM_NONE || one > got)
				got = one;
		}
	}
	if (got != DIM_NONE)
		return got;
	if (e->r->resource_request && !namespace_matches(e, rule))
		return DIM_NAMESPACE;
	return in_force(e, rule) ? DIM_NONE : DIM_VALID;
}
