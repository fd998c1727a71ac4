/* A second evaluator, for tests: the semantics word by word over rules as written, without index, numbers
 * or sharing; and the text of such rules as a policy. */
#ifndef TESTS_SUPPORT_NAIVE_AUTHZ_H
#define TESTS_SUPPORT_NAIVE_AUTHZ_H

#include "authz/authz.h"

#define NAIVE_LIST 4

/* A short list of words; absent when n is 0. */
struct naive_list {
	const char *v[NAIVE_LIST];
	int n;
};

struct naive_subjects {
	struct naive_list users, groups, accounts;
	const char *all;   /* or NULL */
	int alias;	   /* how it is written, NAIVE_… */
};

enum {
	NAIVE_INLINE, /* as it is */
	NAIVE_ALIAS,  /* as an alias that holds the same */
	NAIVE_SPLIT   /* as an alias with the users and the rest inline */
};

struct naive_rule {
	char id[16];
	enum policy_effect effect;
	bool exact, has_except, cluster_only, role, place_alias;
	struct naive_subjects subjects, except;
	struct naive_list verbs, groups, resources, names, urls, include, exclude;
};

#define NAIVE_RULES 12

struct naive_policy {
	struct naive_rule rules[NAIVE_RULES];
	int n;
	bool default_deny, has_exempt;
	struct naive_subjects exempt;
};

static inline bool naive_glob(const char *p, struct slice s)
{
	if (*p == '\0')
		return s.len == 0;
	if (*p == '*')
		return naive_glob(p + 1, s) || (s.len && naive_glob(p, slice_skip(s, 1)));
	return s.len && s.p[0] == *p && naive_glob(p + 1, slice_skip(s, 1));
}

static inline bool naive_in(const struct naive_list *l, struct slice s)
{
	for (int i = 0; i < l->n; i++)
		if (slice_is(s, l->v[i]))
			return true;
	return false;
}

static inline bool naive_glob_in(const struct naive_list *l, struct slice s)
{
	for (int i = 0; i < l->n; i++)
		if (naive_glob(l->v[i], s))
			return true;
	return false;
}

static inline bool naive_account(const char *pattern, struct slice user)
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

static inline bool naive_has_group(const struct access_request *r, const char *group)
{
	for (size_t i = 0; i < r->ngroups; i++)
		if (slice_is(r->groups[i], group))
			return true;
	return false;
}

static inline bool naive_names(const struct naive_subjects *s, const struct access_request *r)
{
	if (naive_glob_in(&s->users, r->user))
		return true;
	for (size_t i = 0; i < r->ngroups; i++)
		if (naive_glob_in(&s->groups, r->groups[i]))
			return true;
	for (int i = 0; i < s->accounts.n; i++)
		if (naive_account(s->accounts.v[i], r->user))
			return true;
	if (!s->all)
		return false;
	char group[64];
	snprintf(group, sizeof(group), "system:%s", s->all);
	return strcmp(s->all, "everyone") == 0 || naive_has_group(r, group);
}

static inline bool naive_resource(const char *form, const struct access_request *r)
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

static inline bool naive_url(const char *form, struct slice path)
{
	size_t n = strlen(form);
	if (form[n - 1] == '*')
		return slice_starts(path, (struct slice){form, n - 1});
	return slice_is(path, form);
}

static inline bool naive_action(const struct naive_rule *rule, const struct access_request *r)
{
	bool hit = false;
	if (!naive_in(&rule->verbs, SLICE("*")) && !naive_in(&rule->verbs, r->verb))
		return false;
	if ((rule->urls.n > 0) == r->resource_request)
		return false;
	for (int i = 0; i < rule->urls.n; i++)
		hit |= naive_url(rule->urls.v[i], r->path);
	if (rule->urls.n)
		return hit;
	if (rule->groups.n && !naive_in(&rule->groups, SLICE("*")) &&
	    !naive_in(&rule->groups, r->api_group))
		return false;
	for (int i = 0; i < rule->resources.n; i++)
		hit |= naive_resource(rule->resources.v[i], r);
	if (!hit)
		return false;
	bool wide = rule->effect != POLICY_ALLOW && !rule->exact;
	return !rule->names.n || naive_in(&rule->names, r->name) || (wide && r->name.len == 0);
}

/* The only cluster-scoped resource in the generator's words is the core group's nodes. */
static inline bool naive_scope(const struct naive_rule *rule, const struct access_request *r)
{
	bool wide = rule->effect != POLICY_ALLOW && !rule->exact;
	bool cluster = slice_is(r->resource, "nodes") && r->api_group.len == 0;
	if (!r->resource_request)
		return true;
	if (rule->cluster_only)
		return r->namespace_.len == 0 || (wide && cluster);
	if (!rule->include.n)
		return true;
	if (r->namespace_.len == 0)
		return wide && !cluster;
	return naive_glob_in(&rule->include, r->namespace_) &&
	       !naive_glob_in(&rule->exclude, r->namespace_);
}

static inline bool naive_matches(const struct naive_rule *rule, const struct access_request *r)
{
	return naive_names(&rule->subjects, r) &&
	       !(rule->has_except && naive_names(&rule->except, r)) && naive_action(rule, r) &&
	       naive_scope(rule, r);
}

/* The verdict, and the rule that decides (NULL: the default). */
static inline enum verdict naive_evaluate(
    const struct naive_policy *p, const struct access_request *r, const struct naive_rule **by)
{
	static const struct {
		enum policy_effect effect;
		enum verdict verdict;
	} order[] = {{POLICY_DENY, VERDICT_DENY}, {POLICY_ABSTAIN, VERDICT_NO_OPINION},
	    {POLICY_ALLOW, VERDICT_ALLOW}};
	bool exempt = p->has_exempt && naive_names(&p->exempt, r);
	for (size_t k = exempt ? 2 : 0; k < ARRAY_LEN(order); k++) {
		for (int i = 0; i < p->n; i++) {
			*by = &p->rules[i];
			if (p->rules[i].effect == order[k].effect && naive_matches(*by, r))
				return order[k].verdict;
		}
	}
	*by = NULL;
	return p->default_deny && !exempt ? VERDICT_DENY : VERDICT_NO_OPINION;
}

