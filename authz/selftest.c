/* Owns the policy's embedded tests: each `tests:` entry asked of the policy itself. */
#include "authz/authz.h"
#include "policy/index.h"

static const struct access_requirement *requirements_of(struct arena *a, const struct selector *s)
{
	static const char *const ops[] = {[REQUIREMENT_IN] = "In",
	    [REQUIREMENT_NOT_IN] = "NotIn",
	    [REQUIREMENT_EXISTS] = "Exists",
	    [REQUIREMENT_DOES_NOT_EXIST] = "DoesNotExist"};
	struct access_requirement *v = ARENA_ARRAY(a, struct access_requirement, s->n);
	for (uint32_t i = 0; i < s->n; i++)
		v[i] = (struct access_requirement){
		    s->v[i].key, slice_of(ops[s->v[i].op]), s->v[i].values, s->v[i].n};
	return v;
}

static const struct access_extra *extra_of(struct arena *a, const struct policy_test *t)
{
	struct access_extra *v = ARENA_ARRAY(a, struct access_extra, t->nextra);
	for (size_t i = 0; i < t->nextra; i++)
		v[i] = (struct access_extra){t->extra[i].key, t->extra[i].values, t->extra[i].n};
	return v;
}

/* A test that names no time is asked outside of all time: what loads today loads tomorrow. */
void authz_test_request(struct arena *a, const struct policy_test *t, struct access_request *r)
{
	*r = (struct access_request){
	    .user = t->user,
	    .uid = t->uid,
	    .groups = t->groups,
	    .ngroups = t->ngroups,
	    .resource_request = t->resource_request,
	    .verb = t->verb,
	    .api_group = t->api_group,
	    .version = t->version,
	    .resource = t->resource,
	    .subresource = t->subresource,
	    .name = t->name,
	    .namespace_ = t->namespace_,
	    .path = t->path,
	    .extra = extra_of(a, t),
	    .nextra = t->nextra,
	    .field_selector = requirements_of(a, &t->fields),
	    .nfield = t->fields.n,
	    .label_selector = requirements_of(a, &t->labels),
	    .nlabel = t->labels.n,
	    .now = t->timed ? t->at : AUTHZ_TIMELESS,
	};
}

static void add_decision(struct buf *b, const struct decision *got)
{
	buf_adds(b, verdict_name(got->verdict));
	if (got->rule)
		buf_printf(b, " by rule `%s` (%s)", got->rule, got->source);
	else
		buf_adds(b, got->exempt ? " as the subject is exempt" : " as no rule matches");
}

/* Of whom, and what a failure is called: "test", "guard". */
struct asking {
	const struct policy *p;
	const char *what;
	struct diags *d;
};

static void tell(const struct asking *q, const struct policy_test *t, enum verdict want,
    const struct decision *got, bool while_valid)
{
	struct buf b;
	buf_init(&b, 512);
	buf_printf(&b, "%s%s%s%s failed: expected %s", q->what, t->label ? " `" : "",
	    t->label ? t->label : "", t->label ? "`" : "", verdict_name(want));
	if (t->by && !while_valid)
		buf_printf(&b, " by rule `%s`", t->by);
	buf_adds(&b, ", got ");
	add_decision(&b, got);
	if (while_valid)
		buf_adds(&b, " while rules with `valid` hold");
	diags_error(q->d, t->file, t->line, t->col, "%s", buf_cstr(&b));
	buf_done(&b);
}

/* NOW: INT64_MAX for the test's own. */
static bool run_one(const struct asking *q, const struct policy_test *t, int64_t now)
{
	static const enum verdict verdicts[] = {[POLICY_EXPECT_NO_OPINION] = VERDICT_NO_OPINION,
	    [POLICY_EXPECT_ALLOW] = VERDICT_ALLOW,
	    [POLICY_EXPECT_DENY] = VERDICT_DENY};
	AUTO(arena_done) struct arena arena = {0};
	struct access_request r;
	struct decision got;
	bool own = now == INT64_MAX;
	authz_test_request(&arena, t, &r);
	if (!own)
		r.now = now;
	authz_evaluate(q->p, &r, &got);
	enum verdict want = verdicts[t->expect];
	bool right_rule = !own || !t->by || (got.rule && strcmp(got.rule, t->by) == 0);
	if (got.verdict == want && right_rule)
		return true;
	tell(q, t, want, &got, !own);
	return false;
}

void authz_run_tests(const struct policy *p, struct diags *d)
{
	for (size_t i = 0; i < p->ntests; i++)
		run_one(&(struct asking){p, "test", d}, &p->tests[i], INT64_MAX);
}

void authz_run_test(const struct policy *p, const struct policy_test *t, struct diags *d)
{
	run_one(&(struct asking){p, "test", d}, t, INT64_MAX);
}

void authz_run_guards(const struct policy *p, const struct policy *guards, struct diags *d)
{
	const struct asking q = {p, "guard", d};
	for (size_t i = 0; i < guards->ntests; i++) {
		const struct policy_test *t = &guards->tests[i];
		if (run_one(&q, t, INT64_MAX) && !t->timed && run_one(&q, t, AUTHZ_WHILE_GIVEN))
			run_one(&q, t, AUTHZ_WHILE_TAKEN);
	}
}
