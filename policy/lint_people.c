/* Owns what lint says of subjects: who is too many, who is never asked about, what one costs. */
#include <stdlib.h>

#include "policy/lint_parts.h"

/* --- how many they are --- */

#define WIDER(who, other) ((who) = (other) > (who) ? (other) : (who))

static bool kube_system_account(struct slice user)
{
	return slice_starts(user, SLICE(SERVICE_ACCOUNT_PREFIX "kube-system:"));
}

static enum lint_who user_who(struct slice user)
{
	if (slice_is(user, "system:anonymous"))
		return WHO_ANYBODY;
	if (slice_starts(user, SLICE(SERVICE_ACCOUNT_PREFIX)))
		return kube_system_account(user) ? WHO_SYSTEM : WHO_SOME;
	return slice_starts(user, SLICE("system:")) ? WHO_SYSTEM : WHO_SOME;
}

static enum lint_who group_who(struct slice group)
{
	static const char *const wide[] = {"system:authenticated", "system:serviceaccounts"};
	if (slice_is(group, "system:unauthenticated"))
		return WHO_ANYBODY;
	for (size_t i = 0; i < ARRAY_LEN(wide); i++)
		if (slice_is(group, wide[i]))
			return WHO_WIDE;
	if (slice_is(group, "system:serviceaccounts:kube-system"))
		return WHO_SYSTEM;
	if (slice_starts(group, SLICE("system:serviceaccounts:")))
		return WHO_SOME;
	return slice_starts(group, SLICE("system:")) ? WHO_SYSTEM : WHO_SOME;
}

static enum lint_who glob_who(struct slice glob, bool groups)
{
	if (groups ? glob_match(glob, SLICE("system:unauthenticated"))
		   : glob_match(glob, SLICE("system:anonymous")))
		return WHO_ANYBODY;
	if (groups && (glob_match(glob, SLICE("system:authenticated")) ||
			  glob_match(glob, SLICE("system:serviceaccounts"))))
		return WHO_WIDE;
	bool system = slice_starts(glob, SLICE("system:")) &&
		      !slice_starts(glob, SLICE("system:serviceaccount"));
	return system ? WHO_SYSTEM : WHO_SOME;
}

static enum lint_who account_glob_who(struct slice glob)
{
	struct slice prefix = SLICE(SERVICE_ACCOUNT_PREFIX);
	struct slice ns = slice_skip(glob, prefix.len);
	struct slice name = slice_skip(ns, slice_find(ns, ':') + 1);
	ns.len = slice_find(ns, ':');
	if (glob_is_all(ns) && glob_is_all(name))
		return WHO_WIDE;
	return slice_is(ns, "kube-system") ? WHO_SYSTEM : WHO_SOME;
}

static enum lint_who set_who(const struct policy *p, const struct subject_set *s)
{
	enum lint_who who = WHO_SYSTEM;
	if (!s)
		return who;
	if (s->everyone)
		return WHO_ANYBODY;
	for (uint32_t i = 0; i < s->users.n; i++)
		WIDER(who, user_who(p->users.texts[s->users.v[i]]));
	for (uint32_t i = 0; i < s->groups.n; i++)
		WIDER(who, group_who(p->groups.texts[s->groups.v[i]]));
	for (uint32_t i = 0; i < s->user_globs.n; i++)
		WIDER(who, glob_who(s->user_globs.v[i], false));
	for (uint32_t i = 0; i < s->group_globs.n; i++)
		WIDER(who, glob_who(s->group_globs.v[i], true));
	for (uint32_t i = 0; i < s->sa_globs.n; i++)
		WIDER(who, account_glob_who(s->sa_globs.v[i]));
	return who;
}

enum lint_who lint_who(const struct policy *p, const struct rule *r)
{
	enum lint_who a = set_who(p, r->subjects.own), b = set_who(p, r->subjects.alias);
	return a > b ? a : b;
}

/* --- what too many may do --- */

/* Everybody may ask what they themselves may do, and who they are. */
static bool about_oneself(const struct policy *p, const struct action *a)
{
	for (uint32_t i = 0; i < a->nforms; i++) {
		uint32_t r = a->forms[i].resource;
		if (r == ATOM_ANY || !slice_starts(p->words.texts[r], SLICE("selfsubject")))
			return false;
	}
	return true;
}

static bool writes(const struct policy *p, const struct action *a)
{
	static const char *const verbs[] = {"create", "update", "patch", "delete", "deletecollection"};
	if (!a->resource || about_oneself(p, a))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (atom_set_has(&a->verbs, intern_find(&p->words, slice_of(verbs[i]))))
			return true;
	return false;
}

static bool harmless_path(const struct url_form *u)
{
	static const char *const paths[] = {"/healthz", "/livez", "/readyz", "/version", "/api", "/apis",
	    "/openapi", "/.well-known/", "/openid/v1/jwks"};
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (slice_starts(u->text, slice_of(paths[i])))
			return true;
	return false;
}

static bool anonymous_may_see(const struct policy *p, const struct action *a)
{
	if (a->resource)
		return !about_oneself(p, a);
	for (uint32_t i = 0; i < a->nurls; i++)
		if (!harmless_path(&a->urls[i]))
			return true;
	return false;
}

