/* Owns the decision: a pure function of policy and request, without allocation.
 *
 * A subject leads to the sets that name it, a set to its rules in file order: rules whose subjects
 * cannot match cost nothing. The other dimensions are compared as numbers. */
#include "authz/engine.h"

/* --- the request in numbers --- */

static uint32_t group_atom(const struct engine *e, size_t i)
{
	return i < ENGINE_GROUPS ? e->groups[i] : intern_find(&e->p->groups, e->r->groups[i]);
}

/* Calls FN for each set that names the subject; a set may come more than once. */
typedef void set_fn(void *ctx, uint32_t set);

static void each_of(const struct engine *e, const struct posting *list, set_fn *fn, void *ctx)
{
	for (uint32_t i = 0; i < list->n; i++)
		fn(ctx, e->p->index.sets[list->first + i]);
}

static void each_glob(const struct engine *e, const struct globset *set,
    const struct posting *lists, struct slice text, set_fn *fn, void *ctx)
{
	if (set->n == 0)
		return;
	struct glob_cursor c = globset_search(set, text);
	uint32_t pattern;
	while (globset_next(&c, &pattern))
		each_of(e, &lists[pattern], fn, ctx);
}

static void each_set(const struct engine *e, set_fn *fn, void *ctx)
{
	const struct policy *p = e->p;
	const struct subject_index *ix = &p->index;
	each_of(e, &ix->everyone, fn, ctx);
	each_of(e, &ix->users[e->user], fn, ctx);
	each_glob(e, &p->user_globs, ix->user_globs, e->r->user, fn, ctx);
	if (e->service_account)
		each_glob(e, &p->sa_globs, ix->sa_globs, e->r->user, fn, ctx);
	for (size_t i = 0; i < e->r->ngroups; i++) {
		each_of(e, &ix->groups[group_atom(e, i)], fn, ctx);
		each_glob(e, &p->group_globs, ix->group_globs, e->r->groups[i], fn, ctx);
	}
}

/* Notes SET once where it has a bit; where it has none, twice does no harm. */
static void find_set(void *ctx, uint32_t set)
{
	struct engine *e = ctx;
	if (set < ENGINE_SETS) {
		uint64_t bit = UINT64_C(1) << (set % 64);
		if (e->marks[set / 64] & bit)
			return;
		e->marks[set / 64] |= bit;
	}
	if (e->nfound < ENGINE_FOUND)
		e->found[e->nfound] = set;
	e->nfound++;
}

void engine_init(struct engine *e, const struct policy *p, const struct access_request *r)
{
	/* Not the whole struct: of the arrays only what was written is read. */
	e->p = p;
	e->r = r;
	e->user = intern_find(&p->users, r->user);
	e->verb = engine_word(p, r->verb);
	e->api_group = e->resource = e->sub = e->name = e->namespace_ = INTERN_NONE;
	e->service_account = policy_is_service_account(r->user);
	e->nfound = 0;
	memset(e->marks, 0, sizeof(e->marks));
	for (size_t i = 0; i < r->ngroups && i < ENGINE_GROUPS; i++)
		e->groups[i] = intern_find(&p->groups, r->groups[i]);
	if (r->resource_request) {
		e->api_group = engine_word(p, r->api_group);
		e->resource = engine_word(p, r->resource);
		e->sub = engine_word(p, r->subresource);
		e->name = engine_word(p, r->name);
		e->namespace_ = engine_word(p, r->namespace_);
	}
	engine_selectors_init(e);
	each_set(e, find_set, e);
}

/* --- subjects --- */

static bool set_has_group(const struct engine *e, const struct subject_set *s)
{
	for (size_t i = 0; i < e->r->ngroups; i++) {
		if (s->groups.n && atom_set_has(&s->groups, group_atom(e, i)))
			return true;
		if (s->group_globs.n && glob_list_has(&s->group_globs, e->r->groups[i]))
			return true;
	}
	return false;
}

static bool set_has(const struct engine *e, const struct subject_set *s)
{
	if (!s)
		return false;
	if (s->id < ENGINE_SETS)
		return e->marks[s->id / 64] >> (s->id % 64) & 1;
	if (s->everyone || atom_set_has(&s->users, e->user) ||
	    glob_list_has(&s->user_globs, e->r->user))
		return true;
	if (e->service_account && glob_list_has(&s->sa_globs, e->r->user))
		return true;
	return set_has_group(e, s);
}

bool engine_subjects(const struct engine *e, const struct subjects *s)
{
	return set_has(e, s->own) || set_has(e, s->alias);
}

bool engine_names(const struct engine *e, const struct rule *rule)
{
	if ((rule->also.own || rule->also.alias) && !engine_subjects(e, &rule->also))
		return false;
	return engine_subjects(e, &rule->subjects);
}

