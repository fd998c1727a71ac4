/* Owns the habits that turn out otherwise than meant: denies with a gap, names on lists, verbs that
 * no request has, rules out of time, rules without a test. */
#include "common/clock.h"
#include "policy/lint_parts.h"

/* --- words --- */

static bool verb_in(const struct policy *p, const struct action *a, const char *verb)
{
	uint32_t word = intern_find(&p->words, slice_of(verb));
	return a->verbs.any || (word && atom_set_has(&a->verbs, word));
}

/* What Kubernetes itself asks about. Others may have verbs of their own. */
static const char *const known_verbs[] = {"get", "list", "watch", "create", "update", "patch",
    "delete", "deletecollection", "proxy", "use", "bind", "escalate", "impersonate", "approve", "sign",
    "attest", "request-serviceaccounts-token-audience", "unsafe-delete-ignore-read-errors"};
static const char *const path_verbs[] = {
    "get", "head", "post", "put", "patch", "delete", "options", "trace", "connect"};

static bool is_one_of(struct slice s, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is(s, words[i]))
			return true;
	return false;
}

static void path_verb(struct linter *l, uint32_t rule, struct slice verb)
{
	if (is_one_of(verb, path_verbs, ARRAY_LEN(path_verbs)))
		return;
	bool other = is_one_of(verb, known_verbs, ARRAY_LEN(known_verbs));
	lint_rule_as(l, rule, "unknown-verb", l->p->rules[rule].origin == ORIGIN_NATIVE ? LINT_WARNING
											 : LINT_NOTE,
	    "take it out", other ? "`" SLICE_FMT "` is no verb of requests for paths: theirs is the HTTP method"
				 : "no request for a path has the verb `" SLICE_FMT "`",
	    SLICE_ARG(verb));
}

static void resource_verb(struct linter *l, uint32_t rule, struct slice verb)
{
	if (is_one_of(verb, known_verbs, ARRAY_LEN(known_verbs)) || slice_find(verb, ':') < verb.len)
		return;
	const char *near = diag_nearest(verb, known_verbs, ARRAY_LEN(known_verbs));
	lint_rule_as(l, rule, "unknown-verb", near ? LINT_WARNING : LINT_NOTE,
	    "the verbs are get, list, watch, create, update, patch, delete, deletecollection and a few "
	    "special ones",
	    near ? "Kubernetes sends no verb `" SLICE_FMT "`, did you mean `%s`?"
		 : "Kubernetes itself sends no verb `" SLICE_FMT "`%s",
	    SLICE_ARG(verb), near ? near : "");
}

static void verbs(struct linter *l, uint32_t rule, const struct action *a)
{
	/* An ABAC line that is read-only has these verbs for paths too. */
	if (l->p->rules[rule].origin == ORIGIN_ABAC)
		return;
	for (uint32_t i = 0; !a->verbs.any && i < a->verbs.n; i++) {
		struct slice verb = l->p->words.texts[a->verbs.v[i]];
		if (a->resource)
			resource_verb(l, rule, verb);
		else
			path_verb(l, rule, verb);
	}
}

/* --- names --- */

static void names(struct linter *l, uint32_t rule, const struct action *a)
{
	const struct policy *p = l->p;
	bool lists = !a->verbs.any && (verb_in(p, a, "list") || verb_in(p, a, "watch"));
	bool others = false;
	for (uint32_t i = 0; i < a->verbs.n; i++) {
		struct slice v = p->words.texts[a->verbs.v[i]];
		others |= !slice_is(v, "list") && !slice_is(v, "watch") &&
			  !slice_is(v, "deletecollection");
	}
	if (lists && p->rules[rule].effect == POLICY_ALLOW)
		lint_rule_as(l, rule, "names-on-list", others ? LINT_NOTE : LINT_WARNING,
		    "take list and watch out, or the names",
		    "has names beside list or watch: such a request carries a name only with "
		    "--field-selector metadata.name=NAME, all others are not allowed by this");
	if (a->name_globs.n && p->rules[rule].effect == POLICY_ALLOW)
		lint_rule(l, rule, "name-globs", "name the objects, or keep such names to one owner",
		    "`" SLICE_FMT "` in resourceNamesGlob also matches names that others choose later",
		    SLICE_ARG(a->name_globs.v[0]));
	if (atom_set_has(&a->names, p->empty))
		lint_rule(l, rule, "empty-name", "take the names out, or name objects",
		    "has the empty name: it matches exactly the requests without one, such as list "
		    "and create");
}

