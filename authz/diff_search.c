/* Owns the search for a request that flips: take a member of the region, ask both policies, and where a
 * rule spoils it go on in the parts of the region where that rule does not match. Each round rules one
 * rule out, so the search ends, with a request or with proof. */
#include "authz/diff_run.h"
#include "authz/engine.h"

/* Rounds of one search, and of a whole comparison: past them it is not told but marked. */
#define SEARCH_ROUNDS 3000
#define SEARCH_ALL UINT64_C(30000000)
#define REGIONS_MAX 300 /* of one subtraction; past that the rest is left in: cells get coarser */

/* --- who decides --- */

static bool matches(const struct engine *e, const struct rule *rule)
{
	return engine_names(e, rule) && engine_action(e, rule) == DIM_NONE &&
	       !engine_subjects(e, &rule->except);
}

/* The verdict with the shadow rules in force: every rule in turn. */
static enum verdict decide_shadow(
    struct diff_run *d, int side, const struct access_request *r, const struct view_rule **by)
{
	struct engine e;
	const struct view *v = &d->views[side];
	engine_init(&e, v->p, r);
	bool exempt = engine_subjects(&e, &v->p->exempt);
	*by = NULL;
	for (uint32_t i = 0; i < v->n; i++) {
		const struct view_rule *rule = &v->rules[i];
		if (!diff_usable(d, rule) || (exempt && diff_class(rule) != CLASS_ALLOW) ||
		    (*by && diff_class(*by) <= diff_class(rule)))
			continue;
		if (matches(&e, rule->rule))
			*by = rule;
	}
	if (*by)
		return diff_verdict(*by);
	return v->p->default_deny && !exempt ? VERDICT_DENY : VERDICT_NO_OPINION;
}

/* The rule by the place of its name in memory, which is its own. */
static const struct view_rule *rule_named(const struct view *v, const struct access_request *r,
    const struct decision *got)
{
	struct engine e;
	engine_init(&e, v->p, r);
	for (uint32_t i = 0; i < v->n; i++)
		if (v->rules[i].rule->id == got->rule && v->rules[i].rule->effect == got->effect &&
		    !v->rules[i].rule->shadow && matches(&e, v->rules[i].rule))
			return &v->rules[i];
	return NULL;
}

enum verdict diff_decide(struct diff_run *d, int side, const struct access_request *r,
    const struct view_rule **by)
{
	struct decision got;
	d->steps++;
	const struct view_rule *ignored;
	if (d->shadow)
		return decide_shadow(d, side, r, by ? by : &ignored);
	authz_evaluate(d->views[side].p, r, &got);
	if (by)
		*by = got.rule ? rule_named(&d->views[side], r, &got) : NULL;
	return got.verdict;
}

/* --- parts of regions --- */

void diff_push(struct diff_run *d, struct region_list *list, const struct region *r)
{
	ARENA_ROOM(&d->scratch, list->v, list->n, list->cap, 8);
	list->v[list->n++] = *r;
}

enum words_found diff_narrow(struct region *r, const struct limit *steps, size_t n)
{
	enum words_found got = r->unknown ? WORDS_UNKNOWN : WORDS_FOUND;
	for (size_t i = 0; i < n; i++) {
		got = region_add(r, &steps[i]);
		if (got == WORDS_NONE)
			return got;
	}
	return got;
}

/* Those parts of R that fail one of STEPS, each apart from the others, into LIST. */
static void parts_outside(struct diff_run *d, const struct region *r, const struct limit *steps,
    size_t n, struct region_list *list)
{
	struct region rest = *r;
	for (size_t i = 0; i < n; i++) {
		struct region part = rest;
		struct limit not = steps[i];
		not.out = !not.out;
		if (region_add(&part, &not) != WORDS_NONE)
			diff_push(d, list, &part);
		if (region_add(&rest, &steps[i]) == WORDS_NONE)
			return;
	}
}

static void subtract_one(struct diff_run *d, struct region_list *list, const struct limit *steps,
    size_t n)
{
	struct region_list out = {0};
	for (size_t i = 0; i < list->n; i++) {
		struct region both = list->v[i];
		if (out.n + list->n > REGIONS_MAX || diff_narrow(&both, steps, n) == WORDS_NONE)
			diff_push(d, &out, &list->v[i]);
		else
			parts_outside(d, &list->v[i], steps, n, &out);
	}
	*list = out;
}

void diff_subtract(struct diff_run *d, struct region_list *list, const struct view_rule *rule)
{
	struct limit steps[VIEW_STEPS];
	for (uint32_t a = 0; a < rule->nacts && list->n; a++) {
		if (rule->acts[a]->resource != list->v[0].resource)
			continue;
		for (uint32_t p = 0; p < diff_places(rule, a); p++) {
			size_t n = view_steps(&d->views[rule->side], rule, a, p,
			    VIEW_ABOUT | VIEW_EXEMPT, steps);
			subtract_one(d, list, steps, n);
		}
	}
}

/* --- the search --- */

struct hunt {
	struct diff_run *d;
	const struct flip *want;
	unsigned rounds;
	bool unknown;
	struct region found;
};

static bool all_have(const struct region_space *space, const struct limit *steps, size_t n,
    const struct access_request *r)
{
	for (size_t i = 0; i < n; i++)
		if (!limit_has(space, &steps[i], r))
			return false;
	return true;
}

/* The conditions of RULE that R's member meets. 0: it meets none of its ways to match, so that engine and
 * view disagree, or the rule has no condition at all. */
static size_t steps_met(
    struct diff_run *d, const struct region *r, const struct view_rule *rule, struct limit *steps)
{
	for (uint32_t a = 0; a < rule->nacts; a++) {
		if (rule->acts[a]->resource != r->resource)
			continue;
		for (uint32_t p = 0; p < diff_places(rule, a); p++) {
			size_t n = view_steps(&d->views[rule->side], rule, a, p,
			    VIEW_SUBJECTS | VIEW_ABOUT | VIEW_EXEMPT, steps);
			if (all_have(&d->space, steps, n, &r->member))
				return n;
		}
	}
	return 0;
}

static bool hunt_in(struct hunt *h, struct region *r)
{
	const struct view_rule *spoils;
	enum verdict got[2];
	if (r->unknown || ++h->rounds > SEARCH_ROUNDS || h->d->steps > SEARCH_ALL) {
		h->unknown = true;
		return false;
	}
	r->member.now = h->d->at;
	r->member.hold = h->d->hold;
	for (int side = 0; side < 2; side++)
		got[side] = diff_decide(h->d, side, &r->member, NULL);
	if (got[0] == h->want->v[0] && got[1] == h->want->v[1]) {
		h->found = *r;
		return true;
	}
	diff_decide(h->d, got[0] == h->want->v[0], &r->member, &spoils);
	struct limit steps[VIEW_STEPS];
	struct region_list parts = {0};
	if (!spoils)
		return false;
	size_t n = steps_met(h->d, r, spoils, steps);
	parts_outside(h->d, r, steps, n, &parts);
	for (size_t i = 0; i < parts.n; i++)
		if (hunt_in(h, &parts.v[i]))
			return true;
	return false;
}

enum words_found diff_search(struct diff_run *d, struct region *r, const struct flip *want)
{
	struct hunt h = {.d = d, .want = want};
	if (hunt_in(&h, r)) {
		*r = h.found;
		return WORDS_FOUND;
	}
	return h.unknown ? WORDS_UNKNOWN : WORDS_NONE;
}