static void too_many(struct linter *l, uint32_t rule, enum lint_who who)
{
	const struct rule *r = &l->p->rules[rule];
	bool write = false, see = false;
	EACH_ACTION(r, a)
	{
		write |= writes(l->p, a);
		see |= anonymous_may_see(l->p, a);
	}
	if (who == WHO_ANYBODY && see)
		lint_rule_as(l, rule, "anonymous", write ? LINT_ERROR : LINT_WARNING,
		    "say `all: authenticated`, or name who is meant",
		    "gives this to everybody who reaches the apiserver, without logging in");
	else if (write)
		lint_rule(l, rule, "wide-write", "name who is meant",
		    "lets everybody who has logged in, or every service account, change objects");
}

/* --- subjects that are not what they seem --- */

static bool names_group(const struct policy *p, const struct subject_set *s, struct slice group)
{
	uint32_t atom = intern_find(&p->groups, group);
	return s && !s->everyone && atom && atom_set_has(&s->groups, atom);
}

static bool names_star(const struct policy *p, const struct subject_set *s)
{
	uint32_t user = intern_find(&p->users, SLICE("*")), group = intern_find(&p->groups, SLICE("*"));
	return s && ((user && atom_set_has(&s->users, user)) ||
			(group && atom_set_has(&s->groups, group)));
}

static void odd_subjects(struct linter *l, uint32_t rule)
{
	const struct rule *r = &l->p->rules[rule];
	struct slice masters = SLICE("system:masters");
	if (names_group(l->p, r->subjects.own, masters) ||
	    names_group(l->p, r->subjects.alias, masters))
		lint_rule_as(l, rule, "masters",
		    r->origin == ORIGIN_NATIVE ? LINT_WARNING : LINT_NOTE,
		    "take the group out",
		    "names system:masters: the apiserver lets its members pass before it asks "
		    "anybody");
	if (names_star(l->p, r->subjects.own))
		lint_rule(l, rule, "star-subject",
		    "bind the group system:authenticated if everybody is meant",
		    "names `*`, which RBAC takes for a user or group of exactly this name");
}

/* --- what a subject costs --- */

struct loads {
	struct linter *l;
	uint32_t *users, *groups, everyone;
	struct map globs; /* kind and text -> uint32_t * */
};

static void count_atoms(uint32_t *counts, const struct atom_set *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		counts[s->v[i]]++;
}

static void count_globs(struct loads *t, const char *kind, const struct glob_list *g)
{
	for (uint32_t i = 0; i < g->n; i++) {
		const char *text =
		    arena_printf(&t->l->arena, "%s " SLICE_FMT, kind, SLICE_ARG(g->v[i]));
		uint32_t *n = map_get(&t->globs, slice_of(text));
		if (!n) {
			n = ARENA_NEW(&t->l->arena, uint32_t);
			map_put(&t->globs, slice_of(text), n);
		}
		++*n;
	}
}

static void count_set(struct loads *t, const struct subject_set *s)
{
	if (!s)
		return;
	t->everyone += s->everyone;
	count_atoms(t->users, &s->users);
	count_atoms(t->groups, &s->groups);
	count_globs(t, "user pattern", &s->user_globs);
	count_globs(t, "group pattern", &s->group_globs);
	count_globs(t, "service account pattern", &s->sa_globs);
}

static bool heavier(const struct lint_load *a, const struct lint_load *b)
{
	if (a->rules != b->rules)
		return a->rules > b->rules;
	return b->rules && strcmp(a->subject, b->subject) < 0;
}

/* Keeps the heaviest, in order. */
static void offer(struct loads *t, uint32_t rules, const char *kind, struct slice name)
{
	struct lint_load *v = t->l->out->loads;
	if (rules < v[LINT_LOADS - 1].rules || rules == 0)
		return;
	struct lint_load one = {.rules = rules,
	    .subject = arena_printf(&t->l->out->arena, "%s" SLICE_FMT, kind, SLICE_ARG(name))};
	for (int i = 0; i < LINT_LOADS; i++) {
		if (v[i].rules && !heavier(&one, &v[i]))
			continue;
		struct lint_load down = v[i];
		v[i] = one;
		one = down;
		if (!one.rules)
			return;
	}
}

static void weigh(struct linter *l)
{
	const struct policy *p = l->p;
	struct loads t = {.l = l};
	t.users = ARENA_ARRAY(&l->arena, uint32_t, p->users.len + 1);
	t.groups = ARENA_ARRAY(&l->arena, uint32_t, p->groups.len + 1);
	for (uint32_t i = 0; i < p->nrules; i++) {
		const struct subjects *s = &p->rules[i].subjects;
		count_set(&t, s->own);
		if (s->alias != s->own)
			count_set(&t, s->alias);
	}
	for (uint32_t i = 1; i <= p->users.len; i++)
		offer(&t, t.users[i], "user ", p->users.texts[i]);
	for (uint32_t i = 1; i <= p->groups.len; i++)
		offer(&t, t.groups[i], "group ", p->groups.texts[i]);
	offer(&t, t.everyone, "everyone", (struct slice){0});
	size_t it = 0;
	struct slice key;
	void *value;
	while (map_next(&t.globs, &it, &key, &value))
		offer(&t, *(uint32_t *)value, "", key);
	map_done(&t.globs);
}

void lint_people(struct linter *l)
{
	for (uint32_t i = 0; i < l->p->nrules; i++) {
		const struct rule *r = &l->p->rules[i];
		enum lint_who who = lint_who(l->p, r);
		odd_subjects(l, i);
		if (r->effect == POLICY_ALLOW && who >= WHO_WIDE)
			too_many(l, i, who);
	}
	weigh(l);
}