/* --- what denies leave open --- */

/* One verb that is denied, and what does the same to many objects, or another way. */
static const struct gap {
	const char *denied, *open[3], *why;
	enum lint_severity severity;
} gaps[] = {
    {"get", {"list", "watch"}, "they show the same objects", LINT_WARNING},
    {"list", {"get", "watch"}, "they show the same objects", LINT_NOTE},
    {"delete", {"deletecollection"}, "it deletes them all", LINT_WARNING},
    {"update", {"patch"}, "it changes them too", LINT_WARNING},
    {"patch", {"update"}, "it changes them too", LINT_WARNING},
};

/* Is VERB of what A takes away taken away as well, here or by another action of the rule? */
static bool rule_has_verb(const struct policy *p, const struct rule *r, const char *verb)
{
	EACH_ACTION(r, a)
		if (a->resource && verb_in(p, a, verb))
			return true;
	return false;
}

static bool only_subresources(const struct policy *p, const struct action *a)
{
	for (uint32_t i = 0; i < a->nforms; i++)
		if (a->forms[i].sub == p->empty || a->forms[i].sub == ATOM_ANY)
			return false;
	return true;
}

static void deny_gaps(struct linter *l, uint32_t rule, const struct action *a)
{
	const struct rule *r = &l->p->rules[rule];
	if (only_subresources(l->p, a))
		return;
	for (size_t i = 0; i < ARRAY_LEN(gaps); i++) {
		const struct gap *g = &gaps[i];
		const char *open[3] = {0};
		size_t n = 0;
		if (!verb_in(l->p, a, g->denied))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(g->open) && g->open[k]; k++)
			if (!rule_has_verb(l->p, r, g->open[k]))
				open[n++] = g->open[k];
		/* `get` without `list` says it all. */
		if (n == 0 || (strcmp(g->denied, "list") == 0 && verb_in(l->p, a, "get")))
			continue;
		lint_rule_as(l, rule, "deny-gap", g->severity, "add what is missing",
		    "takes `%s` away but leaves `%s`%s%s%s: %s", g->denied, open[0],
		    n > 1 ? " and `" : "", n > 1 ? open[1] : "", n > 1 ? "`" : "", g->why);
	}
}

static bool has_form(const struct action *a, uint32_t resource, uint32_t sub)
{
	for (uint32_t i = 0; i < a->nforms; i++)
		if ((a->forms[i].resource == resource || a->forms[i].resource == ATOM_ANY) &&
		    (a->forms[i].sub == sub || a->forms[i].sub == ATOM_ANY))
			return true;
	return false;
}

/* Of these, a subresource does what the resource's own verbs do, or more. */
static void deny_subresources(struct linter *l, uint32_t rule, const struct action *a)
{
	static const char *const risky[][2] = {{"pods", "pods/exec, pods/log and the others"},
	    {"nodes", "nodes/proxy and the others"}, {"services", "services/proxy"},
	    {"serviceaccounts", "serviceaccounts/token"}};
	static const char *const reaching[] = {"get", "create", "update", "patch"};
	const struct policy *p = l->p;
	bool reaches = false;
	for (size_t i = 0; i < ARRAY_LEN(reaching); i++)
		reaches |= verb_in(p, a, reaching[i]);
	bool core = a->groups.any || atom_set_has(&a->groups, p->empty);
	for (size_t i = 0; i < ARRAY_LEN(risky) && reaches && core && a->names.any; i++) {
		uint32_t word = intern_find(&p->words, slice_of(risky[i][0]));
		bool named = false, subs = false;
		for (uint32_t k = 0; word && k < a->nforms; k++) {
			named |= a->forms[k].resource == word && a->forms[k].sub == p->empty;
			subs |= a->forms[k].resource == word && a->forms[k].sub != p->empty;
		}
		if (named && !subs && !has_form(a, word, ATOM_SOME))
			lint_rule(l, rule, "deny-subresources",
			    "add the subresources, such as `pods/*`",
			    "takes `%s` away but leaves %s", risky[i][0], risky[i][1]);
	}
}