/* --- the search --- */

#define NO_RULE UINT32_MAX

struct search {
	const struct engine *e;
	uint32_t best[CLASS_ALL]; /* first rule that matches, NO_RULE: none so far */
	enum rule_class first, last; /* classes to look at */
};

/* RULE's subjects are known to name who asks. */
static bool rule_matches(const struct engine *e, const struct rule *rule)
{
	if (engine_action(e, rule) != DIM_NONE || engine_subjects(e, &rule->except))
		return false;
	return (!rule->also.own && !rule->also.alias) || engine_subjects(e, &rule->also);
}

/* The first rule of SET and CLASS that matches and stands before the best one so far. */
static void search_class(struct search *s, const struct subject_set *set, enum rule_class class)
{
	const struct policy *p = s->e->p;
	const struct posting *list = &set->rules[class];
	for (uint32_t i = 0; i < list->n; i++) {
		uint32_t rule = p->set_rules[list->first + i];
		if (rule >= s->best[class])
			return;
		if (rule_matches(s->e, &p->rules[rule])) {
			s->best[class] = rule;
			return;
		}
	}
}

/* What a stronger class has decided, a weaker one cannot change. */
static void search_set(void *ctx, uint32_t id)
{
	struct search *s = ctx;
	for (enum rule_class k = s->first; k <= s->last; k++) {
		search_class(s, s->e->p->sets[id], k);
		if (s->best[k] != NO_RULE)
			s->last = k;
	}
}

/* The first rule, by class and place, of the classes FIRST to LAST that matches; NULL: none. */
static const struct rule *search(
    const struct engine *e, enum rule_class first, enum rule_class last)
{
	struct search s = {.e = e, .first = first, .last = last};
	for (enum rule_class k = first; k <= last; k++)
		s.best[k] = NO_RULE;
	for (uint32_t i = 0; i < e->nfound && i < ENGINE_FOUND; i++)
		search_set(&s, e->found[i]);
	if (e->nfound > ENGINE_FOUND)
		each_set(e, search_set, &s);
	return s.best[s.last] == NO_RULE ? NULL : &e->p->rules[s.best[s.last]];
}

/* --- the decision --- */

/* Whom no deny may touch, the default may not deny either. */
static enum verdict verdict_of(const struct policy *p, const struct rule *by, bool exempt)
{
	static const enum verdict verdicts[] = {[POLICY_NO_EFFECT] = VERDICT_NO_OPINION,
	    [POLICY_DENY] = VERDICT_DENY,
	    [POLICY_ABSTAIN] = VERDICT_NO_OPINION,
	    [POLICY_ALLOW] = VERDICT_ALLOW};
	if (by)
		return verdicts[by->effect];
	return p->default_deny && !exempt ? VERDICT_DENY : VERDICT_NO_OPINION;
}

/* A shadow rule counts only where it is stronger than what decided: else the answer stays. */
static void find_shadow(const struct engine *e, const struct rule *by, struct decision *out)
{
	enum rule_class first = out->exempt ? CLASS_SHADOW_ALLOW : CLASS_SHADOW_DENY;
	enum rule_class end = CLASS_SHADOW_DENY + (by ? rule_class(by) : CLASS_COUNT);
	const struct rule *shadow = end > first ? search(e, first, end - 1) : NULL;
	if (!shadow || verdict_of(e->p, shadow, out->exempt) == out->verdict)
		return;
	out->shadow = (struct shadow_decision){.differs = true,
	    .verdict = verdict_of(e->p, shadow, out->exempt),
	    .rule = shadow->id,
	    .source = shadow->source};
}

static void decide(const struct engine *e, struct decision *out)
{
	const struct policy *p = e->p;
	const struct rule *by =
	    search(e, out->exempt ? CLASS_ALLOW : CLASS_DENY, CLASS_ALLOW);
	out->verdict = verdict_of(p, by, out->exempt);
	if (by) {
		out->effect = by->effect;
		out->rule = by->id;
		out->source = by->source;
		out->message = by->message;
		out->break_glass = by->break_glass;
	} else if (p->nclass[CLASS_NOTE]) {
		const struct rule *note = search(e, CLASS_NOTE, CLASS_NOTE);
		out->note = note ? note->message : NULL;
	}
	if (p->nclass[CLASS_SHADOW_DENY] | p->nclass[CLASS_SHADOW_ABSTAIN] |
	    p->nclass[CLASS_SHADOW_ALLOW])
		find_shadow(e, by, out);
}

void authz_evaluate(const struct policy *p, const struct access_request *r, struct decision *out)
{
	struct engine e UNINITIALIZED;
	engine_init(&e, p, r);
	*out = (struct decision){.exempt = engine_subjects(&e, &p->exempt)};
	decide(&e, out);
}