/* --- as text --- */

static inline void naive_print_list(struct buf *b, const char *key, const struct naive_list *l)
{
	if (!l->n)
		return;
	buf_printf(b, "%s: [", key);
	for (int i = 0; i < l->n; i++)
		buf_printf(b, "%s\"%s\"", i ? ", " : "", l->v[i]);
	buf_adds(b, "], ");
}

static inline void naive_print_rest(struct buf *b, const struct naive_subjects *s)
{
	naive_print_list(b, "groups", &s->groups);
	naive_print_list(b, "serviceAccounts", &s->accounts);
	if (s->all)
		buf_printf(b, "all: %s", s->all);
}

/* KIND and ID name the alias when S is written with one. */
static inline void naive_print_subjects(
    struct buf *b, const struct naive_subjects *s, const char *kind, const char *id)
{
	buf_adds(b, "{");
	if (s->alias != NAIVE_INLINE)
		buf_printf(b, "alias: %s-%s, ", kind, id);
	else
		naive_print_list(b, "users", &s->users);
	if (s->alias != NAIVE_ALIAS)
		naive_print_rest(b, s);
	buf_adds(b, "}");
}

static inline void naive_print_alias(
    struct buf *b, const struct naive_subjects *s, const char *kind, const char *id)
{
	if (s->alias == NAIVE_INLINE)
		return;
	buf_printf(b, "    %s-%s: {", kind, id);
	naive_print_list(b, "users", &s->users);
	if (s->alias == NAIVE_ALIAS)
		naive_print_rest(b, s);
	buf_adds(b, "}\n");
}

static inline void naive_print_place(struct buf *b, const struct naive_rule *r)
{
	buf_adds(b, "{");
	naive_print_list(b, "include", &r->include);
	naive_print_list(b, "exclude", &r->exclude);
	buf_adds(b, "}");
}

static inline void naive_print_grant(struct buf *b, const struct naive_rule *r)
{
	naive_print_list(b, "apiGroups", &r->groups);
	naive_print_list(b, "resources", &r->resources);
	naive_print_list(b, "resourceNames", &r->names);
	naive_print_list(b, "nonResourceURLs", &r->urls);
	naive_print_list(b, "verbs", &r->verbs);
}

static inline void naive_print_rule(struct buf *b, const struct naive_rule *r)
{
	static const char *const effects[] = {"", "allow", "deny", "abstain"};
	buf_printf(b, "- {id: %s, effect: %s, subjects: ", r->id, effects[r->effect]);
	naive_print_subjects(b, &r->subjects, "s", r->id);
	if (r->has_except) {
		buf_adds(b, ", except: {subjects: ");
		naive_print_subjects(b, &r->except, "e", r->id);
		buf_adds(b, "}");
	}
	buf_adds(b, ", ");
	if (r->role)
		buf_printf(b, "roles: [r-%s], ", r->id);
	else
		naive_print_grant(b, r);
	if (r->place_alias) {
		buf_printf(b, "namespaces: {alias: p-%s}, ", r->id);
	} else if (r->include.n && !r->exclude.n) {
		naive_print_list(b, "namespaces", &r->include);
	} else if (r->include.n) {
		buf_adds(b, "namespaces: ");
		naive_print_place(b, r);
		buf_adds(b, ", ");
	}
	if (r->cluster_only)
		buf_adds(b, "clusterScope: only, ");
	buf_printf(b, "overlap: %s}\n", r->exact ? "exact" : "possible");
}

static inline void naive_print(struct buf *b, const struct naive_policy *p)
{
	buf_adds(b, "apiVersion: portcullis.dev/v1alpha1\nkind: AccessPolicy\n");
	buf_printf(b, "defaults:\n  decision: %s\n", p->default_deny ? "Deny" : "NoOpinion");
	if (p->has_exempt) {
		buf_adds(b, "  exempt: ");
		naive_print_subjects(b, &p->exempt, "x", "x");
		buf_adds(b, "\n");
	}
	buf_adds(b, "aliases:\n  subjects:\n    unused: {all: everyone}\n");
	for (int i = 0; i < p->n; i++) {
		naive_print_alias(b, &p->rules[i].subjects, "s", p->rules[i].id);
		naive_print_alias(b, &p->rules[i].except, "e", p->rules[i].id);
	}
	buf_adds(b, "  namespaces:\n    unused: {include: [\"*\"]}\n");
	for (int i = 0; i < p->n; i++) {
		if (!p->rules[i].place_alias)
			continue;
		buf_printf(b, "    p-%s: ", p->rules[i].id);
		naive_print_place(b, &p->rules[i]);
		buf_adds(b, "\n");
	}
	buf_adds(b, "roles:\n- {name: unused, rules: [{resources: [a], verbs: [b]}]}\n");
	for (int i = 0; i < p->n; i++) {
		if (!p->rules[i].role)
			continue;
		/* A grant before it that matches nothing: both of the role must be tried. */
		buf_printf(b, "- {name: r-%s, rules: [{resources: [zz], verbs: [zz]}, {",
		    p->rules[i].id);
		naive_print_grant(b, &p->rules[i]);
		buf_adds(b, "}]}\n");
	}
	buf_adds(b, "rules:\n");
	for (int i = 0; i < p->n; i++)
		naive_print_rule(b, &p->rules[i]);
}

#endif
