/* Owns running cases, and which rules tests reach. */
#include "authz/cases.h"
#include "authz/engine.h"

bool cases_run(const struct policy *p, const struct access_case *c, struct diags *d)
{
	struct decision got;
	authz_evaluate(p, &c->request, &got);
	bool right = got.verdict == c->expect;
	if (c->by && strcmp(c->by, "-") == 0)
		right &= !got.rule;
	else if (c->by)
		right &= got.rule && strcmp(got.rule, c->by) == 0;
	if (right)
		return true;
	diags_error(d, c->file, c->line, c->col, "expected %s%s%s, got %s%s%s%s%s%s",
	    verdict_name(c->expect), c->by ? " by " : "", c->by ? c->by : "",
	    verdict_name(got.verdict), got.rule ? " by " : "", got.rule ? got.rule : "",
	    got.source ? " (" : "", got.source ? got.source : "", got.source ? ")" : "");
	return false;
}

void coverage_init(struct coverage *c, struct arena *a, const struct policy *p, bool matched)
{
	*c = (struct coverage){.decided = ARENA_ARRAY(a, uint8_t, p->nrules + 1)};
	if (matched)
		c->matched = ARENA_ARRAY(a, uint8_t, p->nrules + 1);
	uint32_t *numbers = ARENA_ARRAY(a, uint32_t, p->nrules + 1);
	for (uint32_t i = 0; i < p->nrules; i++) {
		numbers[i] = i;
		map_put(&c->ids, slice_of(p->rules[i].id), &numbers[i]);
	}
}

void coverage_done(struct coverage *c)
{
	map_done(&c->ids);
}

static bool rule_matches(const struct engine *e, const struct rule *rule)
{
	return engine_names(e, rule) && !engine_subjects(e, &rule->except) &&
	       engine_action(e, rule) == DIM_NONE;
}

void coverage_add(struct coverage *c, const struct policy *p, const struct access_request *r)
{
	struct decision d;
	authz_evaluate(p, r, &d);
	const uint32_t *by = d.rule ? map_get(&c->ids, slice_of(d.rule)) : NULL;
	if (by)
		c->decided[*by] = 1;
	if (!c->matched)
		return;
	struct engine e;
	engine_init(&e, p, r);
	for (uint32_t i = 0; i < p->nrules; i++)
		if (!c->matched[i] && rule_matches(&e, &p->rules[i]))
			c->matched[i] = 1;
}