static void deny_paths(struct linter *l, uint32_t rule, const struct action *a)
{
	if (verb_in(l->p, a, "get") && !verb_in(l->p, a, "head"))
		lint_rule_as(l, rule, "deny-gap", LINT_NOTE, "add `head`",
		    "takes `get` of paths away but leaves `head`");
}

/* --- imports --- */

static void star_subresources(struct linter *l, uint32_t rule, const struct action *a)
{
	uint32_t star = intern_find(&l->p->words, SLICE("*"));
	for (uint32_t i = 0; star && i < a->nforms; i++) {
		if (a->forms[i].sub != star)
			continue;
		lint_rule(l, rule, "star-subresource", "name each subresource",
		    "RBAC has no such pattern as `pods/*`: it matches nothing");
		return;
	}
}

/* --- time --- */

static void valid(struct linter *l, uint32_t rule)
{
	const struct rule *r = &l->p->rules[rule];
	int64_t now = l->options->now;
	char text[CLOCK_RFC3339_LEN];
	if (!r->valid || window_meets(r->valid, now, now))
		return;
	int64_t next = window_next(r->valid, now);
	if (next == INT64_MAX) {
		int64_t until = window_until(r->valid);
		if (until == INT64_MAX)
			until = now;
		clock_rfc3339(until, text);
		lint_rule(l, rule, "expired", "take it out", "holds no more, since %.19sZ at the latest",
		    text);
		return;
	}
	clock_rfc3339(next, text);
	lint_rule(l, rule, "inactive", NULL, "does not hold now; the next change is at %.19sZ", text);
}

/* --- tests --- */

static void untested(struct linter *l, uint32_t rule)
{
	const struct rule *r = &l->p->rules[rule];
	if (!l->options->tested || l->options->tested[rule] || r->shadow || r->origin != ORIGIN_NATIVE)
		return;
	if (r->effect == POLICY_DENY)
		lint_rule(l, rule, "untested-deny",
		    "add one to `tests:`: what a later edit takes out is noticed then",
		    "is decided by no test of the policy");
	else
		lint_rule(l, rule, "untested", "add one to `tests:`",
		    "is decided by no test of the policy");
}

static void look(struct linter *l, uint32_t rule)
{
	const struct rule *r = &l->p->rules[rule];
	bool takes = r->effect == POLICY_DENY || r->effect == POLICY_ABSTAIN;
	if (r->effect == POLICY_NO_EFFECT) {
		lint_rule(l, rule, "not-found", "import what it refers to, or take it out",
		    "gives nothing: %s", r->message ? r->message : "");
		return;
	}
	EACH_ACTION(r, a)
	{
		verbs(l, rule, a);
		if (a->resource && !a->names.any)
			names(l, rule, a);
		if (takes && !a->resource)
			deny_paths(l, rule, a);
		if (takes && a->resource && !a->verbs.any)
			deny_gaps(l, rule, a);
		if (takes && a->resource)
			deny_subresources(l, rule, a);
		if (r->origin == ORIGIN_RBAC)
			star_subresources(l, rule, a);
	}
	valid(l, rule);
	untested(l, rule);
}

void lint_habits(struct linter *l)
{
	for (uint32_t i = 0; i < l->p->nrules; i++)
		look(l, i);
}
