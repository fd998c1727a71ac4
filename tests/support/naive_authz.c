/* Owns the second evaluator: each rule is looked at, one after the other, as it is written. */
#include <stdio.h>

#include "tests/support/naive_import.h"

bool naive_glob(const char *p, struct slice s)
{
	if (*p == '\0')
		return s.len == 0;
	if (*p == '*')
		return naive_glob(p + 1, s) || (s.len && naive_glob(p, slice_skip(s, 1)));
	return s.len && s.p[0] == *p && naive_glob(p + 1, slice_skip(s, 1));
}

bool naive_in(const struct naive_list *l, struct slice s)
{
	for (int i = 0; i < l->n; i++)
		if (slice_is(s, l->v[i]))
			return true;
	return false;
}

bool naive_glob_in(const struct naive_list *l, struct slice s)
{
	for (int i = 0; i < l->n; i++)
		if (naive_glob(l->v[i], s))
			return true;
	return false;
}

/* --- subjects --- */

static bool is_account(const char *pattern, struct slice user)
{
	struct slice prefix = SLICE("system:serviceaccount:"), p = slice_of(pattern);
	if (!slice_starts(user, prefix))
		return false;
	struct slice rest = slice_skip(user, prefix.len);
	struct slice ns = {rest.p, slice_find(rest, ':')};
	if (ns.len == rest.len || ns.len == 0)
		return false;
	struct slice name = slice_skip(rest, ns.len + 1);
	if (name.len == 0 || slice_find(name, ':') < name.len)
		return false;
	char half[64];
	size_t slash = slice_find(p, '/');
	memcpy(half, p.p, slash);
	half[slash] = '\0';
	return naive_glob(half, ns) && naive_glob(pattern + slash + 1, name);
}

bool naive_has_group(const struct access_request *r, const char *group)
{
	for (size_t i = 0; i < r->ngroups; i++)
		if (slice_is(r->groups[i], group))
			return true;
	return false;
}

static bool names(const struct naive_subjects *s, const struct access_request *r)
{
	if (naive_glob_in(&s->users, r->user))
		return true;
	for (size_t i = 0; i < r->ngroups; i++)
		if (naive_glob_in(&s->groups, r->groups[i]))
			return true;
	for (int i = 0; i < s->ncrowd; i++)
		if (naive_has_group(r, s->crowd[i]))
			return true;
	for (int i = 0; i < s->accounts.n; i++)
		if (is_account(s->accounts.v[i], r->user))
			return true;
	if (!s->all)
		return false;
	char group[64];
	snprintf(group, sizeof(group), "system:%s", s->all);
	return strcmp(s->all, "everyone") == 0 || naive_has_group(r, group);
}

/* --- actions --- */

static bool plain_resource_is(const char *form, const struct access_request *r)
{
	if (strcmp(form, "*") == 0)
		return true;
	const char *slash = strchr(form, '/');
	struct slice res = {form, slash ? (size_t)(slash - form) : strlen(form)};
	if (!slice_is(res, "*") && !slice_eq(res, r->resource))
		return false;
	if (!slash)
		return r->subresource.len == 0;
	return strcmp(slash + 1, "*") == 0 ? r->subresource.len > 0
					   : slice_is(r->subresource, slash + 1);
}

/* A resource with a slash and its subresource as one text: an allow has to be that text, what takes away is
 * asked about the parts. */
static bool resource_is(const char *form, enum policy_effect effect, const struct access_request *r)
{
	char text[256];
	if (plain_resource_is(form, r))
		return true;
	size_t slash = slice_find(r->resource, '/');
	if (slash == r->resource.len)
		return false;
	snprintf(text, sizeof(text), SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(r->resource),
	    r->subresource.len ? "/" : "", SLICE_ARG(r->subresource));
	struct access_request parts = *r;
	parts.resource.len = slash;
	parts.subresource = slice_of(text + slash + 1);
	return effect == POLICY_ALLOW ? strcmp(form, text) == 0 : plain_resource_is(form, &parts);
}

static bool path_is(const char *form, struct slice path)
{
	size_t n = strlen(form);
	if (form[n - 1] == '*')
		return slice_starts(path, (struct slice){form, n - 1});
	return slice_is(path, form);
}

static bool wide(const struct naive_rule *rule)
{
	return rule->effect != POLICY_ALLOW && !rule->exact;
}

static bool name_is(
    const struct naive_rule *rule, const struct naive_grant *g, const struct access_request *r)
{
	if (!g->names.n && !g->name_globs.n)
		return true;
	if (wide(rule) && r->name.len == 0)
		return true;
	return naive_in(&g->names, r->name) || naive_glob_in(&g->name_globs, r->name);
}

static bool selected(
    const struct naive_rule *rule, const struct naive_grant *g, const struct access_request *r)
{
	if (!wide(rule))
		return naive_covered(&g->fields, r->field_selector, r->nfield) &&
		       naive_covered(&g->labels, r->label_selector, r->nlabel);
	return naive_may_meet(&g->fields, r->field_selector, r->nfield) &&
	       naive_may_meet(&g->labels, r->label_selector, r->nlabel);
}

static bool grants(
    const struct naive_rule *rule, const struct naive_grant *g, const struct access_request *r)
{
	bool hit = false;
	if (!naive_in(&g->verbs, SLICE("*")) && !naive_in(&g->verbs, r->verb))
		return false;
	if ((g->urls.n > 0) == r->resource_request)
		return false;
	for (int i = 0; i < g->urls.n; i++)
		hit |= path_is(g->urls.v[i], r->path);
	if (g->urls.n)
		return hit;
	if (g->groups.n && !naive_in(&g->groups, SLICE("*")) && !naive_in(&g->groups, r->api_group))
		return false;
	for (int i = 0; i < g->resources.n; i++)
		hit |= resource_is(g->resources.v[i], rule->effect, r);
	return hit && name_is(rule, g, r) && selected(rule, g, r);
}

/* The only cluster-scoped resource in the generator's words is the core group's nodes. */
static bool placed(const struct naive_rule *rule, const struct access_request *r)
{
	struct slice resource = {r->resource.p, slice_find(r->resource, '/')};
	bool cluster = slice_is(resource, "nodes") && r->api_group.len == 0;
	if (!r->resource_request)
		return true;
	if (rule->cluster_only)
		return r->namespace_.len == 0 || (wide(rule) && cluster);
	if (!rule->include.n)
		return true;
	if (r->namespace_.len == 0)
		return wide(rule) && !cluster;
	return naive_glob_in(&rule->include, r->namespace_) &&
	       !naive_glob_in(&rule->exclude, r->namespace_);
}

bool naive_matches(const struct naive_rule *rule, const struct access_request *r)
{
	bool granted = false;
	for (int i = 0; i < rule->ngrants; i++)
		granted |= grants(rule, &rule->grants[i], r);
	return granted && names(&rule->subjects, r) &&
	       !(rule->has_except && names(&rule->except, r)) && placed(rule, r) &&
	       naive_in_force(rule, r);
}

/* --- the decision --- */

/* The first rule of EFFECT that matches, those in shadow only if SHADOW. */
static const struct naive_rule *first(const struct naive_policy *p, const struct access_request *r,
    enum policy_effect effect, bool shadow)
{
	for (int i = 0; i < p->n; i++) {
		const struct naive_rule *rule = &p->rules[i];
		if (rule->effect == effect && (shadow || !rule->shadow) && naive_matches(rule, r))
			return rule;
	}
	return NULL;
}

static bool imported(const struct naive_imports *im, const struct access_request *r, const char **id)
{
	return im && (naive_rbac(im, r, id) || naive_abac(im, r, id));
}

static struct naive_verdict decide(
    const struct naive_policy *p, const struct access_request *r, bool exempt, bool shadow)
{
	static const enum policy_effect order[] = {POLICY_DENY, POLICY_ABSTAIN, POLICY_ALLOW};
	static const enum verdict verdicts[] = {[POLICY_DENY] = VERDICT_DENY,
	    [POLICY_ABSTAIN] = VERDICT_NO_OPINION,
	    [POLICY_ALLOW] = VERDICT_ALLOW};
	struct naive_verdict v = {0};
	for (size_t k = exempt ? 2 : 0; k < ARRAY_LEN(order); k++) {
		const struct naive_rule *rule = first(p, r, order[k], shadow);
		if (rule)
			return (struct naive_verdict){
			    verdicts[order[k]], order[k], rule->id, rule};
	}
	if (imported(p->imports, r, &v.id)) {
		v.verdict = VERDICT_ALLOW;
		v.effect = POLICY_ALLOW;
	} else if (p->default_deny && !exempt) {
		v.verdict = VERDICT_DENY;
	}
	return v;
}

void naive_evaluate(
    const struct naive_policy *p, const struct access_request *r, struct naive_answer *out)
{
	out->exempt = p->has_exempt && names(&p->exempt, r);
	out->real = decide(p, r, out->exempt, false);
	out->shadow = decide(p, r, out->exempt, true);
	out->differs = out->shadow.verdict != out->real.verdict;
	out->note[0] = '\0';
	if (p->imports && !out->real.id)
		naive_note(p->imports, r, out->note);
}
